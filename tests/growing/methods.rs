//! Does every method do what it says in a table that has grown, or grows meanwhile?

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use shmtable::{Claimed, Options, TypedTable};

use crate::common::{self, LIMIT, Stop, assert_sound, contents, key, scaled};
use crate::{assert_there, entry, insert, of_no_size};

#[test]
fn methods_on_all_entries_see_all_entries() {
    let count = scaled(60_000);
    let table = of_no_size();
    insert(&table, 0..count);
    let all: HashMap<Vec<u8>, Vec<u8>> = (0..count).map(entry).collect();
    assert_eq!(table.len(), count);
    assert!(!table.is_empty());

    let keys: Vec<Vec<u8>> = table.keys().map(Result::unwrap).collect();
    assert_eq!(keys.len(), count);
    assert!(keys.iter().collect::<HashSet<_>>() == all.keys().collect());
    let bytes: usize = table.values().map(|value| value.unwrap().len()).sum();
    assert_eq!(bytes, all.values().map(Vec::len).sum());
    let mut visited = 0;
    let visit = |key: &[u8], value: &[u8]| visited += usize::from(all[key] == value);
    table.for_each(visit).unwrap();
    assert_eq!(visited, count);

    let copy = table.snapshot().unwrap();
    assert!(copy.into_map() == all);

    let stays = |key: &[u8]| key.last().is_some_and(|last| last % 2 == 0);
    let left: HashMap<_, _> = all.into_iter().filter(|(key, _)| stays(key)).collect();
    let removed = table.retain(|key, _| stays(key)).unwrap();
    assert_eq!((removed, table.len()), (count - left.len(), left.len()));
    assert!(contents(&table) == left);
    assert_sound(&table);

    table.clear().unwrap();
    assert!(table.is_empty() && table.keys().next().is_none());
    assert_sound(&table);
    insert(&table, 0..2 * count);
    assert_there(&table, 0..2 * count);
    assert_eq!(table.len(), 2 * count);
    assert_sound(&table);
}

#[test]
fn many_entries_at_once_make_a_table_grow() {
    let count = scaled(40_000);
    let table = of_no_size();
    assert_eq!(table.insert_many((0..count).map(entry)).unwrap(), count);
    assert_there(&table, 0..count);
    let keys: Vec<Vec<u8>> = (0..2 * count).map(|number| entry(number).0).collect();
    let found = table.get_many(&keys).unwrap();
    for (number, found) in found.into_iter().enumerate() {
        let expected = (number < count).then(|| entry(number).1);
        assert!(found == expected, "{number}");
    }
    let half = keys.iter().take(count).step_by(2);
    assert_eq!(table.remove_many(half).unwrap(), count.div_ceil(2));
    assert_there(&table, (0..count).skip(1).step_by(2));
    let prefix = b"prefix ";
    for number in 0..count {
        let key = [prefix, &key(number)[..]].concat();
        assert!(table.insert(key, b"1").unwrap());
    }
    assert_eq!(table.scan_prefix(prefix).count(), count);
    assert_eq!(table.remove_prefix(prefix).unwrap(), count);
    assert_there(&table, (0..count).skip(1).step_by(2));
    assert_sound(&table);
}

#[test]
fn an_entry_that_stays_is_iterated_over_once_while_the_table_grows() {
    let (stay, more) = (scaled(5000), scaled(50_000));
    let table = of_no_size();
    insert(&table, 0..stay);
    let stop = AtomicBool::new(false);
    common::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in stay..stay + more {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                insert(&table, [number]);
            }
        });
        let _stop = Stop(&stop);
        let mut rounds = 0;
        while rounds < 2 || !writer.is_finished() {
            rounds += 1;
            // `contents` fails if a key is seen twice.
            let seen = contents(&table);
            let copy = table.snapshot().unwrap();
            for number in 0..stay {
                let (key, value) = entry(number);
                assert!(seen.get(&key) == Some(&value), "{number}, round {rounds}");
                assert!(copy.get(&key) == Some(&value[..]), "{number}");
            }
        }
    });
    assert_eq!(table.len(), stay + more);
    assert_sound(&table);
}

#[test]
fn counters_lose_no_addition_while_the_table_grows() {
    const THREADS: usize = 4;
    let counters = scaled(20_000);
    let table = of_no_size();
    common::scope(|scope| {
        for thread in 0..THREADS {
            let table = &table;
            scope.spawn(move || {
                for step in 0..counters {
                    let number = (step + thread * counters / THREADS) % counters;
                    table.fetch_add(key(number), number as i64 + 1).unwrap();
                    table.fetch_max(b"most", number as i64).unwrap();
                }
            });
        }
    });
    for number in 0..counters {
        let all = THREADS as i64 * (number as i64 + 1);
        assert_eq!(table.fetch_add(key(number), 0).unwrap(), all);
    }
    assert_eq!(table.fetch_add(b"most", 0).unwrap(), counters as i64 - 1);
    assert_eq!(table.len(), counters + 1);
    assert_sound(&table);
}

#[test]
fn methods_with_a_closure_see_the_value_that_is_there() {
    let count = scaled(20_000);
    let table = of_no_size();
    for number in 0..count {
        let (name, value) = entry(number);
        let stored = table.update(&name, |old| {
            assert_eq!(old, None);
            Some(value.clone())
        });
        assert!(stored.unwrap() == Some(value.clone()), "{number}");
        let earlier = number / 2;
        let (name, value) = entry(earlier);
        let changed = table.compare_exchange(&name, Some(&value[..]), Some(&value[..]));
        assert!(changed.unwrap().is_ok(), "{earlier}");
        assert!(!table.try_insert(&name, b"").unwrap());
    }
    for number in 0..count {
        let (name, value) = entry(number);
        assert!(table.replace(&name, b"new").unwrap() == Some(value));
        assert_eq!(table.take(&name).unwrap().as_deref(), Some(&b"new"[..]));
    }
    assert!(table.is_empty());
    assert_sound(&table);
}

#[test]
fn a_typed_table_grows() {
    let count = scaled(30_000) as u64;
    let table = TypedTable::<u64, str>::create_anonymous(Options::new()).unwrap();
    let text = |number: u64| "x".repeat(number as usize % 40);
    for number in 0..count {
        assert!(table.insert(&number, &text(number)).unwrap());
    }
    assert_eq!(table.len() as u64, count);
    for number in 0..count {
        assert_eq!(table.get(&number).unwrap(), Some(text(number)));
        assert_eq!(table.get(&(number + count)).unwrap(), None);
    }
    let keys: HashSet<u64> = table.keys().map(Result::unwrap).collect();
    assert!(keys == (0..count).collect());
    assert_sound(table.as_table());
}

#[test]
fn values_are_computed_once_while_the_table_grows() {
    const THREADS: usize = 4;
    let count = scaled(5000);
    let table = of_no_size();
    let computed = AtomicUsize::new(0);
    common::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for number in 0..count {
                    let value = table.get_or_insert_with(key(number), || {
                        computed.fetch_add(1, Ordering::Relaxed);
                        entry(number).1
                    });
                    assert!(value.unwrap() == entry(number).1, "{number}");
                }
            });
        }
    });
    assert_eq!(computed.load(Ordering::Relaxed), count);
    // A claim stays a claim when the table grows under it.
    let Claimed::Mine(claim) = table.get_or_claim(b"claimed").unwrap() else {
        panic!("it is nobody's");
    };
    insert(&table, 1_000_000..1_000_000 + scaled(30_000));
    assert!(table.claim(b"claimed").unwrap().is_none());
    claim.insert(b"value").unwrap();
    assert_eq!(
        table.get(b"claimed").unwrap().as_deref(),
        Some(&b"value"[..])
    );
    assert_sound(&table);
}

#[test]
fn waits_end_with_the_change_that_they_wait_for() {
    let table = of_no_size();
    let more = scaled(20_000);
    table.insert(b"watched", b"old").unwrap();
    common::scope(|scope| {
        let waiters = [
            scope.spawn(|| table.wait_change(b"watched", Some(b"old"), LIMIT)),
            scope.spawn(|| table.wait(b"to come", LIMIT).map(Some)),
        ];
        // Neither ends because its stripe is doubled.
        insert(&table, 0..more);
        std::thread::sleep(Duration::from_millis(20));
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        table.insert(b"watched", b"new").unwrap();
        insert(&table, more..more + 100);
        table.insert(b"to come", b"new").unwrap();
        for waiter in waiters {
            let seen = waiter.join().unwrap().unwrap();
            assert_eq!(seen, Some(Some(b"new".to_vec())));
        }
    });
    assert_sound(&table);
}
