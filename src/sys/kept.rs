//! A word of a segment that is found without a look at bounds.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::sync::AtomicU64;

/// A word of what an `Arc` keeps where it is.
pub(crate) struct KeptWord<T> {
    word: NonNull<AtomicU64>,
    /// Where the word is.
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
        // SAFETY: `find` took it from a reference to what the `Arc` holds, of whatever
        // lifetime, so it is valid for as long as that is there and nobody changes it but
        // through shared references. The `Arc` in here sees to both until the drop.
        unsafe { self.word.as_ref() }
    }
}

// SAFETY: it stands for a shared reference to an atomic word, which any thread may use, and
// the `Arc` may be dropped by any thread.
unsafe impl<T: Send + Sync> Send for KeptWord<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for KeptWord<T> {}
