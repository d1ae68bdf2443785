//! Does a handle tell when its name no longer leads to its table?

mod common;

use common::Name;
use shmtable::{Error, Options, Table};

fn small() -> Options {
    Options::new().capacity(10)
}

#[test]
fn a_table_whose_name_was_removed_is_unlinked() {
    let name = Name::new();
    let table = small().create(&name).unwrap();
    let reader = Table::open_read_only(&name).unwrap();
    let looker = Options::new().open_observer(&name).unwrap();
    let handles = [&table, &reader, &looker];
    assert!(handles.iter().all(|handle| !handle.is_unlinked().unwrap()));
    Table::unlink(&name).unwrap();
    assert!(handles.iter().all(|handle| handle.is_unlinked().unwrap()));
    // It works on.
    table.insert(b"key", b"value").unwrap();
    assert!(reader.contains_key(b"key").unwrap());
}

#[test]
fn a_table_whose_name_another_one_took_is_unlinked() {
    let name = Name::new();
    let old = small().create(&name).unwrap();
    Table::unlink(&name).unwrap();
    let new = small().create(&name).unwrap();
    assert!(old.is_unlinked().unwrap());
    assert!(!new.is_unlinked().unwrap());
    assert!(!Table::open(&name).unwrap().is_unlinked().unwrap());
}

/// Linux alone can rename.
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn a_table_that_was_renamed_is_unlinked_for_handles_of_the_old_name() {
    let (old, new) = (Name::new(), Name::new());
    let table = small().create(&old).unwrap();
    Table::rename(&old, &new).unwrap();
    assert!(table.is_unlinked().unwrap());
    assert!(!Table::open(&new).unwrap().is_unlinked().unwrap());
    Table::rename(&new, &old).unwrap();
    assert!(!table.is_unlinked().unwrap());
}

#[test]
fn an_anonymous_table_is_unlinked_when_its_creator_dropped_it() {
    let created = small().create_anonymous().unwrap();
    let other = Table::open(created.name()).unwrap();
    assert!(!created.is_unlinked().unwrap() && !other.is_unlinked().unwrap());
    drop(created);
    assert!(other.is_unlinked().unwrap());
}

#[test]
fn a_handle_of_a_replaced_table_does_not_remove_its_successor() {
    let name = Name::new();
    let old = small().create(&name).unwrap();
    let new = small().create_or_replace(&name).unwrap();
    let refused = old.unlink_own_name();
    assert!(
        matches!(refused, Err(Error::NotFound { .. })),
        "{refused:?}"
    );
    assert!(!new.is_unlinked().unwrap());
    new.unlink_own_name().unwrap();
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));
    assert!(matches!(new.unlink_own_name(), Err(Error::NotFound { .. })));
}

#[test]
fn a_handle_opened_read_only_does_not_remove_its_table() {
    let name = Name::new();
    let table = small().create(&name).unwrap();
    let reader = Table::open_read_only(&name).unwrap();
    let looker = Options::new().open_observer(&name).unwrap();
    for handle in [reader, looker] {
        assert!(matches!(handle.unlink_own_name(), Err(Error::ReadOnly)));
    }
    assert!(!table.is_unlinked().unwrap());
}
