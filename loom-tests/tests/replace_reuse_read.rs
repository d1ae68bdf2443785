//! Does a reader ever see a torn or a foreign value while the record that it
//! reads is replaced, cleaned away and its memory written again?
//!
//! # Planted, and seen to fail, with a value of both records mixed if nothing is said
//! - `republish` without `bump_version`, and with the bump before the head's store;
//! - the release fence of `arena::place` left out;
//! - the acquire fence of `read::still` left out;
//! - the check after the copy left out; that after a key that does not match left
//!   out: a key that is there all the time is missed;
//! - a cleaner that frees a chunk without live words without the locks of its records:
//!   memory reused by another process.
//!
//! The check *before* the copy can go without any model failing: it keeps a damaged
//! length from being allocated, and decides nothing.
#![cfg(loom)]

use loom::thread;
use loom_tests::{clean, get, insert, insert_large, number};
use shmtable::loom_model::{self, ModelSegment};

/// One process does all the writing.
#[test]
fn memory_reused_by_another_key() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 1, 3, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, "k", 1);
        let writes = thread::spawn({
            let writer = writer.clone();
            move || {
                insert(&writer, "k", 2);
                clean(&writer, 0);
                insert(&writer, "x", 3);
            }
        });
        let seen = get(&reader, "k");
        assert!(matches!(seen, Some(1 | 2)), "{seen:?}");
        writes.join().unwrap();
        assert!(!segment.is_free(0), "the memory was not used again");
    });
}

/// The slot has the same head again, too.
#[test]
fn memory_reused_by_the_same_key() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 1, 3, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, "k", 1);
        let writes = thread::spawn({
            let writer = writer.clone();
            move || {
                insert(&writer, "k", 2);
                clean(&writer, 0);
                insert(&writer, "k", 3);
            }
        });
        let first = get(&reader, "k").unwrap();
        let second = get(&reader, "k").unwrap();
        assert!(first <= second && second <= 3, "{first} {second}");
        writes.join().unwrap();
        assert!(!segment.is_free(0), "the memory was not used again");
    });
}

/// One process replaces, another one cleans and uses the memory: what orders the
/// two is the stripe's lock and the chunk's state.
#[test]
fn memory_reused_by_another_process() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 5, 8);
        let writer = segment.attach().unwrap();
        let cleaner = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, "k", 1);
        // The cleaner's chunk is full, the writer's next one is not: only the
        // cleaner will look for a chunk, and finds chunk 0 again.
        insert(&cleaner, "b", 0);
        insert(&cleaner, "b", 1);
        loom_model::seal(&writer);
        insert(&writer, "a", 0);
        let replaces = thread::spawn({
            let writer = writer.clone();
            move || insert(&writer, "k", 2)
        });
        let cleans = thread::spawn({
            let cleaner = cleaner.clone();
            move || {
                clean(&cleaner, 0);
                insert(&cleaner, "b", 3);
            }
        });
        let seen = get(&reader, "k");
        assert!(matches!(seen, Some(1 | 2)), "{seen:?}");
        replaces.join().unwrap();
        cleans.join().unwrap();
        assert_eq!((get(&reader, "k"), get(&reader, "b")), (Some(2), Some(3)));
    });
}

/// One process replaces and cleans, another one takes the chunk: what orders the
/// two is the chunk's state alone.
#[test]
fn memory_freed_by_another_process() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 5, 8);
        let cleaner = segment.attach().unwrap();
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&cleaner, "k", 1);
        insert(&writer, "b", 0);
        insert(&writer, "b", 1);
        loom_model::seal(&cleaner);
        insert(&cleaner, "a", 0);
        let cleans = thread::spawn({
            let cleaner = cleaner.clone();
            move || {
                insert(&cleaner, "k", 2);
                clean(&cleaner, 0);
            }
        });
        let writes = thread::spawn({
            let writer = writer.clone();
            move || insert(&writer, "b", 3)
        });
        let seen = get(&reader, "k");
        assert!(matches!(seen, Some(1 | 2)), "{seen:?}");
        cleans.join().unwrap();
        writes.join().unwrap();
        assert_eq!((get(&reader, "k"), get(&reader, "b")), (Some(2), Some(3)));
    });
}

/// A value larger than a chunk: its chunks are given back as soon as it is
/// replaced, and the next one gets them.
#[test]
fn a_run_reused_at_once() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 1, 6, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert_large(&writer, "k", 1);
        let writes = thread::spawn({
            let writer = writer.clone();
            move || {
                insert_large(&writer, "k", 2);
                insert_large(&writer, "k", 3);
            }
        });
        let first = get(&reader, "k").unwrap();
        let second = get(&reader, "k").unwrap();
        assert!(first <= second && second <= 3, "{first} {second}");
        writes.join().unwrap();
        assert!(!segment.is_free(0), "the memory was not used again");
    });
}

/// The other way to read: a whole bucket at a time.
#[test]
fn an_iteration_meets_each_key_once() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 1, 4, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, "a", 1);
        insert(&writer, "k", 1);
        let writes = thread::spawn({
            let writer = writer.clone();
            move || {
                insert(&writer, "k", 2);
                clean(&writer, 1);
                insert(&writer, "x", 3);
            }
        });
        let mut seen: Vec<_> = reader
            .iter()
            .map(|entry| entry.unwrap())
            .map(|(key, value)| (key[0], number(&value)))
            .collect();
        seen.sort_unstable();
        assert_eq!(seen[0], (b'a', 1));
        assert!(matches!(seen[1], (b'k', 1 | 2)));
        assert!(matches!(seen[2..], [] | [(b'x', 3)]));
        writes.join().unwrap();
        assert!(!segment.is_free(1), "the memory was not used again");
    });
}
