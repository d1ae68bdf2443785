//! Is each who waits for a key woken when it comes?
//!
//! In a model a sleep has no timeout: a lost wake-up is a deadlock.
//!
//! # Planted, and seen to deadlock
//! - the look at the key before SLEEPERS is set;
//! - SLEEPERS set without acquire;
//! - nobody woken; the event not raised;
//! - the lock taken without keeping SLEEPERS.
#![cfg(loom)]

use std::sync::atomic::Ordering;
use std::time::Duration;

use loom::thread;
use loom_tests::{at_each_crash_point, insert, number};
use shmtable::Table;
use shmtable::loom_model::{ModelSegment, run_until_death};

fn wait(table: &Table, key: &str) -> u8 {
    let found = table.wait(key.as_bytes(), Duration::MAX).unwrap();
    number(&found.unwrap())
}

#[test]
fn one_waits() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 5, 4);
        let writer = segment.attach().unwrap();
        let waiter = segment.attach().unwrap();
        let inserts = thread::spawn({
            let writer = writer.clone();
            move || insert(&writer, "k", 1)
        });
        assert_eq!(wait(&waiter, "k"), 1);
        inserts.join().unwrap();
    });
}

#[test]
fn one_waits_through_two_events() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 5, 4);
        let writer = segment.attach().unwrap();
        let waiter = segment.attach().unwrap();
        writer.fetch_add(b"n", 1).unwrap();
        let inserts = thread::spawn({
            let writer = writer.clone();
            move || {
                writer.fetch_add(b"n", 1).unwrap();
                insert(&writer, "k", 1);
            }
        });
        assert_eq!(wait(&waiter, "k"), 1);
        inserts.join().unwrap();
    });
}

#[test]
fn two_wait() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 3, 6, 4);
        let writer = segment.attach().unwrap();
        let waiters = [segment.attach().unwrap(), segment.attach().unwrap()];
        let wait_all = waiters
            .clone()
            .map(|waiter| thread::spawn(move || assert_eq!(wait(&waiter, "k"), 1)));
        insert(&writer, "k", 1);
        for waits in wait_all {
            waits.join().unwrap();
        }
    });
}

#[test]
fn one_waits_for_a_removal() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 2, 5, 4);
        let writer = segment.attach().unwrap();
        let waiter = segment.attach().unwrap();
        insert(&writer, "k", 1);
        let removes = thread::spawn({
            let writer = writer.clone();
            move || writer.remove(b"k").unwrap()
        });
        let seen = loom_tests::value(1);
        let change = waiter.wait_change(b"k", Some(&seen), Duration::MAX);
        assert_eq!(change.unwrap(), Some(None));
        removes.join().unwrap();
    });
}

/// The process that publishes the key dies at each of its stores, perhaps before
/// it wakes anybody; then another one publishes it if it is not there. (Sleeps end
/// after the death, as by their timeout.)
#[test]
fn one_waits_for_a_key_whose_writer_dies() {
    at_each_crash_point(|point, died| {
        let segment = ModelSegment::new(1, 3, 6, 4);
        let dies = segment.attach().unwrap();
        let lives = segment.attach().unwrap();
        let waiter = segment.attach().unwrap();
        let inserts = thread::spawn({
            let lives = lives.clone();
            move || {
                let done = run_until_death(point, &dies, || insert(&dies, "k", 1)).is_some();
                lives.try_insert(b"k", &loom_tests::value(2)).unwrap();
                (dies, done)
            }
        });
        let found = wait(&waiter, "k");
        let (_dead, done) = inserts.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        assert!(found == 1 || !done);
    });
}
