//! Errors of waits that end without what they waited for.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use shmtable::{Error, Options, Result, Waker, wait_until};

use crate::common::{self, LIMIT, Named, assert_sound, bytes};
use crate::{all, refused, stores};

#[test]
fn lock_timeout() {
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"k", b"v").unwrap();
    let timeout = Duration::from_millis(150);
    let impatient = Options::new()
        .lock_timeout(timeout)
        .open(&named.name)
        .unwrap();
    let before = all(&named);
    named
        .update(b"k", |old| {
            common::scope(|scope| {
                scope.spawn(|| {
                    for (method, error) in stores(&impatient, b"k", b"other") {
                        assert!(
                            matches!(error, Some(Error::LockTimeout { timeout: told, participant: 0, .. })
                                if told == timeout),
                            "{method}: {error:?}"
                        );
                    }
                    let begin = Instant::now();
                    refused(
                        impatient.remove(b"k"),
                        &["150ms", "participant 0", "alive", "try again", "Options::lock_timeout"],
                    );
                    assert!(begin.elapsed() >= timeout);
                    assert!(matches!(impatient.snapshot(), Err(Error::LockTimeout { .. })));
                    // Readers do not wait.
                    assert_eq!(impatient.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
                });
            });
            old.map(<[u8]>::to_vec)
        })
        .unwrap();
    assert_eq!(all(&named), before);
    assert!(!impatient.insert(b"k", b"other").unwrap());
}

#[test]
fn claim_timeout_and_deadlock() {
    let named = Named::create(&Options::new().capacity(10));
    let timeout = Duration::from_millis(20);
    let claimed = named.get_or_claim(b"k").unwrap();
    let waited = named
        .open()
        .get_or_try_insert_with(b"k", timeout, || -> Result<&str> {
            unreachable!("not called")
        });
    let error = refused(
        waited,
        &["20ms", "another caller computes", "try again", "insert"],
    );
    assert!(
        matches!(error, Error::ClaimTimeout { timeout: told, .. } if told == timeout),
        "{error:?}"
    );
    drop(claimed);
    let asked = named.get_or_try_insert_with(b"k", timeout, || {
        named.get_or_insert_with(b"k", || -> &str { unreachable!("not called") })
    });
    let error = refused(
        asked,
        &["deadlock", "can never end", "one order everywhere"],
    );
    assert!(matches!(error, Error::Deadlock { .. }), "{error:?}");
    assert!(all(&named).is_empty());
    assert_eq!(named.get_or_insert_with(b"k", || "1").unwrap(), b"1");
}

/// Options for a handle whose waits end at their first sleep, or go on, and the
/// number of sleeps so far.
fn waiting(then: ControlFlow<()>) -> (Options, Arc<AtomicUsize>) {
    let sleeps = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sleeps);
    // So long that no wait of a test ends by itself.
    let options = Options::new()
        .lock_timeout(LIMIT)
        .around_sleep(move |sleep| {
            counted.fetch_add(1, Ordering::Relaxed);
            sleep();
            then
        });
    (options, sleeps)
}

#[track_caller]
fn interrupted<T>(method: &str, result: Result<T>) {
    println!("{method}");
    let error = refused(result, &["interrupted", "nothing has changed", "try again"]);
    assert!(matches!(error, Error::Interrupted), "{method}: {error:?}");
}

#[test]
fn a_wait_for_a_lock_is_interrupted_and_nothing_has_changed() {
    let named = Named::create(&Options::new().capacity(20).stripes(1));
    named.insert(b"k", b"v").unwrap();
    named.insert(b"n", &7_i64.to_le_bytes()).unwrap();
    let (options, sleeps) = waiting(ControlFlow::Break(()));
    let table = options.open(&named.name).unwrap();
    let before = all(&named);
    let attempts = || {
        let mut attempts = Vec::new();
        // What is written under the lock, and what is written before.
        for value in [&b"other"[..], &bytes(1, 1000)] {
            for key in [&b"k"[..], b"new"] {
                attempts.extend(stores(&table, key, value));
            }
            attempts.push(("try_insert", table.try_insert(b"new", value).err()));
        }
        let removal = table.compare_exchange(b"k", Some(b"v"), None);
        attempts.extend([
            ("remove", table.remove(b"k").err()),
            ("take", table.take(b"k").err()),
            ("removing update", table.update(b"k", |_| None).err()),
            ("removing compare_exchange", removal.err()),
            ("fetch_add", table.fetch_add(b"n", 1).err()),
            ("fetch_add to a new key", table.fetch_add(b"m", 1).err()),
            ("retain", table.retain(|_, _| false).err()),
            ("remove_prefix", table.remove_prefix(b"k").err()),
            ("remove_many", table.remove_many([b"k"]).err()),
            ("clear", table.clear().err()),
            ("snapshot", table.snapshot().err()),
            ("check", table.check().err()),
        ]);
        attempts
    };
    named
        .update(b"k", |old| {
            common::scope(|scope| {
                scope.spawn(|| {
                    let attempts = attempts();
                    assert_eq!(sleeps.load(Ordering::Relaxed), attempts.len());
                    for (method, error) in attempts {
                        interrupted::<()>(method, Err(error.expect("it waits for the lock")));
                    }
                    // Readers do not wait.
                    assert_eq!(table.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
                });
            });
            old.map(<[u8]>::to_vec)
        })
        .unwrap();
    assert_eq!(all(&named), before);
    // What need not wait is not interrupted.
    assert!(!table.insert(b"k", b"other").unwrap());
}

#[test]
fn a_wait_for_a_key_is_interrupted() {
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"k", b"v").unwrap();
    let before = all(&named);
    let (options, sleeps) = waiting(ControlFlow::Break(()));
    let handles = [
        options.open(&named.name).unwrap(),
        options.open_read_only(&named.name).unwrap(),
    ];
    for table in handles {
        let begin = sleeps.load(Ordering::Relaxed);
        interrupted("wait", table.wait(b"never", LIMIT));
        interrupted("wait_change", table.wait_change(b"k", Some(b"v"), LIMIT));
        interrupted("wait_change", table.wait_change(b"never", None, LIMIT));
        let keys = [(&table, b"never")];
        let look = || table.get(b"never");
        interrupted("wait_until", wait_until(&keys, &Waker::new(), LIMIT, look));
        assert_eq!(sleeps.load(Ordering::Relaxed), begin + 4);
        // What is there already, and what may not sleep, is not.
        assert!(table.wait(b"k", LIMIT).unwrap().is_some());
        assert!(table.wait_change(b"k", None, LIMIT).unwrap().is_some());
        assert_eq!(table.wait(b"never", Duration::ZERO).unwrap(), None);
    }
    assert_eq!(all(&named), before);
}

#[test]
fn a_wait_for_room_is_interrupted_and_nothing_has_changed() {
    let options = Options::new()
        .capacity(100)
        .value_space(50_000)
        .chunk_size(4096)
        .max_participants(2);
    let named = Named::create(&options);
    let mut key = 0_u32;
    while named.insert(&key.to_le_bytes(), &bytes(1, 2000)).is_ok() {
        key += 1;
    }
    let before = all(&named);
    // Who finds no room waits a moment for others who clean, before it says so.
    let (options, _) = waiting(ControlFlow::Break(()));
    let table = options.open(&named.name).unwrap();
    for key in [key, 0] {
        for (method, error) in stores(&table, &key.to_le_bytes(), &bytes(2, 3000)) {
            interrupted::<()>(method, Err(error.expect("there is no room")));
        }
    }
    assert_eq!(all(&named), before);
    drop(table);
    let (options, sleeps) = waiting(ControlFlow::Continue(()));
    let table = options.open(&named.name).unwrap();
    let error = table.insert(&key.to_le_bytes(), &bytes(2, 3000));
    assert!(matches!(error, Err(Error::ValueSpaceFull { .. })));
    assert!(sleeps.load(Ordering::Relaxed) > 0);
    assert_eq!(all(&named), before);
}

#[test]
fn reentrant() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    table.insert(b"k", b"v").unwrap();
    table
        .update(b"k", |old| {
            let error = refused(
                table.insert(b"k", b"other"),
                &["inside a closure", "before or after the call"],
            );
            assert!(matches!(error, Error::Reentrant));
            old.map(<[u8]>::to_vec)
        })
        .unwrap();
    assert_eq!(table.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert_sound(&table);
}
