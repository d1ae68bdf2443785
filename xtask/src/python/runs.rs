//! Runs of the package's tests beside each other.

use std::fs;
use std::process::Command;

use super::environment::Environment;
use crate::namespace::Namespace;
use crate::parallel;
use crate::process::{root, run as run_command};
use crate::result::Result;

/// What the tests of the package need.
pub(super) const REQUIREMENTS: &str = "python/tests/requirements.txt";
/// The `/dev/shm` of tests that run beside others.
const SHARED_MEMORY: &str = "2g";

/// The tests in a folder, with an interpreter.
pub(super) struct Tests<'a> {
    /// What the interpreter is called.
    pub(super) name: String,
    pub(super) environment: &'a Environment,
    pub(super) folder: &'static str,
    /// Files of the folder that are left out.
    pub(super) ignored: Vec<String>,
    /// `SHMTABLE_TEST_SCALE`.
    pub(super) scale: &'static str,
    /// The parts they are divided into.
    pub(super) parts: usize,
}

/// Runs tests; what they need is installed. Where each run may have a `/dev/shm` of its own, so
/// that none sees another's tables, several go on at once, and each prints its output when it ends.
pub(super) fn run(tests: &[Tests<'_>]) -> Result {
    // Only a true root finds all that the tests of other users look for.
    let Ok(namespace @ Namespace::OfRoot) = Namespace::find() else {
        return tests.iter().try_for_each(|tests| {
            println!("{}", tests.name);
            run_command(&mut tests.command(&tests.files()?))
        });
    };
    let mut runs = Vec::new();
    for tests in tests {
        let parts = deal(tests.files()?, tests.parts);
        let of = parts.len();
        for (number, files) in parts.iter().enumerate() {
            let name = format!("{}, part {} of {of}", tests.name, number + 1);
            runs.push((name, namespace.inside(&tests.command(files), SHARED_MEMORY)));
        }
    }
    parallel::run("tests with", runs)
}

impl Tests<'_> {
    fn files(&self) -> Result<Vec<String>> {
        let mut files = files(self.folder)?;
        files.retain(|file| !self.ignored.contains(file));
        Ok(files)
    }

    fn command(&self, files: &[String]) -> Command {
        let mut command = self.environment.python();
        command
            .args(["-m", "pytest", "--quiet"])
            .args(files)
            .env("SHMTABLE_TEST_SCALE", self.scale);
        command
    }
}

/// The files of tests in a folder, in the order of their names.
pub(super) fn files(folder: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(folder))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("test_") && path.extension().is_some_and(|ending| ending == "py") {
            files.push(format!("{folder}/{name}"));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Deals files to parts, as cards to players.
fn deal(files: Vec<String>, parts: usize) -> Vec<Vec<String>> {
    let mut dealt = vec![Vec::new(); parts.min(files.len())];
    let parts = dealt.len();
    for (number, file) in files.into_iter().enumerate() {
        dealt[number % parts].push(file);
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_dealt_once() {
        let files: Vec<String> = (0..11).map(|number| format!("{number:02}")).collect();
        let parts = deal(files.clone(), 4);
        let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 3, 3, 2]);
        let mut together = parts.concat();
        together.sort_unstable();
        assert_eq!(together, files);
        assert_eq!(deal(files[..2].to_vec(), 4).len(), 2);
    }
}
