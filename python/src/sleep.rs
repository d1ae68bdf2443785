//! The hook around each sleep of the crate: it lets others run, and runs signal handlers.
//!
//! Waits for a key, for a change and for another caller's computation let other threads run,
//! and also greenlets where gevent or eventlet has replaced `time.sleep`: there, the hook calls
//! that function instead of the crate's sleep. Waits for locks let no greenlets run, because
//! one of them could want the same lock.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use pyo3::prelude::*;

use crate::errors;
use crate::imports::COOPERATIVE_SLEEP;

/// Pauses between checks that let greenlets run: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(5));

thread_local! {
    /// How to sleep in the wait that this thread is in, if greenlets are to run. Empty
    /// while they run, because their waits are their own.
    static COOPERATIVE: Cell<Option<Cooperative>> = const { Cell::new(None) };
}

struct Cooperative {
    sleep: Py<PyAny>,
    pause: Duration,
}

/// Waits; each sleep of the crate in it lets greenlets run, if there are any.
///
/// They run in the middle of the wait, so the thread must stay attached: a thread detaches
/// and attaches again in one greenlet.
pub(crate) fn letting_greenlets_run<R>(py: Python<'_>, wait: impl FnOnce() -> R) -> PyResult<R> {
    let sleep = COOPERATIVE_SLEEP.get(py)?.call0()?;
    COOPERATIVE.set((!sleep.is_none()).then(|| Cooperative {
        sleep: sleep.unbind(),
        pause: PAUSES.0,
    }));
    let waited = wait();
    drop(COOPERATIVE.take());
    Ok(waited)
}

/// Lets greenlets run for a moment if this thread's wait is to; `None` if it is not.
pub(crate) fn cooperative_sleep(py: Python<'_>) -> Option<PyResult<()>> {
    let mut mine = COOPERATIVE.take()?;
    let slept = mine.sleep.call1(py, (mine.pause.as_secs_f64(),));
    mine.pause = (2 * mine.pause).min(PAUSES.1);
    COOPERATIVE.set(Some(mine));
    Some(slept.map(drop))
}

/// The hook around each sleep of the crate: lets other threads or greenlets run, and runs
/// signal handlers.
///
/// The crate holds no mutex of this process during a sleep; a thread that runs then and wants
/// the lock of the same stripe sleeps in the same way.
pub(crate) fn around_sleep(sleep: &mut (dyn FnMut() + Send)) -> ControlFlow<()> {
    let attached = Python::try_attach(|py| {
        match cooperative_sleep(py) {
            Some(slept) => slept?,
            None => py.detach(&mut *sleep),
        }
        py.check_signals()
    });
    match attached {
        Some(Ok(())) => ControlFlow::Continue(()),
        Some(Err(raised)) => {
            errors::keep(raised);
            ControlFlow::Break(())
        }
        // The interpreter is ending, and no other thread of it runs any more.
        None => {
            sleep();
            ControlFlow::Continue(())
        }
    }
}
