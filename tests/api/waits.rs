//! Waits for a key, and other threads during a wait.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use shmtable::{Options, Result, Table, Waker, wait_until};

use crate::common::{self, LIMIT, Named, assert_sound, bytes, contents, eventually};
use crate::{get, on_each_shape, some};

#[test]
fn wait_ends_with_the_value_or_with_the_time() {
    on_each_shape(100, 1 << 16, |table| {
        let begin = Instant::now();
        assert_eq!(table.wait(b"k", Duration::from_millis(120)).unwrap(), None);
        assert!(begin.elapsed() >= Duration::from_millis(120));
        assert_eq!(table.wait(b"k", Duration::ZERO).unwrap(), None);
        common::scope(|scope| {
            let waiters: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| table.wait(b"k", LIMIT)))
                .collect();
            std::thread::sleep(Duration::from_millis(30));
            // Other keys do not end it.
            table.insert(b"other", b"1").unwrap();
            std::thread::sleep(Duration::from_millis(30));
            assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
            table.insert(b"k", b"value").unwrap();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap().unwrap(), some(b"value"));
            }
        });
        assert_eq!(table.wait(b"k", Duration::ZERO).unwrap(), some(b"value"));
        assert_eq!(table.wait(b"k", Duration::MAX).unwrap(), some(b"value"));
    });
}

#[test]
fn wait_change_tells_absent_from_timed_out() {
    on_each_shape(100, 1 << 16, |table| {
        let short = Duration::from_millis(20);
        assert_eq!(table.wait_change(b"k", None, short).unwrap(), None);
        assert_eq!(
            table.wait_change(b"k", Some(b""), short).unwrap(),
            Some(None)
        );
        table.insert(b"k", b"").unwrap();
        assert_eq!(table.wait_change(b"k", Some(b""), short).unwrap(), None);
        assert_eq!(
            table.wait_change(b"k", None, short).unwrap(),
            Some(some(b""))
        );
        // In place, by a replacement, by a removal.
        for (before, after) in [
            (Some(&b"12345678"[..]), Some(&b"12345679"[..])),
            (Some(b"12345679"), Some(b"a value of another length")),
            (Some(b"a value of another length"), None),
        ] {
            if let Some(before) = before {
                table.insert(b"k", before).unwrap();
            }
            common::scope(|scope| {
                let waiter = scope.spawn(|| table.wait_change(b"k", before, LIMIT).unwrap());
                std::thread::sleep(Duration::from_millis(20));
                match after {
                    Some(after) => drop(table.insert(b"k", after).unwrap()),
                    None => drop(table.remove(b"k").unwrap()),
                }
                let seen = waiter.join().unwrap();
                assert_eq!(seen, Some(after.map(<[u8]>::to_vec)));
            });
        }
    });
}

#[test]
fn a_read_only_handle_sees_changes_and_waits() {
    let named = Named::create(&Options::new().capacity(100).value_space(1 << 20));
    let reader = Table::open_read_only(&named.name).unwrap();
    assert!(reader.is_read_only());
    assert!(!named.is_read_only());
    common::scope(|scope| {
        let waiter = scope.spawn(|| reader.wait(b"k", LIMIT));
        std::thread::sleep(Duration::from_millis(20));
        named.insert(b"k", b"1").unwrap();
        assert_eq!(waiter.join().unwrap().unwrap(), some(b"1"));
    });
    named.insert(b"k", &bytes(1, 100_000)).unwrap();
    assert_eq!(get(&reader, b"k"), Some(bytes(1, 100_000)));
    assert_eq!(
        reader.get_many(&[b"k", b"l"]).unwrap(),
        [Some(bytes(1, 100_000)), None]
    );
    assert_eq!(contents(&reader).len(), 1);
    assert_eq!(reader.len(), 1);
    assert_eq!(reader.stats().unwrap().participants, 1);
}

#[test]
fn a_wait_goes_on_as_long_as_it_is_told_to() {
    let named = Named::create(&Options::new().capacity(20).stripes(1));
    named.insert(b"k", b"v").unwrap();
    let sleeps = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sleeps);
    let options = Options::new()
        .lock_timeout(LIMIT)
        .around_sleep(move |sleep| {
            sleep();
            counted.fetch_add(1, Ordering::Relaxed);
            ControlFlow::Continue(())
        });
    let patient = options.open(&named.name).unwrap();
    let reader = options.open_read_only(&named.name).unwrap();
    // Twice, for it to be told twice.
    let is_asleep = || {
        let begin = sleeps.load(Ordering::Relaxed);
        eventually("it sleeps", || sleeps.load(Ordering::Relaxed) > begin + 1);
    };
    common::scope(|scope| {
        let mut inserts = None;
        named
            .update(b"k", |old| {
                inserts = Some(scope.spawn(|| patient.insert(b"k", b"patient").unwrap()));
                is_asleep();
                old.map(<[u8]>::to_vec)
            })
            .unwrap();
        assert!(!inserts.unwrap().join().unwrap(), "it was there");
        assert_eq!(get(&named, b"k"), some(b"patient"));
    });
    for (handle, key) in [(&patient, b"a"), (&reader, b"b")] {
        common::scope(|scope| {
            let waits = scope.spawn(|| handle.wait(key, LIMIT).unwrap());
            is_asleep();
            named.insert(key, b"1").unwrap();
            assert_eq!(waits.join().unwrap(), some(b"1"));
        });
    }
}

/// As an interpreter does that lets its other threads run while one sleeps.
#[test]
fn other_threads_use_the_handle_while_one_of_them_sleeps() {
    const THEIRS: &[u8] = b"another thread's";
    static TABLE: OnceLock<Table> = OnceLock::new();
    static SLEEPS: AtomicUsize = AtomicUsize::new(0);
    let options = Options::new()
        .capacity(1000)
        .value_space(50_000)
        .chunk_size(4096)
        .stripes(16)
        .max_participants(3)
        .lock_timeout(LIMIT);
    let named = Named::create(&options);
    let waiting = options.around_sleep(|_| {
        let other = std::thread::spawn(|| {
            let table = TABLE.get().unwrap();
            // Gives room back, and takes some of it.
            table.remove(b"in the way").unwrap();
            table.insert(THEIRS, &bytes(1, 1000)).unwrap();
            table.get(THEIRS).unwrap();
        });
        other.join().unwrap();
        SLEEPS.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    });
    let table = TABLE.get_or_init(|| waiting.open(&named.name).unwrap());

    // A wait for room.
    table.insert(THEIRS, &bytes(1, 1000)).unwrap();
    table.insert(b"in the way", &bytes(2, 20_000)).unwrap();
    for key in 0_u32.. {
        table.insert(&key.to_le_bytes(), &bytes(3, 1000)).unwrap();
        if SLEEPS.load(Ordering::Relaxed) > 0 {
            break;
        }
    }
    assert!(!table.contains_key(b"in the way").unwrap());

    // A wait for a key.
    let sleeps = SLEEPS.load(Ordering::Relaxed);
    eventually("it sleeps", || {
        let found = table.wait(b"never", Duration::from_millis(1));
        assert_eq!(found.unwrap(), None);
        SLEEPS.load(Ordering::Relaxed) > sleeps
    });

    // A wait for a lock: one that the other thread does not need.
    let impatient = Options::new().lock_timeout(Duration::ZERO);
    let impatient = impatient.open(&named.name).unwrap();
    let mut lone = None;
    named.clear().unwrap();
    for key in (0_u32..).map(u32::to_le_bytes) {
        named
            .update(&key, |_| {
                common::scope(|scope| {
                    let tries = scope.spawn(|| {
                        impatient.remove(THEIRS)?;
                        impatient.remove(b"in the way")
                    });
                    lone = tries.join().unwrap().is_ok().then_some(key);
                });
                None
            })
            .unwrap();
        if lone.is_some() {
            break;
        }
    }
    let key = lone.unwrap();
    // So that the update needs no room, for which it would let go of the lock.
    named.insert(&key, b"0").unwrap();
    let sleeps = SLEEPS.load(Ordering::Relaxed);
    common::scope(|scope| {
        let mut inserts = None;
        named
            .update(&key, |_| {
                inserts = Some(scope.spawn(|| table.insert(&key, b"2").unwrap()));
                eventually("it sleeps", || SLEEPS.load(Ordering::Relaxed) > sleeps);
                Some(b"1".to_vec())
            })
            .unwrap();
        assert!(!inserts.unwrap().join().unwrap());
    });
    assert_eq!(get(table, &key), some(b"2"));
    assert_eq!(get(table, THEIRS), Some(bytes(1, 1000)));
    assert_sound(table);
}

/// The first of some keys that has a value.
fn first_of(table: &Table, keys: &[&[u8]]) -> Result<Option<Vec<u8>>> {
    for key in keys {
        if table.contains_key(key)? {
            return Ok(Some(key.to_vec()));
        }
    }
    Ok(None)
}

#[test]
fn wait_until_ends_with_any_of_the_keys_or_with_the_time() {
    on_each_shape(500, 1 << 16, |table| {
        for count in [1, 2, 100, 300] {
            let keys: Vec<_> = (0..count).map(|n: u32| n.to_le_bytes()).collect();
            let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
            let wanted: Vec<_> = keys.iter().map(|key| (table, *key)).collect();
            let waker = Waker::new();
            let begin = Instant::now();
            let brief = Duration::from_millis(60);
            let look = || first_of(table, &keys);
            assert_eq!(wait_until(&wanted, &waker, brief, look).unwrap(), None);
            assert!(begin.elapsed() >= brief);
            for last in [keys[0], keys[keys.len() - 1]] {
                let found = common::scope(|scope| {
                    let waiter = scope.spawn(|| wait_until(&wanted, &waker, LIMIT, look));
                    std::thread::sleep(Duration::from_millis(10));
                    table.insert(b"another key", b"1").unwrap();
                    table.insert(last, b"1").unwrap();
                    waiter.join().unwrap().unwrap()
                });
                assert_eq!(found.as_deref(), Some(last));
                assert_eq!(
                    wait_until(&wanted, &waker, Duration::ZERO, look).unwrap(),
                    some(last)
                );
                table.remove(last).unwrap();
            }
        }
    });
}

#[test]
fn wait_until_takes_keys_of_several_tables_and_read_only_handles() {
    let named = Named::create(&Options::new().capacity(100));
    let reader = Table::open_read_only(&named.name).unwrap();
    let other = Options::new().capacity(100).create_anonymous().unwrap();
    let wanted = [(&reader, b"k"), (&other, b"k")];
    let look = || Ok(reader.get(b"k")?.or(other.get(b"k")?));
    for writer in [&named.table, &other] {
        let found = common::scope(|scope| {
            let waiter = scope.spawn(|| wait_until(&wanted, &Waker::new(), LIMIT, look));
            std::thread::sleep(Duration::from_millis(10));
            writer.insert(b"k", b"1").unwrap();
            waiter.join().unwrap().unwrap()
        });
        assert_eq!(found, some(b"1"));
        writer.remove(b"k").unwrap();
    }
}

#[test]
fn a_waker_makes_the_wait_look_again_without_any_change() {
    on_each_shape(100, 1 << 16, |table| {
        for keys in [&[][..], &[(table, b"k")][..]] {
            let (waker, seen) = (Waker::new(), AtomicUsize::new(0));
            let told = AtomicUsize::new(0);
            let look = || {
                let now = told.load(Ordering::Relaxed);
                seen.store(now, Ordering::Relaxed);
                Ok((now == 1000).then_some(()))
            };
            common::scope(|scope| {
                let waiter = scope.spawn(|| wait_until(keys, &waker, LIMIT, look));
                for number in 1..=1000 {
                    told.store(number, Ordering::Relaxed);
                    waker.clone().wake();
                    if number % 100 == 0 {
                        eventually("it looks", || seen.load(Ordering::Relaxed) == number);
                    }
                }
                assert_eq!(waiter.join().unwrap().unwrap(), Some(()));
            });
        }
    });
}

#[test]
fn wait_until_passes_on_an_error_of_its_closure() {
    let table = Options::new().capacity(100).create_anonymous().unwrap();
    let failed: Result<Option<()>> = wait_until(&[(&table, b"k")], &Waker::new(), LIMIT, || {
        Err(shmtable::Error::Interrupted)
    });
    assert!(matches!(failed, Err(shmtable::Error::Interrupted)));
}
