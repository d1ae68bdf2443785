//! The header, and where the regions behind it begin.

use shmtable::{Error, Options, Table, TypedTable};
use xxhash_rust::xxh3::xxh3_64;

use crate::common::{self};
use crate::reader::DocumentReader;

#[test]
fn the_header_is_as_documented() {
    let typed = TypedTable::<str, u64>::create_anonymous(
        Options::new()
            .capacity(1000)
            .value_space(50_000)
            .chunk_size(8192)
            .stripes(8)
            .max_participants(7),
    )
    .unwrap();
    let reader = DocumentReader::of(typed.as_table());
    assert_eq!(&reader.bytes[..8], b"shmtable");
    let words = [
        ("HEADER_VERSION", 3),
        ("HEADER_FINGERPRINT", reader.document.fingerprint() as usize),
        ("HEADER_SEGMENT_BYTES", reader.bytes.len()),
        ("HEADER_CAPACITY", 1000),
        ("HEADER_VALUE_SPACE", 50_000),
        ("HEADER_STRIPES", 8),
        (
            "HEADER_MOST_BUCKETS",
            reader.header("HEADER_STRIPE_BUCKETS"),
        ),
        ("HEADER_PARTICIPANTS", 7),
        ("HEADER_CHUNK_BYTES", 8192),
        ("HEADER_CODEC", xxh3_64(b"str\0u64") as usize),
        ("HEADER_FLAGS", reader.get("FLAG_ANONYMOUS")),
        ("HEADER_TAKE_OVERS", 0),
        ("HEADER_CLEANINGS", 0),
    ];
    for (name, expected) in words {
        assert_eq!(reader.header(name), expected, "{name}");
    }
    let checked = reader.get("HEADER_CHECKSUM") * 8;
    assert_eq!(
        reader.header("HEADER_CHECKSUM") as u64,
        xxh3_64(&reader.bytes[..checked])
    );
    assert!(reader.buckets() * reader.get("BUCKET_SLOTS") >= 1000);
    let arena = reader.header("HEADER_CHUNKS") * reader.chunk_words();
    assert_eq!((reader.arena_at + arena) * 8, reader.bytes.len());
    assert_eq!(
        reader.header("HEADER_CREATED") as u64,
        typed.stats().unwrap().created
    );
    // A word that the document does not name is zero.
    let named: Vec<usize> = reader
        .document
        .values
        .iter()
        .filter(|(name, _)| name.starts_with("HEADER_") && **name != "HEADER_WORDS")
        .map(|(_, at)| *at as usize)
        .collect();
    for at in (0..reader.get("HEADER_WORDS")).filter(|at| !named.contains(at)) {
        assert_eq!(reader.word(at), 0, "word {at}");
    }
}

#[test]
fn a_segment_of_another_version_or_with_an_unknown_flag_is_refused() {
    let name = common::Name::new();
    drop(
        Options::new()
            .capacity(10)
            .value_space(1000)
            .create(&name)
            .unwrap(),
    );
    let reader = DocumentReader::of(&Table::open(&name).unwrap());
    let flags = reader.header("HEADER_FLAGS") as u64;
    let known = reader.get("FLAG_ANONYMOUS") as u64;
    assert_eq!(flags, 0);
    let (version, flags_at) = (reader.get("HEADER_VERSION"), reader.get("HEADER_FLAGS"));
    let others = [1, 2, 4].map(|other| (version, other, "the format version", 3));
    let flags =
        [known << 1, 1 << 63 | known].map(|of| (flags_at, of, "the set of features", known));
    for (at, word, what, expected) in others.into_iter().chain(flags) {
        let mut segment = common::SegmentBytes::read(&name);
        let right = segment.get(at);
        segment.set(at, word);
        common::fix_checksum(&mut segment.bytes);
        segment.write(&name);
        let damaged = Options::new().open_damaged(&name).map(drop);
        let opened = [Table::open(&name), Table::open_read_only(&name)];
        for refused in opened
            .map(|table| table.map(drop))
            .into_iter()
            .chain([damaged])
        {
            match refused {
                Err(Error::IncompatibleFormat {
                    what: told,
                    found,
                    expected: known,
                    ..
                }) => assert_eq!((told, found, known), (what, word, expected)),
                other => panic!("{other:?}"),
            }
        }
        segment.set(at, right);
        common::fix_checksum(&mut segment.bytes);
        segment.write(&name);
    }
    assert!(Table::open(&name).is_ok());
}

#[test]
fn buckets_are_aligned_and_the_words_before_them_zero() {
    let mut gaps = Vec::new();
    for (participants, stripes) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (6, 16)] {
        let table = Options::new()
            .capacity(100)
            .value_space(10_000)
            .chunk_size(4096)
            .stripes(stripes)
            .max_participants(participants)
            .create_anonymous()
            .unwrap();
        for i in 0..50 {
            table.insert(format!("{i}").as_bytes(), b"small").unwrap();
            let large = format!("{i}, whose entry has a record");
            table.insert(large.as_bytes(), b"").unwrap();
        }
        let reader = DocumentReader::of(&table);
        assert_eq!(reader.buckets_at % reader.get("BUCKET_WORDS"), 0);
        let end = reader.stripes_at + stripes * reader.get("STRIPE_WORDS");
        for at in end..reader.buckets_at {
            assert_eq!(reader.word(at), 0, "word {at}");
        }
        gaps.push(reader.buckets_at - end);
        assert_eq!(reader.all_entries().len(), 100);
    }
    assert_eq!(gaps, [0, 8, 8, 0, 8, 0]);
}
