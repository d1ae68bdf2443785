//! `cargo xtask torture` and `cargo xtask linearizability`: the long-running proofs of
//! `trials/`.

use crate::process::{cargo, run as run_command};
use crate::result::Result;

/// Builds the trials, optimized, and runs one with its own options, which `--help` lists.
pub(crate) fn run(trial: &str, options: &[&str]) -> Result {
    let mut command = cargo("run --quiet --release --package shmtable-trials --");
    run_command(command.arg(trial).args(options))
}
