//! `cargo xtask loom`: the models of `loom-tests/`, each under its pinned bounds.
//!
//! loom explores every interleaving up to a number of preemptions, so a bound
//! says how much is proved, and costs what it costs. Both are written here and
//! nowhere else; the variables of the environment cannot weaken them.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use crate::Result;
use crate::process::{cargo_with_cfg, output, root, run as run_command};

/// Every test of every file of `loom-tests/tests`, once:
/// - the file, without its ending, and the test;
/// - `LOOM_MAX_PREEMPTIONS`: switches away from a thread that could go on;
/// - `LOOM_MAX_BRANCHES`: steps of one execution before loom calls it endless;
/// - the seconds it took on a machine of two cores: a note, not a limit.
#[rustfmt::skip]
const MODELS: &[(&str, &str, u32, u32, u32)] = &[
    // file, test, preemptions, branches, seconds
];

/// One row of the table.
struct Model {
    file: &'static str,
    test: &'static str,
    preemptions: u32,
    branches: u32,
    seconds: u32,
}

/// The rows of the table, or those of one file.
fn models(only: Option<&str>) -> impl Iterator<Item = Model> {
    MODELS
        .iter()
        .map(|&(file, test, preemptions, branches, seconds)| Model {
            file,
            test,
            preemptions,
            branches,
            seconds,
        })
        .filter(move |model| only.is_none_or(|file| model.file == file))
}

/// Runs all models, or those of one file.
pub(crate) fn run(file: Option<&str>) -> Result {
    check_files()?;
    let files: BTreeSet<&str> = models(file).map(|model| model.file).collect();
    if files.is_empty() {
        let known: BTreeSet<&str> = models(None).map(|model| model.file).collect();
        let asked = file.unwrap_or("at all");
        return Err(format!("no model {asked}; there are: {known:?}").into());
    }
    run_command(&mut cargo("--no-run"))?;
    for file in files {
        check_tests(file)?;
    }

    let mut timings = Vec::new();
    for model in models(file) {
        let begin = Instant::now();
        run_command(
            cargo(&format!(
                "--test {} -- --exact {} --include-ignored --nocapture",
                model.file, model.test
            ))
            .env("LOOM_MAX_PREEMPTIONS", model.preemptions.to_string())
            .env("LOOM_MAX_BRANCHES", model.branches.to_string()),
        )?;
        timings.push((model, begin.elapsed()));
    }

    println!("model, preemptions, branches, seconds now (noted)");
    for (model, duration) in timings {
        println!(
            "{}::{}, {}, {}, {:.1} ({})",
            model.file,
            model.test,
            model.preemptions,
            model.branches,
            duration.as_secs_f64(),
            model.seconds
        );
    }
    Ok(())
}

/// `cargo test` of the models, without limits from the environment: loom would
/// stop at them and report success.
fn cargo(arguments: &str) -> std::process::Command {
    let mut command = cargo_with_cfg(
        "loom",
        "loom",
        &format!("test --quiet --release --package loom-tests {arguments}"),
    );
    command
        .env_remove("LOOM_MAX_DURATION")
        .env_remove("LOOM_MAX_PERMUTATIONS")
        .env_remove("LOOM_MAX_THREADS");
    command
}

/// Holds the table against the files of `loom-tests/tests`.
fn check_files() -> Result {
    let mut files = BTreeSet::new();
    let folder = root().join("loom-tests/tests");
    if folder.exists() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "rs") {
                files.extend(
                    path.file_stem()
                        .map(|stem| stem.to_string_lossy().into_owned()),
                );
            }
        }
    }
    let files: BTreeSet<&str> = files.iter().map(String::as_str).collect();
    let pinned = models(None).map(|model| model.file).collect();
    compare("the files of loom-tests/tests", &files, &pinned)
}

/// Holds the table against the tests of a file, as its program lists them.
fn check_tests(file: &str) -> Result {
    let list = output(&mut cargo(&format!(
        "--test {file} -- --list --format terse"
    )))?;
    let tests = list
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .collect();
    let pinned = models(Some(file)).map(|model| model.test).collect();
    compare(
        &format!("the tests of loom-tests/tests/{file}.rs"),
        &tests,
        &pinned,
    )
}

/// Both sets must be equal.
fn compare(what: &str, there: &BTreeSet<&str>, pinned: &BTreeSet<&str>) -> Result {
    if there == pinned {
        return Ok(());
    }
    let without_bounds: Vec<_> = there.difference(pinned).collect();
    let without_test: Vec<_> = pinned.difference(there).collect();
    Err(format!(
        "{what} and the table in xtask/src/loom.rs differ: without a row {without_bounds:?}, \
         row without anything to run {without_test:?}"
    )
    .into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_of_models_has_its_bounds() {
        super::check_files().unwrap();
    }
}
