//! Tests of what this back end does beyond the contract, on the running kernel, with processes
//! that are stopped and killed. A forked child does one small task and ends by `_exit`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::sys::Access;
use crate::sys::tests::{Name, WORDS, eventually, kind};

mod processes;
mod segments;

impl Name {
    fn path(&self) -> String {
        path_of(&self.0).unwrap()
    }
}

/// A forked child; killed and reaped at the end.
struct Child(libc::pid_t);

impl Child {
    /// Forks a child that exits with 0 if `work` returns `true`, with 1 if it returns
    /// `false` and with 2 if it panics.
    fn fork(work: impl FnOnce() -> bool) -> Self {
        // SAFETY: the child has only this thread, so no other thread uses its memory. What
        // threads of the parent left unfinished is behind locks: glibc makes those of its
        // allocator free in the child, and any other lock would block the child, not let it
        // in. The child never returns from here: `catch_unwind` stops a panic, and `_exit`
        // ends it.
        let id = unsafe { libc::fork() };
        assert!(id >= 0);
        if id == 0 {
            let work = std::panic::AssertUnwindSafe(work);
            let code = match std::panic::catch_unwind(work) {
                Ok(true) => 0,
                Ok(false) => 1,
                Err(_) => 2,
            };
            // SAFETY: it takes no pointer and never returns, so no code runs on this stack
            // afterwards. It runs no destructors and no exit handlers.
            unsafe { libc::_exit(code) };
        }
        Self(id)
    }

    /// Forks a child that does `work`, reports that, and then waits to be killed.
    fn fork_and_stay(work: impl FnOnce() -> bool) -> Self {
        let name = Name::new();
        let flag = name.create();
        let child = Self::fork(|| {
            flag.words()[0].store(if work() { 1 } else { 2 }, Ordering::Release);
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        eventually(|| flag.words()[0].load(Ordering::Acquire) != 0);
        assert_eq!(flag.words()[0].load(Ordering::Acquire), 1);
        child
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: it takes no pointer. The id is that of our child, which hasn't been
        // reaped, so no other process can have it.
        assert_eq!(unsafe { libc::kill(self.0, signal) }, 0);
    }

    fn wait(&self, options: libc::c_int) -> libc::c_int {
        let mut status = 0;
        // SAFETY: `status` is a live `c_int` that only this call uses until it returns.
        let id = unsafe { libc::waitpid(self.0, &raw mut status, options) };
        assert_eq!(id, self.0);
        status
    }

    /// Waits for its end, and returns its status.
    fn ends(self) -> libc::c_int {
        let status = self.wait(0);
        std::mem::forget(self);
        status
    }

    fn succeeds(self) {
        let status = self.ends();
        assert!(libc::WIFEXITED(status));
        assert_eq!(libc::WEXITSTATUS(status), 0);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        self.wait(0);
    }
}

/// Closes the mapping's descriptor, as other code that guesses its number could, and returns
/// the number.
fn close_behind_its_back(mapping: &Mapping) -> i32 {
    let wanted = std::fs::metadata(&mapping.paths[0]).unwrap();
    for raw in 3..1024 {
        let Ok(found) = std::fs::metadata(format!("/proc/self/fd/{raw}")) else {
            continue;
        };
        if (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()) {
            // SAFETY: the descriptor leads to the segment's file, so its owner is a
            // `Descriptor` of this test's mapping. That type expects that other code closes
            // its number: it compares the file before each use and before it closes it.
            // Nothing else owns the number.
            assert_eq!(unsafe { libc::close(raw) }, 0);
            return raw;
        }
    }
    panic!("not found");
}

/// The number of descriptors of the segment's file that this process has.
fn open_descriptors_of(name: &Name) -> usize {
    let wanted = std::fs::metadata(name.path()).unwrap();
    (3..1024)
        .filter_map(|raw| std::fs::metadata(format!("/proc/self/fd/{raw}")).ok())
        .filter(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
        .count()
}
