//! Atomics, the mutex and thread-local storage: the standard library's and
//! `parking_lot`'s, or loom's in a model.

#[cfg(not(any(loom, shmtable_crash_points)))]
pub(crate) use std::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{Ordering, fence};

#[cfg(shmtable_crash_points)]
pub(crate) mod crash;
#[cfg(all(shmtable_crash_points, not(loom)))]
mod watched;
#[cfg(all(shmtable_crash_points, not(loom)))]
pub(crate) use watched::AtomicU64;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};

#[cfg(loom)]
mod word;
#[cfg(loom)]
pub(crate) use word::AtomicU64;

#[cfg(not(loom))]
pub(crate) use parking_lot::Mutex;

/// loom's mutex with `parking_lot`'s interface. If it is poisoned, the test has failed
/// already.
#[cfg(loom)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// Thread-local storage; in a model, of loom's threads.
#[cfg(loom)]
pub(crate) use loom::thread_local;
#[cfg(not(loom))]
pub(crate) use std::thread_local;

/// Tells the processor, or loom, that this thread waits for another one.
pub(crate) fn spin_hint() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// Lets another thread run.
pub(crate) fn yield_now() {
    #[cfg(not(loom))]
    std::thread::yield_now();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// Lets another thread run, before something that looked wrong is read again. Does nothing
/// in a model: after a yield loom shows no outdated word again, but any read may see one.
pub(crate) fn before_another_look() {
    #[cfg(not(loom))]
    std::thread::yield_now();
}

/// Lets other threads run for `duration`.
pub(crate) fn pause(duration: std::time::Duration) {
    #[cfg(not(loom))]
    std::thread::sleep(duration);
    #[cfg(loom)]
    {
        let _ = duration;
        loom::thread::yield_now();
    }
}
