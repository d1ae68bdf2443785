//! Are the entries of a table whose header is damaged dumped and loaded again?

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;

use common::{Name, ends, json, ok, open_table, run, run_with, table, text};
use shmtable::Table;

/// Overwrites a word of a table's header.
fn damage(name: &str, word: u64, value: u64) {
    let path = common::path_of(name);
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&value.to_le_bytes(), word * 8).unwrap();
}

#[test]
fn a_table_that_cannot_be_opened_is_dumped_and_loaded() {
    for format in ["jsonl", "binary"] {
        for word in 0..=16 {
            let name = table("pickle");
            for number in 0..20 {
                let number = number.to_string();
                ok(&["put", &name, &number, "a value that is not a small one"]);
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
                "\"a value that is not a small one\"\n"
            );
        }
    }
}

#[test]
fn the_damage_that_was_found_is_told() {
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
fn a_whole_table_is_dumped_without_a_word() {
    let name = table("bytes");
    ok(&["put", &name, "k", "v"]);
    let dump = ok(&["dump", &name, "--salvage"]);
    assert_eq!(dump, ok(&["dump", &name]));
    assert_eq!(
        json(2, &["dump", "no-such-table", "--salvage"])["kind"],
        "NotFound"
    );
}

#[test]
fn a_file_that_is_too_short_is_told_by_its_length_and_salvage_is_not_advised_again() {
    let name = Name::new();
    std::fs::write(name.path(), vec![7; 4000]).unwrap();
    for arguments in [&["get", &name, "k"][..], &["dump", &name, "--salvage"]] {
        let failure = ends(2, arguments);
        assert!(
            failure.contains("the length in bytes is 4000, at least 4096 are needed"),
            "{failure}"
        );
        let is_advised = failure.contains("dump --salvage");
        assert_eq!(is_advised, arguments[0] == "get", "{failure}");
    }
    assert_eq!(
        json(2, &["dump", &name, "--salvage"])["kind"],
        "IncompatibleFormat"
    );
}

#[test]
fn a_reader_of_a_damaged_record_is_told_to_repair() {
    let (name, handle) = open_table();
    handle
        .insert("k", "a value that is not a small one")
        .unwrap();
    drop(handle);
    let path = name.path();
    let bytes = std::fs::read(&path).unwrap();
    let value = b"a value that is not a small one";
    let at = bytes.windows(value.len()).position(|found| found == value);
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0xff; 16], at.unwrap() as u64 - 16)
        .unwrap();
    let failure = ends(2, &["get", &name, "k"]);
    let repair = failure.find("repair it with `shmtable repair`").unwrap();
    assert!(
        repair < failure.find("dump --salvage").unwrap(),
        "{failure}"
    );
    let wrong = ends(1, &["check", &name]);
    assert!(wrong.contains("leads to no record"), "{wrong}");
    for remedy in ["unlink", "salvage", "create"] {
        assert!(!wrong.contains(remedy), "{wrong}");
    }
    ok(&["repair", &name]);
    ok(&["check", &name]);
}

#[test]
fn the_entries_that_a_cut_file_has_lost_are_told() {
    let name = Name::new();
    ok(&[
        "create",
        &name,
        "--capacity",
        "10k",
        "--value-space",
        "1MiB",
    ]);
    let lines = (0..5000).map(|n| format!("{{\"key\": \"k{n}\", \"value\": \"v\"}}\n"));
    run_with(&["load", &name], lines.collect::<String>().as_bytes());
    let shm = name.path();
    let path = std::env::temp_dir().join(format!("{}.dump", &*name));
    for (length, counted) in [(80_000, true), (4096, false)] {
        let file = File::options().write(true).open(&shm).unwrap();
        file.set_len(length).unwrap();
        let dump = run(&[
            "--json",
            "dump",
            &name,
            "--salvage",
            "-o",
            path.to_str().unwrap(),
        ]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(dump.status.code(), Some(1));
        let told: serde_json::Value = serde_json::from_slice(&dump.stdout).unwrap();
        let number = |field: &str| told[field].as_u64().unwrap();
        assert_eq!(told["lost_more"], !counted, "{told}");
        let err = text(&dump.stderr);
        if counted {
            assert_eq!(number("entries") + number("lost"), 5000);
            assert!(err.contains(" entries lost\n"), "{err}");
        } else {
            assert!(
                err.contains("an unknown number of entries is lost"),
                "{err}"
            );
        }
        assert!(err.contains("part of the index is gone"), "{err}");
    }
}
