//! Does every method of a table do what its documentation says, in one process?

#![cfg(any(target_os = "linux", windows))]

mod closures;
#[path = "../common/mod.rs"]
mod common;
mod entries;
mod figures;
mod handles;
mod many_entries;
mod waits;

use common::{assert_sound, shapes};
use shmtable::Table;

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

#[expect(clippy::unnecessary_wraps, reason = "to be compared with a lookup")]
fn some(value: &[u8]) -> Option<Vec<u8>> {
    Some(value.to_vec())
}
