//! `cargo xtask damage`: the cases of `tests/damage/`.

use crate::process::{cargo, run as run_command};
use crate::result::Result;

/// How many of the cases run; `cargo test` by itself takes one of twenty-three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cases {
    All,
    Third,
}

/// Runs the cases, optimized.
pub(crate) fn run(cases: Cases) -> Result {
    let share = match cases {
        Cases::All => "all",
        Cases::Third => "third",
    };
    run_command(
        cargo("test --release --package shmtable --all-features --test damage -- --nocapture")
            .env("SHMTABLE_DAMAGE", share),
    )
}
