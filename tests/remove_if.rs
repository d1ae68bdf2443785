//! Is a value judged and removed in one step?

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Named, assert_sound, bytes, scaled, shapes};
use shmtable::Options;

#[test]
fn a_key_goes_if_the_closure_says_so_of_its_value() {
    for (shape, options) in shapes(100, 1 << 20) {
        println!("shape: {shape}");
        let named = Named::create(&options);
        // Of each kind: in a slot, in a record, in a run of chunks.
        for length in [0, 8, 300, 50_000] {
            let value = bytes(1, length);
            named.insert(b"k", &value).unwrap();
            named.insert(b"other", &value).unwrap();
            let sees = |answer: bool| {
                named.remove_if(b"k", |found| {
                    assert_eq!(found, value);
                    answer
                })
            };
            assert!(!sees(false).unwrap());
            assert_eq!(named.get(b"k").unwrap().as_ref(), Some(&value));
            assert!(sees(true).unwrap());
            assert!(!named.contains_key(b"k").unwrap());
            assert_eq!(named.len(), 1);
        }
        let absent = named.remove_if(b"k", |_| unreachable!("there is nothing to see"));
        assert!(!absent.unwrap());
        assert_sound(&named);
    }
}

#[test]
fn a_panic_removes_nothing_and_lets_go_of_the_lock() {
    let named = Named::create(&Options::new().capacity(10).stripes(1));
    named.insert(b"k", b"value").unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        named.remove_if(b"k", |_| panic!("on purpose"))
    }));
    assert!(outcome.is_err());
    assert_eq!(named.get(b"k").unwrap().as_deref(), Some(&b"value"[..]));
    let other = named.open();
    assert!(other.remove_if(b"k", |value| value == b"value").unwrap());
}

/// Threads count up and down: a counter that is 0 goes, and with it nothing that another
/// one added.
#[test]
fn no_addition_is_lost_to_a_removal() {
    const THREADS: usize = 4;
    let named = Named::create(&Options::new().capacity(10));
    let removals = AtomicU64::new(0);
    common::scope(|scope| {
        for _ in 0..THREADS {
            let table = named.open();
            let removals = &removals;
            scope.spawn(move || {
                for _ in 0..scaled(2000) {
                    assert!(table.fetch_add(b"users", 1).unwrap() >= 0);
                    assert!(table.fetch_add(b"users", -1).unwrap() > 0);
                    let removed = table.remove_if(b"users", |count| count == [0; 8]);
                    removals.fetch_add(removed.unwrap().into(), Ordering::Relaxed);
                }
            });
        }
    });
    println!("{} removals", removals.into_inner());
    assert!(named.is_empty());
    assert_sound(&named);
}
