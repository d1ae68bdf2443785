//! Is every key found, and nothing lost or there twice, after a death in a doubling?
//!
//! # Planted, and seen to fail
//! - the doubling of a dead process not ended (`finish_growth`): `check` finds its directory word;
//! - new buckets not cleared (`Bucket::reset`): what a dead process left there is taken for
//!   entries.
#![cfg(loom)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loom::thread;
use loom_tests::growth::{Displaced, Key, Keys, RECORD, SMALL, get, put};
use loom_tests::{at_each_crash_point, check};
use shmtable::Table;
use shmtable::loom_model::{ModelSegment, buckets, run_until_death};

/// A process dies in a doubling, beside a reader. The next one inserts a key, for which it takes
/// over the lock, and doubles the stripe if the dead one had not.
fn dies_beside_a_reader(length: usize, read: fn(&Keys) -> (Key, u8), next: fn(&Table, &Keys)) {
    at_each_crash_point(move |point, died| {
        let segment = ModelSegment::growing(1, 2, 2, 9, 4);
        let [dies, lives] = [(); 2].map(|()| segment.attach().unwrap());
        let reader = segment.attach_read_only();
        let keys = Arc::new(Keys::of(&dies));
        keys.fill(&dies, length);
        let works = thread::spawn({
            let (lives, keys) = (lives.clone(), Arc::clone(&keys));
            move || {
                let insert = || put(&dies, &keys.goes[2], 9, SMALL);
                let done = run_until_death(point, &dies, insert).is_some();
                next(&lives, &keys);
                (dies, done)
            }
        });
        let (key, number) = read(&keys);
        assert_eq!(get(&reader, &key), Some(number));
        let (_dead, done) = works.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        assert_eq!(buckets(&lives), 2);
        let found = [keys.goes[0], keys.stays[0], keys.goes[1]].map(|key| get(&lives, &key));
        assert_eq!(found, [Some(1), Some(2), Some(3)]);
        let new = get(&lives, &keys.goes[2]);
        assert!(new == Some(9) || (new.is_none() && !done), "{new:?}");
        check(&lives);
    });
}

#[test]
fn a_death_beside_a_reader_of_a_small_entry() {
    dies_beside_a_reader(
        SMALL,
        |keys| (keys.goes[0], 1),
        // In the slots of those that went.
        |table, keys| {
            put(table, &keys.stays[1], 7, SMALL);
            put(table, &keys.stays[2], 7, SMALL);
        },
    );
}

#[test]
fn a_death_beside_a_reader_of_a_record() {
    dies_beside_a_reader(
        RECORD,
        |keys| (keys.goes[0], 1),
        |table, keys| put(table, &keys.stays[1], 7, SMALL),
    );
}

#[test]
fn a_death_beside_a_reader_of_a_key_that_stays() {
    dies_beside_a_reader(
        SMALL,
        |keys| (keys.stays[0], 2),
        |table, keys| put(table, &keys.stays[1], 7, SMALL),
    );
}

/// As above, with a key that is brought nearer to its home.
#[test]
fn a_death_beside_a_reader_of_a_displaced_key() {
    at_each_crash_point(|point, died| {
        let segment = ModelSegment::growing(2, 4, 2, 6, 4);
        let [dies, lives] = [(); 2].map(|()| segment.attach().unwrap());
        let reader = segment.attach_read_only();
        let keys = Displaced::of(&dies, 0, [true, false, true]);
        keys.fill(&dies);
        let new = keys.new;
        let works = thread::spawn({
            let lives = lives.clone();
            move || {
                let insert = || put(&dies, &new[0], 2, SMALL);
                let done = run_until_death(point, &dies, insert).is_some();
                put(&lives, &new[1], 2, SMALL);
                (dies, done)
            }
        });
        assert_eq!(get(&reader, &keys.displaced), Some(1));
        let (_dead, done) = works.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        keys.assert_all(&lives);
        assert_eq!(get(&lives, &new[1]), Some(2));
        check(&lives);
    });
}

/// The one who takes over dies too, at each of its stores, and a third one comes.
#[test]
fn a_death_of_the_one_who_takes_over() {
    for (after, with_it) in [
        (0, [true, false, true]),
        (2, [true; 3]),
        (2, [true, false, true]),
    ] {
        for first in 0.. {
            let first_died = Arc::new(AtomicBool::new(false));
            let flag = Arc::clone(&first_died);
            at_each_crash_point(move |second, died| {
                let segment = ModelSegment::growing(2, 4, 3, 6, 4);
                let [one, two, three] = [(); 3].map(|()| segment.attach().unwrap());
                let keys = Displaced::of(&one, after, with_it);
                keys.fill(&one);
                let insert = || put(&one, &keys.new[0], 2, SMALL);
                let done = run_until_death(first, &one, insert).is_some();
                let insert = || put(&two, &keys.new[1], 2, SMALL);
                let repaired = run_until_death(second, &two, insert).is_some();
                flag.fetch_or(!done, Ordering::Relaxed);
                died.fetch_or(!repaired, Ordering::Relaxed);
                check(&three);
                keys.assert_all(&three);
                assert!(!done || get(&three, &keys.new[0]) == Some(2));
                assert!(!repaired || get(&three, &keys.new[1]) == Some(2));
            });
            if !first_died.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}
