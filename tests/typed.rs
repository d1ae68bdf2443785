//! Does a typed view give back what was put in, and refuse what it should?

mod common;

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::time::Duration;

use common::Name;
use shmtable::{BoxedError, Codec, Error, Options, Result, Table, TypedTable, codec_id};

const SOON: Duration = Duration::from_secs(10);

fn anonymous<K: Codec + ?Sized, V: Codec + ?Sized>() -> TypedTable<K, V> {
    TypedTable::create_anonymous(options()).expect("room for a small table")
}

fn options() -> Options {
    Options::new().capacity(1000).value_space(1 << 20)
}

/// Sends `values` through a table, as values and as keys, and holds `image` of
/// what comes back against `image` of what went in.
#[track_caller]
fn round_trips<C, T, I>(values: &[T], image: impl Fn(&C::Item) -> I)
where
    C: Codec + ?Sized,
    T: std::borrow::Borrow<C::Item>,
    I: PartialEq + Debug,
{
    use std::borrow::Borrow;

    let by_number = anonymous::<u32, C>();
    let by_value = anonymous::<C, u32>();
    for (number, value) in (0_u32..).zip(values) {
        let value = value.borrow();
        assert!(by_number.insert(&number, value).unwrap());
        assert!(by_value.insert(value, &number).unwrap());
        assert_eq!(by_value.get(value).unwrap(), Some(number));

        let got = by_number.get(&number).unwrap().expect("just inserted");
        assert_eq!(image(got.borrow()), image(value));
        let got = by_number.get_many([&number]).unwrap().remove(0);
        assert_eq!(image(got.expect("still there").borrow()), image(value));
        let got = by_number.take(&number).unwrap().expect("still there");
        assert_eq!(image(got.borrow()), image(value));
    }
    assert_eq!(by_value.len(), values.len());
    for key in by_value.keys() {
        let key = key.unwrap();
        let number = by_value.get(key.borrow()).unwrap().expect("a key is there");
        assert_eq!(image(key.borrow()), image(values[number as usize].borrow()));
    }
}

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

#[test]
fn what_one_handle_writes_another_reads() {
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

#[track_caller]
fn assert_codec_error<T: Debug>(outcome: Result<T>, said: &str) {
    match outcome {
        Err(Error::Codec {
            action,
            codec,
            source,
            ..
        }) => {
            let text = format!("cannot {action} a {codec}: {source}");
            assert!(text.contains(said), "{text:?} does not say {said:?}");
        }
        other => panic!("not a codec error: {other:?}"),
    }
}

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
fn insert_says_whether_the_key_was_new_and_try_insert_keeps_the_old() {
    let numbers = anonymous::<str, u64>();
    assert!(numbers.insert("a", &1).unwrap());
    assert!(!numbers.insert("a", &2).unwrap());
    assert!(!numbers.try_insert("a", &3).unwrap());
    assert!(numbers.try_insert("b", &4).unwrap());
    assert_eq!(numbers.get_many(["a", "b"]).unwrap(), [Some(2), Some(4)]);
}

#[test]
fn remove_take_and_replace_answer_what_was_there() {
    let strings = anonymous::<u8, str>();
    assert_eq!(strings.replace(&1, "one").unwrap(), None);
    assert_eq!(strings.replace(&1, "uno").unwrap().as_deref(), Some("one"));
    assert_eq!(strings.take(&1).unwrap().as_deref(), Some("uno"));
    assert_eq!(strings.take(&1).unwrap(), None);
    strings.insert(&2, "two").unwrap();
    assert!(strings.contains_key(&2).unwrap());
    assert!(strings.remove(&2).unwrap());
    assert!(!strings.remove(&2).unwrap());
    assert!(!strings.contains_key(&2).unwrap());
}

#[test]
fn update_inserts_changes_and_removes() {
    let strings = anonymous::<str, str>();
    let append = |more: &str| {
        strings
            .update("a", |old| Some(old.unwrap_or_default() + more))
            .unwrap()
    };
    assert_eq!(append("x").as_deref(), Some("x"));
    assert_eq!(append("yz").as_deref(), Some("xyz"));
    assert_eq!(strings.get("a").unwrap().as_deref(), Some("xyz"));
    assert_eq!(strings.update("a", |_| None).unwrap(), None);
    assert_eq!(strings.get("a").unwrap(), None);
    assert_eq!(strings.update("a", |_| None).unwrap(), None);
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
fn what_cannot_be_encoded_changes_nothing() {
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
fn compare_exchange_compares_encodings() {
    let floats = anonymous::<str, f64>();
    let nan = f64::NAN;
    assert_eq!(
        floats.compare_exchange("a", None, Some(&nan)).unwrap(),
        Ok(())
    );
    assert_eq!(
        floats
            .compare_exchange("a", Some(&nan), Some(&0.0))
            .unwrap(),
        Ok(())
    );
    assert_eq!(
        floats.compare_exchange("a", Some(&-0.0), None).unwrap(),
        Err(Some(0.0))
    );
    assert_eq!(
        floats.compare_exchange("a", Some(&0.0), None).unwrap(),
        Ok(())
    );
    assert_eq!(
        floats.compare_exchange("a", Some(&0.0), None).unwrap(),
        Err(None)
    );
}

#[test]
fn fetch_add_counts_in_the_bytes_of_i64() {
    let counters = anonymous::<str, i64>();
    assert_eq!(counters.fetch_add("a", 5).unwrap(), 0);
    assert_eq!(counters.fetch_add("a", -8).unwrap(), 5);
    assert_eq!(counters.get("a").unwrap(), Some(-3));
    counters.insert("a", &i64::MAX).unwrap();
    assert!(matches!(
        counters.fetch_add("a", 1),
        Err(Error::CounterOverflow { value, add: 1, number: "i64", .. })
            if value == i64::MAX.into()
    ));
    assert_eq!(counters.get("a").unwrap(), Some(i64::MAX));
    counters.as_table().insert(b"a", b"ten").unwrap();
    assert!(matches!(
        counters.fetch_add("a", 1),
        Err(Error::NotACounter { length: 3, .. })
    ));
}

#[test]
fn threads_lose_no_step_of_update_and_fetch_add() {
    let (texts, counters) = (anonymous::<str, str>(), anonymous::<u8, i64>());
    common::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    texts
                        .update("a", |old| Some(old.unwrap_or_default() + "x"))
                        .unwrap();
                    counters.fetch_add(&0, 1).unwrap();
                }
            });
        }
    });
    assert_eq!(texts.get("a").unwrap(), Some("x".repeat(1000)));
    assert_eq!(counters.get(&0).unwrap(), Some(1000));
}

#[test]
fn many_go_in_and_come_out() {
    let squares = anonymous::<u32, u64>();
    let expected: HashMap<u32, u64> = (0..500).map(|n| (n, u64::from(n) * u64::from(n))).collect();
    assert_eq!(squares.insert_many(&expected).unwrap(), 500);
    assert_eq!(squares.insert_many(&expected).unwrap(), 0);

    let keys = [3, 1000, 499];
    assert_eq!(
        squares.get_many(&keys).unwrap(),
        [Some(9), None, Some(499 * 499)]
    );
    assert_eq!(squares.snapshot().unwrap().into_map().unwrap(), expected);
    let entries: HashMap<u32, u64> = squares.iter().collect::<Result<_>>().unwrap();
    assert_eq!(entries, expected);
    let keys: HashSet<u32> = squares.keys().collect::<Result<_>>().unwrap();
    assert_eq!(keys.len(), 500);
    assert_eq!(
        squares.values().sum::<Result<u64>>().unwrap(),
        expected.values().sum::<u64>()
    );
    let mut visited = HashMap::new();
    squares
        .for_each(|key, value| assert_eq!(visited.insert(key, value), None))
        .unwrap();
    assert_eq!(visited, expected);
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
fn retain_keeps_what_it_is_told_to() {
    let numbers = anonymous::<u32, u64>();
    for n in 0..100 {
        numbers.insert(&n, &u64::from(n)).unwrap();
    }
    assert_eq!(
        numbers
            .retain(|key, value| key < 50 && value % 2 == 0)
            .unwrap(),
        75
    );
    assert_eq!(numbers.len(), 25);
    assert_eq!(
        numbers.get_many(&[2, 3, 60]).unwrap(),
        [Some(2), None, None]
    );
    assert_eq!(numbers.stats().unwrap().entries, 25);
    numbers.clear().unwrap();
    assert!(numbers.is_empty());
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

#[test]
fn waiting_gives_back_values() {
    let numbers = anonymous::<str, u64>();
    common::scope(|scope| {
        let waiter = scope.spawn(|| numbers.wait("a", SOON));
        numbers.insert("a", &1).unwrap();
        assert_eq!(waiter.join().unwrap().unwrap(), Some(1));

        let waiter = scope.spawn(|| numbers.wait_change("a", Some(&1), SOON));
        numbers.remove("a").unwrap();
        assert_eq!(waiter.join().unwrap().unwrap(), Some(None));
    });
    assert_eq!(numbers.wait("b", Duration::from_millis(1)).unwrap(), None);
    assert_eq!(
        numbers
            .wait_change("b", None, Duration::from_millis(1))
            .unwrap(),
        None
    );
}

#[test]
fn a_view_can_be_shared_and_says_what_it_is() {
    fn shared<T: Send + Sync + Clone + 'static>(value: T) -> T {
        value
    }
    struct NotSend(std::marker::PhantomData<*const u8>);
    impl Codec for NotSend {
        const NAME: &'static str = "test.not-send";
        type Item = ();
        type Owned = ();
        type Encoded<'a> = [u8; 0];
        fn encode((): &()) -> std::result::Result<[u8; 0], BoxedError> {
            Ok([])
        }
        fn decode(_: &[u8]) -> std::result::Result<(), BoxedError> {
            Ok(())
        }
    }
    let view = shared(anonymous::<str, NotSend>());
    view.clone().insert("a", &()).unwrap();
    assert_eq!(view.get("a").unwrap(), Some(()));
    let text = format!("{view:?}");
    assert!(
        text.contains("str") && text.contains("test.not-send"),
        "{text}"
    );
    assert!(text.contains(view.as_table().name()), "{text}");
}

#[cfg(feature = "serde")]
mod message_pack {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};
    use shmtable::{MessagePack, codec_id};

    use super::{
        Codec, Error, Name, Options, Table, TypedTable, anonymous, assert_codec_error, round_trips,
    };

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Job {
        name: String,
        sizes: Vec<u64>,
        parent: Option<Box<Job>>,
        state: State,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum State {
        Waiting,
        Done { seconds: f64 },
        Failed(String, i32),
    }

    fn job() -> Job {
        Job {
            name: "sweep".into(),
            sizes: vec![0, u64::MAX],
            parent: Some(Box::new(Job {
                name: String::new(),
                sizes: vec![],
                parent: None,
                state: State::Failed("no disk".into(), -1),
            })),
            state: State::Done { seconds: 0.5 },
        }
    }

    #[test]
    fn structs_and_enums_round_trip() {
        let waiting = Job {
            state: State::Waiting,
            parent: None,
            ..job()
        };
        round_trips::<MessagePack<Job>, _, _>(&[job(), waiting], Job::clone);
    }

    #[test]
    fn std_types_round_trip_at_their_limits() {
        round_trips::<MessagePack<i64>, _, _>(&[i64::MIN, -1, 0, i64::MAX], |n| *n);
        round_trips::<MessagePack<i128>, _, _>(&[i128::MIN, i128::MAX], |n| *n);
        round_trips::<MessagePack<String>, _, _>(&[String::new(), "🐎".into()], String::clone);
        round_trips::<MessagePack<Option<u8>>, _, _>(&[None, Some(1)], |n| *n);
        round_trips::<MessagePack<()>, _, _>(&[()], |()| ());
        round_trips::<MessagePack<(bool, char)>, _, _>(&[(true, 'ů')], |pair| *pair);
        round_trips::<MessagePack<BTreeMap<String, f32>>, _, _>(
            &[BTreeMap::new(), BTreeMap::from([("a".into(), -0.5)])],
            BTreeMap::clone,
        );
    }

    #[test]
    fn fields_have_names() {
        #[derive(Serialize, Deserialize)]
        struct Point {
            x: u8,
            y: u8,
        }
        let points = anonymous::<str, MessagePack<Point>>();
        points.insert("a", &Point { x: 1, y: 2 }).unwrap();
        // A map of two, "x" to 1 and "y" to 2.
        assert_eq!(
            points.as_table().get(b"a").unwrap().as_deref(),
            Some(&b"\x82\xa1x\x01\xa1y\x02"[..])
        );
    }

    #[test]
    fn one_name_stands_for_all_types() {
        assert_eq!(MessagePack::<Job>::NAME, MessagePack::<u8>::NAME);
        // Python's xxhash: xxh3_64_intdigest(b"u32\0messagepack").
        assert_eq!(
            TypedTable::<u32, MessagePack<Job>>::codec_id(),
            0xb67b_ed82_6100_1a9b
        );
    }

    type Scores = TypedTable<MessagePack<String>, MessagePack<i64>>;

    /// A table as Python's `SharedDict` creates it by default.
    fn of_python() -> (Table, Name) {
        let name = Name::new();
        let codec = codec_id("messagepack", "messagepack+pickle");
        let table = super::options().codec(codec).create(&name).unwrap();
        (table, name)
    }

    #[test]
    fn a_table_that_may_hold_pickles_is_opened_read_and_written() {
        let (python, name) = of_python();
        // {'a': 1, 'b': -300}
        python.insert(b"\xa1a", b"\x01").unwrap();
        python.insert(b"\xa1b", b"\xd1\xfe\xd4").unwrap();
        let scores = Scores::open(Options::new(), &name).unwrap();
        assert_eq!(scores.get(&"a".into()).unwrap(), Some(1));
        assert_eq!(scores.get(&"b".into()).unwrap(), Some(-300));
        scores.insert(&"c".into(), &7).unwrap();
        assert_eq!(python.get(b"\xa1c").unwrap().as_deref(), Some(&b"\x07"[..]));
        scores
            .update(&"a".into(), |score| score.map(|score| score + 1))
            .unwrap();
        assert_eq!(python.get(b"\xa1a").unwrap().as_deref(), Some(&b"\x02"[..]));
        // By every way to a view, and none of them changes what the segment says.
        let reader = Scores::open_read_only(Options::new(), &name).unwrap();
        assert_eq!(reader.get(&"b".into()).unwrap(), Some(-300));
        assert!(Scores::open_or_create(super::options(), &name).is_ok());
        assert!(Scores::from_table(python.clone()).is_ok());
        assert_eq!(
            scores.as_table().codec_id(),
            codec_id("messagepack", "messagepack+pickle")
        );
        // What this view creates is its own.
        assert_eq!(
            Scores::create_anonymous(super::options())
                .unwrap()
                .as_table()
                .codec_id(),
            codec_id("messagepack", "messagepack")
        );
    }

    #[test]
    fn a_pickle_is_an_error_and_stays() {
        let (python, name) = of_python();
        let scores = Scores::open(Options::new(), &name).unwrap();
        // Extension type 80, in each of its lengths.
        for pickle in [
            &b"\xd4\x50N"[..],
            b"\xd5\x50N.",
            b"\xd8\x50\x80\x05K\x01.............",
            b"\xc7\x05\x50\x80\x05K\x01.",
            b"\xc8\x00\x05\x50\x80\x05K\x01.",
            b"\xc9\x00\x00\x00\x05\x50\x80\x05K\x01.",
        ] {
            python.insert(b"\xa1a", pickle).unwrap();
            assert_codec_error(scores.get(&"a".into()), "decode a messagepack");
            assert_codec_error(scores.update(&"a".into(), |_| None), "decode a messagepack");
            let told = scores.as_table().get(b"\xa1a").unwrap();
            assert_eq!(told.as_deref(), Some(pickle));
        }
        // It is in nobody's way.
        scores.insert(&"b".into(), &1).unwrap();
        assert_eq!(scores.get(&"b".into()).unwrap(), Some(1));
        assert!(!scores.insert(&"a".into(), &2).unwrap());
        assert_eq!(scores.get(&"a".into()).unwrap(), Some(2));
    }

    #[test]
    fn only_messagepack_reads_what_may_hold_pickles() {
        let (python, name) = of_python();
        let found_id = codec_id("messagepack", "messagepack+pickle");
        let refused = TypedTable::<str, u64>::open(Options::new(), &name).map(drop);
        assert!(
            matches!(refused, Err(Error::CodecMismatch { found, expected, .. })
                if found == found_id && expected == codec_id("str", "u64")),
            "{refused:?}"
        );
        for refused in [
            TypedTable::<MessagePack<String>, str>::from_table(python.clone()).map(drop),
            TypedTable::<str, MessagePack<i64>>::from_table(python.clone()).map(drop),
            TypedTable::<[u8], [u8]>::from_table(python.clone()).map(drop),
        ] {
            assert!(
                matches!(refused, Err(Error::CodecMismatch { found, .. }) if found == found_id),
                "{refused:?}"
            );
        }
        // Nor does an id that was asked for stand for others.
        let plain = codec_id("messagepack", "messagepack");
        let refused = Options::new().codec(plain).open(&name).map(drop);
        assert!(
            matches!(refused, Err(Error::CodecMismatch { found, expected, .. })
                if found == found_id && expected == plain),
            "{refused:?}"
        );
        assert!(Options::new().codec(found_id).open(&name).is_ok());
        assert!(Options::new().open(&name).is_ok(), "by its bytes, anybody");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let jobs = anonymous::<str, MessagePack<Job>>();
        let bytes = jobs.as_table();
        jobs.insert("a", &job()).unwrap();
        let good = bytes.get(b"a").unwrap().expect("just inserted");

        for end in 0..good.len() {
            bytes.insert(b"a", &good[..end]).unwrap();
            assert_codec_error(jobs.get("a"), "decode a messagepack");
        }
        for extra in [&b"\0"[..], b"\xc1", b"\xd9", &good] {
            bytes.insert(b"a", &[&good, extra].concat()).unwrap();
            assert_codec_error(jobs.get("a"), "bytes left over at its end");
        }
        bytes.insert(b"a", b"\x07").unwrap();
        assert_codec_error(jobs.get("a"), "decode a messagepack");
        bytes.insert(b"a", &good).unwrap();
        assert_eq!(jobs.get("a").unwrap(), Some(job()));
    }

    #[test]
    fn nesting_without_end_is_an_error() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Arrays(Vec<Arrays>);

        #[derive(Debug, Serialize, Deserialize)]
        enum Maps {
            End,
            More(Box<Maps>),
        }

        let arrays = anonymous::<str, MessagePack<Arrays>>();
        arrays
            .as_table()
            .insert(b"a", &vec![0x91; 100_000])
            .unwrap();
        assert_codec_error(arrays.get("a"), "nested too deeply");

        let maps = anonymous::<str, MessagePack<Maps>>();
        let value = [&b"\x81\xa4More".repeat(10_000)[..], b"\xa3End"].concat();
        maps.as_table().insert(b"a", &value).unwrap();
        assert_codec_error(maps.get("a"), "nested too deeply");

        let deep = |depth| (0..depth).fold(Maps::End, |inner, _| Maps::More(Box::new(inner)));
        assert_codec_error(maps.insert("b", &deep(129)), "nested too deeply");
        maps.insert("b", &deep(128)).unwrap();
        let mut found = maps.get("b").unwrap().expect("just inserted");
        for _ in 0..128 {
            let Maps::More(inner) = found else {
                panic!("too short");
            };
            found = *inner;
        }
        assert!(matches!(found, Maps::End));
    }

    #[test]
    fn some_of_nothing_comes_back_as_none() {
        // A limit of the format, told in the documentation.
        let options = anonymous::<str, MessagePack<Option<Option<u8>>>>();
        options.insert("a", &Some(None)).unwrap();
        assert_eq!(options.get("a").unwrap(), Some(None));
    }

    #[test]
    fn an_update_that_fails_leaves_the_entry() {
        let jobs = anonymous::<str, MessagePack<Job>>();
        jobs.as_table().insert(b"a", b"\x07").unwrap();
        assert_codec_error(jobs.update("a", |_| None), "decode a messagepack");
        assert_eq!(
            jobs.as_table().get(b"a").unwrap().as_deref(),
            Some(&b"\x07"[..])
        );
    }
}
