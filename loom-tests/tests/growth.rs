//! Is every key found, with its value and once, while its stripe is doubled?
//!
//! # Planted, and seen to fail
//! - the directory word stored before the copies, or after the old entries' tags are cleared
//!   (`grow_by`); a miss that counts whatever the directory word is now (`fast_path::absent`): a
//!   key that goes is missed;
//! - overflow counts lowered before the directory word is stored: a displaced key that goes is
//!   missed;
//! - `remove_all` without its bump: a reader finds the value of the next key in the slot;
//! - the directory word of the phase "nearing" not stored: a displaced key that stays is missed.
//!
//! The hash of a record's key stored before the version is raised, in `republish_record` and in
//! `recover`, fails in `small_entries`: readers take it for the value of the small entry before.
//!
//! An iteration that began in the middle of a doubling passed keys twice; the model of iterations
//! found that fault.
#![cfg(loom)]

use std::sync::Arc;

use loom::thread;
use loom_tests::growth::{Displaced, Key, Keys, RECORD, SMALL, get, put};
use loom_tests::{check, clean};
use shmtable::Table;
use shmtable::loom_model::{self, ModelSegment, buckets};

/// A process inserts a key into a full bucket, and then does `work`, beside a reader.
fn doubles_beside_a_reader(
    insert: fn(&Keys) -> Key,
    length: usize,
    work: fn(&Table, &Keys),
    read: fn(&Table, &Keys),
) {
    loom::model(move || {
        let segment = ModelSegment::growing(1, 2, 1, 8, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        let keys = Arc::new(Keys::of(&writer));
        keys.fill(&writer, length);
        let doubles = thread::spawn({
            let (writer, keys) = (writer.clone(), Arc::clone(&keys));
            move || {
                put(&writer, &insert(&keys), 9, length);
                work(&writer, &keys);
            }
        });
        read(&reader, &keys);
        doubles.join().unwrap();
        assert_eq!(buckets(&writer), 2);
        read(&reader, &keys);
        check(&writer);
    });
}

fn nothing(_: &Table, _: &Keys) {}

#[test]
fn a_key_that_goes_is_found() {
    for length in [SMALL, RECORD] {
        doubles_beside_a_reader(
            |keys| keys.goes[2],
            length,
            nothing,
            |reader, keys| assert_eq!(get(reader, &keys.goes[0]), Some(1)),
        );
    }
}

#[test]
fn a_key_that_stays_is_found() {
    for length in [SMALL, RECORD] {
        doubles_beside_a_reader(
            |keys| keys.stays[1],
            length,
            nothing,
            |reader, keys| assert_eq!(get(reader, &keys.stays[0]), Some(2)),
        );
    }
}

#[test]
fn an_absent_key_is_not_found() {
    for absent in [|keys: &Keys| keys.goes[3], |keys: &Keys| keys.stays[3]] {
        loom::model(move || {
            let segment = ModelSegment::growing(1, 2, 1, 8, 4);
            let writer = segment.attach().unwrap();
            let reader = segment.attach_read_only();
            let keys = Keys::of(&writer);
            keys.fill(&writer, SMALL);
            let (absent, new) = (absent(&keys), keys.goes[2]);
            let doubles = thread::spawn({
                let writer = writer.clone();
                move || put(&writer, &new, 9, SMALL)
            });
            assert_eq!(get(&reader, &absent), None);
            doubles.join().unwrap();
        });
    }
}

/// Who finds the key for which a stripe was doubled finds the others, wherever they are now.
#[test]
fn the_new_key_is_seen_with_all_others() {
    doubles_beside_a_reader(
        |keys| keys.stays[1],
        SMALL,
        nothing,
        |reader, keys| {
            let new = get(reader, &keys.stays[1]);
            assert!(matches!(new, None | Some(9)), "{new:?}");
            assert_eq!(get(reader, &keys.goes[1]), Some(3));
            assert!(new.is_none() || get(reader, &keys.stays[1]) == Some(9));
        },
    );
}

/// The new key takes the slot of one that went.
#[test]
fn the_old_slot_is_used_again() {
    doubles_beside_a_reader(
        |keys| keys.stays[1],
        SMALL,
        |table, keys| put(table, &keys.stays[2], 7, SMALL),
        |reader, keys| assert_eq!(get(reader, &keys.goes[0]), Some(1)),
    );
}

/// The record of a key that went is replaced, and its memory given to another.
#[test]
fn the_memory_of_a_key_that_went_is_used_again() {
    loom::model(|| {
        let segment = ModelSegment::growing(1, 2, 1, 6, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        let keys = Keys::of(&writer);
        put(&writer, &keys.goes[0], 1, RECORD);
        loom_model::seal(&writer);
        for key in &keys.stays[..2] {
            put(&writer, key, 2, SMALL);
        }
        let (goes, new) = (keys.goes[0], keys.stays[2]);
        let doubles = thread::spawn({
            let writer = writer.clone();
            move || {
                put(&writer, &new, 3, SMALL);
                put(&writer, &goes, 4, SMALL);
                clean(&writer, 0);
                put(&writer, &new, 5, RECORD);
                assert!(writer.stats().unwrap().cleanings > 0);
            }
        });
        let seen = get(&reader, &goes);
        assert!(matches!(seen, Some(1 | 4)), "{seen:?}");
        doubles.join().unwrap();
        assert!(!segment.is_free(0), "the memory was not used again");
        check(&writer);
    });
}

fn a_displaced_key_is_found(after: usize, with_it: [bool; 3]) {
    loom::model(move || {
        let segment = ModelSegment::growing(2, 4, 1, 6, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        let keys = Displaced::of(&writer, after, with_it);
        keys.fill(&writer);
        let new = keys.new[1];
        let doubles = thread::spawn({
            let writer = writer.clone();
            move || put(&writer, &new, 2, SMALL)
        });
        assert_eq!(get(&reader, &keys.displaced), Some(1));
        doubles.join().unwrap();
        assert_eq!(buckets(&writer), 4);
        keys.assert_all(&reader);
        check(&writer);
    });
}

#[test]
fn a_displaced_key_that_goes_is_found() {
    a_displaced_key_is_found(2, [true, false, true]);
}

/// It has no room in its new bucket either.
#[test]
fn a_key_that_is_displaced_again_is_found() {
    a_displaced_key_is_found(2, [true, true, true]);
}

/// It is brought to its home bucket.
#[test]
fn a_displaced_key_that_stays_is_found() {
    a_displaced_key_is_found(0, [true, false, true]);
}

/// An iteration meets each of these keys once, and another one or not.
fn assert_meets_once<const COUNT: usize>(reader: &Table, mut all: [Key; COUNT], other: Key) {
    let mut seen: Vec<Key> = reader
        .keys()
        .map(|key| key.unwrap().try_into().unwrap())
        .filter(|key| *key != other)
        .collect();
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all);
}

#[test]
fn an_iteration_meets_each_key_once() {
    for length in [SMALL, RECORD] {
        doubles_beside_a_reader(
            |keys| keys.stays[1],
            length,
            nothing,
            |reader, keys| {
                let there = [keys.goes[0], keys.goes[1], keys.stays[0]];
                assert_meets_once(reader, there, keys.stays[1]);
            },
        );
    }
}

/// Two processes write to a full bucket at the same time; the first one's key is new.
fn beside_a_writer(
    length: usize,
    write: fn(&Table, &Keys),
    after: fn(&Keys) -> Vec<(Key, Option<u8>)>,
) {
    loom::model(move || {
        let segment = ModelSegment::growing(1, 2, 2, 9, 4);
        let [one, other] = [(); 2].map(|()| segment.attach().unwrap());
        let keys = Arc::new(Keys::of(&one));
        keys.fill(&one, length);
        let writes = thread::spawn({
            let keys = Arc::clone(&keys);
            move || {
                write(&other, &keys);
                other
            }
        });
        put(&one, &keys.stays[1], 9, length);
        let other = writes.join().unwrap();
        assert_eq!(buckets(&one), 2);
        assert_eq!(get(&other, &keys.stays[0]), Some(2));
        assert_eq!(get(&other, &keys.stays[1]), Some(9));
        for (key, number) in after(&keys) {
            assert_eq!(get(&one, &key), number);
        }
        check(&other);
    });
}

#[test]
fn the_other_replaces_a_key_that_goes() {
    for length in [SMALL, RECORD] {
        beside_a_writer(
            length,
            |table, keys| put(table, &keys.goes[0], 8, SMALL),
            |keys| vec![(keys.goes[0], Some(8)), (keys.goes[1], Some(3))],
        );
    }
}

#[test]
fn the_other_removes_a_key_that_goes() {
    beside_a_writer_that_removes(SMALL);
    beside_a_writer_that_removes(RECORD);
}

/// The bucket may have room again before it is doubled.
fn beside_a_writer_that_removes(length: usize) {
    loom::model(move || {
        let segment = ModelSegment::growing(1, 2, 2, 9, 4);
        let [one, other] = [(); 2].map(|()| segment.attach().unwrap());
        let keys = Keys::of(&one);
        keys.fill(&one, length);
        let (goes, new) = (keys.goes[0], keys.goes[2]);
        let writes = thread::spawn(move || {
            assert!(other.remove(&goes).unwrap());
            other
        });
        put(&one, &new, 9, length);
        let other = writes.join().unwrap();
        let found = [goes, new, keys.stays[0], keys.goes[1]].map(|key| get(&other, &key));
        assert_eq!(found, [None, Some(9), Some(2), Some(3)]);
        check(&other);
    });
}

#[test]
fn the_other_adds_to_a_key_that_goes() {
    loom::model(|| {
        let segment = ModelSegment::growing(1, 2, 2, 6, 4);
        let [one, other] = [(); 2].map(|()| segment.attach().unwrap());
        let keys = Keys::of(&one);
        keys.fill(&one, SMALL);
        let goes = keys.goes[0];
        let sum = one.fetch_add(&goes, 0).unwrap();
        let adds = thread::spawn(move || {
            other.fetch_add(&goes, 1).unwrap();
            other
        });
        put(&one, &keys.goes[2], 9, SMALL);
        one.fetch_add(&goes, 1).unwrap();
        let other = adds.join().unwrap();
        assert_eq!(other.fetch_add(&goes, 0).unwrap(), sum + 2);
        check(&one);
    });
}

/// One of them finds the stripe doubled.
#[test]
fn both_insert() {
    beside_a_writer(
        SMALL,
        |table, keys| put(table, &keys.goes[2], 8, SMALL),
        |keys| vec![(keys.goes[0], Some(1)), (keys.goes[2], Some(8))],
    );
}

/// The second one doubles the stripe again.
#[test]
fn both_double() {
    loom::model(|| {
        let segment = ModelSegment::growing(1, 4, 2, 6, 4);
        let [one, other] = [(); 2].map(|()| segment.attach().unwrap());
        // All are in one bucket until the second doubling.
        let mut keys = loom_model::keys_that_go(&one, 1, 0, 0, 3);
        keys.extend(loom_model::keys_that_go(&one, 1, 0, 2, 3));
        for key in &keys[..3] {
            put(&one, key, 1, SMALL);
        }
        let (theirs, ours) = ([keys[3]], [keys[4], keys[5]]);
        let writes = thread::spawn(move || {
            for key in theirs {
                put(&other, &key, 1, SMALL);
            }
            other
        });
        for key in ours {
            put(&one, &key, 1, SMALL);
        }
        let other = writes.join().unwrap();
        assert_eq!(buckets(&other), 4);
        for key in &keys {
            assert_eq!(get(&other, key), Some(1));
        }
        check(&other);
    });
}

/// Another process passes each of these keys once, under the lock of their stripe, and another one
/// or not.
fn assert_retain_passes<const COUNT: usize>(other: &Table, mut all: [Key; COUNT], new: Key) {
    let mut passed: Vec<Key> = Vec::new();
    let removed = other.retain(|key, _| {
        passed.extend((key != new).then(|| <Key>::try_from(key).unwrap()));
        true
    });
    assert_eq!(removed.unwrap(), 0);
    passed.sort_unstable();
    all.sort_unstable();
    assert_eq!(passed, all);
}

#[test]
fn a_retain_passes_each_key_once() {
    loom::model(|| {
        let segment = ModelSegment::growing(1, 2, 2, 6, 4);
        let [one, other] = [(); 2].map(|()| segment.attach().unwrap());
        let keys = Keys::of(&one);
        keys.fill(&one, SMALL);
        let new = keys.stays[1];
        let there = [keys.goes[0], keys.goes[1], keys.stays[0]];
        let passes = thread::spawn(move || {
            assert_retain_passes(&other, there, new);
            other
        });
        put(&one, &new, 9, SMALL);
        check(&passes.join().unwrap());
    });
}

/// It comes nearer to its home behind the one who passes.
#[test]
fn a_retain_passes_a_displaced_key_once() {
    loom::model(|| {
        let segment = ModelSegment::growing(2, 4, 2, 6, 4);
        let [one, other] = [(); 2].map(|()| segment.attach().unwrap());
        let keys = Displaced::of(&one, 0, [true, false, true]);
        keys.fill(&one);
        let (all, new) = (keys.all, keys.new[1]);
        let passes = thread::spawn(move || {
            assert_retain_passes(&other, all, new);
            other
        });
        put(&one, &new, 2, SMALL);
        check(&passes.join().unwrap());
    });
}
