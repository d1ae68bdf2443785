//! Does a caller that waits for a claim get it when its holder gives it up or dies?

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Child, LIMIT, Named, scaled};
use shmtable::{Error, Options};

fn small() -> Options {
    Options::new().capacity(100)
}

#[test]
fn of_all_who_wait_for_a_claim_one_at_a_time_has_it() {
    const THREADS: usize = 4;
    let named = Named::create(&small());
    let inside = AtomicUsize::new(0);
    let rounds = scaled(300);
    common::scope(|scope| {
        for thread in 0..THREADS {
            // Some share a handle, others have one of their own.
            let table = if thread % 2 == 0 {
                named.table.clone()
            } else {
                named.open()
            };
            let inside = &inside;
            scope.spawn(move || {
                for _ in 0..rounds {
                    let claim = table.claim_within(b"key", LIMIT, &[]).unwrap();
                    assert!(claim.is_some());
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    table.fetch_add(b"count", 1).unwrap();
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    let count = named.fetch_add(b"count", 0).unwrap();
    assert_eq!(count, (THREADS * rounds) as i64);
}

#[test]
fn a_wait_for_a_claim_ends_with_its_timeout() {
    let named = Named::create(&small());
    let held = named.claim(b"key").unwrap().expect("it is free");
    let waited = named
        .open()
        .claim_within(b"key", Duration::from_millis(20), &[]);
    assert!(waited.unwrap().is_none());
    drop(held);
    let free = named.claim_within(b"key", Duration::ZERO, &[]).unwrap();
    assert_eq!(free.expect("it is free").key(), b"key");
}

#[test]
fn a_claim_is_waited_for_whatever_the_keys_value() {
    let named = Named::create(&small());
    named.insert(b"key", b"value").unwrap();
    let held = named.claim(b"key").unwrap().expect("it is free");
    common::scope(|scope| {
        let other = named.open();
        let waits = scope.spawn(move || {
            let claim = other.claim_within(b"key", LIMIT, &[]).unwrap();
            claim.is_some()
        });
        // Writes of the key wake the waiter and don't give it the claim.
        for _ in 0..100 {
            named.insert(b"key", b"another").unwrap();
        }
        drop(held);
        assert!(waits.join().unwrap());
    });
}

#[test]
fn a_claim_that_is_waited_for_by_its_own_holder_is_a_deadlock() {
    let named = Named::create(&small());
    let held = named.claim(b"key").unwrap().expect("it is free");
    let waited = named.claim_within(b"key", Duration::MAX, &[&held]);
    assert!(matches!(waited, Err(Error::Deadlock { .. })));
}

#[test]
fn a_claim_whose_holder_is_killed_goes_to_who_waits() {
    if let Some(role) = common::role() {
        let table = role.open();
        let _held = table.claim(b"key").unwrap().expect("it is free");
        role.tell("claimed");
        role.hear();
        unreachable!("it is killed");
    }
    let named = Named::create(&small());
    let child =
        Child::start(common::this_test!(), "holder", &[&named.name]).once_it_says("claimed");
    common::scope(|scope| {
        let waits = scope.spawn(|| named.claim_within(b"key", LIMIT, &[]));
        child.kill();
        assert!(waits.join().unwrap().unwrap().is_some());
    });
}
