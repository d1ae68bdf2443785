//! Is a small entry, which its slot itself holds in two words, seen whole, and is it
//! there as long as its key is, whatever follows it in the slot?
//!
//! # Planted, and seen to fail
//! - the tail stored after the head (`Bucket::fill`), the head stored or loaded without
//!   release or acquire, a small entry that directly follows one of another length
//!   (`New::small`): a value of another length is torn, a record becomes a small entry that
//!   is not there yet;
//! - the tail stored without release, the fence of `read::still` or the look at the version
//!   after the copy (`read::take`) left out, `republish` or `remove` without its bump, the
//!   version bumped or looked at without release or acquire: torn, or the value of the
//!   next key in the slot;
//! - the bump before the head's store (`republish`): a record whose memory is used again is
//!   mixed with the next; before the tag's (`remove`): torn, or the next key's value;
//! - the tag stored before the slot, or without release, or loaded without acquire
//!   (`publish`): a key that comes back has its old value; the tail stored after the tag:
//!   a new key is torn;
//! - the overflow count stored without release: a key that passed by hides a replacement;
//! - a value stored in place over the rest of its key (`slot::with_value`): missed, found
//!   damaged, or not there for the second writer;
//! - no look at the version at the end of a bucket (`iter::read_bucket`): torn;
//! - the version not looked at after a key that does not match: a key that is there all the
//!   time is missed;
//! - a cleaner that takes a small entry for the record that it was (`find_record`); the lock
//!   taken without acquire, or let go of without release: the models of two writers and of
//!   cleaners;
//! - a repair that bumps no version: the deaths in a removal and in the way to a record;
//!   one that counts no entries: those in an insertion and in a removal.
#![cfg(loom)]

use std::sync::atomic::Ordering;

use loom::thread;
use loom_tests::{at_each_crash_point, check, clean, insert};
use shmtable::Table;
use shmtable::loom_model::{self, ModelSegment, run_until_death};

/// All of the first one lies in its slot's head, the last byte of the other in the tail.
const KEYS: [&str; 2] = ["k", "k2345678"];

/// The value of a number: as many bytes as its lower half says, all of them the number. Those
/// of two lengths differ in both words; that of nine bytes needs a record.
fn value(number: u8) -> Vec<u8> {
    vec![number; usize::from(number & 0xf)]
}

/// Stores the value of a number.
fn put(table: &Table, key: &str, number: u8) {
    let key = key.as_bytes();
    if key.len() == 1 {
        table.insert(key, &value(number)).unwrap();
    } else {
        // What is known before the lock is taken is staged: a record.
        table.update(key, |_| Some(value(number))).unwrap();
    }
}

fn remove(table: &Table, key: &str) {
    assert!(table.remove(key.as_bytes()).unwrap());
}

/// The number of the value found.
fn get(table: &Table, key: &str) -> Option<u8> {
    table
        .get(key.as_bytes())
        .unwrap()
        .map(|found| number(&found))
}

fn number(found: &[u8]) -> u8 {
    let number = found.first().copied().unwrap_or(0);
    assert!(found == value(number), "a torn value: {found:?}");
    number
}

/// A reader looks twice, beside a process that does `work`: it sees what there is in the
/// course of that.
fn beside_a_reader(
    prepare: fn(&Table, &str),
    work: fn(&Table, &str),
    course: &'static [Option<u8>],
) {
    for key in KEYS {
        loom::model(move || {
            let segment = ModelSegment::new(1, 1, 5, 4);
            let writer = segment.attach().unwrap();
            let reader = segment.attach_read_only();
            prepare(&writer, key);
            let works = thread::spawn({
                let writer = writer.clone();
                move || work(&writer, key)
            });
            let (first, second) = (get(&reader, key), get(&reader, key));
            let at = course.iter().position(|state| *state == first);
            let rest = at.map(|at| &course[at..]);
            assert!(
                rest.is_some_and(|rest| rest.contains(&second)),
                "{first:?} {second:?}"
            );
            works.join().unwrap();
            assert_eq!(Some(&get(&reader, key)), course.last());
            check(&writer);
        });
    }
}

#[test]
fn a_new_key_is_seen_whole_or_not_at_all() {
    beside_a_reader(|_, _| (), |table, key| put(table, key, 2), &[None, Some(2)]);
}

/// Its slot still holds what was removed.
#[test]
fn a_key_that_comes_back_has_not_its_old_value() {
    beside_a_reader(
        |table, key| {
            put(table, key, 1);
            remove(table, key);
        },
        |table, key| put(table, key, 2),
        &[None, Some(2)],
    );
}

#[test]
fn a_key_that_goes_and_comes_back_is_never_torn() {
    beside_a_reader(
        |table, key| put(table, key, 2),
        |table, key| {
            remove(table, key);
            put(table, key, 1);
        },
        &[Some(2), None, Some(1)],
    );
}

/// By way of a record.
#[test]
fn a_value_of_another_length_is_never_torn() {
    beside_a_reader(
        |table, key| put(table, key, 2),
        |table, key| {
            put(table, key, 1);
            put(table, key, 3);
        },
        &[Some(2), Some(1), Some(3)],
    );
}

/// The last but one store is that of the tail alone.
#[test]
fn a_value_of_the_same_length_is_seen_in_its_turn() {
    beside_a_reader(
        |table, key| put(table, key, 0x12),
        |table, key| {
            put(table, key, 0x22);
            put(table, key, 1);
        },
        &[Some(0x12), Some(0x22), Some(1)],
    );
}

/// A small entry took the place of the record.
#[test]
fn a_record_whose_memory_is_used_again_is_whole() {
    beside_a_reader(
        |table, key| {
            put(table, key, 0x19);
            loom_model::seal(table);
        },
        |table, key| {
            put(table, key, 2);
            clean(table, 0);
            insert(table, "x", 3);
            assert!(table.stats().unwrap().cleanings > 0);
        },
        &[Some(0x19), Some(2)],
    );
}

/// The store of an overflow count stores the version again: who sees it there must see what
/// the version told.
#[test]
fn a_key_that_passed_by_hides_no_replacement() {
    loom::model(|| {
        let segment = ModelSegment::new(2, 1, 6, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        // The last one passes over their bucket, which the others fill.
        let keys: Vec<_> = loom_model::keys_of_bucket(&writer, 0, 4)
            .iter()
            .map(|key| char::from(key[0]).to_string())
            .collect();
        for key in &keys {
            put(&writer, key, 2);
        }
        let [key, .., passes] = &keys[..] else {
            panic!("{keys:?}");
        };
        let works = thread::spawn({
            let (writer, key, passes) = (writer.clone(), key.clone(), passes.clone());
            move || {
                put(&writer, &key, 0x19);
                remove(&writer, &passes);
                put(&writer, &key, 3);
            }
        });
        let seen = get(&reader, key);
        assert!(matches!(seen, Some(2 | 3 | 0x19)), "{seen:?}");
        works.join().unwrap();
        check(&writer);
    });
}

/// The next one in its slot is another process's.
#[test]
fn a_key_that_goes_has_not_the_value_of_the_next() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 5, 4);
        let [removes, inserts] = [(); 2].map(|()| segment.attach().unwrap());
        let reader = segment.attach_read_only();
        put(&removes, "k", 1);
        let removing = thread::spawn(move || {
            remove(&removes, "k");
            removes
        });
        let inserting = thread::spawn(move || {
            put(&inserts, "x", 0x11);
            inserts
        });
        let seen = get(&reader, "k");
        assert!(matches!(seen, None | Some(1)), "{seen:?}");
        removing.join().unwrap();
        let inserts = inserting.join().unwrap();
        assert_eq!((get(&reader, "k"), get(&reader, "x")), (None, Some(0x11)));
        check(&inserts);
    });
}

/// The other way to read: a whole bucket at a time.
#[test]
fn an_iteration_meets_each_key_once() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 1, 5, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        let [changes, stays] = ["k2345678", "a"];
        put(&writer, stays, 1);
        put(&writer, changes, 2);
        let works = thread::spawn({
            let writer = writer.clone();
            move || {
                put(&writer, changes, 1);
                put(&writer, changes, 3);
            }
        });
        let mut seen: Vec<_> = reader
            .iter()
            .map(|entry| entry.unwrap())
            .map(|(key, value)| (String::from_utf8(key).unwrap(), number(&value)))
            .collect();
        seen.sort_unstable();
        let [(first, 1), (second, 1..=3)] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!([second.as_str(), first.as_str()], [changes, stays]);
        works.join().unwrap();
    });
}

/// Two processes replace a value, which is 0x12 before, at the same time: one after the
/// other.
fn two_write(ours: u8, theirs: u8) {
    for key in KEYS {
        loom::model(move || {
            let segment = ModelSegment::new(1, 2, 6, 4);
            let [one, other] = [(); 2].map(|()| segment.attach().unwrap());
            put(&one, key, 0x12);
            let swap = move |table: &Table, by| {
                let old = table.replace(key.as_bytes(), &value(by)).unwrap();
                number(&old.expect("the key is there"))
            };
            let writes = thread::spawn(move || (swap(&other, theirs), other));
            let before_ours = swap(&one, ours);
            let (before_theirs, _other) = writes.join().unwrap();
            let last = get(&one, key).unwrap();
            let order = (before_ours, before_theirs, last);
            assert!(
                order == (0x12, ours, theirs) || order == (theirs, 0x12, ours),
                "{order:x?}"
            );
            check(&one);
        });
    }
}

#[test]
fn one_of_two_replaces_in_place_and_the_other_by_a_record() {
    two_write(0x22, 0x19);
}

#[test]
fn both_replace_in_place() {
    two_write(0x22, 0x32);
}

/// Beside a cleaner, who finds what was the key's record.
fn beside_a_cleaner(before: &'static [u8], after: u8) {
    loom::model(move || {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let [writer, cleaner] = [(); 2].map(|()| segment.attach().unwrap());
        for number in before {
            put(&writer, "k", *number);
        }
        loom_model::seal(&writer);
        let writes = thread::spawn({
            let writer = writer.clone();
            move || put(&writer, "k", after)
        });
        clean(&cleaner, 0);
        writes.join().unwrap();
        assert_eq!(get(&cleaner, "k"), Some(after));
        assert!(segment.is_free(0));
        check(&cleaner);
    });
}

#[test]
fn a_record_that_moves_becomes_small() {
    beside_a_cleaner(&[0x19], 2);
}

#[test]
fn a_value_replaced_in_place_is_not_cleaned_away() {
    beside_a_cleaner(&[0x19, 0x12], 0x22);
}

/// A process dies in `work`, beside a reader, and `next` another one writes to the same slot:
/// the reader sees what there is in the course of that, and the last of it is there in the
/// end if nobody died.
fn dies_beside_a_reader(
    prepare: fn(&Table),
    work: fn(&Table),
    next: fn(&Table),
    course: &'static [Option<u8>],
) {
    at_each_crash_point(move |point, died| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let [dies, lives] = [(); 2].map(|()| segment.attach().unwrap());
        let reader = segment.attach_read_only();
        prepare(&dies);
        let works = thread::spawn({
            let lives = lives.clone();
            move || {
                let done = run_until_death(point, &dies, || work(&dies)).is_some();
                next(&lives);
                (dies, done)
            }
        });
        let seen = get(&reader, "k");
        assert!(course.contains(&seen), "{seen:?}");
        let (_dead, done) = works.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        let last = get(&lives, "k");
        assert!(course.contains(&last), "{last:?}");
        assert!(course.last() == Some(&last) || !done, "{last:?}");
        check(&lives);
    });
}

#[test]
fn a_death_in_an_insertion() {
    dies_beside_a_reader(
        |table| {
            put(table, "k", 1);
            remove(table, "k");
        },
        |table| put(table, "k", 2),
        |table| put(table, "k", 3),
        &[None, Some(2), Some(3)],
    );
}

#[test]
fn a_death_in_a_removal() {
    dies_beside_a_reader(
        |table| put(table, "k", 1),
        |table| remove(table, "k"),
        // In the same slot, if the key is gone.
        |table| put(table, "x", 0x11),
        &[Some(1), None],
    );
}

#[test]
fn a_death_in_the_way_to_a_record() {
    dies_beside_a_reader(
        |table| put(table, "k", 2),
        |table| put(table, "k", 0x19),
        |table| put(table, "k", 3),
        &[Some(2), Some(0x19), Some(3)],
    );
}

#[test]
fn a_death_in_the_way_from_a_record() {
    dies_beside_a_reader(
        |table| {
            put(table, "k", 2);
            put(table, "k", 0x19);
        },
        |table| put(table, "k", 1),
        |table| put(table, "k", 3),
        &[Some(0x19), Some(1), Some(3)],
    );
}

#[test]
fn a_death_in_a_replacement_in_place() {
    dies_beside_a_reader(
        |table| put(table, "k", 0x12),
        |table| put(table, "k", 0x22),
        |table| put(table, "k", 1),
        &[Some(0x12), Some(0x22), Some(1)],
    );
}
