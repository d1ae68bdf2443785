//! What a bucket counts: the keys that passed it, and its versions.

use shmtable::Options;

use crate::common::{self};
use crate::document::Document;
use crate::reader::{DocumentReader, Entry};
use crate::table;

#[test]
fn overflow_counts_are_as_documented() {
    let table = table(8000, 200_000);
    for i in 0..8000 {
        let value: &[u8] = if i % 2 == 0 {
            b""
        } else {
            b"larger than a slot"
        };
        table.insert(format!("{i}").as_bytes(), value).unwrap();
    }
    for i in (0..8000).step_by(7) {
        table.remove(format!("{i}").as_bytes()).unwrap();
    }
    let reader = DocumentReader::of(&table);
    let mut passed = vec![0; reader.buckets()];
    let mut passed_by = [0; 2];
    let entries = reader.all_entries();
    for entry in &entries {
        assert_eq!(reader.find(&entry.key).as_ref(), Some(entry));
        let (bucket, _) = entry.slot;
        for before in reader
            .probe(&entry.key)
            .take_while(|probed| *probed != bucket)
        {
            passed[before] += 1;
            passed_by[usize::from(entry.record.is_some())] += 1;
        }
    }
    assert_eq!(entries.len(), table.len());
    assert!(
        passed_by.into_iter().all(|count| count > 20),
        "too few keys to probe: {passed_by:?}"
    );
    for (bucket, passed) in passed.into_iter().enumerate() {
        assert_eq!(reader.overflow(bucket), passed);
    }
}

/// How many keys passed is not known any more.
#[test]
fn an_overflow_count_stays_at_its_greatest_number() {
    // The chance that none of these keys passes a full bucket is below 10^-15.
    const COUNT: usize = 2000;
    let name = common::Name::new();
    let table = Options::new()
        .capacity(COUNT)
        .stripes(1)
        .create(&name)
        .unwrap();
    let greatest = (1 << Document::read().get("OVERFLOW_BITS")) - 1;
    let reader = DocumentReader::of(&table);
    let file = common::open_file(&name.path());
    // One below in every second bucket.
    for bucket in 0..reader.buckets() {
        let at = reader.buckets_at + bucket * reader.get("BUCKET_WORDS");
        let count: u64 = greatest - bucket as u64 % 2;
        common::write_at(&file, &count.to_le_bytes(), (at * 8) as u64);
    }
    let key = |i: usize| format!("{i}").into_bytes();
    for i in 0..COUNT {
        table.insert(&key(i), b"").unwrap();
    }
    let before = DocumentReader::of(&table);
    let passes = |entry: &Entry| before.probe(&entry.key).next() != Some(entry.slot.0);
    assert!(before.all_entries().iter().any(passes), "no key passed any");
    for i in 0..COUNT {
        assert!(table.contains_key(&key(i)).unwrap());
        assert!(table.remove(&key(i)).unwrap());
    }
    let after = DocumentReader::of(&table);
    for bucket in 0..after.buckets() {
        let counts = [before.overflow(bucket), after.overflow(bucket)];
        let first = greatest - bucket as u64 % 2;
        if first == greatest || counts[0] == greatest {
            assert_eq!(counts, [greatest; 2]);
        } else {
            assert_eq!(counts, [first; 2]);
        }
    }
}

#[test]
fn versions_rise_when_an_entry_is_unlinked() {
    let table = table(100, 10_000);
    let key = |i: usize| format!("{i}").into_bytes();
    // What all 50 keys have then: the versions' sum, and how many of them have records.
    let put = |value: &[u8]| {
        for i in 0..50 {
            table.insert(&key(i), value).unwrap();
        }
        let reader = DocumentReader::of(&table);
        let entries = reader.all_entries();
        assert_eq!(entries.len(), 50);
        assert!(entries.iter().all(|entry| entry.value == value));
        let records = entries.iter().filter(|entry| entry.record.is_some());
        (reader.versions(), records.count())
    };
    assert_eq!(
        put(b"larger than a slot"),
        (0, 50),
        "no reader is disturbed"
    );
    assert_eq!(put(b"of another length than before"), (50, 50));
    assert_eq!(
        put(b"of the very length of the one"),
        (150, 50),
        "there and back"
    );
    assert_eq!(put(b"a small"), (200, 0), "from a record to a small entry");
    assert_eq!(put(b"of same"), (200, 0), "a small value, in place");
    assert_eq!(put(b"other"), (250, 50), "a small one of other length");
    assert_eq!(put(b"alike"), (250, 50), "the value of a record, in place");
    assert_eq!(put(b""), (300, 0));
    assert_eq!(put(b""), (300, 0), "of no bytes, in place");
    assert_eq!(put(b"from a small entry to a record"), (350, 50));
    assert_eq!(put(b"small"), (400, 0));
    for i in 0..25 {
        table.remove(&key(i)).unwrap();
    }
    assert_eq!(
        DocumentReader::of(&table).versions(),
        425,
        "small ones are removed"
    );
    for i in 25..50 {
        table.insert(&key(i), b"larger than a slot").unwrap();
    }
    for i in 25..50 {
        table.remove(&key(i)).unwrap();
    }
    assert_eq!(DocumentReader::of(&table).versions(), 475, "so are records");
    assert_eq!(put(b"new"), (475, 0), "an insertion disturbs no reader");
}
