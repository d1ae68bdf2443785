//! `cargo xtask demo`: the example `word_count` on a real folder.

use std::path::Path;

use crate::process::{cargo, run as run_command};
use crate::result::Result;

/// How the example is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As `cargo test` builds it, so that nothing has to be built after that.
    Dev,
    /// Optimized.
    Release,
}

/// Builds the example and counts the words of `folder` with it.
pub(crate) fn run(folder: &Path, profile: Profile) -> Result {
    if !folder.is_dir() {
        return Err(format!("{} is not a folder", folder.display()).into());
    }
    let folder = folder.canonicalize()?;
    let mut command = match profile {
        Profile::Dev => cargo("run --quiet --package shmtable --all-features"),
        Profile::Release => cargo("run --quiet --package shmtable --release"),
    };
    run_command(command.args(["--example", "word_count", "--"]).arg(folder))
}
