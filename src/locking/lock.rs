//! The stripe lock: one word, robust against the death of its holder.
//!
//! # The word
//!
//! | bits     | meaning                                                          |
//! |----------|------------------------------------------------------------------|
//! | 0 to 15  | the owner's participant slot plus one; 0: free                   |
//! | 16       | WAITERS: a thread sleeps until the lock is free                  |
//! | 17       | SLEEPERS: a thread sleeps until a key changes (see `key_wait`)   |
//! | 32 to 63 | the owner's generation; 0 when free                              |
//!
//! | from                  | to                        | by                       |
//! |-----------------------|---------------------------|--------------------------|
//! | free, any flags       | owner, same flags         | the new owner            |
//! | free, any flags       | owner, flags and WAITERS  | a new owner that slept   |
//! | owner, any flags      | 0                         | the owner, at unlock     |
//! | any                   | same with WAITERS         | a thread before it sleeps|
//! | any                   | same with SLEEPERS        | a waiter for a key       |
//! | dead owner, any flags | other owner, same flags   | the owner that takes over|
//!
//! # Why no thread sleeps forever
//! A thread sets WAITERS before it sleeps, and the kernel compares the word again before it
//! puts the thread to sleep. The unlocking exchange sees the flag and wakes one thread, which
//! takes the lock with WAITERS set, because there may be more. If the sender or the receiver
//! of a wake-up dies, that costs a time slice: every sleep is bounded, and the thread reads
//! the word again when it ends.
//!
//! # Why no living owner is robbed
//! Only a word that names a dead owner is exchanged for another owner's, and the kernel says
//! which owners are dead: see `participants`. The exchange fails if the word has changed since.
//!
//! # Orderings
//! Taking the lock is an acquire and releasing it a release exchange: what one owner did is
//! visible to the next. Taking it is a release too, and the load of the word before asking
//! whether its owner lives is an acquire: a thread that sees the owner in the word also sees
//! the generation that the owner wrote to its slot before, and doesn't take an older one there
//! for a sign of death. A dead owner released nothing; what it stored before it died is visible
//! because the kernel's answer that it is dead came after. Setting a flag needs no ordering of
//! its own for the lock; `key_wait` says which one SLEEPERS needs.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::layout::{STRIPE_ACQUIRED, STRIPE_CONTENDED, STRIPE_EVENT, STRIPE_LOCK};
use crate::locking::holder::Holder;
use crate::locking::participants::{Attachment, OWNER_BITS, OwnerId};
use crate::segment::Segment;
use crate::segment::stripe::Stripe;
use crate::sync::{self, AtomicU64, Ordering};
use crate::sys::{crash_point, process_crash_point};

pub(crate) const WAITERS: u64 = 1 << 16;
pub(crate) const SLEEPERS: u64 = 1 << 17;

/// How often a thread reads the word before its first sleep: an uncontended critical section
/// is shorter than this.
const SPINS: u32 = if cfg!(loom) { 0 } else { 100 };
/// The first sleep. After it, the system is asked whether the owner lives.
const FIRST_SLEEP: Duration = Duration::from_millis(1);
/// All later sleeps.
const SLEEP: Duration = Duration::from_millis(10);

/// A held stripe lock. Dropping it releases the lock.
pub(crate) struct Guard<'a> {
    holder: &'a Holder,
    stripe: Stripe<'a>,
}

/// Takes a stripe's lock, and waits for it no longer than the segment's lock timeout. If its
/// last owner died holding it, calls `recover` with it.
///
/// # Errors
/// `LockTimeout` if a living owner kept it.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn acquire<'a>(
    holder: &'a Holder,
    stripe: Stripe<'a>,
    recover: impl FnOnce(Guard<'a>) -> Guard<'a>,
) -> Result<Guard<'a>> {
    let mine = holder.me.bits();
    let word = stripe.word(STRIPE_LOCK);
    if word
        .compare_exchange(0, mine, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
    {
        crash_point!("lock: taken");
    } else {
        acquire_slow(holder, stripe, recover)?;
    }
    // Made only when the lock is held, because dropping it releases the lock; and made here
    // alone, from what is at hand, so that no branch needs to keep it in memory.
    Ok(Guard { holder, stripe })
}

/// Whether a stripe's lock is held now, perhaps by a dead owner.
pub(crate) fn is_held(stripe: Stripe<'_>) -> bool {
    let word = stripe.word(STRIPE_LOCK).load(Ordering::Relaxed);
    OwnerId::from_bits(word).is_some()
}

/// Releases a lock and fails with `DescriptorClosed` if others can take its owner for dead.
#[cold]
#[inline(never)]
fn confirm(holder: &Holder, stripe: Stripe<'_>) -> Result<()> {
    holder.look().inspect_err(|_| {
        let word = stripe.word(STRIPE_LOCK);
        let mut seen = word.load(Ordering::Relaxed);
        // Unless another process has taken it over.
        while seen & OWNER_BITS == holder.me.bits() {
            match word.compare_exchange(seen, 0, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return wake(&holder.segment, stripe, seen),
                Err(now) => seen = now,
            }
        }
    })
}

/// Takes a lock that was not free. The guard is not made yet.
#[cold]
#[inline(never)]
fn acquire_slow<'a>(
    holder: &'a Holder,
    stripe: Stripe<'a>,
    recover: impl FnOnce(Guard<'a>) -> Guard<'a>,
) -> Result<()> {
    if acquire_contended(holder, stripe)? {
        // The lock stays held.
        std::mem::forget(recover(Guard { holder, stripe }));
    }
    Ok(())
}

/// `true`: taken over from a dead owner.
fn acquire_contended(holder: &Holder, stripe: Stripe<'_>) -> Result<bool> {
    let Holder { segment, me, .. } = holder;
    let mine = me.bits();
    let word = stripe.word(STRIPE_LOCK);
    let at = segment.at_of(stripe) + STRIPE_LOCK;
    let deadline = Instant::now() + segment.lock_timeout;
    let mut spins = 0;
    let mut flags = 0;
    let mut slept = false;
    let mut contended = false;
    loop {
        let seen = word.load(Ordering::Acquire);
        let Some(owner) = OwnerId::from_bits(seen) else {
            let next = mine | (seen & SLEEPERS) | (seen & WAITERS) | flags;
            if word
                .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                crash_point!("lock: taken after waiting");
                if contended {
                    count(stripe.word(STRIPE_CONTENDED));
                }
                return Ok(false);
            }
            continue;
        };
        contended = true;
        if spins < SPINS {
            spins += 1;
            sync::spin_hint();
            continue;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // Asking costs a system call, so it comes after the first sleep, and in any case
        // before giving up.
        if (slept || left.is_zero())
            && !me.is_alive(segment.words(), &segment.geometry, owner)
            && (me.may_take_over(segment.words(), &segment.geometry, owner) || left.is_zero())
        {
            let next = mine | (seen & !OWNER_BITS) | flags;
            if word
                .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                crash_point!("lock: taken over");
                Attachment::count_take_over(segment.words());
                return Ok(true);
            }
            continue;
        }
        if left.is_zero() {
            return Err(Error::LockTimeout {
                timeout: segment.lock_timeout,
                participant: owner.slot,
            });
        }
        if seen & WAITERS == 0
            && word
                .compare_exchange(seen, seen | WAITERS, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            continue;
        }
        process_crash_point!("lock: waiters flagged");
        // From here on other threads may sleep behind this one without having set the flag.
        flags = WAITERS;
        let slice = if slept { SLEEP } else { FIRST_SLEEP };
        segment.hooks.sleep(|| {
            segment
                .map
                .sleep(at, (seen | WAITERS) as u32, slice.min(left));
        })?;
        slept = true;
        // Before anything is taken over.
        holder.look()?;
    }
}

/// Raises a count of the stripe's header, for the statistics: in the cache line of the
/// lock, which is ours anyway. Under the lock, so a load and a store are enough.
#[inline]
fn count(count: &AtomicU64) {
    let raised = count.load(Ordering::Relaxed).wrapping_add(1);
    count.store(raised, Ordering::Relaxed);
    process_crash_point!("lock: counted");
}

impl<'a> Guard<'a> {
    pub(crate) fn segment(&self) -> &'a Segment {
        &self.holder.segment
    }

    pub(crate) fn stripe(&self) -> Stripe<'a> {
        self.stripe
    }

    /// Fails with `DescriptorClosed` if another participant may own the lock by now, and
    /// releases it then.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.holder.is_doubted() {
            confirm(self.holder, self.stripe)?;
        }
        Ok(())
    }

    /// Whether this process owns the lock: a child that was forked while the lock was held
    /// doesn't.
    pub(crate) fn is_ours(&self) -> bool {
        self.holder.me.is_ours()
    }
}

impl Drop for Guard<'_> {
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        // Here, where it fills a wait: behind the exchange that takes the lock it costs 10 ns.
        if !cfg!(loom) {
            count(self.stripe.word(STRIPE_ACQUIRED));
        }
        crash_point!("unlock: before");
        let seen = self.stripe.word(STRIPE_LOCK).swap(0, Ordering::Release);
        crash_point!("unlock: let go");
        if seen & (WAITERS | SLEEPERS) != 0 {
            wake(&self.holder.segment, self.stripe, seen);
        }
    }
}

/// Wakes the threads that the flags of a released lock word ask for.
#[cold]
fn wake(segment: &Segment, stripe: Stripe<'_>, seen: u64) {
    let at = segment.at_of(stripe);
    if seen & WAITERS != 0 {
        segment.map.wake_one(at + STRIPE_LOCK);
    }
    if seen & SLEEPERS != 0 {
        wake_sleepers(segment, stripe);
    }
}

/// Wakes all threads that wait for a key of a stripe.
pub(super) fn wake_sleepers(segment: &Segment, stripe: Stripe<'_>) {
    stripe.word(STRIPE_EVENT).fetch_add(1, Ordering::Relaxed);
    crash_point!("unlock: event raised");
    segment.map.wake_all(segment.at_of(stripe) + STRIPE_EVENT);
}
