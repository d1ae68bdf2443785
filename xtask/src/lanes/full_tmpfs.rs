//! `cargo xtask full-tmpfs`: what the table does when /dev/shm is full.
//!
//! The tests see a /dev/shm of a few megabytes, in a mount namespace that ends
//! with them; the machine's own /dev/shm stays as it is.

use crate::namespace::Namespace;
use crate::process::{cargo_test, run as run_command};
use crate::result::Result;

const SIZE: &str = "16m";

const PROGRAM: &str = "--package shmtable --all-features --test full_memory";

/// The tests that are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tests {
    All,
    /// Without those of tables that grow, which take the longest. Where there are namespaces for
    /// this lane, the lane `tests` runs all of them, each with a small /dev/shm of its own.
    OfFixedCapacity,
}

/// An error if this machine gives no mount namespace to this user.
pub(crate) fn require_namespace() -> Result {
    Namespace::find().map(drop)
}

/// Builds the tests, then runs them in a namespace with a small /dev/shm.
pub(crate) fn run(tests: Tests) -> Result {
    let namespace = Namespace::find()?;
    run_command(&mut cargo_test(&format!("{PROGRAM} --no-run")))?;
    let mut command = cargo_test(PROGRAM);
    if tests == Tests::OfFixedCapacity {
        command.args(["--", "--skip", "growing::"]);
    }
    run_command(
        namespace
            .inside(&command, SIZE)
            .env("SHMTABLE_TEST_SMALL_TMPFS", "1"),
    )
}
