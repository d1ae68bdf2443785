//! Ctrl-C ends a command in an orderly way; a second Ctrl-C kills it.

mod input;

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

pub(crate) use input::Input;

use crate::failure::{Failure, Result};

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static SIGNAL: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// From now on, a signal that would kill the process asks it to end instead.
pub(crate) fn catch() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_default(signal, Arc::clone(&STOP))?;
        flag::register_usize(signal, Arc::clone(&SIGNAL), signal as usize)?;
        flag::register(signal, Arc::clone(&STOP))?;
    }
    Ok(())
}

/// Whether the process was asked to end.
pub(crate) fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Fails if the process was asked to end.
pub(crate) fn check() -> Result<()> {
    if stopped() {
        return Err(Failure::Interrupted(String::new()));
    }
    Ok(())
}

/// Sleeps, until Ctrl-C at the longest.
pub(crate) fn pause(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Wraps the sleeps of the table's operations, so that Ctrl-C ends them.
pub(crate) fn around(sleep: &mut (dyn FnMut() + Send)) -> ControlFlow<()> {
    sleep();
    if stopped() {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// Ends the process by the signal that it caught, so that a shell sees it. Returns if there was
/// none.
pub(crate) fn end() {
    let signal = SIGNAL.load(Ordering::Relaxed);
    if signal != 0 {
        let _ = low_level::emulate_default_handler(signal as i32);
    }
}
