//! Does every method of a table do what its documentation says, in one process?

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
#[cfg(target_os = "linux")]
use std::fs::Permissions;
use std::ops::ControlFlow;
#[cfg(target_os = "linux")]
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use common::{Dice, LIMIT, Name, Named, assert_sound, bytes, contents, eventually, scaled, shapes};
use shmtable::{Error, Options, Result, Table};

/// Runs a test on a new table of each shape, and checks the table afterwards.
fn on_each_shape(capacity: usize, value_space: usize, test: impl Fn(&Table)) {
    for (shape, options) in shapes(capacity, value_space) {
        println!("shape: {shape}");
        let table = options.create_anonymous().expect("a table is created");
        test(&table);
        assert_sound(&table);
    }
}

fn get(table: &Table, key: &[u8]) -> Option<Vec<u8>> {
    table.get(key).expect("get works")
}

#[expect(clippy::unnecessary_wraps, reason = "to be compared with a look-up")]
fn some(value: &[u8]) -> Option<Vec<u8>> {
    Some(value.to_vec())
}

#[test]
fn insert_tells_whether_the_key_was_new() {
    on_each_shape(100, 1 << 16, |table| {
        assert!(table.insert(b"a", b"1").unwrap());
        assert!(!table.insert(b"a", b"2").unwrap());
        assert!(!table.insert(b"a", b"a longer value than before").unwrap());
        assert_eq!(get(table, b"a"), some(b"a longer value than before"));
        assert!(table.remove(b"a").unwrap());
        assert!(table.insert(b"a", b"3").unwrap());
        assert_eq!(get(table, b"a"), some(b"3"));
        assert_eq!(table.len(), 1);
    });
}

#[test]
fn try_insert_leaves_a_present_value_alone() {
    on_each_shape(100, 1 << 16, |table| {
        assert!(table.try_insert(b"a", b"").unwrap());
        assert!(!table.try_insert(b"a", b"other").unwrap());
        assert_eq!(get(table, b"a"), some(b""));
        table.remove(b"a").unwrap();
        assert!(table.try_insert(b"a", b"other").unwrap());
        assert_eq!(get(table, b"a"), some(b"other"));
    });
}

#[test]
fn replace_and_take_return_the_old_value() {
    on_each_shape(100, 1 << 16, |table| {
        assert_eq!(table.replace(b"a", b"first").unwrap(), None);
        assert_eq!(table.replace(b"a", b"").unwrap(), some(b"first"));
        assert_eq!(table.replace(b"a", b"12345678").unwrap(), some(b""));
        // In place.
        assert_eq!(table.replace(b"a", b"87654321").unwrap(), some(b"12345678"));
        assert_eq!(table.take(b"a").unwrap(), some(b"87654321"));
        assert_eq!(table.take(b"a").unwrap(), None);
        assert!(!table.remove(b"a").unwrap());
        assert!(table.is_empty());
    });
}

#[test]
fn get_into_replaces_what_the_buffer_held() {
    on_each_shape(100, 1 << 16, |table| {
        table.insert(b"a", b"value").unwrap();
        table.insert(b"empty", b"").unwrap();
        let mut buffer = b"what was there before, and longer".to_vec();
        assert!(table.get_into(b"a", &mut buffer).unwrap());
        assert_eq!(buffer, b"value");
        assert!(table.get_into(b"empty", &mut buffer).unwrap());
        assert_eq!(buffer, b"");
        buffer = b"old".to_vec();
        assert!(!table.get_into(b"absent", &mut buffer).unwrap());
        assert_eq!(buffer, b"", "the buffer is emptied");
        assert!(table.contains_key(b"empty").unwrap());
        assert!(!table.contains_key(b"absent").unwrap());
    });
}

#[test]
fn keys_have_zero_bytes_to_just_under_a_mebibyte() {
    const LONGEST: usize = 1_048_575;
    on_each_shape(100, 6 << 20, |table| {
        let lengths = [
            0, 1, 7, 8, 9, 16, 255, 4087, 4096, 65_535, 65_536, 65_537, LONGEST,
        ];
        for length in lengths {
            assert!(
                table
                    .insert(&bytes(1, length), &length.to_le_bytes())
                    .unwrap()
            );
        }
        for length in lengths {
            let key = bytes(1, length);
            assert_eq!(get(table, &key), some(&length.to_le_bytes()));
            if length > 0 {
                // A key that differs in the last byte only is another one.
                let mut other = key.clone();
                other[length - 1] ^= 1;
                assert_eq!(get(table, &other), None);
                assert_eq!(
                    get(table, &key[..length - 1]).is_some(),
                    lengths.contains(&(length - 1))
                );
            }
        }
        let seen: BTreeSet<usize> = table.keys().map(|key| key.unwrap().len()).collect();
        assert_eq!(seen, lengths.into());
        for length in lengths {
            assert!(table.remove(&bytes(1, length)).unwrap());
        }
    });
}

#[test]
fn values_have_zero_bytes_to_all_of_the_value_space() {
    const SPACE: usize = 300_000;
    on_each_shape(10, SPACE, |table| {
        for key in [&b""[..], b"key"] {
            let most = SPACE - key.len();
            for length in [
                0,
                1,
                7,
                8,
                9,
                4000,
                4080,
                4096,
                5000,
                65_520,
                65_536,
                150_000,
                most - 1,
                most,
            ] {
                let value = bytes(length as u64, length);
                assert!(table.insert(key, &value).unwrap(), "{length} bytes");
                assert_eq!(get(table, key).as_ref(), Some(&value));
                assert_eq!(
                    table.values().map(Result::unwrap).collect::<Vec<_>>(),
                    [value]
                );
                assert!(table.remove(key).unwrap());
            }
        }
        // The same after the whole table was full of small entries.
        for number in 0..10_u32 {
            table
                .insert(&number.to_le_bytes(), &bytes(2, 3000))
                .unwrap();
        }
        table.clear().unwrap();
        assert!(table.insert(b"", &bytes(3, SPACE)).unwrap());
        // Every operation takes it, one entry of this size at a time.
        assert_eq!(table.take(b"").unwrap(), Some(bytes(3, SPACE)));
        assert!(table.try_insert(b"", &bytes(4, SPACE)).unwrap());
        assert!(table.remove(b"").unwrap());
        assert_eq!(
            table.update(b"", |_| Some(bytes(5, SPACE))).unwrap(),
            Some(bytes(5, SPACE))
        );
        assert_eq!(
            table
                .compare_exchange(b"", Some(&bytes(5, SPACE)), None)
                .unwrap(),
            Ok(())
        );
        assert_eq!(
            table
                .compare_exchange(b"", None, Some(&bytes(6, SPACE)))
                .unwrap(),
            Ok(())
        );
        assert_eq!(get(table, b""), Some(bytes(6, SPACE)));
    });
}

#[test]
fn compare_exchange_knows_present_and_absent() {
    on_each_shape(100, 1 << 16, |table| {
        let exchange = |expected: Option<&[u8]>, new: Option<&[u8]>| {
            table
                .compare_exchange(b"k", expected, new)
                .expect("no error")
        };
        // Absent.
        assert_eq!(exchange(None, None), Ok(()));
        assert_eq!(get(table, b"k"), None);
        assert_eq!(exchange(Some(b"1"), Some(b"2")), Err(None));
        assert_eq!(exchange(Some(b""), None), Err(None));
        assert_eq!(get(table, b"k"), None);
        assert_eq!(exchange(None, Some(b"")), Ok(()));
        // Present: an empty value is not absence.
        assert_eq!(exchange(None, Some(b"2")), Err(some(b"")));
        assert_eq!(exchange(None, None), Err(some(b"")));
        assert_eq!(exchange(Some(b"1"), None), Err(some(b"")));
        assert_eq!(exchange(Some(b""), Some(b"12345678")), Ok(()));
        assert_eq!(
            exchange(Some(b"1234567"), Some(b"x")),
            Err(some(b"12345678"))
        );
        assert_eq!(exchange(Some(b"12345678"), Some(b"87654321")), Ok(()));
        assert_eq!(get(table, b"k"), some(b"87654321"));
        assert_eq!(exchange(Some(b"87654321"), Some(b"87654321")), Ok(()));
        assert_eq!(exchange(Some(b"87654321"), None), Ok(()));
        assert_eq!(get(table, b"k"), None);
        assert_eq!(table.len(), 0);
    });
}

#[test]
fn fetch_add_counts_and_refuses_to_overflow() {
    on_each_shape(100, 1 << 16, |table| {
        assert_eq!(table.fetch_add(b"n", 5).unwrap(), 0);
        assert_eq!(table.fetch_add(b"n", -7).unwrap(), 5);
        assert_eq!(table.fetch_add(b"n", 0).unwrap(), -2);
        assert_eq!(get(table, b"n"), some(&(-2_i64).to_le_bytes()));

        table.insert(b"n", &i64::MAX.to_le_bytes()).unwrap();
        assert!(matches!(
            table.fetch_add(b"n", 1),
            Err(Error::CounterOverflow { value, add: 1, number: "i64", .. })
                if value == i64::MAX.into()
        ));
        assert_eq!(get(table, b"n"), some(&i64::MAX.to_le_bytes()));
        assert_eq!(table.fetch_add(b"n", i64::MIN).unwrap(), i64::MAX);
        assert_eq!(table.fetch_add(b"n", 0).unwrap(), -1);
        assert!(matches!(
            table.fetch_add(b"n", i64::MIN),
            Err(Error::CounterOverflow { value: -1, add, .. }) if add == i64::MIN.into()
        ));
        assert_eq!(table.fetch_add(b"n", i64::MAX).unwrap(), -1);

        for value in [&b""[..], b"1234567", b"123456789"] {
            table.insert(b"no counter", value).unwrap();
            assert!(matches!(
                table.fetch_add(b"no counter", 1),
                Err(Error::NotACounter { length, .. }) if length == value.len()
            ));
            assert_eq!(get(table, b"no counter"), some(value));
        }
        // From nothing to the limit in one step.
        assert_eq!(table.fetch_add(b"m", i64::MIN).unwrap(), 0);
        assert_eq!(get(table, b"m"), some(&i64::MIN.to_le_bytes()));
    });
}

#[test]
fn update_inserts_changes_and_removes() {
    on_each_shape(100, 1 << 16, |table| {
        assert_eq!(
            table
                .update(b"k", |old| {
                    assert_eq!(old, None);
                    None
                })
                .unwrap(),
            None
        );
        assert!(table.is_empty());
        let stored = table.update(b"k", |old| {
            assert_eq!(old, None);
            some(b"first")
        });
        assert_eq!(stored.unwrap(), some(b"first"));
        for round in 0..50_usize {
            let before = get(table, b"k");
            let stored = table.update(b"k", |old| {
                assert_eq!(old, before.as_deref());
                Some(bytes(round as u64, round * 7 % 40))
            });
            assert_eq!(stored.unwrap(), Some(bytes(round as u64, round * 7 % 40)));
            assert_eq!(get(table, b"k"), Some(bytes(round as u64, round * 7 % 40)));
        }
        assert_eq!(
            table
                .update(b"k", |old| {
                    assert!(old.is_some());
                    None
                })
                .unwrap(),
            None
        );
        assert_eq!(get(table, b"k"), None);
    });
}

#[test]
fn an_update_whose_closure_fails_changes_nothing() {
    on_each_shape(100, 1 << 16, |table| {
        table.insert(b"short", b"v").unwrap();
        table.insert(b"long", &bytes(1, 1000)).unwrap();
        let before = contents(table);
        for key in [&b"short"[..], b"long", b"absent"] {
            let mut calls = 0;
            let result = table.try_update(key, |old| {
                calls += 1;
                assert_eq!(old.map(<[u8]>::to_vec), before.get(key).cloned());
                Err(Error::Interrupted)
            });
            assert!(matches!(&result, Err(Error::Interrupted)), "{result:?}");
            assert_eq!(calls, 1);
        }
        assert_eq!(contents(table), before);
        assert_eq!(table.len(), 2);
        // The lock was let go of, and a closure that does not fail is as in update.
        let append =
            |old: Option<&[u8]>| Ok::<_, Error>(Some([old.unwrap_or_default(), b"!"].concat()));
        assert_eq!(table.try_update(b"short", append).unwrap(), some(b"v!"));
        assert_eq!(table.try_update(b"absent", append).unwrap(), some(b"!"));
        let nothing = table.try_update(b"absent", |_| Ok::<_, Error>(None));
        assert_eq!(nothing.unwrap(), None);
        assert_eq!(get(table, b"absent"), None);
    });
}

#[test]
fn a_closure_that_panics_changes_nothing_and_lets_go_of_the_lock() {
    on_each_shape(100, 1 << 16, |table| {
        table.insert(b"k", b"value").unwrap();
        for key in [&b"k"[..], b"absent"] {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                table.update(key, |_| panic!("on purpose"))
            }));
            assert!(outcome.is_err());
        }
        assert_eq!(
            contents(table),
            HashMap::from([(b"k".to_vec(), b"value".to_vec())])
        );
        // This thread and others go on at once.
        let begin = Instant::now();
        table.insert(b"absent", b"1").unwrap();
        common::scope(|scope| {
            scope.spawn(|| table.insert(b"k", b"another").unwrap());
        });
        assert!(
            begin.elapsed() < Duration::from_secs(4),
            "the lock was left locked"
        );
        assert_eq!(table.stats().unwrap().take_overs, 0);

        let outcome = catch_unwind(AssertUnwindSafe(|| {
            table.retain(|key, _| {
                if key == b"k" {
                    panic!("on purpose")
                } else {
                    true
                }
            })
        }));
        assert!(outcome.is_err());
        table.insert(b"k", b"more").unwrap();
        assert_eq!(table.len(), 2);
        table.clear().unwrap();
    });
}

/// Everything that writes, as a closure that tells only its error.
type Writing = (&'static str, fn(&Table) -> Option<Error>);

const WRITING: [Writing; 17] = [
    ("insert", |t| t.insert(b"x", b"1").err()),
    ("try_insert", |t| t.try_insert(b"x", b"1").err()),
    ("replace", |t| t.replace(b"x", b"1").err()),
    ("remove", |t| t.remove(b"x").err()),
    ("take", |t| t.take(b"x").err()),
    ("remove_if", |t| t.remove_if(b"x", |_| true).err()),
    ("update", |t| t.update(b"x", |_| None).err()),
    ("compare_exchange", |t| {
        t.compare_exchange(b"x", None, None).err()
    }),
    ("fetch_add", |t| t.fetch_add(b"x", 1).err()),
    ("insert_many", |t| t.insert_many([(b"x", b"1")]).err()),
    ("retain", |t| t.retain(|_, _| false).err()),
    ("remove_prefix", |t| t.remove_prefix(b"").err()),
    ("remove_many", |t| t.remove_many([b"x"]).err()),
    ("clear", |t| t.clear().err()),
    ("snapshot", |t| t.snapshot().err()),
    ("check", |t| t.check().err()),
    ("insert of a large value", |t| {
        t.insert(b"x", &[7; 20_000]).err()
    }),
];

#[test]
fn writing_from_inside_a_closure_is_refused_through_any_handle() {
    for (shape, options) in shapes(100, 1 << 16) {
        println!("shape: {shape}");
        let named = Named::create(&options);
        let table = &named.table;
        let second = named.open();
        let clone = table.clone();
        table.insert(b"k", b"value").unwrap();
        for (method, write) in WRITING {
            for handle in [table, &second, &clone] {
                let mut refusals = 0;
                table
                    .update(b"k", |old| {
                        refusals += usize::from(matches!(write(handle), Some(Error::Reentrant)));
                        old.map(<[u8]>::to_vec)
                    })
                    .unwrap();
                assert_eq!(refusals, 1, "{method} inside update");
                table
                    .retain(|_, _| {
                        refusals += usize::from(matches!(write(handle), Some(Error::Reentrant)));
                        true
                    })
                    .unwrap();
                assert_eq!(refusals, 2, "{method} inside retain");
            }
        }
        assert_eq!(
            contents(table),
            HashMap::from([(b"k".to_vec(), b"value".to_vec())])
        );
        // A handle opened inside is one more; another table is another matter.
        let other = Named::create(&options);
        let outer = table.update(b"k", |_| {
            assert!(matches!(named.open().remove(b"k"), Err(Error::Reentrant)));
            let reader = Table::open_read_only(&named.name).unwrap();
            assert_eq!(get(&reader, b"k"), some(b"value"));
            assert!(other.insert(b"k", b"1").unwrap());
            None
        });
        assert_eq!(outer.unwrap(), None);
        assert!(
            table.insert(b"k", b"again").unwrap(),
            "and all is open again"
        );
        assert_sound(table);
    }
}

#[test]
fn reading_from_inside_a_closure_is_allowed() {
    on_each_shape(100, 1 << 16, |table| {
        for number in 0..20_u8 {
            table.insert(&[number], &[number]).unwrap();
        }
        let stored = table.update(&[3], |old| {
            assert_eq!(old, Some(&[3][..]));
            assert_eq!(get(table, &[3]), some(&[3]), "not changed yet");
            assert!(table.contains_key(&[4]).unwrap());
            assert_eq!(table.get_many(&[[5], [99]]).unwrap(), [some(&[5]), None]);
            assert_eq!(table.iter().map(Result::unwrap).count(), 20);
            assert_eq!(table.len(), 20);
            assert_eq!(table.wait(&[6], LIMIT).unwrap(), some(&[6]));
            assert!(table.stats().unwrap().entries == 20);
            let sum = (0..20).map(|n| get(table, &[n]).unwrap()[0]).sum::<u8>();
            Some(vec![sum])
        });
        assert_eq!(stored.unwrap(), some(&[190]));
    });
}

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
fn what_get_many_with_shows_is_what_get_many_returns() {
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
fn get_into_slice_copies_what_fits_and_tells_the_length() {
    on_each_shape(100, 1 << 20, |table| {
        for length in [0, 1, 7, 8, 9, 100, 5000, 150_000] {
            let value = bytes(length as u64, length);
            table.insert(b"k", &value).unwrap();
            for room in [
                0,
                1,
                5,
                8,
                9,
                16,
                length.saturating_sub(1),
                length,
                length + 9,
            ] {
                let mut buffer = vec![0xa5; room];
                assert_eq!(
                    table.get_into_slice(b"k", &mut buffer).unwrap(),
                    Some(length)
                );
                let fits = length.min(room);
                assert_eq!(buffer[..fits], value[..fits], "{length} bytes in {room}");
                assert!(buffer[fits..].iter().all(|byte| *byte == 0xa5));
            }
            let mut buffer = [0xa5; 4];
            assert_eq!(table.get_into_slice(b"absent", &mut buffer).unwrap(), None);
            assert_eq!(buffer, [0xa5; 4], "an absent key leaves the buffer alone");
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
fn two_handles_and_their_clones_are_one_table() {
    let named = Named::create(&Options::new().capacity(1000));
    let second = named.open();
    let clone = second.clone();
    let handles = [&named.table, &second, &clone];
    let mut dice = Dice::new(1);
    let mut model = HashMap::new();
    for round in 0..2000_usize {
        let key = [dice.below(200) as u8];
        let (writer, reader) = (handles[dice.below(3)], handles[dice.below(3)]);
        if dice.below(4) == 0 {
            assert_eq!(writer.take(&key).unwrap(), model.remove(&key));
        } else {
            let value = bytes(round as u64, dice.below(50));
            assert_eq!(
                writer.replace(&key, &value).unwrap(),
                model.insert(key, value)
            );
        }
        assert_eq!(get(reader, &key).as_ref(), model.get(&key));
        assert_eq!(reader.len(), model.len());
    }
    assert_eq!(second.name(), &*named.name);
    drop(second);
    // The clone keeps the handle.
    assert!(clone.insert(b"still", b"here").unwrap());
    assert_eq!(named.stats().unwrap().participants, 2);
    assert_sound(&clone);
}

#[test]
fn threads_share_one_handle() {
    fn is_send_and_sync<T: Send + Sync + Clone>() {}
    is_send_and_sync::<Table>();
    on_each_shape(2000, 1 << 18, |table| {
        common::scope(|scope| {
            for thread in 0..8_u32 {
                scope.spawn(move || {
                    for number in 0..200_u32 {
                        let key = (thread << 16 | number).to_le_bytes();
                        assert!(table.insert(&key, &bytes(1, number as usize % 50)).unwrap());
                        table.fetch_add(b"sum", 1).unwrap();
                    }
                });
            }
        });
        assert_eq!(table.len(), 1601);
        assert_eq!(table.fetch_add(b"sum", 0).unwrap(), 1600);
        assert_eq!(
            table.stats().unwrap().participants,
            1,
            "threads are one participant"
        );
    });
}

#[test]
fn a_handle_takes_one_participant_slot_until_its_last_clone_is_gone() {
    let named = Named::create(&Options::new().capacity(100).max_participants(2));
    let second = named.open();
    let clone = second.clone();
    let is_full =
        |result: Result<Table>| matches!(result, Err(Error::TooManyParticipants { limit: 2, .. }));
    assert!(is_full(Table::open(&named.name)));
    // Readers need none.
    let readers: Vec<Table> = (0..5)
        .map(|_| Table::open_read_only(&named.name).unwrap())
        .collect();
    assert_eq!(named.stats().unwrap().participants, 2);
    drop(second);
    assert!(is_full(Table::open(&named.name)));
    drop(clone);
    assert_eq!(named.stats().unwrap().participants, 1);
    for round in 0..50_u32 {
        let third = named.open();
        third.insert(&round.to_le_bytes(), b"1").unwrap();
        assert!(is_full(Table::open(&named.name)));
    }
    assert_eq!(readers[4].len(), 50);
    assert_sound(&named);
}

#[test]
fn a_table_has_the_shape_it_was_created_with() {
    let name = Name::new();
    let table = Options::new()
        .capacity(1234)
        .value_space(1 << 20)
        .stripes(32)
        .chunk_size(1 << 14)
        .max_participants(7)
        .create(&name)
        .unwrap();
    // What is said of it when it is opened is without effect.
    let opened = Options::new().capacity(9).stripes(1).open(&name).unwrap();
    let again = Options::new().capacity(9).open_or_create(&name).unwrap();
    for handle in [&table, &opened, &again] {
        assert_eq!(handle.capacity(), 1234);
        assert_eq!(handle.codec_id(), 0);
        assert!(!handle.is_anonymous());
        let stats = handle.stats().unwrap();
        assert_eq!(stats.capacity, 1234);
        assert_eq!(stats.value_space, 1 << 20);
        assert_eq!(stats.stripes, 32);
        assert_eq!(stats.chunk_bytes, 1 << 14);
        assert_eq!(stats.max_participants, 7);
        assert_eq!(stats.participants, 3);
    }
}

#[test]
fn stats_fit_what_was_done() {
    let name = Name::new();
    let clock = || {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64
    };
    let before = clock();
    let table = Options::new()
        .capacity(1000)
        .value_space(1 << 20)
        .chunk_size(4096)
        .create(&name)
        .unwrap();
    let stats = table.stats().unwrap();
    assert!((before..=clock()).contains(&stats.created));
    assert_eq!(
        (
            stats.entries,
            stats.value_bytes_live,
            stats.value_bytes_dead
        ),
        (0, 0, 0)
    );
    assert_eq!(
        (stats.chunks_open, stats.chunks_sealed, stats.chunks_in_runs),
        (0, 0, 0)
    );
    assert_eq!(
        (stats.contended, stats.take_overs, stats.cleanings),
        (0, 0, 0)
    );
    assert_eq!(stats.longest_probe, 1);
    assert_eq!(
        stats.segment_bytes,
        stats.index_bytes + stats.chunks_free * stats.chunk_bytes
    );
    #[cfg(target_os = "linux")]
    assert_eq!(
        stats.segment_bytes as u64,
        std::fs::metadata(name.path()).unwrap().len()
    );

    let mut payload = 0;
    for number in 0..500_u32 {
        let value = bytes(1, number as usize % 400);
        payload += 4 + value.len();
        table.insert(&number.to_le_bytes(), &value).unwrap();
    }
    let large = bytes(1, 20_000);
    payload += 1 + large.len();
    table.insert(b"l", &large).unwrap();
    let stats = table.stats().unwrap();
    assert_eq!(stats.entries, 501);
    // A header of 8 bytes, and two paddings of at most 7, on top of each entry.
    assert!((payload + 8 * 501..=payload + 22 * 501).contains(&stats.value_bytes_live));
    assert_eq!(stats.value_bytes_dead, 0);
    assert_eq!(stats.chunks_in_runs, 4, "20 kB take five chunks of 4 KiB");
    let chunks = stats.chunks_free + stats.chunks_open + stats.chunks_sealed + stats.chunks_in_runs;
    assert_eq!(
        stats.value_bytes_live + stats.value_bytes_dead + stats.value_bytes_free,
        chunks * stats.chunk_bytes
    );
    assert!(stats.value_bytes_reserved >= stats.value_bytes_live);
    assert_eq!(stats.value_bytes_reserved % stats.chunk_bytes, 0);

    for number in 0..250_u32 {
        table.remove(&number.to_le_bytes()).unwrap();
    }
    let after = table.stats().unwrap();
    assert_eq!(after.entries, 251);
    assert!(after.value_bytes_live < stats.value_bytes_live);
    assert_eq!(
        after.value_bytes_live + after.value_bytes_dead,
        stats.value_bytes_live
    );
    table.clear().unwrap();
    let empty = table.stats().unwrap();
    assert_eq!(
        (empty.entries, empty.value_bytes_live, empty.longest_probe),
        (0, 0, 1)
    );
}

#[test]
fn short_values_replaced_leave_little_garbage() {
    // A header, a key of two words and a value of one.
    const RECORD: usize = 32;
    for (new, replaced) in [(1, 1), (3, 3), (4, 1), (10, 10), (100, 1000)] {
        let table = Options::new().capacity(2000).create_anonymous().unwrap();
        let mut keys = 0_u128..;
        let mut added = 0;
        while added < 1000 {
            let keys: Vec<_> = keys.by_ref().take(new).map(u128::to_le_bytes).collect();
            for key in &keys {
                assert!(table.insert(key, b"1").unwrap());
            }
            for key in keys.iter().cycle().take(replaced) {
                assert!(!table.insert(key, b"2").unwrap());
                assert_eq!(table.get(key).unwrap(), some(b"2"));
            }
            added += new;
        }
        let stats = table.stats().unwrap();
        assert_eq!(stats.value_bytes_live, added * RECORD);
        // A record that was written and not needed, for each four new ones at most.
        let most = if new < 4 { 0 } else { added / new };
        let dead = stats.value_bytes_dead;
        assert!(
            dead <= most * RECORD,
            "{new} new, {replaced} replaced: {dead}"
        );
    }
}

#[test]
fn small_entries_take_no_value_space() {
    let table = Options::new()
        .capacity(1000)
        .value_space(15)
        .create_anonymous()
        .unwrap();
    let keys: Vec<_> = (0..1000_u64).map(u64::to_le_bytes).collect();
    for key in &keys {
        assert!(table.insert(key, b"7 bytes").unwrap());
        assert!(!table.insert(key, b"7 other").unwrap());
        assert_eq!(table.get(key).unwrap(), some(b"7 other"));
    }
    assert_eq!(table.fetch_add(b"counter", 5).unwrap(), 0);
    assert!(table.remove(&keys[0]).unwrap());
    let stats = table.stats().unwrap();
    assert_eq!((stats.entries, stats.chunks_open), (1000, 0));
    assert_eq!((stats.value_bytes_live, stats.value_bytes_dead), (0, 0));
    // Values of another length do, but those that follow these do not.
    for key in &keys[1..] {
        assert!(!table.insert(key, b"6 more").unwrap());
        assert_eq!(table.get(key).unwrap(), some(b"6 more"));
        assert!(!table.insert(key, b"7 again").unwrap());
        assert_eq!(table.get(key).unwrap(), some(b"7 again"));
    }
    let stats = table.stats().unwrap();
    assert_eq!((stats.entries, stats.value_bytes_live), (1000, 0));
    assert_sound(&table);
}

#[test]
fn contention_is_counted() {
    let table = Options::new()
        .capacity(100)
        .stripes(1)
        .create_anonymous()
        .unwrap();
    let second = table.clone();
    common::scope(|scope| {
        table
            .update(b"a", |_| {
                scope.spawn(|| second.insert(b"b", b"1").unwrap());
                // Until it sleeps for the lock.
                std::thread::sleep(Duration::from_millis(100));
                some(b"1")
            })
            .unwrap();
        eventually("the other insert", || table.contains_key(b"b").unwrap());
    });
    assert!(table.stats().unwrap().contended >= 1);
}

#[test]
fn a_name_is_listed_until_it_is_unlinked() {
    let name = Name::new();
    assert!(!Table::list().unwrap().contains(&name.to_owned()));
    let table = Options::new().capacity(10).create(&name).unwrap();
    assert!(Table::list().unwrap().contains(&name.to_owned()));
    Table::unlink(&name).unwrap();
    assert!(!Table::list().unwrap().contains(&name.to_owned()));
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));
    // Who has it open goes on, and the name is free for another.
    assert!(table.insert(b"k", b"old").unwrap());
    let other = Options::new().capacity(10).create(&name).unwrap();
    assert_eq!(get(&other, b"k"), None);
    assert_eq!(get(&table, b"k"), some(b"old"));
    drop(table);
    assert!(
        Table::open(&name).is_ok(),
        "the old handle does not take the new name away"
    );
}

#[test]
fn a_named_table_outlives_its_handles() {
    let name = Name::new();
    let table = Options::new().capacity(10).create(&name).unwrap();
    table.insert(b"k", b"v").unwrap();
    drop(table);
    assert_eq!(get(&Table::open(&name).unwrap(), b"k"), some(b"v"));
    assert!(matches!(
        Options::new().capacity(10).create(&name),
        Err(Error::AlreadyExists { .. })
    ));
}

#[test]
fn an_anonymous_table_goes_with_its_creators_handle() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    let name = table.name().to_owned();
    assert!(table.is_anonymous());
    let other = Table::open(&name).unwrap();
    assert!(other.is_anonymous());
    let clone = table.clone();
    drop(table);
    assert!(
        Table::open(&name).is_ok(),
        "a clone is the creator's handle still"
    );
    drop(clone);
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));
    assert!(other.insert(b"k", b"v").unwrap(), "who has it open goes on");
    assert_eq!(get(&other, b"k"), some(b"v"));
}

/// Windows has neither user ids nor modes: the folder says who may.
#[cfg(target_os = "linux")]
#[test]
fn options_say_who_is_trusted() {
    use shmtable::Trust;
    let named = Named::create(&Options::new().capacity(10).mode(0o640));
    for trust in [
        Trust::SameUser,
        Trust::Users(vec![]),
        Trust::Users(vec![1]),
        Trust::Anyone,
    ] {
        assert!(Options::new().trust(trust).open(&named.name).is_ok());
    }
    assert_eq!(
        std::fs::metadata(named.name.access_path()).unwrap().mode() & 0o777,
        0o640
    );
    let plain = Named::create(&Options::new().capacity(10));
    assert_eq!(
        std::fs::metadata(plain.name.access_path()).unwrap().mode() & 0o777,
        0o600
    );
}

#[test]
fn an_update_runs_its_closure_once_although_room_must_be_made() {
    let table = Options::new().capacity(100).create_anonymous().unwrap();
    // A new handle fills no chunk yet: there is no room without making some.
    let handle = Table::open(table.name()).unwrap();
    let mut calls = 0;
    let stored = handle
        .update(b"key", |old| {
            calls += 1;
            assert_eq!(old, None);
            Some(vec![7; 100])
        })
        .unwrap();
    assert_eq!(stored, Some(vec![7; 100]));
    assert_eq!(table.get(b"key").unwrap(), stored);
    assert_eq!(calls, 1);
}

#[test]
fn a_wait_goes_on_as_long_as_it_is_told_to() {
    let named = Named::create(&Options::new().capacity(20).stripes(1));
    named.insert(b"k", b"v").unwrap();
    let sleeps = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sleeps);
    let options = Options::new().lock_timeout(LIMIT).waiting(move |sleep| {
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
    let waiting = options.waiting(|_| {
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

/// Windows has neither user ids nor modes: the folder says who may.
#[cfg(target_os = "linux")]
#[test]
fn a_table_is_private_if_no_other_user_may_write_to_it() {
    for (mode, private) in [
        (0o600, true),
        (0o644, true),
        (0o640, true),
        (0o622, false),
        (0o602, false),
        (0o660, false),
        (0o666, false),
    ] {
        let named = Named::create(&Options::new().capacity(10).mode(mode));
        let reader = Table::open_read_only(&named.name).unwrap();
        assert_eq!(named.is_private().unwrap(), private, "{mode:o}");
        assert_eq!(reader.is_private().unwrap(), private, "{mode:o}");
        // It tells what is, not what was.
        let path = named.name.access_path();
        std::fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
        assert!(!named.is_private().unwrap());
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(reader.is_private().unwrap());
        if chown(&path, Some(54_321), None).is_ok() {
            assert!(!named.is_private().unwrap(), "another user's");
        } else {
            println!("NOT ROOT: the segment of another user was not asked about");
        }
    }
}
