//! Does a table that grows hold everything, whoever uses it and whatever its size?

#![cfg(any(target_os = "linux", windows))]

mod bounds;
#[path = "../common/mod.rs"]
mod common;
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
mod giving_back;
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
mod max_bytes;
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
mod memory;
mod methods;
mod sharing;
mod sizes;

use shmtable::{Options, Table};

use common::{bytes, key};

/// The key and the value of this number: mostly small entries and records of one chunk, and
/// sometimes a value that is larger than a chunk.
fn entry(number: usize) -> (Vec<u8>, Vec<u8>) {
    let name = number.to_string();
    match number {
        _ if number % 20_000 == 19_999 => (name.into_bytes(), bytes(number as u64, 300_000)),
        _ if number % 500 == 499 => (name.into_bytes(), bytes(number as u64, 4000)),
        _ if number.is_multiple_of(3) => (name.into_bytes(), bytes(number as u64, number % 9)),
        _ if number % 3 == 1 => {
            let key = bytes(!number as u64, 20 + number % 30);
            (key, bytes(number as u64, number % 7))
        }
        _ => (
            key(number).to_vec(),
            bytes(number as u64, 10 + number % 120),
        ),
    }
}

/// Inserts the entries of these numbers, which must be new.
#[track_caller]
fn insert(table: &Table, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let (key, value) = entry(number);
        assert!(table.insert(&key, &value).unwrap(), "{number} is new");
    }
}

/// The entries of these numbers are there, and whole.
#[track_caller]
fn assert_there(table: &Table, numbers: impl IntoIterator<Item = usize>) {
    let mut found = Vec::new();
    for number in numbers {
        let (key, value) = entry(number);
        assert!(table.get_into(&key, &mut found).unwrap(), "{number}");
        assert!(found == value, "{number} has another value");
    }
}

/// The entries of these numbers are not there.
#[track_caller]
fn assert_absent(table: &Table, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        assert!(!table.contains_key(entry(number).0).unwrap(), "{number}");
    }
}

/// A table that no size was given.
fn of_no_size() -> Table {
    Options::new().create_anonymous().unwrap()
}
