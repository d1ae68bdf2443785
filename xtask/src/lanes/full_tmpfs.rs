//! `cargo xtask full-tmpfs`: what the table does when /dev/shm is full.
//!
//! The tests see a /dev/shm of a few megabytes, in a mount namespace that ends
//! with them; the machine's own /dev/shm stays as it is.

use crate::namespace::Namespace;
use crate::process::{cargo, run as run_command};
use crate::result::Result;

const SIZE: &str = "16m";

const TESTS: &str = "test --package shmtable --all-features --test full_memory";

/// An error if this machine gives no mount namespace to this user.
pub(crate) fn require_namespace() -> Result {
    Namespace::find().map(drop)
}

/// Builds the tests, then runs them in a namespace with a small /dev/shm.
pub(crate) fn run() -> Result {
    let namespace = Namespace::find()?;
    run_command(&mut cargo(&format!("{TESTS} --no-run")))?;
    run_command(
        namespace
            .inside(&cargo(TESTS), SIZE)
            .env("SHMTABLE_TEST_SMALL_TMPFS", "1"),
    )
}
