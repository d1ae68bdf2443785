//! Do waits for other computations end even if those are stuck, wait for each other, or
//! compute values that have no room?

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(target_os = "linux")]
use common::Child;
use common::{LIMIT, Named, assert_sound, bytes, mine};
use shmtable::{Claim, Claimed, Error, Options, OtherClaim, Result, Table};

#[track_caller]
fn others(table: &Table, key: &[u8]) -> OtherClaim {
    match table.get_or_claim(key).unwrap() {
        Claimed::Others(other) => other,
        other => panic!("nobody else claims it: {other:?}"),
    }
}

fn is_deadlock<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Deadlock { .. }))
}

/// Each thread computes the value of a key and asks for that of the next one meanwhile,
/// all at once: how many of them were refused, and what the others got.
fn all_around(tables: &[(Table, Table)]) -> (usize, usize) {
    let start = Barrier::new(tables.len());
    let (refused, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    common::scope(|scope| {
        for (at, (own, next)) in tables.iter().enumerate() {
            let (start, refused, answered) = (&start, &refused, &answered);
            scope.spawn(move || {
                let other = ((at + 1) % tables.len()).to_string();
                let found = own.get_or_insert_with(at.to_string(), || {
                    start.wait();
                    let found = next.get_or_insert_with(&other, || "nobody gets so far");
                    if is_deadlock(&found) {
                        refused.fetch_add(1, Ordering::Relaxed);
                    } else {
                        assert_eq!(found.unwrap(), b"computed");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    "computed"
                });
                assert_eq!(found.unwrap(), b"computed");
            });
        }
    });
    (refused.into_inner(), answered.into_inner())
}

#[test]
fn of_threads_that_wait_for_each_other_one_is_refused() {
    for threads in 2..5 {
        for _ in 0..3 {
            let table = Options::new().capacity(10).create_anonymous().unwrap();
            let tables = vec![(table.clone(), table.clone()); threads];
            assert_eq!(all_around(&tables), (1, threads - 1));
            assert_eq!(table.len(), threads);
        }
    }
}

/// As processes that know nothing of each other but what the system tells.
#[cfg(target_os = "linux")]
#[test]
fn of_handles_that_wait_for_each_other_one_is_refused() {
    for handles in 2..5 {
        let named = Named::create(&Options::new().capacity(10));
        let open = |_| (named.open(), named.open());
        let tables: Vec<_> = (0..handles)
            .map(open)
            .map(|(handle, _)| (handle.clone(), handle))
            .collect();
        assert_eq!(all_around(&tables), (1, handles - 1));
        assert_sound(&named);
    }
}

/// One computes a value of the first table and needs one of the second, the other does it
/// the other way round.
#[cfg(target_os = "linux")]
#[test]
fn a_circle_through_two_tables_is_found() {
    let (one, other) = (
        Named::create(&Options::new().capacity(10)),
        Named::create(&Options::new().capacity(10)),
    );
    let tables = [(one.open(), other.open()), (other.open(), one.open())];
    assert_eq!(all_around(&tables), (1, 1));
}

/// The child's part: it computes one key, asks for the other one when told to, and says
/// what came of it.
#[cfg(target_os = "linux")]
fn compute_and_ask(role: &common::Role) {
    let table = role.open();
    let found = table.get_or_insert_with(role.argument(1), || {
        role.tell("computing");
        role.hear().expect("the parent lets it go on");
        let found = table.get_or_insert_with(role.argument(2), || "nobody gets so far");
        role.tell(match &found {
            found if is_deadlock(found) => "refused",
            Ok(_) => "answered",
            Err(error) => panic!("{error}"),
        });
        "computed"
    });
    assert_eq!(found.unwrap(), b"computed");
}

#[cfg(target_os = "linux")]
#[test]
fn of_processes_that_wait_for_each_other_one_is_refused() {
    if let Some(role) = common::role() {
        return compute_and_ask(&role);
    }
    let named = Named::create(&Options::new().capacity(10));
    let mut children: Vec<Child> = [["a", "b"], ["b", "c"], ["c", "a"]]
        .iter()
        .map(|[own, other]| Child::start(common::this_test!(), own, &[&named.name, own, other]))
        .collect();
    for child in &children {
        assert_eq!(child.hear(), "computing");
    }
    for child in &mut children {
        child.say("ask");
    }
    let mut said: Vec<String> = children.iter().map(Child::hear).collect();
    said.sort();
    assert_eq!(said, ["answered", "answered", "refused"]);
    for child in children {
        child.finish();
    }
    assert_eq!(named.len(), 3);
    assert_sound(&named);
}

/// What the dead one waited for means nothing any more.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_waiter_closes_no_circle() {
    if let Some(role) = common::role() {
        return compute_and_ask(&role);
    }
    // Until this one is refused, and not the other: their hashes decide.
    loop {
        let named = Named::create(&Options::new().capacity(10));
        let claim = mine(&named, b"b");
        let mut child = Child::start(common::this_test!(), "waiter", &[&named.name, "a", "b"])
            .once_it_says("computing");
        child.say("ask");
        let waited = others(&named, b"a").wait_holding(LIMIT, &[&claim]);
        if !is_deadlock(&waited) {
            drop(claim);
            assert_eq!(child.finish(), ["refused"]);
            continue;
        }
        child.kill();
        let found = match named.get_or_claim(b"a").unwrap() {
            Claimed::Others(other) => other.wait_holding(LIMIT, &[&claim]).unwrap(),
            found => found,
        };
        assert!(matches!(found, Claimed::Mine(_)), "{found:?}");
        return;
    }
}

#[test]
fn a_computation_that_asks_for_its_own_key_is_refused() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    let found = table.get_or_insert_with(b"k", || {
        let inner = table.get_or_insert_with(b"k", || "nobody gets so far");
        assert!(is_deadlock(&inner), "{inner:?}");
        // By way of another key, too.
        let inner = table.get_or_try_insert_with(b"l", LIMIT, || {
            table.get_or_insert_with(b"k", || "nobody gets so far")
        });
        assert!(is_deadlock(&inner), "{inner:?}");
        // A value that is there is found.
        table.insert(b"k", b"stored").unwrap();
        table
            .get_or_insert_with(b"k", || "nobody gets so far")
            .unwrap()
    });
    assert_eq!(found.unwrap(), b"stored");
    assert!(!table.contains_key(b"l").unwrap());
}

#[test]
fn the_keys_that_a_failed_computation_asked_for_are_forgotten() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    for _ in 0..3 {
        let failed = table.get_or_try_insert_with(b"k", LIMIT, || {
            table.get_or_insert_with(b"k", || "nobody gets so far")
        });
        assert!(is_deadlock(&failed), "{failed:?}");
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            table.get_or_insert_with(b"k", || -> &str { panic!("on purpose") })
        }));
        assert!(panicked.is_err());
    }
    let found = table.get_or_insert_with(b"k", || "at last");
    assert_eq!(found.unwrap(), b"at last");
}

#[test]
fn a_waiter_in_a_chain_is_not_refused() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    let (first, second) = (mine(&table, b"1"), mine(&table, b"2"));
    common::scope(|scope| {
        let wait = |held: Claim, key: &'static [u8]| {
            let other = others(&table, key);
            scope.spawn(move || {
                let found = other.wait_holding(LIMIT, &[&held]).unwrap();
                assert!(matches!(found, Claimed::Present(_)), "{found:?}");
                held.insert(b"done").unwrap();
            })
        };
        let third = wait(mine(&table, b"3"), b"2");
        let fourth = wait(second, b"1");
        let waited = others(&table, b"3")
            .wait(Duration::from_millis(200))
            .unwrap();
        assert!(matches!(waited, Claimed::Others(_)));
        first.insert(b"done").unwrap();
        fourth.join().unwrap();
        third.join().unwrap();
    });
    assert_eq!(table.len(), 3);
}

#[test]
fn a_wait_has_the_end_that_it_is_given() {
    let named = Named::create(&Options::new().capacity(10));
    let timeout = Duration::from_millis(120);
    for other in [named.clone(), named.open()] {
        let claim = mine(&named, b"k");
        for timeout in [Duration::ZERO, timeout] {
            let waited = others(&other, b"k").wait(timeout).unwrap();
            assert!(matches!(waited, Claimed::Others(_)), "{waited:?}");
            let waited = other.get_or_try_insert_with(b"k", timeout, || Ok::<_, Error>(""));
            let asked = timeout;
            assert!(
                matches!(waited, Err(Error::ClaimTimeout { timeout, .. }) if timeout == asked),
                "{waited:?}"
            );
        }
        drop(claim);
        let waited = other.get_or_try_insert_with(b"k", timeout, || Ok::<_, Error>("1"));
        assert_eq!(waited.unwrap(), b"1");
        named.remove(b"k").unwrap();
    }
}

#[test]
fn a_waiter_gets_what_is_stored_or_the_claim() {
    let named = Named::create(&Options::new().capacity(10));
    for waiter in [named.clone(), named.open()] {
        let claim = mine(&named, b"k");
        let other = others(&waiter, b"k");
        assert_eq!(other.key(), b"k");
        let found = std::thread::spawn(|| other.wait(LIMIT));
        claim.insert(b"1").unwrap();
        let found = found.join().unwrap().unwrap();
        assert!(matches!(&found, Claimed::Present(value) if value == b"1"));
        named.remove(b"k").unwrap();
        let claim = mine(&named, b"k");
        let other = others(&waiter, b"k");
        let found = std::thread::spawn(|| other.wait(LIMIT));
        drop(claim);
        let found = found.join().unwrap().unwrap();
        assert!(matches!(found, Claimed::Mine(_)), "{found:?}");
    }
}

#[test]
fn a_value_without_room_is_returned() {
    let options = Options::new().capacity(10).stripes(1);
    let named = Named::create(&options.value_space(10_000));
    let large = bytes(1, 1 << 20);
    let found = named.get_or_insert_with(b"too large", || &large);
    assert_eq!(found.unwrap(), large);
    let mut number = 0_u64;
    // Until the table is full, or its value space.
    while named
        .insert(&number.to_le_bytes(), &bytes(number, 900))
        .is_ok()
    {
        number += 1;
    }
    for _ in 0..3 {
        let value = bytes(2, 5000);
        let found = named.get_or_insert_with(b"no room", || &value);
        assert_eq!(found.unwrap(), value);
        assert!(!named.contains_key(b"no room").unwrap());
    }
    let refused = mine(&named, b"no room").insert(bytes(2, 5000));
    assert!(
        matches!(
            refused,
            Err(Error::ValueSpaceFull { .. } | Error::TableFull { .. })
        ),
        "{refused:?}"
    );
    // The claim has ended with it.
    drop(mine(&named.open(), b"no room"));
    assert_sound(&named);
}
