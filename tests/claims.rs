//! Is a value computed once, by one of the processes that ask for it at the same time?
//!
//! If that process fails, panics or is killed, does another one compute it? Claims and forks
//! are tested in `forks/`.

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use common::{
    Child, LIMIT, Named, assert_sound, bytes, contents, eventually, key, mine, scaled, shapes,
};
#[cfg(target_os = "linux")]
use rustix::process::Signal;
use shmtable::{Claim, Claimed, Error, Options, Result, Table};

#[track_caller]
fn others(table: &Table, key: &[u8]) {
    let found = table.get_or_claim(key).unwrap();
    assert!(matches!(found, Claimed::Others(_)), "{found:?}");
}

#[track_caller]
fn present(table: &Table, key: &[u8], value: &[u8]) {
    let found = table.get_or_claim(key).unwrap();
    assert!(
        matches!(&found, Claimed::Present(found) if found == value),
        "{found:?}"
    );
}

/// A handle that counts its sleeps.
fn counting(named: &Named) -> (Table, Arc<AtomicUsize>) {
    let sleeps = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sleeps);
    let options = Options::new().around_sleep(move |sleep| {
        counted.fetch_add(1, Ordering::Relaxed);
        sleep();
        ControlFlow::Continue(())
    });
    (options.open(&named.name).unwrap(), sleeps)
}

/// A handle that cannot wait: whatever would is an error.
fn impatient(named: &Named) -> Table {
    let options = Options::new().around_sleep(|_| ControlFlow::Break(()));
    options.open(&named.name).unwrap()
}

#[test]
fn threads_compute_each_value_once_and_all_get_it() {
    const THREADS: usize = 8;
    for (shape, options) in shapes(2000, 1 << 20) {
        println!("shape: {shape}");
        let keys = scaled(500).min(2000);
        let named = Named::create(&options.max_participants(16));
        let computations: Vec<AtomicUsize> = (0..keys).map(|_| AtomicUsize::new(0)).collect();
        let start = Barrier::new(THREADS);
        let found: Vec<Vec<Vec<u8>>> = common::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    // Half of them are clones, half are participants of their own.
                    let table = match thread % 2 {
                        0 => named.table.clone(),
                        _ => named.open(),
                    };
                    let (computations, start) = (&computations, &start);
                    scope.spawn(move || {
                        start.wait();
                        (0..keys)
                            .map(|number| {
                                let compute = || {
                                    computations[number].fetch_add(1, Ordering::Relaxed);
                                    bytes((number * THREADS + thread) as u64, number % 300)
                                };
                                table.get_or_insert_with(key(number), compute).unwrap()
                            })
                            .collect()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for (number, count) in computations.iter().enumerate() {
            assert_eq!(count.load(Ordering::Relaxed), 1, "key {number}");
            let stored = named.get(&key(number)).unwrap();
            for found in &found {
                assert_eq!(Some(&found[number]), stored.as_ref(), "key {number}");
            }
        }
        assert_eq!(named.len(), keys);
        assert_sound(&named);
    }
}

/// While `fails` computes, another thread waits for the value; when it has failed,
/// that one computes.
fn another_takes_the_place(fails: impl FnOnce() -> Result<Vec<u8>> + Send) {
    let named = Named::create(&Options::new().capacity(10));
    let (waits, sleeps) = counting(&named);
    common::scope(|scope| {
        let mut waiter = None;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            named.get_or_try_insert_with(b"k", LIMIT, || {
                waiter = Some(scope.spawn(|| {
                    waits.get_or_insert_with(b"k", || {
                        assert_eq!(waits.get(b"k").unwrap(), None, "a failure stores nothing");
                        b"by another"
                    })
                }));
                eventually("the other one waits", || sleeps.load(Ordering::Relaxed) > 0);
                fails()
            })
        }));
        assert!(
            matches!(outcome, Err(_) | Ok(Err(Error::ReadOnly))),
            "{outcome:?}"
        );
        let computed = waiter.unwrap().join().unwrap();
        assert_eq!(computed.unwrap(), b"by another");
    });
    present(&named, b"k", b"by another");
    assert_sound(&named);
}

#[test]
fn another_computes_if_the_first_one_fails() {
    another_takes_the_place(|| Err(Error::ReadOnly));
}

#[test]
fn another_computes_if_the_first_one_panics() {
    another_takes_the_place(|| panic!("on purpose"));
}

#[test]
fn a_failed_computation_stores_nothing_and_the_next_may_try() {
    let named = Named::create(&Options::new().capacity(10).value_space(1000));
    for _ in 0..100 {
        let failed = named.get_or_try_insert_with(b"k", LIMIT, || Err::<&str, _>(Error::ReadOnly));
        assert!(matches!(failed, Err(Error::ReadOnly)), "{failed:?}");
    }
    assert!(named.is_empty());
    let found = named.get_or_insert_with(b"k", || b"at last");
    assert_eq!(found.unwrap(), b"at last");
}

#[test]
fn processes_compute_each_value_once() {
    let keys = scaled(300);
    if let Some(racer) = common::racer() {
        let mut computed = Vec::new();
        for number in 0..keys {
            let found = racer.table.get_or_insert_with(key(number), || {
                computed.push(number);
                racer.number.to_string()
            });
            assert!(!found.unwrap().is_empty());
        }
        for number in computed {
            racer.tell(&number.to_string());
        }
        return;
    }
    let named = Named::create(&Options::new().capacity(keys).stripes(1));
    let said = common::finish_all(common::race(common::this_test!(), &named.name, 4));
    let mut computed = HashMap::new();
    for (me, numbers) in said.iter().enumerate() {
        println!("process {me} computed {} of {keys}", numbers.len());
        for number in numbers {
            let twice = computed.insert(
                key(number.parse().unwrap()).to_vec(),
                me.to_string().into_bytes(),
            );
            assert_eq!(twice, None, "key {number} was computed twice");
        }
    }
    assert_eq!(contents(&named), computed, "who computed it stored it");
    assert_eq!(computed.len(), keys);
    assert_sound(&named);
}

/// The child's part: computes a value, and tells when it does; it goes on when the
/// parent says so.
fn compute(role: &common::Role) {
    let found = role.open().get_or_insert_with(b"k", || {
        role.tell("computing");
        role.hear().expect("the parent lets it go on");
        role.name.as_str()
    });
    role.tell(&String::from_utf8(found.unwrap()).unwrap());
}

#[test]
fn a_killed_computer_is_replaced() {
    if let Some(role) = common::role() {
        return compute(&role);
    }
    let named = Named::create(&Options::new().capacity(10));
    let mut children: Vec<Child> = ["0", "1", "2", "3"]
        .iter()
        .map(|name| Child::start(common::this_test!(), name, &[&named.name]))
        .collect();
    while children.len() > 1 {
        let at = who_computes(&children);
        others(&named, b"k");
        // No other process computes beside it.
        for (other, child) in children.iter().enumerate() {
            assert!(other == at || child.hear_within(Duration::ZERO).is_none());
        }
        children.remove(at).kill();
    }
    who_computes(&children);
    let mut last = children.remove(0);
    last.say("go on");
    let stored = named
        .wait(b"k", LIMIT)
        .unwrap()
        .expect("the last one stores it");
    let name = String::from_utf8(stored).unwrap();
    assert_eq!(last.finish(), [name]);
    assert_eq!(named.stats().unwrap().participants, 1);
    assert_sound(&named);
}

/// Which of the children says that it computes.
fn who_computes(children: &[Child]) -> usize {
    let begin = Instant::now();
    loop {
        for (at, child) in children.iter().enumerate() {
            if let Some(said) = child.hear_within(Duration::from_millis(1)) {
                assert_eq!(said, "computing");
                return at;
            }
        }
        assert!(
            begin.elapsed() < LIMIT,
            "no process takes the dead one's place"
        );
    }
}

/// Windows has no signal that stops a process.
#[cfg(target_os = "linux")]
#[test]
fn a_stopped_computer_keeps_its_claim() {
    if let Some(role) = common::role() {
        return compute(&role);
    }
    let named = Named::create(&Options::new().capacity(10));
    let (waits, sleeps) = counting(&named);
    let mut child =
        Child::start(common::this_test!(), "computer", &[&named.name]).once_it_says("computing");
    child.signal(Signal::STOP);
    common::scope(|scope| {
        let found = scope.spawn(|| {
            waits.get_or_insert_with(b"k", || -> &str { unreachable!("the stopped one lives") })
        });
        // Several slices of its wait.
        eventually("it waits", || sleeps.load(Ordering::Relaxed) > 3);
        others(&named, b"k");
        child.signal(Signal::CONT);
        child.say("go on");
        assert_eq!(found.join().unwrap().unwrap(), b"computer");
    });
    assert_eq!(child.finish(), ["computer"]);
}

#[test]
fn a_claim_is_one_keys_and_ends_with_its_drop() {
    let named = Named::create(&Options::new().capacity(1000));
    let other = named.open();
    let claims: Vec<Claim> = (0..100).map(|number| mine(&named, &key(number))).collect();
    for number in 0..100 {
        // Not the holder's handle either.
        others(&named, &key(number));
        others(&other, &key(number));
    }
    drop(mine(&other, b"another"));
    // It is not bound to the thread that got it.
    std::thread::spawn(move || drop(claims)).join().unwrap();
    for number in 0..100 {
        drop(mine(&other, &key(number)));
    }
    assert!(named.is_empty());
}

#[test]
fn a_claim_keeps_its_table_open() {
    let named = Named::create(&Options::new().capacity(10));
    let other = named.open();
    let claim = mine(&other, b"k");
    drop(other);
    assert_eq!(named.stats().unwrap().participants, 2);
    others(&named, b"k");
    assert_eq!(claim.insert(b"1").unwrap(), None);
    assert_eq!(named.stats().unwrap().participants, 1);
    assert!(named.remove(b"k").unwrap());
    drop(mine(&named, b"k"));
}

#[test]
fn many_claims_take_no_descriptors() {
    const CLAIMS: usize = 2000;
    let named = Named::create(&Options::new().capacity(10));
    let descriptors = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = descriptors();
    let claims: Vec<Claim> = (0..CLAIMS)
        .map(|number| mine(&named, &key(number)))
        .collect();
    // Other tests of this process open some, too.
    assert!(descriptors() < before + CLAIMS / 2);
    drop(claims);
    drop(mine(&named.open(), &key(0)));
}

#[test]
fn a_key_is_claimed_whatever_its_value() {
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"job", b"sweep").unwrap();
    let other = named.open();
    let claim = named.claim(b"job").unwrap().expect("nobody has it");
    assert_eq!(claim.key(), b"job");
    assert!(named.claim(b"job").unwrap().is_none());
    assert!(other.claim(b"job").unwrap().is_none());
    present(&other, b"job", b"sweep");
    named.remove(b"job").unwrap();
    others(&other, b"job");
    drop(claim);
    assert!(other.claim(b"job").unwrap().is_some());
    drop(mine(&named, b"job"));
}

#[test]
fn a_claim_keeps_nobody_from_writing() {
    let named = Named::create(&Options::new().capacity(10).stripes(1));
    named.insert(b"old", b"1").unwrap();
    let writer = impatient(&named);
    let claim = mine(&named, b"k");
    assert!(writer.insert(b"k", b"without a claim").unwrap());
    present(&writer, b"k", b"without a claim");
    assert_eq!(
        writer.take(b"k").unwrap().as_deref(),
        Some(&b"without a claim"[..])
    );
    others(&writer, b"k");
    assert_eq!(writer.fetch_add(b"k", 2).unwrap(), 0);
    writer.update(b"k", |_| Some(b"again".to_vec())).unwrap();
    assert_eq!(writer.snapshot().unwrap().len(), 2);
    assert_sound(&writer);
    // What is there stands.
    let winner = claim.insert(b"computed").unwrap();
    assert_eq!(winner.as_deref(), Some(&b"again"[..]));
    present(&writer, b"k", b"again");
    let _claim = mine(&named, b"m");
    writer.clear().unwrap();
    assert!(named.is_empty());
}

#[test]
fn a_value_that_others_stored_during_the_computation_stands_and_is_returned() {
    let named = Named::create(&Options::new().capacity(10));
    let other = named.open();
    let stores: [(&[u8], &dyn Fn()); 4] = [
        (b"winner", &|| {
            assert!(other.try_insert(b"k", b"winner").unwrap());
        }),
        (b"written", &|| {
            assert!(other.insert(b"k", b"written").unwrap());
        }),
        (&5_i64.to_le_bytes(), &|| {
            assert_eq!(other.fetch_add(b"k", 5).unwrap(), 0);
        }),
        (&bytes(1, 500), &|| {
            other.update(b"k", |_| Some(bytes(1, 500))).unwrap();
        }),
    ];
    for (stored, store) in stores {
        let found = named.get_or_insert_with(b"k", || {
            store();
            "computed"
        });
        assert_eq!(found.unwrap(), stored);
        assert_eq!(named.take(b"k").unwrap().as_deref(), Some(stored));
    }
    // Nothing stands in the way if it is gone again.
    let found = named.get_or_insert_with(b"k", || {
        assert!(other.insert(b"k", b"1").unwrap() && other.remove(b"k").unwrap());
        "computed"
    });
    assert_eq!(found.unwrap(), b"computed");
    present(&other, b"k", b"computed");
    assert_sound(&named);
}

#[test]
fn a_claim_waits_for_no_lock() {
    let named = Named::create(&Options::new().capacity(10).stripes(1));
    named.insert(b"k", b"v").unwrap();
    let other = impatient(&named);
    named
        .update(b"k", |old| {
            common::scope(|scope| {
                scope.spawn(|| {
                    present(&other, b"k", b"v");
                    let claim = mine(&other, b"absent");
                    others(&other, b"absent");
                    drop(claim);
                    drop(mine(&other, b"absent"));
                });
            });
            old.map(<[u8]>::to_vec)
        })
        .unwrap();
}

#[test]
fn a_closure_may_write_and_claim_other_keys() {
    let table = Options::new().capacity(10).stripes(1).create_anonymous();
    let table = table.unwrap();
    let found = table.get_or_try_insert_with(b"6!", LIMIT, || {
        let inner = table.get_or_try_insert_with(b"5!", LIMIT, || {
            table.fetch_add(b"computed", 1)?;
            Ok::<_, Error>(b"120")
        })?;
        assert_eq!(inner, b"120");
        table.fetch_add(b"computed", 1)?;
        Ok::<_, Error>(b"720")
    });
    assert_eq!(found.unwrap(), b"720");
    assert_eq!(table.fetch_add(b"computed", 0).unwrap(), 2);
    present(&table, b"5!", b"120");
}

#[test]
fn a_claim_is_refused_where_an_insertion_would_be() {
    let named = Named::create(&Options::new().capacity(10).value_space(1000));
    named.insert(b"k", b"v").unwrap();
    let reader = Table::open_read_only(&named.name).unwrap();
    present(&reader, b"k", b"v");
    let found = reader.get_or_insert_with(b"k", || -> &str { unreachable!("it is there") });
    assert_eq!(found.unwrap(), b"v");
    let refused = reader.get_or_claim(b"absent");
    assert!(matches!(refused, Err(Error::ReadOnly)), "{refused:?}");
    let refused = reader.get_or_insert_with(b"absent", || -> &str {
        unreachable!("not ours to compute")
    });
    assert!(matches!(refused, Err(Error::ReadOnly)), "{refused:?}");
    // A key that leaves no room for a value is refused before the computation.
    let refused = named.get_or_insert_with([0; 1001], || -> &str {
        unreachable!("it is refused first")
    });
    assert!(
        matches!(refused, Err(Error::KeyTooLarge { size: 1001, .. })),
        "{refused:?}"
    );
    named
        .update(b"k", |old| {
            let refused = named.get_or_claim(b"absent");
            assert!(matches!(refused, Err(Error::Reentrant)), "{refused:?}");
            present(&named, b"k", b"v");
            old.map(<[u8]>::to_vec)
        })
        .unwrap();
}

#[test]
fn a_wait_for_who_computes_is_interrupted() {
    let named = Named::create(&Options::new().capacity(10));
    let other = impatient(&named);
    let claim = mine(&named, b"k");
    let waited = other.get_or_insert_with(b"k", || -> &str { unreachable!("it is claimed") });
    assert!(matches!(waited, Err(Error::Interrupted)), "{waited:?}");
    drop(claim);
    let found = other.get_or_insert_with(b"k", || b"1");
    assert_eq!(found.unwrap(), b"1");
}
