//! Values of each type come back as they were, and in the bytes that other languages write.

use shmtable::{Error, Options, Table, TypedTable};

use crate::common::Name;
use crate::{anonymous, options, round_trips};

#[test]
fn integers_of_every_width_round_trip_at_their_limits() {
    macro_rules! limits {
        ($($integer:ident)*) => {$(
            round_trips::<$integer, _, _>(
                &[$integer::MIN, $integer::MIN + 1, $integer::MAX / 3, $integer::MAX],
                |value| *value,
            );
        )*};
    }
    limits! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 }
    round_trips::<i128, _, _>(&[-1, 0, 1], |value| *value);
}

#[test]
fn floats_keep_every_bit_of_nan_and_zero() {
    let signalling = f64::from_bits(0x7ff0_0000_0000_0001);
    let payload = f64::from_bits(0xfff8_0123_4567_89ab);
    round_trips::<f64, _, _>(
        &[
            0.0,
            -0.0,
            f64::MIN_POSITIVE,
            f64::INFINITY,
            signalling,
            payload,
        ],
        |value| value.to_bits(),
    );
    round_trips::<f32, _, _>(
        &[
            0.0,
            -0.0,
            f32::MAX,
            f32::NEG_INFINITY,
            f32::from_bits(0x7f80_0001),
        ],
        |value| value.to_bits(),
    );
}

#[test]
fn booleans_and_units_round_trip() {
    round_trips::<bool, _, _>(&[false, true], |value| *value);

    let set = anonymous::<str, ()>();
    assert_eq!(set.get("a").unwrap(), None);
    assert!(set.try_insert("a", &()).unwrap());
    assert_eq!(set.get("a").unwrap(), Some(()));
}

#[test]
fn strings_round_trip_also_the_empty_and_the_long() {
    let long = "žluťoučký kůň 🐎 ".repeat(10_000);
    let strings = anonymous::<str, str>();
    for value in ["", "\0", "ascii", "ÿ", &long] {
        strings.insert("key", value).unwrap();
        assert_eq!(strings.get("key").unwrap().as_deref(), Some(value));
    }
    round_trips::<str, _, _>(&["a", "ab", "\0", "a\0", "🐎"], str::to_owned);
}

#[test]
fn bytes_and_arrays_round_trip() {
    round_trips::<[u8], _, _>(&[&b"\0"[..], b"\0\0", b"\xff\xfe"], <[u8]>::to_vec);
    round_trips::<[u8; 1], _, _>(&[[0], [255]], |value| *value);
    round_trips::<[u8; 64], _, _>(&[[1; 64], [2; 64]], |value| *value);
    // Longer than what is read on the stack.
    round_trips::<[u8; 65], _, _>(&[[1; 65], [2; 65]], |value| *value);
}

#[test]
fn one_handle_reads_what_another_writes() {
    let name = Name::new();
    let writer = TypedTable::<str, u64>::create(options(), &name).unwrap();
    let reader = TypedTable::<str, u64>::open_read_only(Options::new(), &name).unwrap();
    let other = TypedTable::<str, u64>::open(Options::new(), &name).unwrap();
    writer.insert("a", &1).unwrap();
    other.insert("b", &2).unwrap();
    assert_eq!(reader.get_many(["a", "b"]).unwrap(), [Some(1), Some(2)]);
    assert!(matches!(reader.insert("c", &3), Err(Error::ReadOnly)));
}

#[test]
fn the_bytes_are_little_endian() {
    let numbers = anonymous::<u32, i16>();
    numbers.insert(&0x0102_0304, &-2).unwrap();
    let bytes = numbers.as_table();
    assert_eq!(
        bytes.get(&[4, 3, 2, 1]).unwrap().as_deref(),
        Some(&[0xfe, 0xff][..])
    );

    let floats = anonymous::<bool, f64>();
    floats.insert(&true, &1.0).unwrap();
    assert_eq!(
        floats.as_table().get(&[1]).unwrap().as_deref(),
        Some(&[0, 0, 0, 0, 0, 0, 0xf0, 0x3f][..])
    );
}

#[test]
fn a_plain_handle_opened_by_name_sees_the_bytes() {
    let name = Name::new();
    let numbers = TypedTable::<str, u64>::create(options(), &name).unwrap();
    numbers.insert("a", &258).unwrap();
    let bytes = Table::open(&name).unwrap();
    assert_eq!(
        bytes.get(b"a").unwrap().as_deref(),
        Some(&[2, 1, 0, 0, 0, 0, 0, 0][..])
    );
    assert_eq!(bytes.codec_id(), TypedTable::<str, u64>::codec_id());
}
