//! Small entries and records: where their bytes are, and how they change.

use std::collections::HashMap;
use std::ops::Range;

use crate::reader::DocumentReader;
use crate::{bytes, table};

/// The lengths of keys and of values on both sides of what a slot can hold, and whether it
/// can.
fn small_and_large() -> impl Iterator<Item = (usize, usize, bool)> {
    (0..=17)
        .flat_map(|key| (0..=10).map(move |value| (key, value, value <= 8 && key + value <= 15)))
}

#[test]
fn every_entry_is_found_by_the_document_alone() {
    let table = table(600, 200_000);
    let mut expected: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut put = |key: Vec<u8>, value: Vec<u8>| {
        table.insert(&key, &value).unwrap();
        expected.insert(key, value);
    };
    put(Vec::new(), b"the value of the empty key".to_vec());
    put(b"of no bytes".to_vec(), Vec::new());
    put(vec![7; 5000], b"of a key larger than a chunk".to_vec());
    put(
        b"larger than two chunks".to_vec(),
        (0..250).cycle().take(10_000).collect(),
    );
    for i in 0..450_usize {
        let key = format!("key {i}").repeat(1 + i % 5).into_bytes();
        put(key, (0..=255).cycle().skip(i).take(i % 100).collect());
    }
    for i in 0..50_usize {
        put(bytes(i % 8, i as u8), bytes(i % 9, 7));
    }
    // Other values, of other and of the same lengths.
    for i in (0..450_usize).step_by(3) {
        let key = format!("key {i}").repeat(1 + i % 5).into_bytes();
        put(key, (0..=255).cycle().skip(i).take(i % 70).collect());
    }
    assert_eq!(table.fetch_add(b"counter", 1_000_000).unwrap(), 0);
    assert_eq!(table.fetch_add(b"counter", -1_000_001).unwrap(), 1_000_000);
    expected.insert(b"counter".to_vec(), (-1_i64).to_le_bytes().to_vec());
    for i in 0..20 {
        let key = format!("key {}", i * 5).into_bytes();
        assert!(table.remove(&key).unwrap());
        expected.remove(&key);
    }

    let reader = DocumentReader::of(&table);
    assert_eq!(reader.entries(), expected.len() as u64);
    for (key, value) in &expected {
        assert_eq!(reader.value(key).as_ref(), Some(value), "{key:?}");
    }
    let small = expected
        .keys()
        .filter(|key| reader.record_of(key).is_none());
    let small = small.count();
    assert!(small > 40 && expected.len() - small > 300, "{small}");
    for i in 0..20 {
        let key = format!("key {}", i * 5).into_bytes();
        assert_eq!(reader.value(&key), None);
        assert_eq!(reader.value(format!("never {i}").as_bytes()), None);
    }
}

#[test]
fn keys_and_values_lie_where_the_document_says_whatever_their_lengths() {
    let table = table(10, 10_000);
    for (key, value, is_small) in small_and_large() {
        let (key, value) = (bytes(key, 0x81), bytes(value, 0xc1));
        table.insert(&key, &value).unwrap();
        let found = DocumentReader::of(&table).find(&key).unwrap();
        assert_eq!(found.value, value, "of {key:?}");
        assert_eq!(found.record.is_none(), is_small, "{key:?} {value:?}");
        assert!(table.remove(&key).unwrap());
    }
}

/// Words that are used again would show what was there before.
#[test]
fn the_padding_of_keys_and_values_is_zero() {
    let table = table(4, 1000);
    for round in 0..200_usize {
        // Long ones first, so that short ones follow in their slots and their records.
        for number in 0..3 {
            let length = (19 - round % 20 + 7 * number) % 20;
            let key = bytes(length, 0x81 + number as u8);
            table.insert(&key, &bytes((3 * round) % 9, 0xc1)).unwrap();
            table.insert(&key, &bytes(round % 20, 0xc1)).unwrap();
            // In place if it is short, by bytes with no bit in common.
            table.insert(&key, &bytes(round % 20, 0x02)).unwrap();
            let reader = DocumentReader::of(&table);
            // It looks at the padding of each.
            let entries = reader.all_entries();
            assert_eq!(entries.len(), 1 + number);
            assert_eq!(reader.value(&key), Some(bytes(round % 20, 0x02)));
            // No tag stands where there is no slot.
            for bucket in 0..reader.buckets() {
                assert_eq!(reader.tag(bucket, 0), 0);
            }
        }
        table.clear().unwrap();
    }
    assert!(DocumentReader::of(&table).header("HEADER_CLEANINGS") > 0);
}

#[test]
fn a_value_that_keeps_its_length_stays_in_its_place() {
    let table = table(10, 10_000);
    for (key, value, is_small) in small_and_large() {
        let key = bytes(key, 0x81);
        table.insert(&key, &bytes(value, 0xc1)).unwrap();
        let before = DocumentReader::of(&table);
        table.insert(&key, &bytes(value, 0x11)).unwrap();
        let after = DocumentReader::of(&table);
        let by_one_store = value <= 8;
        let raised = after.versions() - before.versions();
        let expected = if by_one_store { 0 } else { 2 };
        assert_eq!(raised, expected, "{key:?}, {value} bytes");
        let (before, after) = (before.find(&key).unwrap(), after.find(&key).unwrap());
        assert_eq!(
            (&before.value, &after.value),
            (&bytes(value, 0xc1), &bytes(value, 0x11))
        );
        assert_eq!(before.record, after.record);
        assert_eq!(after.record.is_none(), is_small);
        table.remove(&key).unwrap();
    }
}

/// No one store leads from the one to the other.
#[test]
fn a_small_entry_becomes_one_of_another_length_only_by_way_of_a_record() {
    let table = table(10, 100_000);
    for key in (0..=15).map(|length| bytes(length, 0x81)) {
        let lengths = 0..=8.min(15 - key.len());
        for (from, to) in lengths
            .clone()
            .flat_map(|from| lengths.clone().map(move |to| (from, to)))
            .filter(|(from, to)| from != to)
        {
            // By each way of writing.
            let put = |value: &[u8]| match to % 3 {
                0 => drop(table.insert(&key, value).unwrap()),
                1 => drop(table.replace(&key, value).unwrap()),
                _ => drop(table.update(&key, |_| Some(value.to_vec())).unwrap()),
            };
            let mut last_version = DocumentReader::of(&table).versions();
            for (length, rises, is_small) in [
                (from, 0, true),
                (to, 1, false),
                (from, 1, true),
                (to, 1, false),
                (to, 0, false),
            ] {
                let value = bytes(length, 0xc1);
                put(&value);
                let reader = DocumentReader::of(&table);
                let found = reader.find(&key).unwrap();
                assert_eq!(found.value, value);
                assert_eq!(found.record.is_none(), is_small, "{key:?}: {from}, {to}");
                assert_eq!(reader.versions() - last_version, rises);
                last_version = reader.versions();
            }
            table.remove(&key).unwrap();
        }
    }
}

#[test]
fn records_follow_one_another_in_every_chunk() {
    let table = table(300, 100_000);
    for i in 0..900_usize {
        let value = vec![i as u8; i % 90];
        table
            .insert(format!("{}", i % 300).as_bytes(), &value)
            .unwrap();
    }
    let large = vec![1; 9000];
    table.insert(b"large", &large).unwrap();

    let reader = DocumentReader::of(&table);
    assert_eq!(reader.value(b"large").unwrap(), large);
    let head = reader.chunk_of(reader.record_of(b"large").unwrap());
    assert_eq!(reader.detail(head, "CHUNK_RUN"), 3);
    for distance in 1..3 {
        assert!(reader.is_kind(head + distance, "KIND_TAIL"));
        assert_eq!(
            reader.state(head + distance, "STATE_OWNER_GENERATION"),
            distance as u64
        );
    }
    let mut live_entries = 0;
    for chunk in 0..reader.header("HEADER_CHUNKS") {
        if reader.is_kind(chunk, "KIND_FREE") || reader.is_kind(chunk, "KIND_TAIL") {
            continue;
        }
        assert!(chunk < reader.header("HEADER_POPULATED"));
        let Range { start, end } = reader.filled(chunk);
        let (mut at, mut live) = (start, 0);
        while at < end {
            let (key, _, next) = reader.record(at);
            if reader.record_of(key) == Some(at) {
                live += next - at;
                live_entries += 1;
            }
            at = next;
        }
        assert_eq!(at, end);
        assert_eq!(reader.detail(chunk, "CHUNK_LIVE"), live as u64);
    }
    let entries = reader.all_entries();
    assert_eq!(entries.len(), 301);
    let records = entries.iter().filter(|entry| entry.record.is_some());
    assert_eq!(live_entries, records.count());
    assert!((200..300).contains(&live_entries), "{live_entries}");
}
