//! Do the others go on when a process is killed or stopped?
//!
//! After SIGKILL at any moment, no process waits for the dead one. What it had acknowledged
//! is there; what it had begun is there or not. After SIGSTOP, a living lock owner keeps its
//! lock.

#![cfg(any(target_os = "linux", windows))]
#![allow(unreachable_pub, reason = "a program of several modules")]

#[path = "../common/mod.rs"]
mod common;
mod diary;
mod doublings;
mod lock_owners;
mod participants;
mod writers;

use std::time::Duration;

use shmtable::Options;

/// So long that a wait for a dead process fails the test.
const PATIENT: Duration = Duration::from_mins(5);
/// Longer than a take-over takes on the busiest machine.
const SOON: Duration = Duration::from_secs(30);

fn one_stripe() -> Options {
    Options::new()
        .capacity(100)
        .stripes(1)
        .lock_timeout(PATIENT)
}
