//! Time limits: no test waits forever.

use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longer than anything takes on a very busy machine: a test that waits for so long hangs.
pub const LIMIT: Duration = Duration::from_secs(100);

/// Waits until something holds, and fails after [`LIMIT`].
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LIMIT, "this never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs something on a thread of its own, and fails if it takes longer than [`LIMIT`].
#[track_caller]
pub fn bounded<R: Send + 'static>(what: &str, run: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = sender.send(run());
    });
    match receiver.recv_timeout(LIMIT) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs: {what}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it ended without a result"))
        }
    }
}
