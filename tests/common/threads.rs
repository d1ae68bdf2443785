//! Threads of a scope, whose ends `ThreadSanitizer` sees.
//!
//! [`std::thread::scope`] counts its threads inside of std, which is not built with the
//! sanitizer: what a test does to its variables behind a scope looks like a race with
//! the threads that used them before. Here each thread tells its end, and the scope
//! hears of it, by one atomic of code that is. No thread of a scope that still runs is
//! hidden by it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};

/// How many threads of all scopes have ended.
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// As [`std::thread::Scope`].
#[derive(Clone, Copy)]
pub struct Scope<'scope, 'env: 'scope>(&'scope thread::Scope<'scope, 'env>);

impl<'scope> Scope<'scope, '_> {
    /// As [`std::thread::Scope::spawn`].
    pub fn spawn<R: Send + 'scope>(
        self,
        run: impl FnOnce() -> R + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, R> {
        self.0.spawn(|| {
            let result = run();
            ENDED.fetch_add(1, Ordering::Release);
            result
        })
    }
}

/// As [`std::thread::scope`].
pub fn scope<'env, R>(run: impl for<'scope> FnOnce(Scope<'scope, 'env>) -> R) -> R {
    let result = thread::scope(|scope| run(Scope(scope)));
    let _ = ENDED.load(Ordering::Acquire);
    result
}

/// Ends the threads of a test when it is dropped, also where the test fails.
pub struct Stop<'a>(pub &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
