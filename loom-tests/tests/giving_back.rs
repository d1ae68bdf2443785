//! Does anybody touch memory that was given back?
//!
//! A model's memory notices that by itself: see `Mapping::touch`.
//!
//! # Planted, and seen to fail
//! - a reader that does not announce itself, or follows a slot without a look at the version after
//!   that; or whose fence between the two is left out;
//! - one who gives memory back without a fence, or without waiting for readers, be it for their words,
//!   for their number or for the bytes that they hold;
//! - one who gets memory for a chunk that another participant gives back (`memory::get_back` from any
//!   chunk without memory);
//! - a chunk of a dead owner that counts as free, with memory, when it is taken over;
//! - `clear` that frees chunks which were sealed after it began.
#![cfg(loom)]

use std::sync::atomic::Ordering;

use loom::thread;
use loom_tests::{at_each_crash_point, check, get, insert};
use shmtable::Table;
use shmtable::loom_model::{self, ModelSegment, give_back, run_until_death};

const KEY: &str = "k";

fn segment() -> ModelSegment {
    ModelSegment::that_gives_back(3, 4)
}

/// Frees the chunk of a record and gives all memory back that is free.
fn remove_and_give_back(table: &Table) -> usize {
    assert!(table.remove(KEY).unwrap());
    loom_model::seal(table);
    assert!(loom_model::clean(table, 0).unwrap());
    give_back(table)
}

#[test]
fn a_reader_in_a_word_of_its_own() {
    loom::model(|| {
        let segment = segment();
        let [writer, reader] = [(); 2].map(|()| segment.attach().unwrap());
        insert(&writer, KEY, 1);
        // So that it knows how far there are records, and takes the shortest way.
        assert_eq!(get(&reader, KEY), Some(1));
        let gives = thread::spawn({
            let writer = writer.clone();
            move || remove_and_give_back(&writer)
        });
        let seen = get(&reader, KEY);
        assert!(matches!(seen, Some(1) | None));
        let given = gives.join().unwrap();
        // Somebody who reads is not waited for long.
        assert!(given == 4 || given == 0, "{given}");
        assert_eq!(segment.is_without_memory(0), given > 0);
        assert_eq!(get(&reader, KEY), None);
        insert(&reader, KEY, 2);
        assert_eq!(get(&reader, KEY), Some(2));
        check(&writer);
    });
}

/// As above, by a thread that has no word of its own.
#[test]
fn a_reader_counted_with_others() {
    loom::model(|| {
        let segment = segment();
        let [writer, reader] = [(); 2].map(|()| segment.attach().unwrap());
        insert(&writer, KEY, 1);
        assert_eq!(get(&reader, KEY), Some(1));
        let reads = thread::spawn(move || {
            let seen = get(&reader, KEY);
            assert!(matches!(seen, Some(1) | None));
        });
        let given = remove_and_give_back(&writer);
        reads.join().unwrap();
        assert!(given == 4 || given == 0, "{given}");
        // Nobody reads any more.
        assert_eq!(given + give_back(&writer), 4);
    });
}

#[test]
fn a_walk_through_the_table() {
    loom::model(|| {
        let segment = segment();
        let [writer, reader] = [(); 2].map(|()| segment.attach().unwrap());
        insert(&writer, KEY, 1);
        let gives = thread::spawn(move || remove_and_give_back(&writer));
        let seen = reader
            .keys()
            .map(|key| assert_eq!(key.unwrap(), KEY.as_bytes()));
        assert!(seen.count() <= 1);
        gives.join().unwrap();
    });
}

/// A process without a slot, which holds a byte when it reads for the first time.
#[test]
fn a_reader_that_holds_a_byte() {
    loom::model(|| {
        let segment = segment();
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, KEY, 1);
        let gives = thread::spawn(move || remove_and_give_back(&writer));
        let seen = get(&reader, KEY);
        assert!(matches!(seen, Some(1) | None));
        gives.join().unwrap();
    });
}

/// One gives back what the other one gets.
#[test]
fn one_gives_back_and_the_other_gets() {
    loom::model(|| {
        let segment = segment();
        let [one, other] = [(); 2].map(|()| segment.attach().unwrap());
        assert_eq!(give_back(&one), 4);
        loom_model::get_memory(&one).unwrap();
        let works = thread::spawn({
            let other = other.clone();
            // It may be gone again before the chunk is taken.
            move || assert!(loom_model::get_memory(&other).unwrap())
        });
        give_back(&one);
        works.join().unwrap();
        insert(&other, KEY, 2);
        assert_eq!(get(&one, KEY), Some(2));
        check(&one);
    });
}

/// The next process treats the dead one's chunks as if they had no memory, and a reader goes on.
#[test]
fn a_death_while_memory_is_given_back() {
    at_each_crash_point(|point, died| {
        let segment = segment();
        let [dies, lives] = [(); 2].map(|()| segment.attach().unwrap());
        insert(&lives, KEY, 1);
        let works = thread::spawn(move || {
            let done = run_until_death(point, &dies, || give_back(&dies)).is_some();
            (dies, done)
        });
        assert_eq!(get(&lives, KEY), Some(1));
        let (_dead, done) = works.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        loom_model::seal_dead(&lives);
        for (key, number) in ["a", "b"].into_iter().zip(2..) {
            insert(&lives, key, number);
            assert_eq!(get(&lives, key), Some(number));
        }
        assert_eq!(get(&lives, KEY), Some(1));
        check(&lives);
    });
}

#[test]
fn a_death_while_memory_is_got() {
    at_each_crash_point(|point, died| {
        let segment = segment();
        let [dies, lives] = [(); 2].map(|()| segment.attach().unwrap());
        assert_eq!(give_back(&lives), 4);
        let works = thread::spawn(move || {
            let done = run_until_death(point, &dies, || loom_model::get_memory(&dies)).is_some();
            (dies, done)
        });
        insert(&lives, "a", 2);
        let (_dead, done) = works.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        loom_model::seal_dead(&lives);
        insert(&lives, "b", 3);
        assert_eq!((get(&lives, "a"), get(&lives, "b")), (Some(2), Some(3)));
        check(&lives);
    });
}

/// An entry that a writer stores during the clear is there afterwards, whole, or it is gone.
#[test]
fn a_table_is_cleared_beside_a_writer() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 4, 4);
        let [clears, writer] = [(); 2].map(|()| segment.attach().unwrap());
        insert(&clears, KEY, 1);
        let works = thread::spawn({
            let writer = writer.clone();
            move || {
                insert(&writer, "a", 2);
                loom_model::seal(&writer);
            }
        });
        clears.clear().unwrap();
        works.join().unwrap();
        let left = get(&writer, "a");
        assert!(matches!(left, Some(2) | None));
        // In a chunk that was freed, if there is one.
        insert(&clears, KEY, 3);
        assert_eq!((get(&writer, "a"), get(&writer, KEY)), (left, Some(3)));
    });
}
