//! Does an iteration give what is there throughout exactly once, while stripes are doubled?

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use shmtable::{Options, Table};

use crate::common::{self, Named, Stop, assert_sound, finish_all, key, race, racer, scaled};

const STAYING: usize = 300;
/// Keys that each of two processes inserts.
const GUESTS: usize = 20_000;
const GOING: &[u8] = b"going ";

fn staying(key: &[u8]) -> Option<[u8; 8]> {
    let key: [u8; 8] = key.try_into().ok()?;
    (usize::from_le_bytes(key) < STAYING).then_some(key)
}

/// All keys that stay were passed, each once.
fn assert_all_once(what: &str, passed: impl IntoIterator<Item = Vec<u8>>) {
    let mut seen = HashSet::new();
    for key in passed.into_iter().filter_map(|key| staying(&key)) {
        assert!(seen.insert(key), "{what}: {key:?} twice");
    }
    assert_eq!(seen.len(), STAYING, "{what}");
}

#[test]
fn what_stays_is_passed_once_while_stripes_are_doubled() {
    if let Some(racer) = racer() {
        for number in 0..GUESTS {
            let guest = STAYING + 2 * number + racer.number;
            racer.table.insert(&key(guest), b"guest").unwrap();
            if number % 8 == 0 {
                let going = [GOING, &key(guest)].concat();
                racer.table.insert(&going, b"a record's value").unwrap();
            }
        }
        return;
    }
    for round in 0..scaled(6) {
        let options = Options::new()
            .capacity(20)
            .max_capacity(1 << 20)
            .stripes([1, 4, 64][round % 3]);
        let named = Named::create(&options);
        for number in 0..STAYING {
            // Small entries and records.
            let value = &b"some bytes of a value"[..if number % 2 == 0 { 3 } else { 20 }];
            named.insert(&key(number), value).unwrap();
        }
        let guests = race(common::this_test!(), &named.name, 2);
        let done = AtomicBool::new(false);
        common::scope(|scope| {
            let stopper = Stop(&done);
            scope.spawn(|| {
                let reader = Table::open_read_only(&named.name).unwrap();
                while !done.load(Ordering::Relaxed) {
                    assert_all_once("keys", reader.keys().map(Result::unwrap));
                }
            });
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let mut passed = Vec::new();
                    let kept = |key: &[u8], _: &[u8]| {
                        passed.push(key.to_vec());
                        true
                    };
                    assert_eq!(named.retain(kept).unwrap(), 0);
                    assert_all_once("retain", passed);
                    named.remove_prefix(GOING).unwrap();
                }
            });
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let entries = named.iter().map(|entry| entry.unwrap().0);
                    assert_all_once("iter", entries);
                    let copy = named.snapshot().unwrap();
                    assert_all_once("snapshot", copy.iter().map(|(key, _)| key.to_vec()));
                }
            });
            finish_all(guests);
            drop(stopper);
        });
        named.remove_prefix(GOING).unwrap();
        assert_eq!(named.len(), STAYING + 2 * GUESTS);
        assert_all_once("in the end", named.keys().map(Result::unwrap));
        assert_sound(&named);
    }
}
