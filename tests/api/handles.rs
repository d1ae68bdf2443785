//! Handles, names, and what a table is created with.

use std::collections::HashMap;
#[cfg(target_os = "linux")]
use std::fs::Permissions;
#[cfg(target_os = "linux")]
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use shmtable::{Error, Options, Result, Table};

use crate::common::{self, Dice, Name, Named, assert_sound, bytes};
use crate::{get, on_each_shape, some};

#[test]
fn two_handles_and_their_clones_are_one_table() {
    let named = Named::create(&Options::new().capacity(1000));
    let second = named.open();
    let clone = second.clone();
    let handles = [&named.table, &second, &clone];
    let mut dice = Dice::new(1);
    let mut model = HashMap::new();
    for round in 0..2000_usize {
        let key = [dice.below(200) as u8];
        let (writer, reader) = (handles[dice.below(3)], handles[dice.below(3)]);
        if dice.below(4) == 0 {
            assert_eq!(writer.take(&key).unwrap(), model.remove(&key));
        } else {
            let value = bytes(round as u64, dice.below(50));
            assert_eq!(
                writer.replace(&key, &value).unwrap(),
                model.insert(key, value)
            );
        }
        assert_eq!(get(reader, &key).as_ref(), model.get(&key));
        assert_eq!(reader.len(), model.len());
    }
    assert_eq!(second.name(), &*named.name);
    drop(second);
    // The clone keeps the handle.
    assert!(clone.insert(b"still", b"here").unwrap());
    assert_eq!(named.stats().unwrap().participants, 2);
    assert_sound(&clone);
}

#[test]
fn threads_share_one_handle() {
    fn is_send_and_sync<T: Send + Sync + Clone>() {}
    is_send_and_sync::<Table>();
    on_each_shape(2000, 1 << 18, |table| {
        common::scope(|scope| {
            for thread in 0..8_u32 {
                scope.spawn(move || {
                    for number in 0..200_u32 {
                        let key = (thread << 16 | number).to_le_bytes();
                        assert!(table.insert(&key, &bytes(1, number as usize % 50)).unwrap());
                        table.fetch_add(b"sum", 1).unwrap();
                    }
                });
            }
        });
        assert_eq!(table.len(), 1601);
        assert_eq!(table.fetch_add(b"sum", 0).unwrap(), 1600);
        assert_eq!(
            table.stats().unwrap().participants,
            1,
            "threads are one participant"
        );
    });
}

#[test]
fn a_handle_takes_one_participant_slot_until_its_last_clone_is_gone() {
    let named = Named::create(&Options::new().capacity(100).max_participants(2));
    let second = named.open();
    let clone = second.clone();
    let is_full =
        |result: Result<Table>| matches!(result, Err(Error::TooManyParticipants { limit: 2, .. }));
    assert!(is_full(Table::open(&named.name)));
    // Readers need none.
    let readers: Vec<Table> = (0..5)
        .map(|_| Table::open_read_only(&named.name).unwrap())
        .collect();
    assert_eq!(named.stats().unwrap().participants, 2);
    drop(second);
    assert!(is_full(Table::open(&named.name)));
    drop(clone);
    assert_eq!(named.stats().unwrap().participants, 1);
    for round in 0..50_u32 {
        let third = named.open();
        third.insert(&round.to_le_bytes(), b"1").unwrap();
        assert!(is_full(Table::open(&named.name)));
    }
    assert_eq!(readers[4].len(), 50);
    assert_sound(&named);
}

#[test]
fn a_table_has_the_shape_it_was_created_with() {
    let name = Name::new();
    let table = Options::new()
        .capacity(1234)
        .value_space(1 << 20)
        .stripes(32)
        .chunk_size(1 << 14)
        .max_participants(7)
        .create(&name)
        .unwrap();
    // What is said of it when it is opened is without effect.
    let opened = Options::new().capacity(9).stripes(1).open(&name).unwrap();
    let again = Options::new().capacity(9).open_or_create(&name).unwrap();
    for handle in [&table, &opened, &again] {
        assert_eq!(handle.capacity(), 1234);
        assert_eq!(handle.codec_id(), 0);
        assert!(!handle.is_anonymous());
        let stats = handle.stats().unwrap();
        assert_eq!(stats.capacity, 1234);
        assert_eq!(stats.value_space, 1 << 20);
        assert_eq!(stats.stripes, 32);
        assert_eq!(stats.chunk_bytes, 1 << 14);
        assert_eq!(stats.max_participants, 7);
        assert_eq!(stats.participants, 3);
    }
}

#[test]
fn a_name_is_listed_until_it_is_unlinked() {
    let name = Name::new();
    assert!(!Table::list().unwrap().contains(&name.to_owned()));
    let table = Options::new().capacity(10).create(&name).unwrap();
    assert!(Table::list().unwrap().contains(&name.to_owned()));
    Table::unlink(&name).unwrap();
    assert!(!Table::list().unwrap().contains(&name.to_owned()));
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));
    // Who has it open goes on, and the name is free for another.
    assert!(table.insert(b"k", b"old").unwrap());
    let other = Options::new().capacity(10).create(&name).unwrap();
    assert_eq!(get(&other, b"k"), None);
    assert_eq!(get(&table, b"k"), some(b"old"));
    drop(table);
    assert!(
        Table::open(&name).is_ok(),
        "the old handle does not take the new name away"
    );
}

#[test]
fn a_named_table_outlives_its_handles() {
    let name = Name::new();
    let table = Options::new().capacity(10).create(&name).unwrap();
    table.insert(b"k", b"v").unwrap();
    drop(table);
    assert_eq!(get(&Table::open(&name).unwrap(), b"k"), some(b"v"));
    assert!(matches!(
        Options::new().capacity(10).create(&name),
        Err(Error::AlreadyExists { .. })
    ));
}

#[test]
fn an_anonymous_table_goes_with_its_creators_handle() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    let name = table.name().to_owned();
    assert!(table.is_anonymous());
    let other = Table::open(&name).unwrap();
    assert!(other.is_anonymous());
    let clone = table.clone();
    drop(table);
    assert!(
        Table::open(&name).is_ok(),
        "a clone is the creator's handle still"
    );
    drop(clone);
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));
    assert!(other.insert(b"k", b"v").unwrap(), "who has it open goes on");
    assert_eq!(get(&other, b"k"), some(b"v"));
}

/// Windows has neither user ids nor modes: the folder says who may.
#[cfg(target_os = "linux")]
#[test]
fn options_say_who_is_trusted() {
    use shmtable::Trust;
    let named = Named::create(&Options::new().capacity(10).mode(0o640));
    for trust in [
        Trust::SameUser,
        Trust::Users(vec![]),
        Trust::Users(vec![1]),
        Trust::Anyone,
    ] {
        assert!(Options::new().trust(trust).open(&named.name).is_ok());
    }
    assert_eq!(
        std::fs::metadata(named.name.access_path()).unwrap().mode() & 0o777,
        0o640
    );
    let plain = Named::create(&Options::new().capacity(10));
    assert_eq!(
        std::fs::metadata(plain.name.access_path()).unwrap().mode() & 0o777,
        0o600
    );
}

/// Windows has neither user ids nor modes: the folder says who may.
#[cfg(target_os = "linux")]
#[test]
fn a_table_is_private_if_no_other_user_may_write_to_it() {
    for (mode, private) in [
        (0o600, true),
        (0o644, true),
        (0o640, true),
        (0o622, false),
        (0o602, false),
        (0o660, false),
        (0o666, false),
    ] {
        let named = Named::create(&Options::new().capacity(10).mode(mode));
        let reader = Table::open_read_only(&named.name).unwrap();
        assert_eq!(named.is_private().unwrap(), private, "{mode:o}");
        assert_eq!(reader.is_private().unwrap(), private, "{mode:o}");
        // It tells what is, not what was.
        let path = named.name.access_path();
        std::fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
        assert!(!named.is_private().unwrap());
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(reader.is_private().unwrap());
        if chown(&path, Some(54_321), None).is_ok() {
            assert!(!named.is_private().unwrap(), "another user's");
        } else {
            println!("NOT ROOT: the segment of another user was not asked about");
        }
    }
}
