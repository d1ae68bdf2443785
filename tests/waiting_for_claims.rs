//! Does a caller that waits for a claim get it when its holder gives it up or dies?

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Child, LIMIT, Named, scaled};
use shmtable::{Claim, Claimed, Error, Options, Result, Table, Waker, wait_until};

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

/// Waits for the first claim of several that is free, in one `wait_until`.
fn first_free(table: &Table, keys: &[&[u8]], held: &[&Claim]) -> Result<Option<Claim>> {
    let mut all = Vec::new();
    for key in keys {
        all.push(table.claim_attempts(key, held)?);
    }
    let keys: Vec<_> = keys.iter().map(|key| (table, *key)).collect();
    wait_until(&keys, &Waker::new(), LIMIT, || {
        for attempts in &mut all {
            if let Some(claim) = attempts.claim()? {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    })
}

#[test]
fn a_wait_for_several_claims_ends_with_any_of_them() {
    let named = Named::create(&small());
    let keys: [&[u8]; 3] = [b"a", b"b", b"c"];
    for free in keys {
        let mut held: Vec<_> = keys
            .iter()
            .map(|key| named.claim(key).unwrap().expect("it is free"))
            .collect();
        let other = named.open();
        let claimed = common::scope(|scope| {
            let waits = scope.spawn(|| first_free(&other, &keys, &[]).unwrap());
            std::thread::sleep(Duration::from_millis(5));
            held.retain(|claim| claim.key() != free);
            waits.join().unwrap().expect("it waits until one is free")
        });
        assert_eq!(claimed.key(), free);
    }
}

#[test]
fn attempts_find_a_value_or_the_claim_of_another_computation() {
    let named = Named::create(&small());
    let mut attempts = named.claim_attempts(b"key", &[]).unwrap();
    let Some(Claimed::Mine(claim)) = attempts.get_or_claim().unwrap() else {
        panic!("it is free");
    };
    assert!(attempts.get_or_claim().unwrap().is_none());
    assert_eq!(claim.insert(b"1").unwrap(), None);
    let Some(Claimed::Present(value)) = attempts.get_or_claim().unwrap() else {
        panic!("it has a value");
    };
    assert_eq!(value, b"1");
    assert!(attempts.claim().unwrap().is_some());
}

#[test]
fn attempts_need_a_handle_that_may_write_and_a_key_that_fits() {
    let named = Named::create(&small());
    let reader = Table::open_read_only(&named.name).unwrap();
    let refused = reader.claim_attempts(b"key", &[]).map(drop);
    assert!(matches!(refused, Err(Error::ReadOnly)));
    let refused = named.claim_attempts(vec![0; 1 << 20], &[]).map(drop);
    assert!(matches!(refused, Err(Error::KeyTooLarge { .. })));
}

#[test]
fn attempts_of_those_who_hold_what_the_others_want_find_the_circle() {
    let named = Named::create(&small());
    let held = named.claim(b"a").unwrap().expect("it is free");
    let mut own = named.claim_attempts(b"a", &[&held]).unwrap();
    assert!(matches!(own.claim(), Err(Error::Deadlock { .. })));
    drop(own);

    let other = named.claim(b"b").unwrap().expect("it is free");
    let deadlocks = common::scope(|scope| {
        let waits = [(held, b"b"), (other, b"a")].map(|(held, wanted)| {
            let named = &named;
            scope.spawn(move || match first_free(named, &[wanted], &[&held]) {
                Err(Error::Deadlock { .. }) => 1,
                found => found.unwrap().map_or(0, |_| 0),
            })
        });
        waits.map(|wait| wait.join().unwrap()).iter().sum::<i32>()
    });
    assert_eq!(deadlocks, 1);
}
