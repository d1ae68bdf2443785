//! Forked children.

// `fork` cannot be made safe: what the child may do depends on what the other
// threads of the parent were doing. Here and in `closing`, and in no other file of the tests.
#![allow(unsafe_code)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test program that has this module uses a part of it"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};

use shmtable::Table;

use crate::common::{LIMIT, Role};

/// A forked child; killed and reaped when it is dropped.
pub struct Forked {
    pub pid: Pid,
    reaped: bool,
}

/// Where `fork` returned.
pub enum Side {
    Parent(Forked),
    Child,
}

/// Forks. The child has a minute and a half, and must end by [`leave`].
pub fn fork() -> Side {
    // SAFETY: the child goes on with this thread alone. It allocates, which glibc
    // allows after a fork, uses the crate under test, which promises to work, and
    // ends by `leave`, which runs no destructor of the parent's other threads. A
    // lock of the standard library that a vanished thread held would block it; the
    // alarm bounds that.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if let Some(pid) = Pid::from_raw(pid) {
        return Side::Parent(Forked { pid, reaped: false });
    }
    // SAFETY: sets a timer and touches no memory.
    unsafe { libc::alarm(90) };
    Side::Child
}

/// Ends a forked child at once. No destructor runs.
pub fn leave(well: bool) -> ! {
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(i32::from(!well)) }
}

/// Forks a child that runs this and ends.
pub fn forked(run: impl FnOnce() -> bool) -> Forked {
    match fork() {
        Side::Parent(child) => child,
        Side::Child => leave(catch_unwind(AssertUnwindSafe(run)).unwrap_or(false)),
    }
}

/// The rest of a role: forks a child that reads by the handle it inherits, tells the
/// table's name and the child's id, and waits to be killed.
pub fn leave_a_reader(role: &Role, table: &Table) -> ! {
    match fork() {
        Side::Parent(child) => {
            role.tell(table.name());
            role.tell(&child.pid.as_raw_nonzero().to_string());
            role.hear();
            unreachable!("it is killed");
        }
        Side::Child => {
            // Until the test kills it, or the alarm.
            while table.get(b"key").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
            leave(false);
        }
    }
}

impl Forked {
    pub fn status(&mut self) -> WaitStatus {
        let begin = Instant::now();
        loop {
            if let Some((_, status)) = waitpid(Some(self.pid), WaitOptions::NOHANG).unwrap() {
                self.reaped = true;
                return status;
            }
            assert!(begin.elapsed() < LIMIT, "a forked child hangs");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[track_caller]
    pub fn succeeds(mut self) {
        let status = self.status();
        assert_eq!(
            status.exit_status(),
            Some(0),
            "the forked child failed: {status:?}"
        );
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}

/// Waits for something that happens in another process, without a panic.
pub fn happens(mut holds: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while !holds() {
        if begin.elapsed() > Duration::from_mins(1) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}
