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
        ("HEADER_VERSION", 2),
        ("HEADER_FINGERPRINT", reader.document.fingerprint() as usize),
        ("HEADER_SEGMENT_BYTES", reader.bytes.len()),
        ("HEADER_CAPACITY", 1000),
        ("HEADER_VALUE_SPACE", 50_000),
        ("HEADER_STRIPES", 8),
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
fn a_segment_of_version_1_is_refused() {
    let name = common::Name::new();
    drop(
        Options::new()
            .capacity(10)
            .value_space(1000)
            .create(&name)
            .unwrap(),
    );
    let mut segment = common::SegmentBytes::read(&name);
    segment.set(1, 1);
    common::fix_checksum(&mut segment.bytes);
    segment.write(&name);
    for opened in [Table::open(&name), Table::open_read_only(&name)] {
        assert!(matches!(
            opened,
            Err(Error::IncompatibleFormat {
                what: "the format version",
                found: 1,
                expected: 2,
                ..
            })
        ));
    }
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
