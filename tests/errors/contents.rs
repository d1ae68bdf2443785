//! Errors of values that are not of the type asked for.

use shmtable::{Error, Options, TypedTable};

use crate::common::{Name, Named};
use crate::{all, refused};

#[test]
fn codec_mismatch() {
    let name = Name::new();
    let counts = TypedTable::<str, u64>::create(Options::new().capacity(10), &name).unwrap();
    counts.insert("k", &1).unwrap();
    let expected_id = TypedTable::<str, i64>::create_anonymous(Options::new().capacity(10))
        .unwrap()
        .as_table()
        .codec_id();
    let error = refused(
        TypedTable::<str, i64>::open(Options::new(), &name).map(drop),
        &[
            "holds (str, u64)",
            "is (str, i64)",
            "types it was created with",
        ],
    );
    assert!(
        matches!(error, Error::CodecMismatch { found, expected, .. }
            if found == counts.as_table().codec_id() && expected == expected_id),
        "{error:?}"
    );
    assert_ne!(expected_id, counts.as_table().codec_id());
    // A table of plain bytes is none of strings.
    let plain = Named::create(&Options::new().capacity(10));
    let error = TypedTable::<str, u64>::open(Options::new(), &plain.name)
        .map(drop)
        .unwrap_err();
    assert!(
        matches!(error, Error::CodecMismatch { found: 0, .. }),
        "{error:?}"
    );
    // A refused handle takes no participant slot.
    assert_eq!(counts.as_table().stats().unwrap().participants, 1);
    assert_eq!(counts.get("k").unwrap(), Some(1));
}

#[test]
fn codec() {
    let table = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10)).unwrap();
    table.as_table().insert(b"k", b"short").unwrap();
    let error = refused(table.get("k"), &["decode", "u64", "the key \"k\""]);
    assert!(
        matches!(&error, Error::Codec { action: "decode", codec: "u64", key: Some(key), source, .. }
            if **key == *b"k" && source.to_string().contains('5')),
        "{error:?}"
    );
    assert_eq!(
        table.as_table().get(b"k").unwrap().as_deref(),
        Some(&b"short"[..])
    );
}

#[test]
fn not_a_counter_and_overflow() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    table.insert(b"text", b"hello").unwrap();
    table.insert(b"n", &i64::MAX.to_le_bytes()).unwrap();
    let before = all(&table);
    let error = refused(
        table.fetch_add(b"text", 1),
        &["5 bytes", "has 8", "remove it"],
    );
    assert!(matches!(error, Error::NotACounter { length: 5, .. }));
    let error = refused(
        table.fetch_add(b"n", 7),
        &[&i64::MAX.to_string(), "7", "unchanged"],
    );
    assert!(matches!(
        error,
        Error::CounterOverflow { value, add: 7, number: "i64", .. } if value == i64::MAX.into()
    ));
    assert_eq!(all(&table), before);
}
