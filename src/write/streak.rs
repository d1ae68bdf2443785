//! Whether a process has been adding new keys, insertion after insertion.

use std::sync::atomic::{AtomicU32, Ordering as LocalOrdering};

/// How many insertions of short records in a row added a key, counted up to a few: a process
/// that has added many will add more. Threads may overwrite each other's counts.
pub(crate) struct Streak(AtomicU32);

impl Streak {
    /// At most one record in this many is given up.
    const LONG: u32 = if cfg!(loom) { 1 } else { 4 };

    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    #[inline]
    pub(super) fn is_long(&self) -> bool {
        self.0.load(LocalOrdering::Relaxed) >= Self::LONG
    }

    #[inline]
    pub(super) fn goes_on(&self) {
        let length = self.0.load(LocalOrdering::Relaxed);
        if length < Self::LONG {
            self.0.store(length + 1, LocalOrdering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn ends(&self) {
        self.0.store(0, LocalOrdering::Relaxed);
    }
}
