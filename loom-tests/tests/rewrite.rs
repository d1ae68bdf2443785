//! Does a reader ever see a torn value while the record that it reads is written anew in its
//! place, by way of another record?
//!
//! # Planted, and seen to fail
//! - `Locked::rewrite` that bumps no version before it writes the record, or none after it;
//! - the release fence of `record::copy_value` left out;
//! - a value that is copied before the slot leads to the other record: half of it after a death.
#![cfg(loom)]

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

use loom::thread;
use loom_tests::{at_each_crash_point, check, clean, get, insert, number};
use shmtable::Table;
use shmtable::loom_model::{self, ModelSegment, run_until_death};

/// The key of a record so short that it is written anew: nine bytes with its value.
const KEY: &str = "";

/// A key whose record, with a value of eight bytes, has as many words.
const OTHER: &[u8] = b"8 bytes.";

fn insert_other(table: &Table, number: u8) {
    table.insert(OTHER, [number; 8]).expect("there is room");
}

/// The key has value 1; a reader beside `writes` finds one of these values.
fn a_reader_beside(writes: fn(&Table), values: RangeInclusive<u8>, afterwards: fn(&Table)) {
    loom::model(move || {
        let segment = ModelSegment::new(1, 1, 4, 8);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, KEY, 1);
        let other = thread::spawn({
            let writer = writer.clone();
            move || writes(&writer)
        });
        let seen = get(&reader, KEY).unwrap();
        assert!(values.contains(&seen), "{seen}");
        other.join().unwrap();
        afterwards(&reader);
        check(&writer);
    });
}

/// The first rewrite takes new space, the second one the space that was kept.
#[test]
fn values_are_seen_whole() {
    a_reader_beside(
        |writer| {
            assert!(!insert(writer, KEY, 2));
            assert!(!insert(writer, KEY, 3));
        },
        1..=3,
        |reader| assert_eq!(get(reader, KEY), Some(3)),
    );
}

/// The space that was kept goes to another key's record.
#[test]
fn a_kept_space_is_used_by_another_key() {
    a_reader_beside(
        |writer| {
            insert(writer, KEY, 2);
            insert_other(writer, 3);
        },
        1..=2,
        |reader| assert_eq!(reader.get(OTHER).unwrap(), Some(vec![3; 8])),
    );
}

/// A cleaner moves the record, before it is written anew or after.
#[test]
fn a_cleaner_moves_it() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 6, 8);
        let writer = segment.attach().unwrap();
        let cleaner = segment.attach().unwrap();
        insert(&writer, KEY, 1);
        loom_model::seal(&writer);
        let writes = thread::spawn({
            let writer = writer.clone();
            move || assert!(!insert(&writer, KEY, 2))
        });
        clean(&cleaner, 0);
        let seen = get(&cleaner, KEY);
        assert!(matches!(seen, Some(1 | 2)), "{seen:?}");
        writes.join().unwrap();
        assert_eq!(get(&cleaner, KEY), Some(2));
        check(&cleaner);
    });
}

/// A process that dies at any store leaves one of the two values whole, and its space is cleaned and
/// used by others.
#[test]
fn a_death_leaves_one_of_the_values() {
    at_each_crash_point(|point, died| {
        let segment = ModelSegment::new(1, 2, 6, 8);
        let dies = segment.attach().unwrap();
        let lives = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&dies, KEY, 1);
        let works = thread::spawn(move || {
            let done = run_until_death(point, &dies, || insert(&dies, KEY, 2)).is_some();
            (dies, done)
        });
        let seen = get(&reader, KEY);
        assert!(matches!(seen, Some(1 | 2)), "{seen:?}");
        let (_dead, done) = works.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        check(&lives);
        let left = lives.get(KEY).unwrap().map(|value| number(&value));
        assert!(left == Some(2) || (left == Some(1) && !done), "{left:?}");
        loom_model::seal_dead(&lives);
        for chunk in 0..6 {
            loom_model::clean(&lives, chunk).unwrap();
        }
        assert_eq!(get(&lives, KEY), left);
        insert_other(&lives, 4);
        assert_eq!((get(&reader, KEY), get(&lives, KEY)), (left, left));
        check(&lives);
    });
}
