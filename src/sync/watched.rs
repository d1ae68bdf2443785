//! The standard library's atomic word, reporting each store to it, so that tests
//! learn whether there is a crash point between every two stores.

use std::sync::atomic::{self, Ordering};

use super::crash::stored;

/// An atomic word that reports stores. It has the layout of the word in it, because a
/// segment is a slice of these.
#[repr(transparent)]
pub(crate) struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) const fn new(value: u64) -> Self {
        Self(atomic::AtomicU64::new(value))
    }

    #[inline]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    #[track_caller]
    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
        stored();
    }

    #[track_caller]
    pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
        let before = self.0.swap(value, order);
        stored();
        before
    }

    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        let outcome = self.0.compare_exchange(current, new, success, failure);
        if outcome.is_ok() {
            stored();
        }
        outcome
    }

    #[track_caller]
    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        let before = self.0.fetch_add(value, order);
        stored();
        before
    }

    #[track_caller]
    pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        let before = self.0.fetch_sub(value, order);
        stored();
        before
    }

    #[track_caller]
    pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        let before = self.0.fetch_or(value, order);
        stored();
        before
    }

    #[track_caller]
    pub(crate) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        let before = self.0.fetch_max(value, order);
        stored();
        before
    }

    #[cfg(test)]
    pub(crate) fn fetch_xor(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_xor(value, order)
    }
}
