//! Damage to single words that a process must neither believe nor hang on.

use std::time::{Duration, Instant};

use shmtable::{Error, Options};

use crate::common::layout::{CHECKSUM, HEADER_WORDS};
use crate::common::{self, Dice, assert_sound, bounded, bytes};
use crate::image::{key, options};
use crate::patched::Patched;
use crate::trial::{GUARD, Trial, admissible};

/// Probing for such a key would never come to the bucket it stands in.
#[test]
fn clear_and_retain_come_back_from_a_slot_of_another_stripe() {
    for small in [false, true] {
        let patched = Patched::new();
        patched.cross(small);
        let table = patched.open();
        bounded("clear and retain", move || {
            assert!(matches!(
                table.retain(|_, _| false),
                Err(Error::Corrupted { .. })
            ));
            // It need not know where a key belongs.
            table.clear().unwrap();
            assert!(table.is_empty() && table.check().unwrap().is_empty());
        });
    }
}

/// It once was the size of an allocation.
#[test]
fn a_damaged_count_of_entries_is_no_size_of_anything() {
    for bit in [40, 47, 60, 63] {
        let patched = Patched::new();
        let at = patched.image.stripes_at() + 2;
        patched.set(at, patched.get(at) ^ 1 << bit);
        let table = patched.open();
        assert_eq!(table.snapshot().unwrap().len(), patched.image.model.len());
        assert!(table.iter().count() > 0 && table.stats().is_ok());
    }
}

#[test]
fn counts_that_are_too_large_overflow_nothing() {
    let patched = Patched::new();
    for chunk in 0..patched.image.chunks {
        patched.set_detail(chunk, 1, i64::MAX as u64 - 1);
    }
    for stripe in 0..patched.image.stripes {
        patched.set(patched.image.stripe_at(stripe) + 3, u64::MAX);
    }
    let table = patched.open();
    assert!(table.stats().is_ok());
    // Until there is no room, which has to be made and then to be told of.
    let mut full = false;
    for number in 0..200 {
        match table.insert(&key(400 + number % 4), &bytes(number as u64, 3000)) {
            Ok(_) => {}
            Err(Error::ValueSpaceFull { .. } | Error::TableFull { .. }) => full = true,
            Err(error) => admissible(&error),
        }
    }
    assert!(table.insert(b"large", &bytes(1, 15_000)).is_ok() || full || table.stats().is_ok());
    // A lock that was found taken is counted.
    table
        .update(b"counter", |value| {
            common::scope(|scope| {
                scope.spawn(|| patched.open().remove(b"counter"));
                std::thread::sleep(Duration::from_millis(5));
            });
            value.map(<[u8]>::to_vec)
        })
        .unwrap();
    for stripe in 0..patched.image.stripes {
        patched.set(patched.image.stripe_at(stripe) + 3, u64::MAX);
    }
    let waiter = common::scope(|scope| {
        let mut waiter = None;
        table
            .update(b"counter", |value| {
                let patient = Options::new().open(&patched.name).unwrap();
                waiter =
                    Some(scope.spawn(move || patient.get(b"x").and(patient.remove(b"counter"))));
                std::thread::sleep(Duration::from_millis(50));
                value.map(<[u8]>::to_vec)
            })
            .unwrap();
        waiter.unwrap().join()
    });
    assert!(waiter.expect("no panic").unwrap());
}

/// One flipped bit makes a sealed chunk a free one.
#[test]
fn a_chunk_that_is_said_to_be_free_is_not_overwritten() {
    let patched = Patched::new();
    for chunk in patched.sealed_chunks() {
        patched.set(patched.image.states_at() + chunk, 0);
    }
    let table = patched.open();
    let mut model = patched.image.model.clone();
    Trial::write(&table, &mut model);
    for (key, value) in &model {
        assert_eq!(table.get(key).unwrap().as_ref(), Some(value));
    }
}

/// A writer that goes on filling the chunk would overwrite its records.
#[test]
fn a_chunk_is_not_filled_from_a_cursor_before_its_records() {
    let patched = Patched::new();
    for chunk in patched.sealed_chunks() {
        if patched.get(patched.image.detail_at(chunk) + 2) == 0 {
            patched.set_detail(chunk, 0, 0);
        }
    }
    let table = patched.open();
    assert!(!table.check().unwrap().is_empty());
    for number in 0..30 {
        let _ = table.insert(&key(400 + number), &bytes(1, 60));
    }
    for (key, value) in &patched.image.model {
        assert_eq!(table.get(key).unwrap().as_ref(), Some(value));
    }
}

/// No exchange from such a state succeeds, so the chunk could never be freed.
#[test]
fn a_state_with_bits_that_mean_nothing_is_none() {
    let patched = Patched::new();
    let tail = (0..patched.image.chunks)
        .find(|chunk| patched.state(*chunk) & 0xf_0000 == 4 << 16)
        .unwrap();
    patched.set(
        patched.image.states_at() + tail,
        patched.state(tail) | 1 << 26,
    );
    let table = patched.open();
    assert!(!table.check().unwrap().is_empty());
}

/// A handle that was open before knows what the header said.
#[test]
fn a_header_that_is_damaged_under_an_open_handle_is_written_again() {
    let patched = Patched::new();
    let table = patched.open();
    for at in 0..=CHECKSUM {
        for bit in (at % 5..64).step_by(5) {
            let good = patched.get(at);
            patched.set(at, good ^ 1 << bit);
            assert!(options().open(&patched.name).is_err());
            assert_eq!(table.check().unwrap().len(), 1);
            assert_eq!(table.repair().unwrap().len(), 1);
            assert_eq!(table.check().unwrap(), Vec::<shmtable::Fault>::new());
            if at != 14 {
                // The time of its creation is lost.
                assert_eq!(patched.get(at), good);
            }
            assert_eq!(patched.open().len(), patched.image.model.len());
            patched.set(at, good);
            table.repair().unwrap();
        }
    }
}

/// The lock is not taken over, and no wait is longer than the timeout.
#[test]
fn a_lock_that_names_a_living_participant_is_waited_for_and_no_longer() {
    let patched = Patched::new();
    let named = patched.open();
    let generation = patched.get(HEADER_WORDS) >> 32;
    for stripe in 0..patched.image.stripes {
        patched.set(patched.image.stripe_at(stripe), generation << 32 | 1);
    }
    let table = patched.open();
    let begin = Instant::now();
    for (key, value) in &patched.image.model {
        assert_eq!(table.get(key).unwrap().as_ref(), Some(value));
        assert!(matches!(
            table.insert(key, b"longer than a word"),
            Err(Error::LockTimeout { participant: 0, .. })
        ));
    }
    for error in [table.check().err(), table.repair().err()] {
        assert!(matches!(error, Some(Error::LockTimeout { .. })));
    }
    // Each waited 20 ms.
    assert!(begin.elapsed() < GUARD);
    drop(named);
    table.repair().unwrap();
    assert_sound(&table);
    for key in patched.image.model.keys() {
        table.insert(key, b"longer than a word").unwrap();
    }
}

/// While others write, clean and take runs, check reports nothing, and repair nothing
/// but what it finds of the dead.
#[test]
fn check_and_repair_beside_writers_find_nothing_wrong() {
    let patched = Patched::new();
    let write = |number: u64| {
        let table = Options::new().open(&patched.name).unwrap();
        let mut dice = Dice::new(number);
        let begin = Instant::now();
        let mut writes = 0_usize;
        while begin.elapsed() < Duration::from_millis(1500) {
            let key = key(dice.below(40));
            let value = bytes(number, [20, 300, 900, 5000][dice.below(4)] - dice.below(20));
            let outcome = if dice.below(4) == 0 {
                table.remove(&key).map(drop)
            } else {
                table.insert(&key, &value).map(drop)
            };
            match outcome {
                Ok(()) => writes += 1,
                Err(Error::ValueSpaceFull { .. } | Error::TableFull { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        writes
    };
    let (looks, written) = common::scope(|scope| {
        let writers = [1, 2].map(|number| scope.spawn(move || write(number)));
        let table = Options::new().open(&patched.name).unwrap();
        let mut looks = 0;
        while !writers
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            assert_sound(&table);
            assert_eq!(table.repair().unwrap(), Vec::<shmtable::Repaired>::new());
            looks += 1;
        }
        (looks, writers.map(|writer| writer.join().unwrap()))
    });
    println!("{looks} looks beside {written:?} writes");
    assert!(looks > 3 && written.iter().all(|writes| *writes > 20));
}
