//! What happens around each sleep of the crate: others run, and signals are listened to.
//!
//! Waits for a key, for a change and for another one's computation let everybody run:
//! threads always, and greenlets where gevent or eventlet has replaced `time.sleep`.
//! Then the crate's sleeps are that one, called from the hook around them. Waits for
//! locks never are: a greenlet that were let run there could want the same lock.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use pyo3::prelude::*;

use crate::errors;
use crate::imports::COOPERATIVE_SLEEP;

/// Pauses between looks that let greenlets run: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(5));

thread_local! {
    /// How to sleep in the wait that this thread is in, if greenlets are to run. Empty
    /// while they do: what they wait for is their own.
    static COOPERATIVE: Cell<Option<Cooperative>> = const { Cell::new(None) };
}

struct Cooperative {
    sleep: Py<PyAny>,
    pause: Duration,
}

/// Waits; each sleep of the crate in it lets greenlets run, if there are any.
///
/// They run in the middle of it, so the thread must be attached all the time: what
/// detaches and attaches again must do so in one greenlet.
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

/// Lets greenlets run for a moment if this thread waits so; `None`: it does not.
pub(crate) fn cooperative_sleep(py: Python<'_>) -> Option<PyResult<()>> {
    let mut mine = COOPERATIVE.take()?;
    let slept = mine.sleep.call1(py, (mine.pause.as_secs_f64(),));
    mine.pause = (2 * mine.pause).min(PAUSES.1);
    COOPERATIVE.set(Some(mine));
    Some(slept.map(drop))
}

/// Around each sleep of the crate: lets other threads run, or greenlets, and listens to
/// signals.
///
/// The crate holds no mutex of this process meanwhile; a thread that we let run
/// and that wants the same stripe's lock sleeps in the same way.
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
        // The interpreter is going away, and nobody is there to be let run.
        None => {
            sleep();
            ControlFlow::Continue(())
        }
    }
}
