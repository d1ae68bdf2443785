//! Do two processes that write the same key, or the same stripe, at the same time
//! do so one after the other?
//!
//! # Planted, and seen to fail
//! - the lock taken without acquire, let go of without release: two winners, lost
//!   counts;
//! - let go of by a load and a store, sleeping without WAITERS, waking before letting
//!   go: deadlocks or endless executions;
//! - a chunk's state changed without release: large values overlap.
#![cfg(loom)]

use loom::thread;
use loom_tests::{check, get, insert, insert_large, value};
use shmtable::Table;
use shmtable::loom_model::ModelSegment;

/// Two processes, and what `work` gives in each when they run side by side.
fn side_by_side<R: 'static>(
    prepare: impl Fn(&Table),
    work: impl Fn(&Table, u8) -> R + Clone + 'static,
) -> (Table, R, R) {
    let segment = ModelSegment::new(1, 2, 6, 4);
    let one = segment.attach().unwrap();
    let other = segment.attach().unwrap();
    prepare(&one);
    let theirs = thread::spawn({
        let (other, work) = (other.clone(), work.clone());
        move || work(&other, 2)
    });
    let ours = work(&one, 1);
    let theirs = theirs.join().unwrap();
    check(&other);
    (one, ours, theirs)
}

#[test]
fn one_of_two_wins() {
    loom::model(|| {
        let (table, ours, theirs) = side_by_side(
            |_| (),
            |table, number| table.try_insert(b"k", &value(number)).unwrap(),
        );
        assert!(ours != theirs, "{ours} {theirs}");
        assert_eq!(get(&table, "k"), Some(if ours { 1 } else { 2 }));
        assert_eq!(table.len(), 1);
    });
}

#[test]
fn one_of_two_inserts_and_the_other_replaces() {
    loom::model(|| {
        let (table, ours, theirs) =
            side_by_side(|_| (), |table, number| insert(table, "k", number));
        assert!(ours != theirs, "{ours} {theirs}");
        assert_eq!(get(&table, "k"), Some(if ours { 2 } else { 1 }));
        assert_eq!(table.len(), 1);
    });
}

#[test]
fn keys_of_one_bucket_are_both_there() {
    loom::model(|| {
        let (table, ours, theirs) = side_by_side(
            |_| (),
            |table, number| insert(table, if number == 1 { "a" } else { "b" }, number),
        );
        assert!(ours && theirs);
        assert_eq!((get(&table, "a"), get(&table, "b")), (Some(1), Some(2)));
        assert_eq!(table.len(), 2);
    });
}

/// Two add to a counter, which is `before` already.
fn two_add(counter: &'static [u8], before: i64) {
    loom::model(move || {
        let (table, ours, theirs) = side_by_side(
            |table| {
                if before != 0 {
                    assert_eq!(table.fetch_add(counter, before).unwrap(), 0);
                }
            },
            move |table, number| table.fetch_add(counter, i64::from(number)).unwrap() - before,
        );
        assert!(matches!((ours, theirs), (0, 1) | (2, 0)), "{ours} {theirs}");
        assert_eq!(table.fetch_add(counter, 0).unwrap(), before + 3);
        assert_eq!(table.len(), 1);
    });
}

/// With its key, a counter is a small entry, or too long for that.
const COUNTERS: [&[u8]; 2] = [b"n", b"a long counter"];

#[test]
fn sums_are_exact() {
    for counter in COUNTERS {
        two_add(counter, 1);
    }
}

#[test]
fn sums_are_exact_from_nothing() {
    two_add(COUNTERS[0], 0);
}

#[test]
fn sums_are_exact_from_nothing_in_a_record() {
    two_add(COUNTERS[1], 0);
}

#[test]
fn one_of_two_removes() {
    loom::model(|| {
        let (table, ours, theirs) = side_by_side(
            |table| assert!(insert(table, "k", 0)),
            |table, _| table.take(b"k").unwrap(),
        );
        assert!(ours.is_some() != theirs.is_some());
        assert_eq!(get(&table, "k"), None);
        assert_eq!(table.len(), 0);
    });
}

/// Both look for two neighboring chunks, and find the same two.
#[test]
fn large_values_do_not_overlap() {
    loom::model(|| {
        let (table, ours, theirs) = side_by_side(
            |_| (),
            |table, number| insert_large(table, if number == 1 { "a" } else { "b" }, number),
        );
        assert!(ours && theirs);
        assert_eq!((get(&table, "a"), get(&table, "b")), (Some(1), Some(2)));
    });
}
