//! Is each wake-up delivered, so that everybody gets the lock in the end?
//!
//! In a model a sleep has no timeout: a lost wake-up is a deadlock.
//!
//! # Planted, and seen to deadlock
//! - who was woken takes the lock without WAITERS (`flags = 0`): three sleep and wake;
//! - waking before letting go; letting go by a load and a store;
//! - sleeping without setting WAITERS: the execution never ends.
//!
//! And to lose counts: a lock taken over without a look at its owner's life.
#![cfg(loom)]

use std::sync::atomic::Ordering;

use loom::thread;
use loom_tests::at_each_crash_point;
use shmtable::loom_model::{ModelSegment, run_until_death};

fn contend(processes: usize, turns: i64) {
    loom::model(move || {
        let segment = ModelSegment::new(1, processes, 5, 4);
        let tables: Vec<_> = (0..processes).map(|_| segment.attach().unwrap()).collect();
        tables[0].fetch_add(b"n", 0).unwrap();
        let add = move |table: &shmtable::Table| {
            for _ in 0..turns {
                table.fetch_add(b"n", 1).unwrap();
            }
        };
        let others: Vec<_> = tables[1..]
            .iter()
            .map(|table| {
                let table = table.clone();
                thread::spawn(move || add(&table))
            })
            .collect();
        add(&tables[0]);
        for other in others {
            other.join().unwrap();
        }
        let sum = tables[0].fetch_add(b"n", 0).unwrap();
        assert_eq!(sum, processes as i64 * turns);
    });
}

#[test]
fn two_take_turns() {
    contend(2, 2);
}

#[test]
fn three_sleep_and_wake() {
    contend(3, 1);
}

/// One of three dies, with the lock or with a wake-up that was meant for others.
#[test]
fn one_of_three_dies() {
    at_each_crash_point(|point, died| {
        let segment = ModelSegment::new(1, 3, 5, 4);
        let [one, two, dies] = [(); 3].map(|()| segment.attach().unwrap());
        one.fetch_add(b"n", 0).unwrap();
        let adds = thread::spawn({
            let two = two.clone();
            move || two.fetch_add(b"n", 1).unwrap()
        });
        let dying = thread::spawn(move || {
            let done = run_until_death(point, &dies, || dies.fetch_add(b"n", 1).unwrap()).is_some();
            (dies, done)
        });
        one.fetch_add(b"n", 1).unwrap();
        adds.join().unwrap();
        let (_dead, done) = dying.join().unwrap();
        died.fetch_or(!done, Ordering::Relaxed);
        let sum = one.fetch_add(b"n", 0).unwrap();
        assert!(sum == 3 || (sum == 2 && !done), "{sum}");
    });
}
