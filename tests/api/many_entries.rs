//! Operations on many entries: iteration, `retain`, and the methods that take lists.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use shmtable::{Error, Options, Result, Table};

use crate::common::{Named, assert_sound, bytes, contents, scaled};
use crate::{get, on_each_shape, some};

#[test]
fn iteration_sees_every_entry_once() {
    on_each_shape(3000, 1 << 20, |table| {
        let mut model = HashMap::new();
        for number in 0..3000_usize {
            let entry = (
                bytes(number as u64, 8 + number % 30),
                bytes(7, number % 200),
            );
            table.insert(&entry.0, &entry.1).unwrap();
            model.insert(entry.0, entry.1);
        }
        assert_eq!(contents(table), model);
        let keys: BTreeSet<Vec<u8>> = table.keys().map(Result::unwrap).collect();
        assert_eq!(keys, model.keys().cloned().collect());
        assert_eq!(table.keys().count(), model.len());
        let tally = |values: &mut dyn Iterator<Item = Vec<u8>>| {
            values.fold(BTreeMap::new(), |mut tally, value| {
                *tally.entry(value).or_insert(0) += 1;
                tally
            })
        };
        assert_eq!(
            tally(&mut table.values().map(Result::unwrap)),
            tally(&mut model.values().cloned())
        );
        let mut visited = HashMap::new();
        table
            .for_each(|key, value| {
                assert!(visited.insert(key.to_vec(), value.to_vec()).is_none());
            })
            .unwrap();
        assert_eq!(visited, model);
        assert_eq!(table.snapshot().unwrap(), model);
        let mut iter = table.iter();
        assert_eq!(iter.by_ref().count(), 3000);
        assert!(iter.next().is_none(), "an end is an end");
    });
}

#[test]
fn for_each_may_write_to_the_table() {
    on_each_shape(200, 1 << 16, |table| {
        for number in 0..100_u8 {
            table.insert(&[number], &[0; 10]).unwrap();
        }
        let mut seen = 0;
        table
            .for_each(|key, _| {
                table.remove(key).unwrap();
                seen += 1;
            })
            .unwrap();
        assert_eq!((seen, table.len()), (100, 0));
    });
}

#[test]
fn retain_keeps_what_it_is_told_to_and_clear_nothing() {
    on_each_shape(1000, 1 << 18, |table| {
        for number in 0..1000_u32 {
            table
                .insert(&number.to_le_bytes(), &bytes(0, number as usize % 60))
                .unwrap();
        }
        let number = |key: &[u8]| u32::from_le_bytes(key.try_into().unwrap());
        let removed = table.retain(|key, value| {
            assert_eq!(value, bytes(0, number(key) as usize % 60));
            number(key).is_multiple_of(3)
        });
        assert_eq!(removed.unwrap(), 666);
        let left: BTreeSet<u32> = table.keys().map(|key| number(&key.unwrap())).collect();
        assert_eq!(left, (0..1000).step_by(3).collect());
        assert_eq!(table.len(), 334);
        assert_sound(table);
        assert_eq!(table.retain(|_, _| true).unwrap(), 0);
        table.clear().unwrap();
        assert!(table.is_empty());
        assert_eq!(table.iter().count(), 0);
        assert!(table.insert(&0_u32.to_le_bytes(), b"new").unwrap());
    });
}

#[test]
fn many_keys_at_once_are_as_one_at_a_time() {
    on_each_shape(2000, 1 << 20, |table| {
        let entry = |number: usize| (bytes(number as u64, 12), bytes(9, number % 300));
        assert_eq!(table.insert_many((0..500).map(entry)).unwrap(), 500);
        assert_eq!(table.insert_many((400..700).map(entry)).unwrap(), 200);
        assert_eq!(
            table.insert_many(Vec::<(Vec<u8>, Vec<u8>)>::new()).unwrap(),
            0
        );
        // Of every batch size, present, absent and twice.
        for count in [0, 1, 31, 32, 33, 64, 100, 1500] {
            let keys: Vec<Vec<u8>> = (0..count).map(|n| entry(n * 7 % 1100).0).collect();
            let expected: Vec<Option<Vec<u8>>> = (0..count)
                .map(|n| n * 7 % 1100)
                .map(|number| (number < 700).then(|| entry(number).1))
                .collect();
            assert_eq!(table.get_many(&keys).unwrap(), expected);
            let singly: Vec<_> = keys.iter().map(|key| get(table, key)).collect();
            assert_eq!(singly, expected);
        }
    });
}

#[test]
fn get_many_with_shows_what_get_many_returns() {
    on_each_shape(1000, 1 << 20, |table| {
        let entry = |number: usize| (bytes(number as u64, 1 + number % 20), bytes(9, number));
        table.insert_many((0..400).map(entry)).unwrap();
        // A value of several chunks before ever shorter ones, in the one buffer.
        table.insert(b"large", &bytes(3, 150_000)).unwrap();
        for count in [0, 1, 32, 33, 64, 700] {
            let mut keys: Vec<Vec<u8>> = (0..count).rev().map(|n| entry(n).0).collect();
            keys.insert(0, b"large".to_vec());
            let mut shown = Vec::new();
            table
                .get_many_with(&keys, |value| shown.push(value.map(<[u8]>::to_vec)))
                .unwrap();
            let singly: Vec<_> = keys.iter().map(|key| get(table, key)).collect();
            assert_eq!(shown, singly);
            assert_eq!(table.get_many(&keys).unwrap(), singly);
            let absent = shown.iter().filter(|value| value.is_none()).count();
            assert_eq!(absent, count.saturating_sub(400));
        }
    });
}

#[test]
fn keys_are_those_of_the_entries() {
    on_each_shape(200, 8 << 20, |table| {
        assert_eq!(table.keys().count(), 0);
        for number in 0..100_u64 {
            let length = if number % 20 == 0 {
                300_000
            } else {
                number as usize
            };
            table
                .insert(&bytes(number, number as usize), &bytes(number, length))
                .unwrap();
        }
        let of_entries: BTreeSet<Vec<u8>> = contents(table).into_keys().collect();
        let keys: Vec<Vec<u8>> = table.keys().map(Result::unwrap).collect();
        assert_eq!(keys.len(), 100, "each once");
        assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), of_entries);
        let mut keys = table.keys();
        assert_eq!(keys.by_ref().count(), 100);
        assert!(keys.next().is_none(), "an end is an end");
    });
}

#[test]
fn an_iterator_outlives_the_handle_it_came_from() {
    let named = Named::create(&Options::new().capacity(100));
    for number in 0..100_u8 {
        named.insert(&[number], &[number; 20]).unwrap();
    }
    let model = contents(&named);
    let other = named.open();
    let (entries, keys) = (other.iter(), other.keys());
    drop(other);
    assert_eq!(
        named.stats().unwrap().participants,
        2,
        "it holds the handle"
    );
    let seen: HashMap<_, _> = entries.map(Result::unwrap).collect();
    assert_eq!(seen, model);
    let seen: HashSet<_> = std::thread::spawn(move || keys.map(Result::unwrap).collect())
        .join()
        .unwrap();
    assert_eq!(seen, model.into_keys().collect());
    assert_eq!(named.stats().unwrap().participants, 1);
    // Of a table whose last handle and name are gone, too.
    let name = named.name.to_string();
    let entries = named.iter();
    drop(named);
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));
    assert_eq!(entries.count(), 100);
}

#[test]
fn insert_many_keeps_what_came_before_a_failure() {
    let table = Options::new()
        .capacity(10)
        .value_space(1000)
        .create_anonymous()
        .unwrap();
    let entries = [
        (&b"a"[..], vec![1; 10]),
        (b"b", vec![2; 2000]),
        (b"c", vec![3; 10]),
    ];
    assert!(matches!(
        table.insert_many(entries),
        Err(Error::ValueTooLarge { .. })
    ));
    assert_eq!(
        contents(&table),
        HashMap::from([(b"a".to_vec(), vec![1; 10])])
    );
    assert_sound(&table);
}

#[test]
fn any_keys_as_many_as_the_capacity_fit() {
    for capacity in [1, 2, 10, 11, 12, 100, 1000, 5000] {
        for stripes in [None, Some(1), Some(2), Some(256)] {
            for seed in 0..scaled(3) as u64 {
                let mut options = Options::new().capacity(capacity).value_space(capacity * 30);
                if let Some(stripes) = stripes {
                    options = options.stripes(stripes);
                }
                let table = options.max_participants(1).create_anonymous().unwrap();
                for number in 0..capacity as u64 {
                    let key = bytes(seed << 32 | number, 10);
                    let new = table.insert(&key, &number.to_le_bytes());
                    assert!(
                        new.unwrap(),
                        "key {number} of {capacity} in {stripes:?} stripes"
                    );
                }
                assert_eq!(table.len(), capacity);
                for number in 0..capacity as u64 {
                    let key = bytes(seed << 32 | number, 10);
                    assert_eq!(get(&table, &key), some(&number.to_le_bytes()));
                }
                assert_sound(&table);
            }
        }
    }
}
