//! Tables that grow: the directory, how buckets are numbered, and what has memory.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use shmtable::{Options, Table};

use crate::common;
use crate::reader::DocumentReader;

const STRIPES: usize = 4;

/// A table of four stripes that begins with `first` entries, and grows to `most`.
fn table(first: Option<usize>, most: usize) -> Table {
    let options = Options::new()
        .max_capacity(most)
        .value_space(200_000)
        .chunk_size(4096)
        .stripes(STRIPES)
        .max_participants(5);
    let options = match first {
        Some(first) => options.capacity(first),
        None => options,
    };
    options.create_anonymous().unwrap()
}

/// Some entries are small, and others have records.
fn put(table: &Table, number: usize) {
    let value: &[u8] = if number.is_multiple_of(3) {
        b"larger than a slot"
    } else {
        b"small"
    };
    table.insert(format!("key {number}"), value).unwrap();
}

/// The levels of all stripes, each in all places where the word says it.
fn levels(reader: &DocumentReader) -> Vec<u64> {
    (0..STRIPES)
        .map(|stripe| {
            let field = |name| reader.directory(stripe, name);
            let level = field("DIRECTORY_LEVEL");
            assert_eq!(field("DIRECTORY_COPY"), level);
            assert_eq!(field("DIRECTORY_MASK"), (1 << level) - 1);
            assert_eq!(field("DIRECTORY_PHASE"), 0);
            assert_eq!(reader.word(reader.directory_at + stripe) >> 58, 0);
            level
        })
        .collect()
}

/// Each entry is where the document says, and each count is right.
fn assert_all_is_found(reader: &DocumentReader, entries: usize) {
    let all = reader.all_entries();
    assert_eq!(all.len(), entries);
    assert_eq!(reader.entries(), entries as u64);
    let mut passed = vec![0; reader.buckets()];
    for entry in &all {
        assert_eq!(reader.find(&entry.key).as_ref(), Some(entry));
        let on_the_way = reader.probe(&entry.key);
        for bucket in on_the_way.take_while(|bucket| *bucket != entry.slot.0) {
            passed[bucket] += 1;
        }
    }
    for bucket in reader.present_buckets() {
        assert_eq!(reader.overflow(bucket), passed[bucket], "bucket {bucket}");
    }
}

#[test]
fn the_header_says_how_many_buckets_a_stripe_begins_with_and_may_get() {
    for (first, most) in [(None, 20_000), (Some(500), 20_000), (Some(5000), 9000)] {
        let table = table(first, most);
        let reader = DocumentReader::of(&table);
        let [begins, ends] =
            ["HEADER_STRIPE_BUCKETS", "HEADER_MOST_BUCKETS"].map(|name| reader.header(name));
        assert!(begins.is_power_of_two() && ends.is_power_of_two() && begins < ends);
        assert_eq!(reader.header("HEADER_CAPACITY"), most);
        assert!(reader.buckets() * reader.get("BUCKET_SLOTS") >= most);
        if let Some(first) = first {
            assert!(STRIPES * begins * reader.get("BUCKET_SLOTS") >= first);
        }
        assert_eq!(levels(&reader), [u64::from(begins.ilog2()); STRIPES]);
        assert_eq!(reader.buckets_at % reader.get("BUCKET_WORDS"), 0);
        for at in reader.directory_at + STRIPES..reader.buckets_at {
            assert_eq!(reader.word(at), 0, "word {at}");
        }
        let arena = reader.header("HEADER_CHUNKS") * reader.chunk_words();
        assert_eq!((reader.arena_at + arena) * 8, reader.bytes.len());
    }
}

#[test]
fn entries_are_found_by_the_document_alone_while_the_table_grows() {
    let table = table(None, 20_000);
    let mut seen = BTreeSet::new();
    let (mut entries, mut uneven) = (0, 0);
    let mut next = 1;
    while entries < 6000 {
        put(&table, entries);
        entries += 1;
        if entries < next {
            continue;
        }
        next = entries + 1 + entries / 7;
        let reader = DocumentReader::of(&table);
        let levels = levels(&reader);
        assert_all_is_found(&reader, entries);
        uneven += usize::from(levels.iter().any(|level| *level != levels[0]));
        seen.extend(levels);
    }
    assert!(seen.len() >= 7, "{seen:?}");
    assert!(uneven > 0, "stripes are doubled one by one");

    // Nothing falls.
    let before = levels(&DocumentReader::of(&table));
    for number in 0..entries {
        if !number.is_multiple_of(50) {
            assert!(table.remove(format!("key {number}")).unwrap());
        }
    }
    let reader = DocumentReader::of(&table);
    assert_eq!(levels(&reader), before);
    assert_all_is_found(&reader, entries / 50);
    for number in 0..entries {
        let key = format!("key {number}").into_bytes();
        assert_eq!(reader.find(&key).is_some(), number.is_multiple_of(50));
    }
}

#[test]
fn each_bucket_has_one_place_in_one_stripe() {
    let table = table(None, 300);
    let mut entries = 0;
    while entries < 300 {
        put(&table, entries);
        entries += 1;
    }
    let reader = DocumentReader::of(&table);
    assert_all_is_found(&reader, entries);
    let most = reader.header("HEADER_MOST_BUCKETS");
    for stripe in 0..STRIPES {
        assert!(reader.stripe_buckets(stripe) <= most);
    }
    let numbers: BTreeSet<usize> = (0..STRIPES)
        .flat_map(|stripe| (0..most).map(move |place| (stripe, place)))
        .map(|(stripe, place)| reader.number_of(stripe, place))
        .collect();
    let all = 0..reader.buckets();
    assert_eq!(numbers, all.collect());
}

#[test]
fn only_what_is_used_has_memory() {
    let table = Options::new().create_anonymous().unwrap();
    for number in 0..100 {
        put(&table, number);
    }
    let file = std::fs::metadata(common::access_path_of(table.name())).unwrap();
    // Of a segment of more than 10 GB.
    assert!(file.len() > 10 << 30, "{}", file.len());
    let taken = file.blocks() * 512;
    assert!(taken < 4 << 20, "{taken} bytes are taken");
}

/// A reader of bytes would see what a mapping would take memory for.
#[test]
fn chunks_behind_the_populated_mark_are_free() {
    let table = table(None, 20_000);
    for number in 0..1000 {
        put(&table, number);
    }
    let reader = DocumentReader::of(&table);
    let populated = reader.header("HEADER_POPULATED");
    let chunks = reader.header("HEADER_CHUNKS");
    assert!((1..chunks / 2).contains(&populated), "{populated}");
    assert!((0..populated).any(|chunk| !reader.is_kind(chunk, "KIND_FREE")));
    for chunk in populated..chunks {
        assert!(reader.is_kind(chunk, "KIND_FREE"));
        for word in ["CHUNK_CURSOR", "CHUNK_LIVE", "CHUNK_RUN"] {
            assert_eq!(reader.detail(chunk, word), 0);
        }
    }
}
