//! Participants, the bytes they lock, claims, and the lock word of a stripe.

#[cfg(target_os = "linux")]
use shmtable::Claimed;
use shmtable::Table;
#[cfg(target_os = "linux")]
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::common::{self, LIMIT, eventually};
use crate::reader::DocumentReader;
use crate::table;

/// The locked bytes of a table, by any process.
#[cfg(target_os = "linux")]
struct Locks {
    inode: u64,
}

#[cfg(target_os = "linux")]
impl Locks {
    fn of(table: &Table) -> Self {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::metadata(common::access_path_of(table.name()));
        let inode = file.unwrap().ino();
        Self { inode }
    }

    /// Whether any process has an open-file-description lock on a byte.
    fn has(&self, byte: usize) -> bool {
        // 7: OFDLCK ADVISORY WRITE -1 00:1b:7072 4096 4096
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| {
            let parts: Vec<&str> = line.split_whitespace().collect();
            let [_, "OFDLCK", _, _, _, file, first, last] = parts[..] else {
                return false;
            };
            let bytes = first.parse().unwrap()..=last.parse().unwrap_or(usize::MAX);
            file.ends_with(&format!(":{}", self.inode)) && bytes.contains(&byte)
        })
    }
}

#[test]
fn participants_and_their_chunks_are_as_documented() {
    let first = table(100, 10_000);
    let second = Table::open(first.name()).unwrap();
    first.insert(b"by the first", b"a value").unwrap();
    second.insert(b"by the second", b"a value").unwrap();
    let reader = DocumentReader::of(&first);
    for slot in 0..2 {
        let state = reader.participant(slot, "PARTICIPANT_STATE");
        assert_eq!(reader.document.field("PARTICIPANT_ATTACHED", state), 1);
        assert_eq!(reader.generation(slot), 1);
        assert_eq!(
            reader.participant(slot, "PARTICIPANT_PID"),
            u64::from(std::process::id())
        );
        assert!(
            reader.participant(slot, "PARTICIPANT_SINCE") >= reader.header("HEADER_CREATED") as u64
        );
    }
    assert_eq!(reader.participant(2, "PARTICIPANT_STATE"), 0);
    for (slot, key) in [(0, &b"by the first"[..]), (1, b"by the second")] {
        let chunk = reader.chunk_of(reader.record_of(key).unwrap());
        assert!(reader.is_kind(chunk, "KIND_OPEN"));
        assert_eq!(reader.state(chunk, "STATE_OWNER_SLOT"), slot + 1);
        assert_eq!(reader.state(chunk, "STATE_OWNER_GENERATION"), 1);
    }

    drop(second);
    let reader = DocumentReader::of(&first);
    let state = reader.participant(1, "PARTICIPANT_STATE");
    assert_eq!(reader.document.field("PARTICIPANT_ATTACHED", state), 0);
    assert_eq!(reader.generation(1), 1);
    let chunk = reader.chunk_of(reader.record_of(b"by the second").unwrap());
    assert!(reader.is_kind(chunk, "KIND_SEALED"));
    let third = Table::open(first.name()).unwrap();
    assert_eq!(DocumentReader::of(&third).generation(1), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_living_participant_holds_its_byte() {
    let first = table(100, 10_000);
    let second = Table::open(first.name()).unwrap();
    let (reader, locks) = (DocumentReader::of(&first), Locks::of(&first));
    let byte = |slot| (reader.get("HEADER_WORDS") + slot * reader.get("PARTICIPANT_WORDS")) * 8;
    let readers = reader.get("READERS_BYTE");
    let held = [0, 1, 2].map(|slot| locks.has(byte(slot)));
    assert_eq!(held, [true, true, false]);
    assert!(!locks.has(byte(0) - 1) && !locks.has(byte(0) + 1) && !locks.has(readers));
    let read_only = Table::open_read_only(first.name()).unwrap();
    assert!(locks.has(readers));
    drop(read_only);
    assert!(!locks.has(readers));
    drop(second);
    assert!(locks.has(byte(0)) && !locks.has(byte(1)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_claim_is_where_the_document_says() {
    let table = table(100, 10_000);
    let (reader, locks) = (DocumentReader::of(&table), Locks::of(&table));
    for key in [&b""[..], b"key", b"another key"] {
        let hash = xxh3_64_with_seed(key, reader.header("HEADER_HASH_SEED") as u64);
        let byte = reader.get("CLAIM_BYTES") + hash as usize / 4;
        assert!(!locks.has(byte));
        let Claimed::Mine(claim) = table.get_or_claim(key).unwrap() else {
            panic!("nobody else claims");
        };
        assert!(locks.has(byte));
        assert!(!locks.has(byte - 1) && !locks.has(byte + 1));
        drop(claim);
        assert!(!locks.has(byte));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_wait_of_a_claimant_is_where_the_document_says() {
    let table = table(100, 10_000);
    let (reader, locks) = (DocumentReader::of(&table), Locks::of(&table));
    let seed = reader.header("HEADER_HASH_SEED") as u64;
    let node = |key: &[u8]| {
        let claim = xxh3_64_with_seed(key, seed) / 4;
        ((claim ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 34) as usize
    };
    let byte = reader.get("WAIT_BYTES") + (node(b"held") << 30) + node(b"wanted");
    let held = table.claim(b"held").unwrap().expect("nobody else claims");
    let wanted = table.claim(b"wanted").unwrap().expect("nobody else claims");
    let Claimed::Others(other) = table.get_or_claim(b"wanted").unwrap() else {
        panic!("it is claimed");
    };
    common::scope(|scope| {
        let waiter = scope.spawn(|| other.wait_holding(LIMIT, &[&held]));
        eventually("it tells what it waits for", || locks.has(byte));
        assert!(!locks.has(byte - 1) && !locks.has(byte + 1));
        drop(wanted);
        let found = waiter.join().unwrap().unwrap();
        assert!(matches!(found, Claimed::Mine(_)), "{found:?}");
    });
    assert!(!locks.has(byte));
}

#[test]
fn the_lock_word_is_as_documented() {
    let table = table(100, 10_000);
    let stripe = DocumentReader::of(&table).stripe_of(b"key");
    let owner = |reader: &DocumentReader| {
        ["LOCK_OWNER_SLOT", "LOCK_OWNER_GENERATION"].map(|field| reader.lock(stripe, field))
    };
    assert_eq!(owner(&DocumentReader::of(&table)), [0, 0]);
    let mut seen = [0, 0];
    table
        .update(b"key", |_| {
            seen = owner(&DocumentReader::of(&table));
            Some(Vec::new())
        })
        .unwrap();
    assert_eq!(seen, [1, 1]);
    assert_eq!(owner(&DocumentReader::of(&table)), [0, 0]);

    // A thread sleeps for a key until it is published.
    table.remove(b"key").unwrap();
    common::scope(|scope| {
        let waiter = scope.spawn(|| table.wait(b"key", LIMIT));
        eventually("it waits for the key", || {
            DocumentReader::of(&table).lock(stripe, "LOCK_SLEEPERS") == 1
        });
        let before = DocumentReader::of(&table).stripe(stripe, "STRIPE_EVENT");
        table.insert(b"key", b"published").unwrap();
        assert_eq!(
            waiter.join().unwrap().unwrap().as_deref(),
            Some(&b"published"[..])
        );
        assert!(DocumentReader::of(&table).stripe(stripe, "STRIPE_EVENT") > before);
    });

    // A thread sleeps for the lock while it is held.
    common::scope(|scope| {
        let mut waiter = None;
        table
            .update(b"key", |value| {
                waiter = Some(scope.spawn(|| table.remove(b"key")));
                eventually("it waits for the lock", || {
                    DocumentReader::of(&table).lock(stripe, "LOCK_WAITERS") == 1
                });
                value.map(<[u8]>::to_vec)
            })
            .unwrap();
        assert!(waiter.unwrap().join().unwrap().unwrap());
    });
    assert_eq!(
        DocumentReader::of(&table).stripe(stripe, "STRIPE_CONTENDED"),
        1
    );
}
