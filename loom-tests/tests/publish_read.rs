//! Does a reader that runs beside an insertion see nothing or all of it?
//!
//! # Planted, and seen to fail
//! - the tag stored before the slot (`Bucket::publish`): a key that comes back has
//!   its old value;
//! - the look at the version after the copy left out (`read::take`): a write is
//!   missed by who saw a later one (it was the acquire fence there that ordered them);
//! - `store_in_place` without release: a write is not seen with a later count, in the slot
//!   or in a record;
//! - the head stored or loaded without release or acquire, the tag cleared without release:
//!   it is not seen with a later replacement or removal;
//! - tag, head and tail stored without release, all three: a new key is not seen whole, a
//!   write not with a later insertion either, nor with a replacement by a small entry. Two
//!   of the three order each of these, and one is enough.
#![cfg(loom)]

use loom::thread;
use loom_tests::{get, insert};
use shmtable::Table;
use shmtable::loom_model::{self, ModelSegment};

const KEYS: [&str; 3] = ["a", "b", "c"];

/// In an empty bucket, and in one whose other tags are stored again with the new one.
#[test]
fn a_new_key_is_seen_whole_or_not_at_all() {
    for before in [0, 2] {
        loom::model(move || {
            let segment = ModelSegment::new(1, 1, 6, 4);
            let writer = segment.attach().unwrap();
            let reader = segment.attach_read_only();
            for (i, key) in KEYS[..before].iter().enumerate() {
                insert(&writer, key, i as u8);
            }
            let inserts = thread::spawn({
                let writer = writer.clone();
                move || assert!(insert(&writer, KEYS[before], 9))
            });
            assert!(matches!(get(&reader, KEYS[before]), None | Some(9)));
            for (i, key) in KEYS[..before].iter().enumerate() {
                assert_eq!(get(&reader, key), Some(i as u8));
            }
            inserts.join().unwrap();
            assert_eq!(get(&reader, KEYS[before]), Some(9));
        });
    }
}

/// Its slot still leads to the record that was removed.
#[test]
fn a_key_that_comes_back_has_not_its_old_value() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 1, 4, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, "k", 1);
        writer.remove(b"k").unwrap();
        let inserts = thread::spawn({
            let writer = writer.clone();
            move || assert!(insert(&writer, "k", 2))
        });
        let first = get(&reader, "k");
        assert!(matches!(first, None | Some(2)), "{first:?}");
        let second = get(&reader, "k");
        assert!(second == Some(2) || first.is_none());
        inserts.join().unwrap();
    });
}

/// The `n`th key of one byte of a bucket.
fn key_of(table: &Table, bucket: usize, n: usize) -> String {
    char::from(loom_model::keys_of_bucket(table, bucket, n + 1)[n][0]).to_string()
}

/// A process writes a key and then does `flag` to another one: who finds it done finds the
/// key. The two are in the same bucket, whose tags have one word, or not.
fn one_before_the_other(
    prepare: fn(&Table, &str),
    flag: fn(&Table, &str),
    is_done: fn(&Table, &str) -> bool,
) {
    for bucket in [0, 1] {
        loom::model(move || {
            let segment = ModelSegment::new(2, 1, 8, 4);
            let writer = segment.attach().unwrap();
            let reader = segment.attach_read_only();
            let (key, other) = (key_of(&writer, 0, 0), key_of(&writer, bucket, 1));
            prepare(&writer, &other);
            let writes = thread::spawn({
                let (writer, key, other) = (writer.clone(), key.clone(), other.clone());
                move || {
                    insert(&writer, &key, 1);
                    flag(&writer, &other);
                }
            });
            if is_done(&reader, &other) {
                assert_eq!(get(&reader, &key), Some(1));
            }
            writes.join().unwrap();
            assert!(is_done(&reader, &other));
        });
    }
}

fn add_one(table: &Table, key: &str) {
    table.fetch_add(key.as_bytes(), 1).unwrap();
}

fn is_two(table: &Table, key: &str) -> bool {
    table.get(key.as_bytes()).unwrap().unwrap()[0] == 2
}

#[test]
fn a_write_is_seen_with_a_later_count() {
    one_before_the_other(add_one, add_one, is_two);
}

/// What follows a small entry of another length is a record.
#[test]
fn a_write_is_seen_with_a_later_count_in_a_record() {
    one_before_the_other(
        |table, key| {
            table.insert(key.as_bytes(), b"small").unwrap();
            table.insert(key.as_bytes(), &1_i64.to_le_bytes()).unwrap();
        },
        add_one,
        is_two,
    );
}

#[test]
fn a_write_is_seen_with_a_later_insertion() {
    one_before_the_other(
        |_, _| (),
        |table, key| assert!(insert(table, key, 1)),
        |table, key| get(table, key) == Some(1),
    );
}

#[test]
fn a_write_is_seen_with_a_later_insertion_of_a_small_entry() {
    one_before_the_other(
        |_, _| (),
        add_one,
        |table, key| table.contains_key(key.as_bytes()).unwrap(),
    );
}

#[test]
fn a_write_is_seen_with_a_later_replacement() {
    one_before_the_other(
        |table, key| assert!(insert(table, key, 0)),
        |table, key| assert!(!insert(table, key, 1)),
        |table, key| get(table, key) == Some(1),
    );
}

#[test]
fn a_write_is_seen_with_a_later_replacement_by_a_small_entry() {
    one_before_the_other(
        |table, key| assert!(insert(table, key, 0)),
        |table, key| assert!(!table.insert(key.as_bytes(), &[2]).unwrap()),
        is_two,
    );
}

#[test]
fn a_write_is_seen_with_a_later_removal() {
    one_before_the_other(
        |table, key| assert!(insert(table, key, 0)),
        |table, key| assert!(table.remove(key.as_bytes()).unwrap()),
        |table, key| get(table, key).is_none(),
    );
}
