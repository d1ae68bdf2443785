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
use crate::write::shrink::Removals;
use crate::write::streak::Streak;

pub(crate) struct Writer {
    holder: Holder,
    pub(crate) arena: Arena,
    pub(crate) streak: Streak,
    pub(crate) claims: Claims,
    pub(crate) removals: Removals,
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
            removals: Removals::new(),
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
    /// The segment, by seed, under whose lock this thread runs a caller's closure, and how many
    /// closures it runs. It needs no destructor, so a guard costs next to nothing.
    static FIRST: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
    /// The segments of the closures inside the first one.
    static OTHERS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, this thread's writes to the segment are refused.
pub(crate) struct ReentrancyGuard;

impl ReentrancyGuard {
    #[inline]
    pub(crate) fn new(segment: &Segment) -> Self {
        let seed = segment.seed.bits();
        match FIRST.get() {
            (_, 0) => FIRST.set((seed, 1)),
            (first, held) => Self::nest(first, held, seed),
        }
        Self
    }

    /// Whether this thread may wait for a lock of the segment.
    #[inline]
    pub(crate) fn check(segment: &Segment) -> Result<()> {
        let (first, held) = FIRST.get();
        if held > 0 && Self::includes(first, segment.seed.bits()) {
            return Err(Error::Reentrant);
        }
        Ok(())
    }

    /// Whether this thread runs a closure of this segment. Apart: callers inline all but this.
    #[cold]
    #[inline(never)]
    fn includes(first: u64, seed: u64) -> bool {
        first == seed || Self::with_others(|others| others.contains(&seed)) == Some(true)
    }

    #[cold]
    #[inline(never)]
    fn nest(first: u64, held: usize, seed: u64) {
        Self::with_others(|others| others.push(seed));
        FIRST.set((first, held + 1));
    }

    #[cold]
    #[inline(never)]
    fn leave_nested(first: u64, held: usize) {
        Self::with_others(Vec::pop);
        FIRST.set((first, held - 1));
    }

    /// `None` while the thread ends and its list is gone already, when it runs no
    /// closures any more.
    fn with_others<R>(act: impl FnOnce(&mut Vec<u64>) -> R) -> Option<R> {
        OTHERS.try_with(|others| act(&mut others.borrow_mut())).ok()
    }
}

impl Drop for ReentrancyGuard {
    #[inline]
    fn drop(&mut self) {
        match FIRST.get() {
            (first, held @ 2..) => Self::leave_nested(first, held),
            _ => FIRST.set((0, 0)),
        }
    }
}
