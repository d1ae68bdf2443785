//! `cargo xtask fuzz`: the targets of `fuzz/`, for some time each.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use super::sanitize::require_nightly;
use crate::parallel;
use crate::process::{root, run as run_command, target_dir};
use crate::result::Result;

/// The targets, and the longest input of each in bytes.
const TARGETS: &[(&str, usize)] = &[("open", 64_000), ("operations", 4096)];

/// Seconds after which an input counts as a hang.
const HANG: usize = 25;

/// Runs each target for this number of seconds, starting from the seeds in `fuzz/corpus`
/// and the inputs that earlier runs found. A target is one thread: they run beside each other.
pub(crate) fn run(seconds: &str) -> Result {
    let seconds: usize = seconds
        .parse()
        .map_err(|_| format!("{seconds} is not a number of seconds"))?;
    require_nightly()?;
    let folder = install()?;
    let mut folders = vec![folder];
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let path = env::join_paths(folders)?;
    let cargo_fuzz = |verb: &str| {
        let mut command = Command::new("cargo");
        command
            .current_dir(root())
            .env("PATH", &path)
            .args(["+nightly", "fuzz", verb, "--fuzz-dir", "fuzz"])
            .arg("--target-dir")
            .arg(target_dir("fuzz"));
        command
    };
    run_command(&mut cargo_fuzz("build"))?;
    let mut runs = Vec::new();
    let mut segments = Vec::new();
    for (target, longest) in TARGETS {
        // New inputs go to the first folder, which is not part of the repository.
        let found = target_dir("fuzz-corpus").join(target);
        std::fs::create_dir_all(&found)?;
        let name = format!("fuzz-{target}-{}", std::process::id());
        let mut run = cargo_fuzz("run");
        run.env("SHMTABLE_FUZZ_NAME", &name)
            .arg(target)
            .arg(&found)
            .arg(root().join("fuzz/corpus").join(target))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={longest}"))
            .arg(format!("-timeout={HANG}"))
            .args(["-print_final_stats=1", "-verbosity=1"]);
        runs.push(((*target).to_owned(), run));
        segments.push(format!("/dev/shm/shmtable.{name}"));
    }
    let outcome = parallel::run("fuzz target", runs);
    for segment in segments {
        let _ = std::fs::remove_file(segment);
    }
    outcome
}

/// Installs cargo-fuzz if it is missing; returns its folder.
fn install() -> Result<PathBuf> {
    let tools = target_dir("tools");
    let folder = tools.join("bin");
    if !folder.join("cargo-fuzz").exists() {
        run_command(
            Command::new("cargo")
                .current_dir(root())
                // It only starts the compiler and the targets.
                .args(["install", "cargo-fuzz", "--debug", "--locked", "--root"])
                .arg(&tools),
        )?;
    }
    Ok(folder)
}
