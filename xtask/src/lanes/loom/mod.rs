//! `cargo xtask loom`: the models of `loom-tests/`, each under its pinned bounds.
mod models;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
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
    println!("builds the models");
    let programs = build(&mut cargo(""))?;
    let program = |file: &str| {
        let program = programs.get(file).map(Command::new);
        program.ok_or_else(|| format!("cargo names no program of loom-tests/tests/{file}.rs"))
    };
    for file in files {
        check_tests(file, &mut program(file)?)?;
    }

    // Each is one thread. The longest first.
    let mut waiting: Vec<Model> = models(selection).collect();
    waiting.sort_by_key(|model| Reverse(model.seconds));
    let timings = parallel::map(waiting, |model| {
        let begin = Instant::now();
        let mut command = program(model.file)?;
        command.args([
            "--exact",
            model.test,
            "--include-ignored",
            "--nocapture",
            "--quiet",
        ]);
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

/// Builds the models by a `cargo test` of theirs; their programs, by the names of their files.
/// Asking cargo to run a model would take it longer than most models take.
pub(crate) fn build(cargo: &mut Command) -> Result<BTreeMap<String, PathBuf>> {
    cargo.args(["--no-run", "--message-format=json-render-diagnostics"]);
    Ok(output(cargo)?.lines().filter_map(program).collect())
}

/// The program that a message of cargo's names, as in `target/lock-40df114c5be41592`.
fn program(message: &str) -> Option<(String, PathBuf)> {
    let (_, rest) = message.split_once("\"executable\":\"")?;
    let path = Path::new(rest.split_once('"')?.0);
    let name = path.file_name()?.to_string_lossy();
    let file = name.rsplit_once('-').map_or(&*name, |(file, _)| file);
    Some((file.to_owned(), path.to_owned()))
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
fn check_tests(file: &str, program: &mut Command) -> Result {
    let list = output(program.args(["--list", "--format", "terse"]))?;
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
    use super::*;

    #[test]
    fn programs_are_found_in_messages() {
        let message = r#"{"reason":"compiler-artifact","executable":"/a/deps/two_writers-9","#;
        let (file, path) = program(message).unwrap();
        assert_eq!(file, "two_writers");
        assert_eq!(path, Path::new("/a/deps/two_writers-9"));
        assert_eq!(program(r#"{"reason":"a","executable":null}"#), None);
    }

    #[test]
    fn every_file_of_models_has_its_bounds() {
        check_files().unwrap();
    }
}
