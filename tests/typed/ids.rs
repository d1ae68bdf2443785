//! A table tells its types by an id, and is not opened with others.

use std::collections::HashSet;
use std::fmt::Debug;

use shmtable::{Codec, Error, Options, Result, TypedTable, codec_id};

use crate::common::Name;
use crate::{anonymous, options};

#[test]
fn names_are_those_other_languages_write() {
    assert_eq!(<[u8]>::NAME, "bytes");
    assert_eq!(<[u8; 0]>::NAME, "bytes[0]");
    assert_eq!(<[u8; 9]>::NAME, "bytes[9]");
    assert_eq!(<[u8; 10]>::NAME, "bytes[10]");
    assert_eq!(<[u8; 1_234_567]>::NAME, "bytes[1234567]");
    assert_eq!(str::NAME, "str");
    assert_eq!(u128::NAME, "u128");
    assert_eq!(f32::NAME, "f32");
}

#[test]
fn codec_ids_are_those_another_xxh3_computes() {
    // Python's xxhash: xxh3_64_intdigest(b"str\0u64"), and so on.
    assert_eq!(TypedTable::<str, u64>::codec_id(), 0x7413_3715_bf26_d3d4);
    assert_eq!(
        TypedTable::<[u8; 32], f64>::codec_id(),
        0xc37d_a661_e95e_e31e
    );
    assert_eq!(TypedTable::<[u8], [u8]>::codec_id(), 0);
}

#[test]
fn an_id_is_that_of_two_names() {
    // Python's xxhash, as above.
    for (key, value, id) in [
        ("messagepack", "messagepack+pickle", 0xc8d4_5403_5cc2_028c),
        ("messagepack", "messagepack", 0x172d_d4d1_7166_10e9),
        ("messagepack", "json", 0xb8c7_a3d2_2692_45bd),
        ("bytes", "bytes", 0),
    ] {
        assert_eq!(codec_id(key, value), id, "{key}, {value}");
        let table = options().codec(id).create_anonymous().unwrap();
        assert_eq!(table.codec_id(), id);
    }
    assert_eq!(
        codec_id(str::NAME, u64::NAME),
        TypedTable::<str, u64>::codec_id()
    );
    assert_ne!(codec_id("a", "b"), codec_id("b", "a"));
    assert_ne!(codec_id("bytes", "b"), 0);
    // Without an id, a table is one of plain bytes.
    assert_eq!(options().create_anonymous().unwrap().codec_id(), 0);
}

#[test]
fn codec_ids_tell_keys_from_values() {
    let ids = HashSet::from([
        TypedTable::<str, u64>::codec_id(),
        TypedTable::<u64, str>::codec_id(),
        TypedTable::<u64, u64>::codec_id(),
        TypedTable::<[u8], u64>::codec_id(),
        TypedTable::<u64, [u8]>::codec_id(),
        TypedTable::<[u8; 1], u64>::codec_id(),
    ]);
    assert_eq!(ids.len(), 6);
    // That is the id of plain bytes.
    assert!(!ids.contains(&0));
}

#[test]
fn other_types_are_refused_whichever_came_first() {
    #[track_caller]
    fn refused<T: Debug>(outcome: Result<T>, found_id: u64, expected_id: u64) {
        match outcome {
            Err(Error::CodecMismatch {
                found, expected, ..
            }) => {
                assert_eq!((found, expected), (found_id, expected_id));
            }
            other => panic!("not a mismatch: {other:?}"),
        }
    }
    type Unsigned = TypedTable<str, u64>;
    type Signed = TypedTable<str, i64>;
    let (unsigned, signed) = (Unsigned::codec_id(), Signed::codec_id());

    let name = Name::new();
    Unsigned::create(options(), &name).unwrap();
    refused(Signed::open(Options::new(), &name), unsigned, signed);
    refused(
        Signed::open_read_only(Options::new(), &name),
        unsigned,
        signed,
    );
    refused(Signed::open_or_create(options(), &name), unsigned, signed);
    assert!(Unsigned::open(Options::new(), &name).is_ok());

    let name = Name::new();
    Signed::create(options(), &name).unwrap();
    refused(Unsigned::open(Options::new(), &name), signed, unsigned);
    assert!(Signed::open_or_create(options(), &name).is_ok());
}

#[test]
fn a_table_of_plain_bytes_is_no_table_of_numbers_and_the_reverse() {
    let name = Name::new();
    let plain = options().create(&name).unwrap();
    assert!(matches!(
        TypedTable::<str, u64>::open(Options::new(), &name),
        Err(Error::CodecMismatch { found: 0, .. })
    ));
    assert!(TypedTable::<[u8], [u8]>::open(Options::new(), &name).is_ok());
    assert!(matches!(
        TypedTable::<str, u64>::from_table(plain),
        Err(Error::CodecMismatch { found: 0, .. })
    ));

    let numbers = anonymous::<str, u64>();
    assert!(matches!(
        TypedTable::<[u8], [u8]>::from_table(numbers.clone().into_table()),
        Err(Error::CodecMismatch { expected: 0, .. })
    ));
    assert!(TypedTable::<str, u64>::from_table(numbers.into_table()).is_ok());
}
