//! The checks that cargo itself does: lints, tests and documentation of the workspace.

use std::process::Command;

use crate::process::{cargo, cargo_test, run as run_command};
use crate::result::Result;

/// The packages that the lane `tests` builds, with their features. Not the command, whose
/// many dependencies would change the features of those that they share with the crate; and
/// not the benchmark, whose rivals take long to build.
const TESTED: &str = "--workspace --exclude shmtable-cli --exclude shmtable-bench --all-features";

pub(crate) fn format() -> Result {
    run_command(&mut cargo("fmt --all --check"))
}

pub(crate) fn clippy() -> Result {
    run_command(&mut cargo(
        "clippy --workspace --all-targets --all-features -- -D warnings",
    ))
}

/// Builds the library without optional features.
pub(crate) fn no_features() -> Result {
    run_command(&mut cargo("check --package shmtable --no-default-features"))
}

/// The unit, integration and documentation tests.
pub(crate) fn tests() -> Result {
    run_command(&mut cargo_test(TESTED))
}

/// Builds an example as `tests` does, so that nothing is left to build after that.
pub(crate) fn build_example(name: &str) -> Command {
    cargo(&format!("build --quiet {TESTED} --example {name}"))
}

/// The tests of the command `shmtable`.
pub(crate) fn command() -> Result {
    run_command(&mut cargo_test("--package shmtable-cli"))
}

pub(crate) fn documents() -> Result {
    run_command(
        cargo("doc --workspace --no-deps --all-features").env("RUSTDOCFLAGS", "-D warnings"),
    )
}
