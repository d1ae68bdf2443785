//! Crash points, and the death of a process at one.

/// A place where a test may end the process, between two stores to shared memory.
///
/// `tests/crash_points` finds stores that have no point between them, and points at which no
/// process died. The macro does nothing unless the crate is built with
/// `--cfg shmtable_crash_points`, or for loom.
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(any(loom, shmtable_crash_points))]
        $crate::sys::reach_crash_point($name);
    };
}
pub(crate) use crash_point;

/// A crash point for real processes only. loom's models try a death at each point, and
/// would learn nothing from this one.
macro_rules! process_crash_point {
    ($name:literal) => {
        #[cfg(shmtable_crash_points)]
        $crate::sys::reach_crash_point($name);
    };
}
pub(crate) use process_crash_point;

/// Ends the process if it is to die at this point. The macros call it.
#[cfg(all(shmtable_crash_points, not(loom)))]
pub(crate) fn reach_crash_point(name: &'static str) {
    if crate::sync::crash::reached(name) {
        loop {
            // The signal may take effect a little after the call returns.
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
    // SAFETY: the call has no preconditions; it returns a handle that stands for this process.
    let this = unsafe { GetCurrentProcess() };
    // SAFETY: the handle is always valid; nothing of this process runs afterwards.
    unsafe { TerminateProcess(this, 9) };
}
