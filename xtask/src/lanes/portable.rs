//! `cargo xtask portable`: the back end for Windows and macOS, forced on Linux.

use crate::process::{cargo_test_with_cfgs, run as run_command};
use crate::result::Result;

/// Runs the crate's tests and the crash points. Tests that repeat a step many times repeat
/// it less often than on Linux's own back end.
pub(crate) fn run() -> Result {
    run_command(
        cargo_test_with_cfgs(
            &["shmtable_portable"],
            "--package shmtable --all-features --lib --tests",
        )?
        .env("SHMTABLE_TEST_SCALE", "0.2")
        .env("SHMTABLE_DAMAGE", "least"),
    )?;
    // A build of its own: with crash points all tables have one hash seed.
    run_command(&mut cargo_test_with_cfgs(
        &["shmtable_portable", "shmtable_crash_points"],
        "--package shmtable --all-features --test crash_points",
    )?)
}
