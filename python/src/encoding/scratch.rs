//! A buffer of each thread, into which values are read before they are decoded.

use std::cell::Cell;

/// The length of the buffer. Values up to this length are read by one lookup.
pub(crate) const LENGTH: usize = 4096;

pub(crate) type ScratchBuffer = [u8; LENGTH];

thread_local! {
    static KEPT: Cell<Option<Box<ScratchBuffer>>> = const { Cell::new(None) };
}

/// Lends the thread's buffer, with any content. A call inside another one (a pickle that
/// reads a table, a greenlet) gets a new one.
#[inline]
pub(crate) fn with<R>(read: impl FnOnce(&mut ScratchBuffer) -> R) -> R {
    // A thread that is ending has no buffer any more.
    let kept = KEPT.try_with(Cell::take).ok().flatten();
    let mut scratch = kept.unwrap_or_else(new);
    let result = read(&mut scratch);
    let _ = KEPT.try_with(|kept| kept.set(Some(scratch)));
    result
}

#[cold]
fn new() -> Box<ScratchBuffer> {
    Box::new([0; LENGTH])
}
