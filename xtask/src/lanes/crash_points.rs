//! `cargo xtask crash-points`: processes that die between any two stores of each operation.

use crate::process::{cargo_test_with_cfgs, run as run_command};
use crate::result::Result;

/// After which deaths the process that recovers dies too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deaths {
    /// After some, as `cargo xtask test` runs it.
    Some,
    /// After all.
    All,
}

/// Runs `tests/crash_points`, of which only the workspace's crates are built anew.
pub(crate) fn run(deaths: Deaths) -> Result {
    let mut command = cargo_test_with_cfgs(
        &["shmtable_crash_points"],
        // Optimizing changes little: starting processes is what takes the time.
        "--package shmtable --all-features --test crash_points -- --nocapture",
    )?;
    if deaths == Deaths::All {
        command.env("SHMTABLE_CRASH_POINTS", "full");
    }
    run_command(&mut command)
}
