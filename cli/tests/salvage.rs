//! Are the entries of a table whose header is damaged dumped and loaded again?

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;

use common::{Name, ends, json, ok, run, run_with, table, text};
use shmtable::Table;

/// Overwrites a word of a table's header.
fn damage(name: &str, word: u64, value: u64) {
    let path = format!("/dev/shm/shmtable.{name}");
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&value.to_le_bytes(), word * 8).unwrap();
}

#[test]
fn what_cannot_be_opened_is_dumped_and_loaded() {
    for format in ["jsonl", "binary"] {
        for word in 0..=16 {
            let name = table("pickle");
            for number in 0..20 {
                let number = number.to_string();
                ok(&["put", &name, &number, "a value that is no small one"]);
            }
            damage(&name, word, 0xdead_beef);
            ends(2, &["repair", &name]);
            let dump = run(&["dump", &name, "--salvage", "--format", format]);
            assert_eq!(dump.status.code(), Some(0));
            assert!(!dump.stderr.is_empty());
            let new = Name::new();
            let loaded = run_with(&["load", &new, "--create"], &dump.stdout);
            assert_eq!(text(&loaded.stdout), "20 entries loaded\n", "word {word}");
            assert_eq!(Table::open(&new).unwrap().capacity(), 1000);
            assert_eq!(
                ok(&["get", &new, "7"]),
                "\"a value that is no small one\"\n"
            );
        }
    }
}

#[test]
fn what_was_wrong_is_told() {
    let name = table("bytes");
    ok(&["put", &name, "k", "v"]);
    damage(&name, 0, 7);
    let failure = ends(2, &["get", &name, "k"]);
    assert!(failure.contains("dump --salvage"), "{failure}");
    let path = std::env::temp_dir().join(format!("{}.dump", &*name));
    let dump = run(&[
        "--json",
        "dump",
        &name,
        "--salvage",
        "-o",
        path.to_str().unwrap(),
    ]);
    let told: serde_json::Value = serde_json::from_slice(&dump.stdout).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(text(&dump.stderr).contains("magic number is 0x7"));
    assert!(
        told["damage"][0]
            .as_str()
            .unwrap()
            .contains("magic number is 0x7")
    );
    assert_eq!((&told["entries"], &told["lost"]), (&1.into(), &0.into()));
}

#[test]
fn what_is_whole_is_dumped_without_a_word() {
    let name = table("bytes");
    ok(&["put", &name, "k", "v"]);
    let dump = ok(&["dump", &name, "--salvage"]);
    assert_eq!(dump, ok(&["dump", &name]));
    assert_eq!(
        json(2, &["dump", "no-such-table", "--salvage"])["kind"],
        "NotFound"
    );
}
