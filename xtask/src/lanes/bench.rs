//! `cargo xtask bench`: the benchmark in `benches/`.

use std::fs;

use crate::process::{cargo, root, run as run_command, target_dir};
use crate::result::Result;

/// Runs the benchmark's own tests, and checks that every contender answers right.
pub(crate) fn check() -> Result {
    run_command(&mut cargo("test --package shmtable-bench"))?;
    run(&["--smoke"])
}

/// Runs the harness with these options.
pub(crate) fn run(options: &[&str]) -> Result {
    // Read before the build, whose load would count as that of other programs.
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().filter(|load| !load.is_empty());
    let load = load.map(|load| format!("--load-before={load}"));
    run_command(
        cargo("run --quiet --profile bench --package shmtable-bench --")
            .args(load)
            .arg("--root")
            .arg(root())
            .arg("--target")
            .arg(target_dir("bench"))
            .args(options),
    )
}
