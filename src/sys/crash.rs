//! Crash points, and the death of a process at one.

/// A place where a test may end the process, between two stores to shared
/// memory: `tests/crash_points` finds stores that have none between them, and
/// points that nobody dies at. Nothing unless built with
/// `--cfg shmtable_crash_points`, or for loom.
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(any(loom, shmtable_crash_points))]
        $crate::sys::reach_crash_point($name);
    };
}
pub(crate) use crash_point;

/// The same for processes alone: a point that loom's models, which try a death at
/// each, would learn nothing from.
macro_rules! process_crash_point {
    ($name:literal) => {
        #[cfg(shmtable_crash_points)]
        $crate::sys::reach_crash_point($name);
    };
}
pub(crate) use process_crash_point;

/// What the macros call.
#[cfg(all(shmtable_crash_points, not(loom)))]
pub(crate) fn reach_crash_point(name: &'static str) {
    if crate::sync::crash::reached(name) {
        loop {
            // It may take effect a little after the call returns.
            kill();
        }
    }
}

#[cfg(all(shmtable_crash_points, not(loom), unix))]
fn kill() {
    use rustix::process::{Signal, getpid, kill_process};
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Ends this process at once, with the number of the signal as its exit code.
#[cfg(all(shmtable_crash_points, not(loom), windows))]
fn kill() {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};
    // SAFETY: a handle that stands for this process, without any condition.
    let this = unsafe { GetCurrentProcess() };
    // SAFETY: the handle is always valid; nothing of this process runs afterwards.
    unsafe { TerminateProcess(this, 9) };
}
