//! Errors of a table that is full, of entries that are too large for it, and of its options.

use shmtable::{Error, Options, Table};

use crate::common::{self, Child, Name, Named, assert_sound, bytes, files_named};
use crate::{all, refused, stores};

#[test]
fn table_full() {
    let table = Options::new()
        .capacity(50)
        .value_space(1 << 20)
        .stripes(4)
        .create_anonymous()
        .unwrap();
    let key = |number: u32| number.to_le_bytes();
    let mut number = 0;
    let error = loop {
        match table.insert(&key(number), b"value") {
            Ok(new) => assert!(new),
            Err(error) => break error,
        }
        number += 1;
        assert!(number < 10_000, "a table of capacity 50 took {number} keys");
    };
    assert!(number >= 50);
    let before = all(&table);
    let entries_now = number as usize;
    assert!(
        matches!(error, Error::TableFull { capacity: 50, entries, .. } if entries == entries_now),
        "{error:?}"
    );
    refused::<()>(
        Err(error),
        &["50", &entries_now.to_string(), "remove", "larger capacity"],
    );
    // The same key by any other way: one stripe is full, and it is this key's.
    for (method, error) in stores(&table, &key(number), b"another") {
        assert!(
            matches!(error, Some(Error::TableFull { .. })),
            "{method}: {error:?}"
        );
    }
    assert!(matches!(
        table.try_insert(&key(number), b"x"),
        Err(Error::TableFull { .. })
    ));
    assert!(matches!(
        table.fetch_add(&key(number), 1),
        Err(Error::TableFull { .. })
    ));
    assert_eq!(all(&table), before);
    // What is there can be changed, and the remedy helps.
    assert!(!table.insert(&key(0), &[1; 500]).unwrap());
    table.retain(|_, _| false).unwrap();
    assert!(table.insert(&key(number), b"value").unwrap());
}

/// Elsewhere no table grows.
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn a_table_that_grows_names_its_maximum() {
    let options = Options::new().max_capacity(5000);
    let table = options.create_anonymous().unwrap();
    let mut entries = 0_u32;
    let error = loop {
        match table.insert(entries.to_le_bytes(), b"value") {
            Ok(_) => entries += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(
        error,
        Error::TableFull {
            capacity: 5000,
            grows: true,
            ..
        }
    ));
    refused::<()>(
        Err(error),
        &["grows to 5000", "remove", "larger max_capacity"],
    );
}

/// The key of this number.
fn key(number: u32) -> [u8; 4] {
    number.to_le_bytes()
}

/// Inserts values of 2000 bytes until one is refused; how many were stored, and the error.
fn fill(table: &Table) -> (u32, Error) {
    for number in 0..1000 {
        match table.insert(key(number), bytes(1, 2000)) {
            Ok(new) => assert!(new),
            Err(error) => return (number, error),
        }
    }
    panic!("1000 values of 2000 bytes were stored");
}

#[test]
fn max_bytes_reached() {
    let options = Options::new()
        .capacity(1000)
        .value_space(100_000_000)
        .max_participants(2);
    let least = {
        let table = options
            .clone()
            .chunk_size(65_536)
            .create_anonymous()
            .unwrap();
        table.stats().unwrap().memory_bytes + 10 * 65_536
    };
    let table = options
        .chunk_size(65_536)
        .max_bytes(least)
        .create_anonymous()
        .unwrap();
    let (number, error) = fill(&table);
    assert!(number > 200, "{number}");
    let Error::MaxBytesReached {
        limit, used, asked, ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(limit, least);
    assert_eq!(used, table.stats().unwrap().memory_bytes);
    assert!(used + asked > least);
    refused::<()>(
        Err(error),
        &[&least.to_string(), "remove", "larger max_bytes"],
    );
    // The remedy helps.
    for number in 0..number {
        assert!(table.remove(&key(number)).unwrap());
    }
    assert!(table.insert(&key(number), &bytes(1, 2000)).unwrap());
}

#[test]
fn value_space_full() {
    let table = Options::new()
        .capacity(1000)
        .value_space(100_000)
        .chunk_size(4096)
        .max_participants(2)
        .create_anonymous()
        .unwrap();
    let (number, error) = fill(&table);
    assert!(
        number >= 49,
        "only {number} entries of 2004 bytes in 100 000"
    );
    let stats = table.stats().unwrap();
    assert!(
        matches!(error, Error::ValueSpaceFull { asked: 2016, limit: 100_000, live, room, .. }
            if live == number as usize * 2016 && live == stats.value_bytes_live
                && room == stats.segment_bytes - stats.index_bytes && live <= room),
        "{error:?}"
    );
    refused::<()>(
        Err(error),
        &[
            "2016",
            "100000",
            "live",
            "remove entries",
            "larger value_space",
        ],
    );
    let before = all(&table);
    for key in [key(number), key(0)] {
        for (method, error) in stores(&table, &key, &bytes(2, 3000)) {
            assert!(
                matches!(error, Some(Error::ValueSpaceFull { .. })),
                "{method}: {error:?}"
            );
        }
    }
    assert!(matches!(
        table.try_insert(&key(number), &bytes(2, 2500)),
        Err(Error::ValueSpaceFull { .. })
    ));
    // A run of chunks finds no room either.
    let error = refused(
        table.insert(&key(0), &bytes(2, 50_000)),
        &["takes 13 neighboring chunks", "no such row"],
    );
    assert!(
        matches!(
            error,
            Error::ValueSpaceFull {
                limit: 100_000,
                neighbors: 13,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(all(&table), before);
    for number in 0..4 {
        assert!(table.remove(&key(number)).unwrap());
    }
    assert!(table.insert(&key(number), &bytes(2, 3000)).unwrap());
    assert_sound(&table);
}

#[test]
fn value_or_key_too_large() {
    let table = Options::new()
        .capacity(10)
        .value_space(5000)
        .create_anonymous()
        .unwrap();
    table.insert(b"key", b"value").unwrap();
    let before = all(&table);
    for (method, error) in stores(&table, b"key", &bytes(1, 4998)) {
        assert!(
            matches!(
                error,
                Some(Error::ValueTooLarge {
                    limit: 4997,
                    size: 4998,
                    ..
                })
            ),
            "{method}: {error:?}"
        );
    }
    refused(
        table.insert(b"key", &bytes(1, 4998)),
        &["4998", "4997", "split", "larger value_space"],
    );
    assert!(matches!(
        table.try_insert(b"new", &bytes(1, 4998)),
        Err(Error::ValueTooLarge {
            limit: 4997,
            size: 4998,
            ..
        })
    ));
    for (method, error) in stores(&table, &bytes(1, 5001), b"") {
        assert!(
            matches!(
                error,
                Some(Error::KeyTooLarge {
                    limit: 5000,
                    size: 5001,
                    ..
                })
            ),
            "{method}: {error:?}"
        );
    }
    assert_eq!(all(&table), before);

    // The format's own limit, in a table that is large enough.
    let table = Options::new()
        .capacity(10)
        .value_space(4 << 20)
        .create_anonymous()
        .unwrap();
    let error = refused(
        table.insert(&vec![0; 1_048_576], b""),
        &["1048576", "1048575", "digest"],
    );
    assert!(matches!(
        error,
        Error::KeyTooLarge {
            limit: 1_048_575,
            size: 1_048_576,
            ..
        }
    ));
    assert!(matches!(
        table.fetch_add(&vec![0; 1_048_576], 1),
        Err(Error::KeyTooLarge { .. })
    ));
    assert!(table.is_empty());
    // To look up such a key is not an error: it is absent.
    assert_eq!(table.get(&vec![0; 1_048_576]).unwrap(), None);
    assert!(!table.contains_key(&vec![0; 1_048_576]).unwrap());
    assert!(!table.remove(&vec![0; 1_048_576]).unwrap());
    assert_eq!(table.take(&vec![0; 1_048_576]).unwrap(), None);
}

#[test]
fn too_many_participants() {
    if let Some(role) = common::role() {
        let error = refused(
            Table::open(role.argument(0)),
            &["all 3", "close some", "read-only", "max_participants"],
        );
        assert!(matches!(error, Error::TooManyParticipants { limit: 3, .. }));
        assert!(matches!(
            Options::new().open_or_create(role.argument(0)),
            Err(Error::TooManyParticipants { limit: 3, .. })
        ));
        assert_eq!(Table::open_read_only(role.argument(0)).unwrap().len(), 1);
        return;
    }
    let named = Named::create(&Options::new().capacity(10).max_participants(3));
    named.insert(b"k", b"v").unwrap();
    let _others = [named.open(), named.open()];
    Child::start(
        "table_limits::too_many_participants",
        "fourth",
        &[&named.name],
    )
    .finish();
    assert_eq!(all(&named).len(), 1);
    assert_eq!(named.stats().unwrap().participants, 3);
}

#[test]
fn invalid_option() {
    let plain = || Options::new().capacity(10);
    let most = usize::MAX;
    let cases: [(&str, u128, Options); 13] = [
        ("capacity", 0, plain().capacity(0)),
        ("capacity", 1 << 41, plain().capacity(1 << 41)),
        ("capacity", most as u128, plain().capacity(most)),
        ("value_space", 0, plain().value_space(0)),
        ("value_space", most as u128, plain().value_space(most)),
        ("stripes", 0, plain().stripes(0)),
        ("stripes", 3, plain().stripes(3)),
        ("stripes", 1 << 17, plain().stripes(1 << 17)),
        ("chunk_size", 100, plain().chunk_size(100)),
        ("chunk_size", 1 << 31, plain().chunk_size(1 << 31)),
        (
            "chunk_size",
            4096,
            plain().value_space(1 << 40).chunk_size(4096),
        ),
        ("max_participants", 0, plain().max_participants(0)),
        ("max_participants", 4097, plain().max_participants(4097)),
    ];
    for (expected, number, options) in cases {
        let name = Name::new();
        let error = refused(
            options.create(&name),
            &[expected, &number.to_string(), "allowed"],
        );
        assert!(
            matches!(error, Error::InvalidOption { option, given, .. }
                if option == expected && given == number),
            "{error:?}"
        );
        assert!(files_named(&name).is_empty(), "nothing is left");
    }
    assert!(
        plain()
            .stripes(1 << 16)
            .max_participants(1)
            .create_anonymous()
            .is_ok()
    );
    assert!(plain().max_participants(4096).create_anonymous().is_ok());
}

#[test]
fn too_small() {
    let there = Options::new()
        .capacity(100)
        .value_space(10_000)
        .max_participants(4);
    let named = Named::create(&there);
    for (option, asked, found, options) in [
        ("capacity", 101, 100, Options::new().capacity(101)),
        (
            "value_space",
            10_001,
            10_000,
            Options::new().value_space(10_001),
        ),
        ("max_participants", 5, 4, Options::new().max_participants(5)),
    ] {
        let (asked_for, is) = (asked.to_string(), found.to_string());
        let error = refused(
            options.open_or_create(&named.name),
            &[
                option,
                &asked_for,
                &is,
                "create_or_replace",
                "leave",
                "unlink",
            ],
        );
        assert!(
            matches!(error, Error::TooSmall { option: told, asked: a, found: f, .. }
                if told == option && a == asked && f == found),
            "{error:?}"
        );
    }
    assert_eq!(named.stats().unwrap().participants, 1, "no slot is lost");
}
