//! Does a reader that runs beside an insertion see nothing or all of it?
//!
//! # Planted, and seen to fail
//! - the tag stored before the slot (`Bucket::publish`): a key that comes back has
//!   its old value;
//! - the look at the version after the copy left out (`read::attempt`): a write is
//!   missed by who saw a later one (it was the acquire fence there that ordered them);
//! - orderings: the table in `README.md`.
#![cfg(loom)]

use loom::thread;
use loom_tests::{get, insert};
use shmtable::Table;
use shmtable::model::Segment;

const KEYS: [&str; 3] = ["a", "b", "c"];

/// The third key has its tag in the word of the version, the second shares its
/// slot's word with the first.
#[test]
fn a_new_key_is_seen_whole_or_not_at_all() {
    for before in 0..KEYS.len() {
        loom::model(move || {
            let segment = Segment::new(1, 1, 6, 4);
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

/// Its slot still has the offset of the record that was removed.
#[test]
fn a_key_that_comes_back_has_not_its_old_value() {
    loom::model(|| {
        let segment = Segment::new(1, 1, 4, 4);
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

/// A process writes `k` and then does `flag`: who finds `flag` done finds `k`.
fn one_before_the_other(flag: fn(&Table), is_done: fn(&Table) -> bool) {
    loom::model(move || {
        let segment = Segment::new(2, 1, 8, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        for key in ["a", "b", "c", "d"] {
            insert(&writer, key, 0);
        }
        writer.fetch_add(b"n", 1).unwrap();
        let writes = thread::spawn({
            let writer = writer.clone();
            move || {
                insert(&writer, "k", 1);
                flag(&writer);
            }
        });
        if is_done(&reader) {
            assert_eq!(get(&reader, "k"), Some(1));
        }
        writes.join().unwrap();
        assert!(is_done(&reader));
    });
}

#[test]
fn a_write_is_seen_with_a_later_count() {
    one_before_the_other(
        |table| assert_eq!(table.fetch_add(b"n", 1).unwrap(), 1),
        |table| table.get(b"n").unwrap().unwrap()[0] == 2,
    );
}

#[test]
fn a_write_is_seen_with_a_later_replacement() {
    one_before_the_other(
        |table| assert!(!insert(table, "a", 1)),
        |table| get(table, "a") == Some(1),
    );
}

/// Each of four keys in turn: tags of both words are cleared.
#[test]
fn a_write_is_seen_with_a_later_removal() {
    one_before_the_other(
        |table| assert!(table.remove(b"a").unwrap()),
        |table| get(table, "a").is_none(),
    );
    one_before_the_other(
        |table| assert!(table.remove(b"b").unwrap()),
        |table| get(table, "b").is_none(),
    );
    one_before_the_other(
        |table| assert!(table.remove(b"c").unwrap()),
        |table| get(table, "c").is_none(),
    );
    one_before_the_other(
        |table| assert!(table.remove(b"d").unwrap()),
        |table| get(table, "d").is_none(),
    );
}
