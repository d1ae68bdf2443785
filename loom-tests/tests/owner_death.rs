//! Does a process that dies at any store harm nobody, and is nobody who lives
//! taken for dead?
//!
//! From the first death on, sleeps end at once, as if by their timeout: see
//! `src/sys/heap/mod.rs`.
//!
//! # Planted, and seen to fail
//! - take-over without repair; a repair that bumps no version (readers are misled),
//!   counts no entries, sets no overflow (the repairs of a key beyond its bucket);
//! - no look at the owner's life: a slow owner is robbed;
//! - the cursor stored before the record's header: what a dead process wrote cannot be
//!   walked;
//! - a cleaner that skips dead records without taking their locks.
#![cfg(loom)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loom::thread;
use loom_tests::{at_each_crash_point, check, clean, get, insert, insert_large, value};
use shmtable::Table;
use shmtable::loom_model::{self, ModelSegment, run_until_death};

/// A process dies in `work`, beside another one that writes to the same stripe.
/// `a` is 1 before; what `work` says afterwards of `a` and `b` must be `before` or
/// `after`, and `after` if it came to its end.
fn dies_beside_a_writer(
    work: fn(&Table),
    before: (Option<u8>, Option<u8>),
    after: (Option<u8>, Option<u8>),
) {
    at_each_crash_point(move |point, died| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let dies = segment.attach().unwrap();
        let lives = segment.attach().unwrap();
        insert(&dies, "a", 1);
        insert(&lives, "c", 0);
        let works = thread::spawn(move || {
            let done = run_until_death(point, &dies, || work(&dies)).is_some();
            (dies, done)
        });
        insert(&lives, "c", 3);
        let (_dead, done) = works.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        // Takes over what the other one did not.
        check(&lives);
        let found = (get(&lives, "a"), get(&lives, "b"));
        assert!(found == after || (found == before && !done), "{found:?}");
        assert_eq!(get(&lives, "c"), Some(3));
        // Its chunk is not lost either.
        loom_model::seal_dead(&lives);
        for chunk in 0..6 {
            loom_model::clean(&lives, chunk).unwrap();
        }
        assert_eq!((get(&lives, "a"), get(&lives, "b")), found);
        check(&lives);
    });
}

#[test]
fn in_an_insertion() {
    dies_beside_a_writer(
        |table| assert!(insert(table, "b", 2)),
        (Some(1), None),
        (Some(1), Some(2)),
    );
}

#[test]
fn in_a_replacement() {
    dies_beside_a_writer(
        |table| assert!(!insert(table, "a", 2)),
        (Some(1), None),
        (Some(2), None),
    );
}

#[test]
fn in_a_removal() {
    dies_beside_a_writer(
        |table| assert!(table.remove(b"a").unwrap()),
        (Some(1), None),
        (None, None),
    );
}

/// A record was unlinked by a process that died before it told the readers; the
/// next owner gives its memory to another record.
fn dies_beside_a_reader(work: fn(&Table), after: Option<u8>) {
    at_each_crash_point(move |point, died| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let dies = segment.attach().unwrap();
        let lives = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&dies, "k", 1);
        loom_model::seal(&dies);
        let works = thread::spawn({
            let lives = lives.clone();
            move || {
                let done = run_until_death(point, &dies, || work(&dies)).is_some();
                clean(&lives, 0);
                insert(&lives, "x", 3);
                (dies, done)
            }
        });
        let seen = get(&reader, "k");
        assert!(seen == Some(1) || seen == after, "{seen:?}");
        let (_dead, done) = works.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        assert!(!segment.is_free(0), "the memory was not used again");
    });
}

#[test]
fn in_a_replacement_and_a_reader_is_not_misled() {
    dies_beside_a_reader(|table| assert!(!insert(table, "k", 2)), Some(2));
}

#[test]
fn in_a_removal_and_a_reader_is_not_misled() {
    dies_beside_a_reader(|table| assert!(table.remove(b"k").unwrap()), None);
}

/// A cleaner dies; a reader finds all, and the chunk is cleaned by another one.
#[test]
fn in_cleaning() {
    at_each_crash_point(|point, died| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let dies = segment.attach().unwrap();
        let lives = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&dies, "k", 1);
        loom_model::seal(&dies);
        let works = thread::spawn({
            let lives = lives.clone();
            move || {
                let done = run_until_death(point, &dies, || clean(&dies, 0)).is_some();
                loom_model::seal_dead(&lives);
                loom_model::clean(&lives, 0).unwrap();
                insert(&lives, "x", 3);
                (dies, done)
            }
        });
        assert_eq!(get(&reader, "k"), Some(1));
        let (_dead, done) = works.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        check(&lives);
        assert_eq!((get(&lives, "k"), get(&lives, "x")), (Some(1), Some(3)));
    });
}

/// The one who repairs dies too, at each of its stores, and a third one comes.
/// `work` is about a fourth key where three small entries fill a bucket; it is there before
/// if `removes`.
fn repairer_dies(work: fn(&Table, &[u8]), removes: bool) {
    for first in 0.. {
        let first_died = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&first_died);
        at_each_crash_point(move |second, died| {
            let segment = ModelSegment::new(2, 3, 8, 8);
            let [one, two, three] = [(); 3].map(|()| segment.attach().unwrap());
            let keys = loom_model::keys_of_bucket(&one, 0, 4);
            for key in &keys[..if removes { 4 } else { 3 }] {
                one.insert(key, b"1").unwrap();
            }
            let fourth = keys[3];
            let die = thread::spawn(move || {
                let done = run_until_death(first, &one, || work(&one, &fourth)).is_some();
                let repaired = run_until_death(second, &two, || check(&two)).is_some();
                (one, two, done, repaired)
            });
            three.insert(&keys[0], b"2").unwrap();
            let (_one, _two, done, repaired) = die.join().unwrap();
            flag.fetch_or(!done, Ordering::Relaxed);
            died.fetch_or(!repaired, Ordering::Relaxed);
            check(&three);
            assert_eq!(three.get(&keys[0]).unwrap().unwrap(), b"2");
            assert_eq!(three.get(&keys[1]).unwrap().unwrap(), b"1");
            let there = three.contains_key(&fourth).unwrap();
            assert!(!done || there != removes);
        });
        if !first_died.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[test]
fn in_the_repair_of_a_removal() {
    repairer_dies(|table, key| assert!(table.remove(key).unwrap()), true);
}

#[test]
fn in_the_repair_of_an_insertion() {
    repairer_dies(
        |table, key| assert!(table.insert(key, &value(1)).unwrap()),
        false,
    );
}

/// In a replacement of a value that has several chunks: taking the new ones,
/// giving back the old ones. In the end all that are not in use can be used again.
#[test]
fn in_a_large_replacement() {
    at_each_crash_point(|point, died| {
        let segment = ModelSegment::new(1, 2, 7, 4);
        let dies = segment.attach().unwrap();
        let lives = segment.attach().unwrap();
        insert_large(&dies, "k", 1);
        let works = thread::spawn(move || {
            let done = run_until_death(point, &dies, || insert_large(&dies, "k", 2)).is_some();
            (dies, done)
        });
        insert(&lives, "c", 3);
        let (_dead, done) = works.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        check(&lives);
        let found = get(&lives, "k");
        assert!(found == Some(2) || (found == Some(1) && !done), "{found:?}");
        insert_large(&lives, "k", 4);
        insert_large(&lives, "k", 5);
        assert_eq!((get(&lives, "k"), get(&lives, "c")), (Some(5), Some(3)));
        check(&lives);
    });
}

/// Sleeps end before the owner does, again and again; it lives, and is not robbed.
#[test]
fn a_slow_owner_is_not_robbed() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 5, 4);
        let one = segment.attach().unwrap();
        let other = segment.attach().unwrap();
        one.fetch_add(b"n", 0).unwrap();
        segment.let_time_pass();
        let adds = thread::spawn({
            let other = other.clone();
            move || other.fetch_add(b"n", 1).unwrap()
        });
        one.fetch_add(b"n", 1).unwrap();
        adds.join().unwrap();
        assert_eq!(one.fetch_add(b"n", 0).unwrap(), 2);
        assert_eq!(one.stats().unwrap().take_overs, 0);
    });
}
