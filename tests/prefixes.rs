//! Are exactly the entries whose keys begin with some bytes found and removed?

mod common;

use std::collections::BTreeSet;

use common::{assert_sound, shapes};
use shmtable::{Error, Options, Result, Table};

/// Keys of small entries, and keys that have records.
fn fill(table: &Table) {
    for number in 0..100 {
        table.insert(format!("a{number}"), "1").unwrap();
        table.insert(format!("ab{number}"), [7; 100]).unwrap();
        let long = format!("abc-{}-{number}", "x".repeat(300));
        table.insert(long, "1").unwrap();
        table.insert(format!("b{number}"), "1").unwrap();
    }
    table.insert("", "1").unwrap();
    table.insert("ab", "1").unwrap();
}

fn on_each_shape(test: impl Fn(&Table)) {
    for (shape, options) in shapes(1000, 1 << 20) {
        println!("shape: {shape}");
        let table = options.create_anonymous().unwrap();
        fill(&table);
        test(&table);
        assert_sound(&table);
    }
}

fn keys(entries: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>) -> BTreeSet<Vec<u8>> {
    entries.map(|entry| entry.unwrap().0).collect()
}

#[test]
fn a_scan_finds_what_a_filter_of_all_entries_finds() {
    on_each_shape(|table| {
        for prefix in ["", "a", "ab", "abc", "abc-xx", "b", "ab1", "c", "abcd"] {
            let all = table.iter().filter(|entry| {
                let (key, _) = entry.as_ref().unwrap();
                key.starts_with(prefix.as_bytes())
            });
            let expected = keys(all);
            assert_eq!(keys(table.scan_prefix(prefix)), expected, "{prefix:?}");
        }
    });
}

#[test]
fn a_scan_gives_whole_entries() {
    on_each_shape(|table| {
        let mut found = table
            .scan_prefix("ab1")
            .collect::<Result<Vec<_>>>()
            .unwrap();
        found.sort();
        assert_eq!(found.len(), 11);
        assert_eq!(found[0], (b"ab1".to_vec(), vec![7; 100]));
    });
}

#[test]
fn removing_a_prefix_leaves_all_others() {
    on_each_shape(|table| {
        let before = table.len();
        let gone = keys(table.scan_prefix("ab"));
        assert_eq!(table.remove_prefix("ab").unwrap(), gone.len());
        assert_eq!(gone.len(), 201);
        assert_eq!(table.len(), before - gone.len());
        assert_eq!(keys(table.scan_prefix("ab")), BTreeSet::new());
        assert_eq!(keys(table.scan_prefix("a")).len(), 100);
        assert_eq!(table.remove_prefix("ab").unwrap(), 0);
        // Every key begins with nothing.
        assert_eq!(table.remove_prefix("").unwrap(), 201);
        assert!(table.is_empty());
    });
}

#[test]
fn removing_many_counts_those_that_were_there() {
    on_each_shape(|table| {
        let before = table.len();
        let asked = ["a1", "ab1", "no such key", "a1"].map(String::from);
        assert_eq!(table.remove_many(&asked).unwrap(), 2);
        assert_eq!(table.len(), before - 2);
        assert_eq!(table.remove_many(asked).unwrap(), 0);
        assert_eq!(table.remove_many::<&str>([]).unwrap(), 0);
    });
}

#[test]
fn a_reader_scans_and_removes_nothing() {
    let table = Options::new().capacity(1000).create_anonymous().unwrap();
    fill(&table);
    let reader = Table::open_read_only(table.name()).unwrap();
    assert_eq!(keys(reader.scan_prefix("ab")).len(), 201);
    assert!(matches!(reader.remove_prefix("ab"), Err(Error::ReadOnly)));
    assert!(matches!(reader.remove_many(["ab"]), Err(Error::ReadOnly)));
}
