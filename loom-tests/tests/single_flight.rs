//! Is a value computed once among those who ask for it at the same time, and
//! again if who computes it dies before it is there?
//!
//! A claim is a lock of the kernel's, which ends with its process: `src/sys/heap/mod.rs`
//! models it. That a waiter finds circles of waiters is not modelled: it takes real time.
//! `tests/crosswise.rs` asks that.
//!
//! # Planted, and seen to fail
//! - what was computed stored over what is there; of the threads of a handle, all given the
//!   claim that the kernel gave the handle: values differ, two computations;
//! - no second look at the key once the claim is held; the claim shared, or looked at
//!   and not held; in the loop, the claim let go of before the value is stored: two
//!   computations;
//! - a claim that the kernel does not let go of at a death: nobody computes any more;
//! - at the end of a claim, nobody woken, or the flag read before the claim is released; the
//!   attempt before SLEEPERS is set: a deadlock.
#![cfg(loom)]

use std::sync::atomic::Ordering;
use std::time::Duration;

use loom::thread;
use loom_tests::{at_each_crash_point, check, get, number, value};
use shmtable::loom_model::{ModelSegment, run_until_death};
use shmtable::{Claimed, Table};

/// What somebody made of its question for `k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Found(u8),
    Computed,
    LeftToOthers,
}

/// Asks for `k` once, and computes a number for it if nobody else does.
fn ask(table: &Table, computes: u8) -> Answer {
    match table.get_or_claim(b"k").unwrap() {
        Claimed::Present(found) => Answer::Found(number(&found)),
        Claimed::Mine(claim) => {
            let winner = claim.insert(value(computes)).unwrap();
            assert_eq!(winner, None, "computed twice");
            Answer::Computed
        }
        _ => Answer::LeftToOthers,
    }
}

#[test]
fn one_of_two_computes() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let one = segment.attach().unwrap();
        let other = segment.attach().unwrap();
        let asks = thread::spawn(move || (ask(&other, 2), other));
        let ours = ask(&one, 1);
        let (theirs, _other) = asks.join().unwrap();
        let computed = match (ours, theirs) {
            (Answer::Computed, Answer::Found(1) | Answer::LeftToOthers) => 1,
            (Answer::Found(2) | Answer::LeftToOthers, Answer::Computed) => 2,
            both => panic!("{both:?}"),
        };
        assert_eq!(ask(&one, 3), Answer::Found(computed));
        check(&one);
    });
}

/// A claim keeps nobody from writing without one: what is written stands, whether it comes
/// before the claim, while the value is computed, or after it.
#[test]
fn one_computes_beside_one_who_does_not_ask() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let asks = segment.attach().unwrap();
        let writes = segment.attach().unwrap();
        let writes = thread::spawn(move || {
            let won = writes.try_insert(b"k", &value(2)).unwrap();
            (won, writes)
        });
        let found = asks.get_or_insert_with(b"k", || value(1));
        let (won, _writes) = writes.join().unwrap();
        let stands = if won { 2 } else { 1 };
        assert_eq!(number(&found.unwrap()), stands);
        assert_eq!(get(&asks, "k"), Some(stands));
    });
}

/// Threads of one handle: the kernel would let both have the claim.
#[test]
fn one_of_two_threads_computes() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let one = segment.attach().unwrap();
        let other = one.clone();
        let asks = thread::spawn(move || ask(&other, 2));
        let ours = ask(&one, 1);
        let theirs = asks.join().unwrap();
        let computed = match (ours, theirs) {
            (Answer::Computed, Answer::Found(1) | Answer::LeftToOthers) => 1,
            (Answer::Found(2) | Answer::LeftToOthers, Answer::Computed) => 2,
            both => panic!("{both:?}"),
        };
        assert_eq!(ask(&one, 3), Answer::Found(computed));
        check(&one);
    });
}

/// The loop with its waiting: both get the one value.
#[test]
fn both_get_what_one_computes() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let one = segment.attach().unwrap();
        let other = segment.attach().unwrap();
        let get = |table: &Table, computes: u8| {
            let mut computed = false;
            let found = table.get_or_insert_with(b"k", || {
                computed = true;
                value(computes)
            });
            (number(&found.unwrap()), computed)
        };
        let asks = thread::spawn(move || (get(&other, 2), other));
        let (ours, computed) = get(&one, 1);
        let ((theirs, they_computed), _other) = asks.join().unwrap();
        assert_eq!(ours, theirs);
        assert_eq!((computed, they_computed), (ours == 1, ours == 2));
    });
}

/// Who computes dies, at any point from its claim to the end of it.
#[test]
fn one_of_two_dies() {
    at_each_crash_point(|point, died| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let dies = segment.attach().unwrap();
        let lives = segment.attach().unwrap();
        let asks = thread::spawn(move || {
            let answer = run_until_death(point, &dies, || ask(&dies, 1));
            (answer, dies)
        });
        // No second computation of a value that is there: `ask` looks.
        let first = ask(&lives, 2);
        let (theirs, _dead) = asks.join().unwrap();
        died.fetch_or(theirs.is_none(), Ordering::Relaxed);
        let second = ask(&lives, 3);
        match (theirs, first, second) {
            (Some(Answer::Computed), Answer::Found(1) | Answer::LeftToOthers, Answer::Found(1))
            | (_, Answer::Computed, Answer::Found(2)) => {}
            // Dead with the value in the table, or without.
            (None, Answer::Found(1), Answer::Found(1))
            | (None, Answer::LeftToOthers, Answer::Found(1) | Answer::Computed) => {}
            all => panic!("{all:?}"),
        }
        check(&lives);
    });
}

/// Waits for the claim of `k`, whether it has a value or not.
fn claim(table: &Table) -> shmtable::Claim {
    let claim = table.claim_within(b"k", Duration::MAX, &[]).unwrap();
    claim.expect("there is no timeout")
}

/// A claim ends without a value: who waits for it is woken and gets it.
#[test]
fn one_takes_the_place_of_another() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let ends = segment.attach().unwrap();
        let waits = segment.attach().unwrap();
        let first = claim(&ends);
        let ends = thread::spawn(move || {
            drop(first);
            ends
        });
        drop(claim(&waits));
        let _ended = ends.join().unwrap();
    });
}

/// So it is between threads of one handle, where the kernel is not asked.
#[test]
fn one_thread_takes_the_place_of_another() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let table = segment.attach().unwrap();
        let first = claim(&table);
        let ends = thread::spawn(move || drop(first));
        drop(claim(&table));
        ends.join().unwrap();
    });
}

/// An unlock of the stripe may clear the flag between the attempt and the sleep.
#[test]
fn one_takes_the_place_of_another_beside_a_writer() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 3, 6, 4);
        let ends = segment.attach().unwrap();
        let waits = segment.attach().unwrap();
        let first = claim(&ends);
        let ends = thread::spawn(move || {
            ends.fetch_add(b"n", 1).unwrap();
            drop(first);
            ends
        });
        drop(claim(&waits));
        let _ended = ends.join().unwrap();
    });
}

/// The claimant dies at any point, perhaps after the end of its claim and before it wakes anyone.
/// (Sleeps end after the death, as by their timeout.)
#[test]
fn one_takes_the_place_of_another_that_dies() {
    at_each_crash_point(|point, died| {
        let segment = ModelSegment::new(1, 2, 6, 4);
        let dies = segment.attach().unwrap();
        let waits = segment.attach().unwrap();
        let ends = thread::spawn(move || {
            let done = run_until_death(point, &dies, || {
                drop(claim(&dies));
                dies.fetch_add(b"n", 1).unwrap();
            });
            (done.is_some(), dies)
        });
        drop(claim(&waits));
        let (done, _dead) = ends.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
    });
}
