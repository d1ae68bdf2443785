//! Turns: work on many entries is cut into turns, and between them signal handlers and
//! other threads run. Other threads run during long copies too.

use pyo3::prelude::*;

use crate::imports::BETWEEN_TURNS;

/// Keys, or entries, of one turn.
pub(crate) const TURN: usize = 1024;
/// Bytes that end a turn early.
pub(crate) const TURN_BYTES: usize = 1 << 20;
/// Bytes from which on copying is long enough to let other threads run.
pub(crate) const LONG: usize = 1 << 16;

/// Acts, and lets other threads run meanwhile if that is asked for.
#[inline]
pub(crate) fn detached_if<R: Send>(
    py: Python<'_>,
    detached: bool,
    act: impl FnOnce() -> R + Send,
) -> R {
    if detached { py.detach(act) } else { act() }
}

/// Runs signal handlers, and lets another thread run if one waits.
///
/// Enters a function written in Python, because the interpreter does both there. Detaching
/// for a moment would do the opposite: a waiting thread asks for the interpreter when its
/// wait has lasted a switch interval, and each time this thread detaches, that wait begins
/// anew and this thread is attached again before the other one is awake.
pub(crate) fn between_turns(py: Python<'_>) -> PyResult<()> {
    BETWEEN_TURNS.get(py)?.call0().map(drop)
}
