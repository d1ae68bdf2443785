//! What a handle needs in order to write: a participant slot and a chunk to fill, one of each
//! for each process that uses the handle.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::sync::Arc;

use crate::arena::Arena;
use crate::error::{Error, Result};
use crate::index::stripe_ops::Locked;
use crate::locking::holder::Holder;
use crate::locking::lock;
use crate::locking::participants::Attachment;
use crate::segment::Segment;
use crate::segment::stripe::Stripe;
use crate::sys::crash_point;
use crate::write::claims::Claims;
use crate::write::streak::Streak;

pub(crate) struct Writer {
    holder: Holder,
    pub(crate) arena: Arena,
    pub(crate) streak: Streak,
    pub(crate) claims: Claims,
}

impl Writer {
    /// Makes the writer of the participant `me`, or of a new one.
    pub(crate) fn new(segment: &Arc<Segment>, me: Option<Attachment>) -> Result<Self> {
        Ok(Self {
            holder: Holder::new(
                segment,
                match me {
                    Some(me) => me,
                    None => Attachment::attach(&segment.map, &segment.geometry)?,
                },
            ),
            arena: Arena::new(),
            streak: Streak::new(),
            claims: Claims::new(),
        })
    }

    /// Takes a stripe's lock, and recovers the stripe if its last owner died.
    ///
    /// # Errors
    /// `LockTimeout`; `DescriptorClosed` if others take this participant for dead.
    #[inline]
    pub(crate) fn lock<'a>(&'a self, stripe: Stripe<'a>) -> Result<Locked<'a>> {
        let locked = self.lock_unchecked(stripe)?;
        locked.check()?;
        Ok(locked)
    }

    /// As [`lock`](Self::lock), for a caller that [checks](Holder::check) by itself.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn lock_unchecked<'a>(&'a self, stripe: Stripe<'a>) -> Result<Locked<'a>> {
        let recover = |guard| Locked::new(guard).recovered();
        lock::acquire(&self.holder, stripe, recover).map(Locked::new)
    }

    /// Takes the locks of all stripes in ascending order. All that hold one while they wait for
    /// another do so in this order, so there is no deadlock.
    pub(crate) fn lock_all(&self) -> Result<Vec<Locked<'_>>> {
        self.segment
            .stripes()
            .map(|stripe| self.lock(stripe))
            .collect()
    }
}

impl Deref for Writer {
    type Target = Holder;

    #[inline]
    fn deref(&self) -> &Holder {
        &self.holder
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // In a forked child this is the parent's, and stays. What a participant holds that
        // others took for dead, they recover.
        if self.me.is_ours() && self.me.holds_its_slot() {
            self.arena.seal_current(&self.segment, &self.me);
            crash_point!("detach: chunk sealed");
            self.me.detach(self.segment.words(), &self.segment.geometry);
        }
    }
}

thread_local! {
    /// The segments, by seed, under whose lock this thread runs a caller's closure.
    static HELD: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    /// How many there are: a check of this costs next to nothing.
    static HOLDS: Cell<usize> = const { Cell::new(0) };
}

/// While it lives, this thread's writes to the segment are refused.
pub(crate) struct ReentrancyGuard;

impl ReentrancyGuard {
    pub(crate) fn new(segment: &Segment) -> Self {
        Self::with(|held| held.push(segment.seed.bits()));
        Self
    }

    /// Whether this thread may wait for a lock of the segment.
    #[inline]
    pub(crate) fn check(segment: &Segment) -> Result<()> {
        if HOLDS.get() > 0 && Self::includes(segment.seed.bits()) {
            return Err(Error::Reentrant);
        }
        Ok(())
    }

    /// Whether this thread's list has this segment. Apart: callers inline all but this.
    #[cold]
    #[inline(never)]
    fn includes(seed: u64) -> bool {
        Self::with(|held| held.contains(&seed)) == Some(true)
    }

    /// `None` while the thread ends and its list is gone already, when it runs no
    /// closures any more.
    fn with<R>(act: impl FnOnce(&mut Vec<u64>) -> R) -> Option<R> {
        HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            let result = act(&mut held);
            HOLDS.set(held.len());
            result
        })
        .ok()
    }
}

impl Drop for ReentrancyGuard {
    fn drop(&mut self) {
        Self::with(Vec::pop);
    }
}
