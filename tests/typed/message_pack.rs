//! Values of any serde type, by the codec `MessagePack`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shmtable::{Codec, Error, MessagePack, Options, Table, TypedTable, codec_id};

use crate::common::Name;
use crate::{anonymous, assert_codec_error, options, round_trips};

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
    let table = options().codec(codec).create(&name).unwrap();
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
    assert!(Scores::open_or_create(options(), &name).is_ok());
    assert!(Scores::from_table(python.clone()).is_ok());
    assert_eq!(
        scores.as_table().codec_id(),
        codec_id("messagepack", "messagepack+pickle")
    );
    // What this view creates is its own.
    assert_eq!(
        Scores::create_anonymous(options())
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
    // Other entries are not affected.
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
    assert!(Options::new().open(&name).is_ok(), "as plain bytes, always");
}

#[test]
fn bytes_that_do_not_fit_the_type_are_an_error() {
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
