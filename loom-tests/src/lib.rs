//! Models of the table's protocols, explored by [loom](https://docs.rs/loom).
//!
//! Each file in `tests/` models one protocol, with the real code of the crate on
//! loom's atomics, and begins with `#![cfg(loom)]`. A model is run by
//! `cargo xtask loom [MODEL]`, under the bounds that `xtask/src/lanes/loom/models.rs` pins for
//! it; a test without bounds there, or bounds without a test, fail that command.
//!
//! A model that has never failed proves little: each file names the mutations
//! that were planted to see it fail, and `orderings.md` says for each ordering which
//! model fails without it.
#![cfg(loom)]

pub mod growth;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shmtable::Table;
use shmtable::loom_model;

/// Runs a model in which a process dies at its first crash point, one in which it
/// dies at its second, and so on until nobody dies in any execution.
///
/// `run` gets the point and a flag to raise when the process died.
///
/// # Panics
/// If no process died at all.
pub fn at_each_crash_point(run: impl Fn(usize, &AtomicBool) + Send + Sync + 'static) {
    let run = Arc::new(run);
    for point in 0.. {
        let died = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&died);
        let run = Arc::clone(&run);
        loom::model(move || run(point, &flag));
        if !died.load(Ordering::Relaxed) {
            assert!(point > 0, "there was no crash point");
            return;
        }
    }
}

/// The value of nine bytes that models store: two words that differ from those of
/// every other.
pub fn value(number: u8) -> [u8; 9] {
    [number; 9]
}

/// A value that with its key needs a run of two chunks of four words.
pub fn large(number: u8) -> [u8; 25] {
    [number; 25]
}

/// The number of a [`value`] or of a [`large`] one.
///
/// # Panics
/// If it is torn.
pub fn number(found: &[u8]) -> u8 {
    let number = found[0];
    assert!(
        found == value(number) || found == large(number),
        "a torn value: {found:?}"
    );
    number
}

/// What a process finds under a key, as a [`number`].
///
/// # Panics
/// If the table is damaged.
pub fn get(table: &Table, key: &str) -> Option<u8> {
    table
        .get(key.as_bytes())
        .expect("a sound table")
        .map(|found| number(&found))
}

/// Stores the [`value`] of a number; `true`: the key was new.
///
/// # Panics
/// If it was refused.
pub fn insert(table: &Table, key: &str, number: u8) -> bool {
    table
        .insert(key.as_bytes(), &value(number))
        .expect("there is room")
}

/// Stores the [`large`] value of a number; `true`: the key was new.
///
/// # Panics
/// If it was refused.
pub fn insert_large(table: &Table, key: &str, number: u8) -> bool {
    table
        .insert(key.as_bytes(), &large(number))
        .expect("there is room")
}

/// Every invariant of the table holds.
///
/// # Panics
/// If not.
pub fn check(table: &Table) {
    assert_eq!(
        table.check().expect("no error"),
        Vec::<shmtable::Fault>::new()
    );
}

/// Cleans a chunk that nobody else may be at.
///
/// # Panics
/// If it could not be cleaned.
pub fn clean(table: &Table, chunk: usize) {
    assert!(loom_model::clean(table, chunk).expect("a sound chunk"));
}
