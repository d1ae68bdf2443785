//! Keys that a doubling takes to new buckets, and keys that it leaves where they are.

// Models panic when something is wrong: that is how loom learns of it.
#![allow(clippy::missing_panics_doc, missing_docs)]

use shmtable::Table;
use shmtable::loom_model::{self, buckets};

/// The length of a value that a slot holds, beside its key of one byte.
pub const SMALL: usize = 8;
/// The length of a value that a record holds.
pub const RECORD: usize = 9;

pub type Key = [u8; 1];

/// The keys of a stripe of one bucket, which a doubling to two parts.
pub struct Keys {
    pub goes: Vec<Key>,
    pub stays: Vec<Key>,
}

impl Keys {
    pub fn of(table: &Table) -> Self {
        let keys = |after| loom_model::keys_that_go(table, 0, 0, after, 4);
        Self {
            goes: keys(1),
            stays: keys(0),
        }
    }

    /// Fills the bucket: two that go, and one that stays.
    pub fn fill(&self, table: &Table, length: usize) {
        for (key, number) in [self.goes[0], self.stays[0], self.goes[1]].iter().zip(1..) {
            put(table, key, number, length);
        }
    }
}

pub fn put(table: &Table, key: &Key, number: u8, length: usize) {
    table.insert(key, &vec![number; length]).unwrap();
}

/// The number of the value found.
pub fn get(table: &Table, key: &Key) -> Option<u8> {
    let found = table.get(key).expect("a sound table")?;
    let number = found[0];
    assert!(
        matches!(found.len(), SMALL | RECORD) && found == vec![number; found.len()],
        "a torn value: {found:?}"
    );
    Some(number)
}

/// Keys of a stripe of two buckets: three that fill the first one, one that has no room there, and
/// one in the second.
pub struct Displaced {
    pub all: [Key; 5],
    /// The one that has no room; a doubling takes it to bucket `after`.
    pub displaced: Key,
    /// One for which the stripe is doubled.
    pub new: [Key; 2],
}

impl Displaced {
    /// Those of the three for which `with_it` is true go where the displaced one goes.
    pub fn of(table: &Table, after: usize, with_it: [bool; 3]) -> Self {
        let keys = |before, after| loom_model::keys_that_go(table, 1, before, after, 5);
        let (mut these, mut others) = (keys(0, after), keys(0, 2 - after));
        let displaced = these.remove(0);
        let [a, b, c] =
            with_it.map(|with_it| if with_it { &mut these } else { &mut others }.remove(0));
        Self {
            all: [a, b, c, displaced, keys(1, 1)[0]],
            displaced,
            new: [these.pop().unwrap(), others.pop().unwrap()],
        }
    }

    pub fn fill(&self, table: &Table) {
        for key in &self.all {
            put(table, key, 1, SMALL);
        }
        assert_eq!(buckets(table), 2);
    }

    pub fn assert_all(&self, table: &Table) {
        for key in &self.all {
            assert_eq!(get(table, key), Some(1));
        }
    }
}
