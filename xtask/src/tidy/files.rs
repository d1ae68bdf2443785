//! Holds the layout of the files: short ones, folders with a `mod.rs`, few rooms.

use std::path::{Path, PathBuf};

use super::{files, read, top};

/// The most lines of a file of sources or tests.
const LONGEST: usize = 500;

/// The most files and folders at the top of `src/`.
const MOST_ROOMS: usize = 15;

/// Where sources and tests are.
const FOLDERS: &[&str] = &[
    "benches",
    "cli",
    "dump",
    "examples",
    "fuzz",
    "loom-tests",
    "numbers",
    "python",
    "src",
    "tests",
    "trials",
    "xtask",
];

/// Files that are longer still, and what they have at most. Cut one, and take it off: a file
/// that is short enough by now fails the test.
const LONGER: &[(&str, usize)] = &[];

/// The Rust and Python files of the workspace.
fn sources() -> Vec<PathBuf> {
    let is_source = |path: &PathBuf| {
        path.extension()
            .is_some_and(|ending| ["rs", "py", "pyi"].iter().any(|known| ending == *known))
    };
    FOLDERS
        .iter()
        .flat_map(|folder| files(folder))
        .filter(is_source)
        .collect()
}

/// The files with more lines than they may have, and the exceptions that are none any more.
fn too_long<'a>(
    lengths: impl Iterator<Item = (&'a Path, usize)>,
    exceptions: &[(&str, usize)],
) -> Vec<String> {
    let mut unused: Vec<&str> = exceptions.iter().map(|(file, _)| *file).collect();
    let mut found = Vec::new();
    for (path, lines) in lengths {
        let exception = exceptions.iter().find(|(file, _)| path == Path::new(file));
        let most = exception.map_or(LONGEST, |(_, most)| *most);
        if lines > most {
            found.push(format!("{}: {lines} lines, at most {most}", path.display()));
        }
        if lines > LONGEST {
            unused.retain(|file| path != Path::new(file));
        }
    }
    let unused = unused
        .iter()
        .map(|file| format!("{file}: take it off the exceptions"));
    found.extend(unused);
    found
}

/// The files that stand beside a folder of their name.
fn beside_a_folder(files: &[PathBuf]) -> Vec<String> {
    let has_folder = |path: &Path| {
        let folder = path.with_extension("");
        files.iter().any(|other| other.parent() == Some(&folder))
    };
    let rust = files
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let beside = rust.filter(|path| has_folder(path));
    beside
        .map(|path| format!("{}: move it to mod.rs", path.display()))
        .collect()
}

#[test]
fn no_file_of_sources_or_tests_is_too_long() {
    let lengths: Vec<(PathBuf, usize)> = sources()
        .into_iter()
        .map(|path| (path.clone(), read(&path).lines().count()))
        .collect();
    let lengths = lengths.iter().map(|(path, lines)| (path.as_path(), *lines));
    let found = too_long(lengths, LONGER);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_module_of_a_folder_is_its_mod_rs() {
    let found = beside_a_folder(&sources());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_crate_has_few_rooms() {
    let rooms = top("src");
    assert!(
        rooms.len() <= MOST_ROOMS,
        "{} are in src: {rooms:?}",
        rooms.len()
    );
}

#[test]
fn a_file_may_be_as_long_as_its_exception_says_while_it_needs_one() {
    let lengths = [
        ("a.rs", 500),
        ("b.rs", 501),
        ("c.rs", 620),
        ("d.rs", 20),
        ("e.rs", 700),
    ];
    let lengths = lengths
        .iter()
        .map(|(path, lines)| (Path::new(path), *lines));
    let exceptions = [
        ("c.rs", 619),
        ("d.rs", 600),
        ("e.rs", 700),
        ("gone.rs", 600),
    ];
    assert_eq!(
        too_long(lengths, &exceptions),
        [
            "b.rs: 501 lines, at most 500",
            "c.rs: 620 lines, at most 619",
            "d.rs: take it off the exceptions",
            "gone.rs: take it off the exceptions",
        ]
    );
}

#[test]
fn a_file_beside_its_folder_is_found() {
    let files = [
        "src/a.rs",
        "src/a/b.rs",
        "src/c/mod.rs",
        "src/d.rs",
        "python/e.py",
        "python/e/f.py",
    ];
    let found = beside_a_folder(&files.map(PathBuf::from));
    assert_eq!(found, ["src/a.rs: move it to mod.rs"]);
}
