//! `cargo xtask portable`: the back end for Windows and macOS, forced on Linux.

use crate::process::{cargo_with_cfg, run as run_command};
use crate::result::Result;

/// Runs the crate's tests and the crash points. Tests that repeat a step many times repeat
/// it less often than on Linux's own back end.
pub(crate) fn run() -> Result {
    run_command(
        cargo_with_cfg(
            "shmtable_portable",
            "portable",
            "test --package shmtable --all-features --lib --tests",
        )
        .env("SHMTABLE_TEST_SCALE", "0.2")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1"),
    )?;
    // A build of its own: with crash points all tables have one hash seed.
    run_command(
        cargo_with_cfg(
            "shmtable_portable --cfg shmtable_crash_points",
            "portable-crash-points",
            "test --package shmtable --test crash_points",
        )
        .env("CARGO_PROFILE_DEV_DEBUG", "0"),
    )
}
