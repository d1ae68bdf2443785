//! Does a killed or stopped process harm nobody?
//!
//! SIGKILL at any moment: nobody waits for the dead, what they had acknowledged is
//! there, what they had begun is there or not. SIGSTOP: a living holder is never
//! robbed.

#![cfg(any(target_os = "linux", windows))]
#![allow(unreachable_pub, reason = "a program of several modules")]

#[path = "../common/mod.rs"]
mod common;
mod diary;
mod lock_owners;
mod participants;
mod writers;

use std::time::Duration;

use shmtable::Options;

/// So long that whoever waits for the dead by it fails the test.
const PATIENT: Duration = Duration::from_mins(5);
/// More than going on after a death takes on the busiest machine.
const SOON: Duration = Duration::from_secs(30);

fn one_stripe() -> Options {
    Options::new()
        .capacity(100)
        .stripes(1)
        .lock_timeout(PATIENT)
}
