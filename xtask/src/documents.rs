//! `cargo xtask docs-cli` and `picture`: what the command's documentation shows.

use std::fs;

use crate::process::{cargo, root, run as run_command};
use crate::result::Result;

/// Writes `docs/cli.md` from what the command's help says.
pub(crate) fn docs_cli() -> Result {
    let output = cargo("run --quiet --package shmtable-cli -- markdown").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    fs::write(root().join("docs/cli.md"), output.stdout)?;
    Ok(())
}

/// Draws `docs/top.svg` from a run of `top` that takes some seconds.
pub(crate) fn picture() -> Result {
    run_command(&mut cargo(
        "run --release --package shmtable-cli --bin shmtable --quiet -- --version",
    ))?;
    let file = root().join("docs/top.svg");
    run_command(
        cargo("run --release --quiet --package shmtable-cli --example screenshot")
            .arg("--")
            .arg(file),
    )
}
