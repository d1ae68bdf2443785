//! `cargo xtask crash-points`: processes that die between any two stores of each operation.

use crate::process::{cargo_with_cfg, run as run_command};
use crate::result::Result;

/// After which deaths the process that recovers dies too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deaths {
    /// After some, as `cargo xtask test` runs it.
    Some,
    /// After all.
    All,
}

/// Runs `tests/crash_points` in a build of its own.
pub(crate) fn run(deaths: Deaths) -> Result {
    let mut command = cargo_with_cfg(
        "shmtable_crash_points",
        "crash-points",
        // Optimizing changes little: starting processes is what takes the time.
        "test --package shmtable --test crash_points -- --nocapture",
    );
    if deaths == Deaths::All {
        command.env("SHMTABLE_CRASH_POINTS", "full");
    }
    run_command(&mut command)
}
