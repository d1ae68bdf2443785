//! Entries that cannot be encoded or decoded.

use std::collections::HashMap;

use shmtable::{BoxedError, Codec};

use crate::{SOON, anonymous, assert_codec_error};

#[test]
fn a_value_of_the_wrong_length_is_an_error_on_every_path() {
    let numbers = anonymous::<str, u32>();
    for wrong in [&b""[..], b"123", b"12345", &[7; 1000]] {
        let store = || numbers.as_table().insert(b"a", wrong).unwrap();
        let said = format!("a u32: the encoding has {} bytes instead of 4", wrong.len());
        store();
        assert_codec_error(numbers.get("a"), &said);
        assert_codec_error(numbers.get_many(["a"]), &said);
        assert_codec_error(numbers.wait("a", SOON), &said);
        assert_codec_error(numbers.wait_change("a", Some(&1), SOON), &said);
        assert_codec_error(numbers.compare_exchange("a", Some(&1), None), &said);
        assert_codec_error(numbers.iter().next().expect("one entry"), &said);
        assert_codec_error(numbers.values().next().expect("one entry"), &said);
        assert_codec_error(numbers.for_each(|_, _| ()), &said);
        assert_codec_error(numbers.snapshot().unwrap().into_map(), &said);
        assert_codec_error(numbers.snapshot().unwrap().get("a"), &said);
        assert_eq!(
            numbers.as_table().get(b"a").unwrap().as_deref(),
            Some(wrong)
        );
        assert_codec_error(numbers.replace("a", &1), &said);
        assert_eq!(numbers.get("a").unwrap(), Some(1));
        store();
        assert_codec_error(numbers.take("a"), &said);
        assert!(!numbers.contains_key("a").unwrap());
    }
}

#[test]
fn a_key_of_the_wrong_length_is_an_error() {
    let numbers = anonymous::<u32, str>();
    numbers.as_table().insert(b"12345", b"v").unwrap();
    let said = "decode a u32";
    assert_codec_error(numbers.keys().next().expect("one entry"), said);
    assert_codec_error(numbers.retain(|_, _| false), said);
    assert_eq!(numbers.values().next().expect("one entry").unwrap(), "v");
    assert_eq!(numbers.len(), 1);
}

#[test]
fn invalid_utf_8_is_an_error() {
    let strings = anonymous::<str, str>();
    strings.as_table().insert(b"a", b"ok\xff").unwrap();
    assert_codec_error(strings.get("a"), "decode a str: invalid utf-8");
    assert_codec_error(strings.for_each(|_, _| ()), "decode a str: invalid utf-8");
}

#[test]
fn a_boolean_is_0_or_1() {
    let flags = anonymous::<str, bool>();
    flags.as_table().insert(b"a", &[2]).unwrap();
    assert_codec_error(flags.get("a"), "decode a bool: 2 is neither 0 nor 1");
}

#[test]
fn an_update_that_cannot_decode_leaves_the_entry() {
    let numbers = anonymous::<str, u64>();
    numbers.as_table().insert(b"a", b"seven").unwrap();
    let outcome = numbers.update("a", |_| panic!("called with nothing to give"));
    assert_codec_error(outcome, "decode a u64");
    assert_eq!(
        numbers.as_table().get(b"a").unwrap().as_deref(),
        Some(&b"seven"[..])
    );
}

/// Numbers up to 100, in one byte; some cannot be written.
struct Percent;

impl Codec for Percent {
    const NAME: &'static str = "test.percent";
    const LENGTH: Option<usize> = Some(1);
    type Item = u32;
    type Owned = u32;
    type Encoded<'a> = Vec<u8>;

    fn encode(item: &u32) -> std::result::Result<Vec<u8>, BoxedError> {
        match item {
            0..=100 => Ok(vec![u8::try_from(*item)?]),
            // A codec that does not keep its word.
            101 => Ok(vec![1, 0, 1]),
            _ => Err(format!("{item} is more than 100").into()),
        }
    }

    fn decode(bytes: &[u8]) -> std::result::Result<u32, BoxedError> {
        Ok(u32::from(bytes[0]))
    }
}

#[test]
fn an_update_that_cannot_encode_leaves_the_entry() {
    let shares = anonymous::<str, Percent>();
    shares.insert("a", &90).unwrap();
    let outcome = shares.update("a", |old| old.map(|old| old + 20));
    assert_codec_error(
        outcome,
        "cannot encode a test.percent: 110 is more than 100",
    );
    assert_eq!(shares.get("a").unwrap(), Some(90));
    assert_codec_error(shares.update("new", |_| Some(110)), "more than 100");
    assert!(!shares.contains_key("new").unwrap());
}

#[test]
fn a_value_that_cannot_be_encoded_changes_nothing() {
    let shares = anonymous::<Percent, Percent>();
    shares.insert(&1, &1).unwrap();
    let said = "cannot encode a test.percent: 200 is more than 100";
    assert_codec_error(shares.insert(&1, &200), said);
    assert_codec_error(shares.insert(&200, &1), said);
    assert_codec_error(shares.try_insert(&2, &200), said);
    assert_codec_error(shares.replace(&1, &200), said);
    assert_codec_error(shares.compare_exchange(&1, Some(&1), Some(&200)), said);
    assert_codec_error(shares.compare_exchange(&1, Some(&200), None), said);
    assert_codec_error(shares.get(&200), said);
    assert_codec_error(shares.remove(&200), said);
    assert_codec_error(shares.get_many([&1, &200]), said);
    assert_codec_error(shares.wait(&200, SOON), said);
    assert_eq!(
        shares.snapshot().unwrap().into_map().unwrap(),
        HashMap::from([(1, 1)])
    );
}

#[test]
fn a_codec_that_breaks_its_own_length_is_refused() {
    let shares = anonymous::<u8, Percent>();
    let outcome = shares.insert(&1, &101);
    assert_codec_error(
        outcome,
        "cannot encode a test.percent: the encoding has 3 bytes",
    );
    shares.as_table().insert(&[1], &[]).unwrap();
    assert_codec_error(shares.get(&1), "the encoding has 0 bytes instead of 1");
    assert_codec_error(shares.take(&1), "the encoding has 0 bytes instead of 1");
}

#[test]
fn insert_many_stops_at_what_cannot_be_encoded() {
    let shares = anonymous::<u8, Percent>();
    let outcome = shares.insert_many([(&1, &10), (&2, &110), (&3, &30)]);
    assert_codec_error(outcome, "110 is more than 100");
    assert!(!shares.contains_key(&2).unwrap());
    assert!(!shares.contains_key(&3).unwrap());
}

#[test]
fn retain_keeps_what_it_cannot_decode() {
    let numbers = anonymous::<str, u64>();
    numbers.as_table().insert(b"a", b"seven").unwrap();
    assert_codec_error(numbers.retain(|_, _| false), "decode a u64");
    assert_eq!(
        numbers.as_table().get(b"a").unwrap().as_deref(),
        Some(&b"seven"[..])
    );
}

#[test]
fn for_each_and_retain_end_at_what_they_cannot_decode() {
    let numbers = anonymous::<u32, u64>();
    for n in 0..50 {
        numbers.insert(&n, &1).unwrap();
        let key = (n + 50).to_le_bytes();
        numbers.as_table().insert(&key, b"seven").unwrap();
    }
    // In whatever order: one of the fifty stands before the last of the others.
    let mut visited = 0;
    assert_codec_error(numbers.for_each(|_, _| visited += 1), "decode a u64");
    assert!(visited < 50, "visited {visited}");

    let mut removed = 0;
    let remove = |_, _| {
        removed += 1;
        false
    };
    assert_codec_error(numbers.retain(remove), "decode a u64");
    assert!(removed < 50, "removed {removed}");
    assert_eq!(numbers.len(), 100 - removed);
}
