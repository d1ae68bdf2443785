//! Ctrl-C: what runs comes to an orderly end; a second one ends the process at once.

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

/// From now on a signal that ends processes asks this one to end.
pub(crate) fn catch() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_default(signal, Arc::clone(&STOP))?;
        flag::register_usize(signal, Arc::clone(&SIGNAL), signal as usize)?;
        flag::register(signal, Arc::clone(&STOP))?;
    }
    Ok(())
}

/// Whether this process was asked to end.
pub(crate) fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// An error if it was.
pub(crate) fn check() -> Result<()> {
    if stopped() {
        return Err(Failure::Interrupted(String::new()));
    }
    Ok(())
}

/// Sleeps, but for Ctrl-C.
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

/// For sleeps of the table's operations.
pub(crate) fn around(sleep: &mut (dyn FnMut() + Send)) -> ControlFlow<()> {
    sleep();
    if stopped() {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// Ends as the signal would have, so that a shell sees it. Returns if there was none.
pub(crate) fn end() {
    let signal = SIGNAL.load(Ordering::Relaxed);
    if signal != 0 {
        let _ = low_level::emulate_default_handler(signal as i32);
    }
}
