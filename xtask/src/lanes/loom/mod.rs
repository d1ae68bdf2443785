//! `cargo xtask loom`: the models of `loom-tests/`, each under its pinned bounds.
mod models;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Instant;

use self::models::without_limits;
pub(crate) use self::models::{Model, Selection, models};
use crate::parallel;
use crate::process::{cargo_with_cfg, output, root, run as run_command};
use crate::result::Result;

/// Runs the selected models.
pub(crate) fn run(selection: Selection<'_>) -> Result {
    check_files()?;
    let files: BTreeSet<&str> = models(selection).map(|model| model.file).collect();
    if files.is_empty() {
        let known: BTreeSet<&str> = models(Selection::All).map(|model| model.file).collect();
        return Err(format!("no such models: {selection:?}; the files are {known:?}").into());
    }
    run_command(&mut cargo("--no-run"))?;
    for file in files {
        check_tests(file)?;
    }

    // Each is one thread. The longest first.
    let mut waiting: Vec<Model> = models(selection).collect();
    waiting.sort_by_key(|model| Reverse(model.seconds));
    let timings = parallel::map(waiting, |model| {
        let begin = Instant::now();
        let mut command = cargo(&format!(
            "--test {} -- --exact {} --include-ignored --nocapture",
            model.file, model.test
        ));
        model.bound(&mut command);
        run_command(&mut command)?;
        Ok((model, begin.elapsed()))
    })?;

    println!("model, preemptions, branches, seconds now (noted)");
    for (model, duration) in timings {
        println!(
            "{model}, {}, {}, {:.1} ({})",
            model.preemptions,
            model.branches,
            duration.as_secs_f64(),
            model.seconds
        );
    }
    Ok(())
}

/// `cargo test` of the models.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = cargo_with_cfg(
        "loom",
        "loom",
        &format!("test --quiet --release --package loom-tests {arguments}"),
    );
    without_limits(&mut command);
    command
}

/// Compares the table with the files of `loom-tests/tests`.
pub(crate) fn check_files() -> Result {
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
    let pinned = models(Selection::All).map(|model| model.file).collect();
    compare("the files of loom-tests/tests", &files, &pinned)
}

/// Compares the table with the tests of a file, as its program lists them.
fn check_tests(file: &str) -> Result {
    let list = output(&mut cargo(&format!(
        "--test {file} -- --list --format terse"
    )))?;
    let tests = list
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .collect();
    let pinned = models(Selection::File(file))
        .map(|model| model.test)
        .collect();
    compare(
        &format!("the tests of loom-tests/tests/{file}.rs"),
        &tests,
        &pinned,
    )
}

/// An error if two sets differ.
fn compare(what: &str, there: &BTreeSet<&str>, pinned: &BTreeSet<&str>) -> Result {
    if there == pinned {
        return Ok(());
    }
    let without_bounds: Vec<_> = there.difference(pinned).collect();
    let without_test: Vec<_> = pinned.difference(there).collect();
    Err(format!(
        "{what} and the table in xtask/src/lanes/loom/models.rs differ: without a row \
         {without_bounds:?}, row without anything to run {without_test:?}"
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
