//! Does `would_open` tell when a clone of a handle serves as well as opening its name, and does
//! `as_read_only` give a handle that only reads?

mod common;

use std::time::Duration;

use common::{Name, Named};
use shmtable::{Error, Options, Table, TypedTable};

fn small() -> Options {
    Options::new().capacity(10)
}

#[test]
fn a_handle_whose_name_leads_to_its_table_would_be_opened() {
    let named = Named::create(&small());
    assert!(Options::new().would_open(&named.table).unwrap());
    assert!(small().would_open_or_create(&named.open()).unwrap());
}

#[test]
fn a_handle_whose_name_was_removed_or_given_to_another_table_would_not() {
    let name = Name::new();
    let old = small().create(&name).unwrap();
    let new = small().create_or_replace(&name).unwrap();
    assert!(!Options::new().would_open(&old).unwrap());
    assert!(Options::new().would_open(&new).unwrap());
    Table::unlink(&name).unwrap();
    assert!(!Options::new().would_open(&new).unwrap());
    assert!(!small().would_open_or_create(&new).unwrap());
    assert!(!Options::new().would_open_read_only(&new).unwrap());
}

#[test]
fn a_read_only_handle_would_not_be_opened_for_writing() {
    let named = Named::create(&small());
    let reader = Table::open_read_only(named.name()).unwrap();
    for read_only in [&reader, &named.as_read_only()] {
        assert!(!Options::new().would_open(read_only).unwrap());
        assert!(!Options::new().would_open_or_create(read_only).unwrap());
        assert!(Options::new().would_open_read_only(read_only).unwrap());
    }
    assert!(Options::new().would_open_read_only(&named.table).unwrap());
}

#[test]
fn a_handle_with_another_lock_timeout_would_not_be_opened() {
    let named = Named::create(&small());
    let patient = Options::new().lock_timeout(Duration::from_mins(1));
    assert!(!patient.would_open(&named.table).unwrap());
    let opened = patient.open(named.name()).unwrap();
    assert!(patient.would_open(&opened).unwrap());
}

#[test]
fn sizes_count_for_open_or_create_alone() {
    let named = Named::create(&small());
    let larger = Options::new().capacity(1000);
    assert!(larger.would_open(&named.table).unwrap());
    let refused = larger.would_open_or_create(&named.table).unwrap_err();
    let opened = larger.open_or_create(named.name()).unwrap_err();
    assert!(matches!(
        refused,
        Error::TooSmall {
            asked: 1000,
            found: 10,
            ..
        }
    ));
    assert_eq!(refused.to_string(), opened.to_string());
}

#[test]
fn another_codec_is_refused_as_it_is_when_the_table_is_opened() {
    let name = Name::new();
    let table = small().codec(7).create(&name).unwrap();
    assert!(Options::new().codec(7).would_open(&table).unwrap());
    assert!(Options::new().would_open(&table).unwrap());
    let refused = Options::new().codec(8).would_open(&table).unwrap_err();
    let opened = Options::new().codec(8).open(&name).unwrap_err();
    assert!(matches!(
        refused,
        Error::CodecMismatch {
            found: 7,
            expected: 8,
            ..
        }
    ));
    assert_eq!(refused.to_string(), opened.to_string());
    Table::unlink(&name).unwrap();
}

#[test]
fn asking_takes_no_participant_slot_of_its_own() {
    let named = Named::create(&small().max_participants(1));
    for _ in 0..3 {
        assert!(Options::new().would_open(&named.table).unwrap());
    }
    assert_eq!(named.participants().unwrap().len(), 1);
    let another = Table::open(named.name());
    assert!(matches!(another, Err(Error::TooManyParticipants { .. })));
}

#[test]
fn a_read_only_handle_of_a_handle_sees_its_writes_and_writes_nothing() {
    let named = Named::create(&small());
    let reader = named.as_read_only();
    named.insert(b"k", b"1").unwrap();
    assert!(reader.is_read_only() && !named.is_read_only());
    assert_eq!(reader.name(), named.table.name());
    assert_eq!(reader.get(b"k").unwrap().unwrap(), b"1");
    assert!(matches!(reader.insert(b"k", b"2"), Err(Error::ReadOnly)));
    assert!(matches!(reader.clear(), Err(Error::ReadOnly)));
    assert!(matches!(reader.unlink_own_name(), Err(Error::ReadOnly)));
    assert_eq!(named.get(b"k").unwrap().unwrap(), b"1");
    assert_eq!(named.participants().unwrap().len(), 1);
}

#[test]
fn a_read_only_handle_keeps_its_table_open() {
    let created = small().create_anonymous().unwrap();
    created.insert(b"k", b"1").unwrap();
    let reader = created.as_read_only();
    drop(created);
    assert!(reader.is_unlinked().unwrap());
    assert_eq!(reader.get(b"k").unwrap().unwrap(), b"1");
}

#[test]
fn a_typed_table_has_a_read_only_handle_too() {
    let counts = TypedTable::<str, u64>::create_anonymous(small()).unwrap();
    let reader = counts.as_read_only();
    counts.insert("k", &1).unwrap();
    assert_eq!(reader.get("k").unwrap(), Some(1));
    assert!(matches!(reader.insert("k", &2), Err(Error::ReadOnly)));
}
