//! Operations that call a closure while they hold a lock.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use shmtable::{Error, Options, Result, Table};

use crate::common::{self, LIMIT, Named, assert_sound, bytes, contents, shapes};
use crate::{get, on_each_shape, some};

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
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            table.update_in_place(b"k", |value| -> Option<()> {
                value.fill(0);
                panic!("on purpose")
            })
        }));
        assert!(outcome.is_err());
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

const WRITING: [Writing; 19] = [
    ("insert", |t| t.insert(b"x", b"1").err()),
    ("insert_slices", |t| t.insert_slices(b"x", &[b"1"]).err()),
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
    ("update_in_place", |t| {
        t.update_in_place(b"x", |_| Some(())).err()
    }),
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
