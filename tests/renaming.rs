//! Does a table get another name in one step, so that it always has one?

#![cfg(all(target_os = "linux", not(shmtable_portable)))]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::{Name, scaled};
use shmtable::{Error, Options, Table, Trust};

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
fn a_file_that_is_no_table_does_not_lose_its_name() {
    let ((from, _table), name) = (create("it"), Name::new());
    for bytes in [b"a file of another kind\n".repeat(500), b"short".to_vec()] {
        std::fs::write(name.path(), &bytes).unwrap();
        let error = Table::rename_or_replace(&from, &name).unwrap_err();
        assert!(
            matches!(error, Error::IncompatibleFormat { .. }),
            "{error:?}"
        );
        assert_eq!(std::fs::read(name.path()).unwrap(), bytes);
        assert_eq!(what_is(&from), b"it");
    }
    std::fs::remove_file(name.path()).unwrap();
    std::os::unix::fs::symlink(from.path(), name.path()).unwrap();
    let error = Table::rename_or_replace(&from, &name).unwrap_err();
    assert!(matches!(error, Error::NotATable { .. }), "{error:?}");
    std::fs::remove_file(name.path()).unwrap();
}

#[test]
fn a_table_of_another_user_loses_its_name_only_if_that_user_is_trusted() {
    if !common::may_act_as_others() {
        return;
    }
    let ((one, _), (other, _)) = (create("one"), create("other"));
    std::os::unix::fs::chown(other.path(), Some(54_321), None).unwrap();
    assert!(matches!(
        Table::rename_or_replace(&one, &other),
        Err(Error::WrongOwner { owner: 54_321, .. })
    ));
    assert_eq!(what_is(&one), b"one");
    let trusting = Options::new().trust(Trust::Users(vec![54_321]));
    trusting.rename_or_replace(&one, &other).unwrap();
    assert_eq!(what_is(&other), b"one");
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
fn an_opener_of_a_replaced_name_finds_one_table_or_the_other() {
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
