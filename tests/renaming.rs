//! Does a table get another name in one step, and nobody lose it on the way?

#![cfg(all(target_os = "linux", not(shmtable_portable)))]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::{Name, scaled};
use shmtable::{Error, Options, Table};

fn options() -> Options {
    Options::new().capacity(100).value_space(1 << 16)
}

fn create(value: &str) -> (Name, Table) {
    let name = Name::new();
    let table = options().create(&name).unwrap();
    table.insert(b"is", value.as_bytes()).unwrap();
    (name, table)
}

fn what_is(name: &str) -> Vec<u8> {
    Table::open_read_only(name)
        .unwrap()
        .get(b"is")
        .unwrap()
        .unwrap()
}

#[test]
fn a_renamed_table_is_found_by_its_new_name_alone() {
    let (old, handle) = create("it");
    let new = Name::new();
    Table::rename(&old, &new).unwrap();
    assert_eq!(what_is(&new), b"it");
    assert!(matches!(Table::open(&old), Err(Error::NotFound { .. })));
    // Handles that are open write to it still.
    handle.insert(b"is", b"that").unwrap();
    assert_eq!(what_is(&new), b"that");
}

#[test]
fn a_name_that_is_taken_is_not_taken_away() {
    let ((one, _), (other, _)) = (create("one"), create("other"));
    let refused = Table::rename(&one, &other);
    assert!(
        matches!(&refused, Err(Error::AlreadyExists { name, .. }) if **name == *other),
        "{refused:?}"
    );
    assert_eq!(
        (what_is(&one), what_is(&other)),
        (b"one".to_vec(), b"other".to_vec())
    );
}

#[test]
fn a_name_is_taken_away_if_that_is_asked_for() {
    let ((one, _), (other, replaced)) = (create("one"), create("other"));
    Table::rename_or_replace(&one, &other).unwrap();
    assert_eq!(what_is(&other), b"one");
    assert!(matches!(Table::open(&one), Err(Error::NotFound { .. })));
    // Who has the replaced table open goes on using it.
    assert_eq!(replaced.get(b"is").unwrap().unwrap(), b"other");
    // Without one that has the name already, too.
    Table::rename_or_replace(&other, &one).unwrap();
    assert_eq!(what_is(&one), b"one");
}

#[test]
fn there_is_nothing_to_rename_where_there_is_no_table() {
    let (name, _table) = create("it");
    let none = Name::new();
    for result in [
        Table::rename(&none, &name),
        Table::rename_or_replace(&none, &name),
    ] {
        assert!(
            matches!(&result, Err(Error::NotFound { name, .. }) if **name == *none),
            "{result:?}"
        );
    }
    for wrong in ["", "a/b", ".a"] {
        for result in [Table::rename(&name, wrong), Table::rename(wrong, &name)] {
            assert!(matches!(result, Err(Error::InvalidName { .. })));
        }
    }
    assert_eq!(what_is(&name), b"it");
}

#[test]
fn whoever_opens_a_name_that_is_replaced_finds_one_table_or_the_other() {
    let (name, _) = create("it");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let opener = scope.spawn(|| {
            let mut opened = 0;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(what_is(&name), b"it");
                opened += 1;
            }
            opened
        });
        for _ in 0..scaled(200) {
            let (next, _) = create("it");
            Table::rename_or_replace(&next, &name).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        println!("opened {} times", opener.join().unwrap());
    });
}
