//! `cargo xtask damage`: every case of `tests/damage/`.

use crate::process::{cargo, run as run_command};
use crate::result::Result;

/// Runs all cases, optimized; `cargo test` by itself takes one of eleven.
pub(crate) fn run() -> Result {
    run_command(
        cargo("test --release --package shmtable --all-features --test damage -- --nocapture")
            .env("SHMTABLE_DAMAGE", "full"),
    )
}
