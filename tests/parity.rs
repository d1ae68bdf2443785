//! Does a typed table have every operation of a table?
//!
//! The test reads the sources, so that it notices a new method of `Table` that `TypedTable`
//! lacks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Methods that a typed table does without, and why.
const EXCEPTIONS: [(&str, &str); 16] = [
    ("get_into", "a value is decoded, not copied to a buffer"),
    (
        "get_into_slice",
        "a value is decoded, not copied to a buffer",
    ),
    (
        "get_into_slices",
        "a value is decoded, not copied to a buffer",
    ),
    (
        "get_into_uninit",
        "a value is decoded, not copied to a buffer",
    ),
    (
        "update_in_place",
        "changes bytes; `update` encodes and decodes",
    ),
    (
        "claim_attempts",
        "is for `wait_until`, whose keys are encoded",
    ),
    ("insert_slices", "a codec encodes a value in one piece"),
    ("list", "is about names, whatever the tables' types"),
    ("unlink", "is about names, whatever the tables' types"),
    ("list_os", "is about names, whatever the tables' types"),
    ("unlink_os", "is about names, whatever the tables' types"),
    ("rename", "is about names, whatever the tables' types"),
    (
        "rename_or_replace",
        "is about names, whatever the tables' types",
    ),
    ("orphans", "is about names, whatever the tables' types"),
    (
        "remove_orphans",
        "is about names, whatever the tables' types",
    ),
    (
        "open_damaged",
        "gives entries of a table that cannot be opened, as bytes",
    ),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

/// The public methods in the `impl` blocks whose first line ends so.
fn methods(of: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for path in sources(&root) {
        let text = fs::read_to_string(path).unwrap();
        let mut inside = false;
        for line in text.lines() {
            if line.starts_with("impl") {
                inside = !line.contains(" for ") && line.ends_with(of);
            } else if line.starts_with('}') {
                inside = false;
            }
            let name = line.strip_prefix("    pub fn ");
            if let Some(name) = name.filter(|_| inside) {
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                found.insert(name[..end.unwrap()].to_owned());
            }
        }
    }
    found
}

fn missing(from: &BTreeSet<String>, there: &BTreeSet<String>) -> Vec<String> {
    let excused = |name: &String| EXCEPTIONS.iter().any(|(excused, _)| excused == name);
    let missing = from.difference(there);
    missing.filter(|name| !excused(name)).cloned().collect()
}

fn of_typed_tables() -> BTreeSet<String> {
    let mut all = methods(" TypedTable<K, V> {");
    assert!(all.len() > 30, "the sources are read: {all:?}");
    all.extend(methods(" TypedTable<K, i64> {"));
    all
}

#[test]
fn every_method_of_a_table_is_one_of_a_typed_table() {
    let table = methods(" Table {");
    assert!(table.len() > 40, "the sources are read: {table:?}");
    let lacks = missing(&table, &of_typed_tables());
    assert!(lacks.is_empty(), "a typed table lacks {lacks:?}");
}

#[test]
fn every_way_to_open_a_table_opens_a_typed_one() {
    let options = methods(" Options {");
    let opening: BTreeSet<String> = options
        .into_iter()
        .filter(|name| ["open", "create"].iter().any(|way| name.starts_with(way)))
        .collect();
    assert!(opening.len() > 5, "the sources are read: {opening:?}");
    let lacks = missing(&opening, &of_typed_tables());
    assert!(lacks.is_empty(), "a typed table lacks {lacks:?}");
}

#[test]
fn excused_names_are_there() {
    let mut all = methods(" Table {");
    all.extend(methods(" Options {"));
    for (name, reason) in EXCEPTIONS {
        assert!(all.contains(name), "{name}, which {reason}, is no method");
    }
}
