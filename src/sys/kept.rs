//! A word of a segment that is reached without a bounds check.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::sync::AtomicU64;

/// A word inside an object that an `Arc` keeps in its place.
pub(crate) struct KeptWord<T> {
    word: NonNull<AtomicU64>,
    /// The object that has the word.
    _owner: Arc<T>,
}

impl<T> KeptWord<T> {
    /// The word that `find` finds.
    pub(crate) fn new(owner: &Arc<T>, find: impl for<'a> FnOnce(&'a T) -> &'a AtomicU64) -> Self {
        Self {
            word: NonNull::from(find(owner)),
            _owner: Arc::clone(owner),
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn get(&self) -> &AtomicU64 {
        // SAFETY: `find` took the word from a reference of any lifetime to what the `Arc`
        // holds. So the word is valid for as long as that object exists and is changed only
        // through shared references. The `Arc` in here ensures both until the drop.
        unsafe { self.word.as_ref() }
    }
}

// SAFETY: a `KeptWord` stands for a shared reference to an atomic word, which any thread may
// use, and any thread may drop the `Arc`.
unsafe impl<T: Send + Sync> Send for KeptWord<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for KeptWord<T> {}
