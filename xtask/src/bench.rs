//! `cargo xtask bench`: the benchmark in `benches/`.

use crate::Result;
use crate::process::{cargo, root, run as run_command, target_dir};

/// Runs the harness with these options.
pub(crate) fn run(options: &[&str]) -> Result {
    run_command(
        cargo("run --quiet --profile bench --package shmtable-bench -- --root")
            .arg(root())
            .arg("--target")
            .arg(target_dir("bench"))
            .args(options),
    )
}
