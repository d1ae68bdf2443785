//! `cargo xtask demo`: the example `word_count` on a real folder.

use std::path::Path;
use std::process::Command;

use super::workspace;
use crate::process::{cargo, run as run_command, target_dir};
use crate::result::Result;

/// How the example is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As the lane `tests` has built it.
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
        Profile::Dev => {
            run_command(&mut workspace::build_example("word_count"))?;
            Command::new(target_dir("debug/examples/word_count"))
        }
        Profile::Release => {
            cargo("run --quiet --package shmtable --release --example word_count --")
        }
    };
    run_command(command.arg(folder))
}
