//! shmtable and its rivals behind one trait.
//!
//! All are made with room for the keys that come, and all copy a value that they
//! read, into a reused buffer in `get`. The rivals keep their default hasher
//! (`SipHash`, which nobody can choose colliding keys for either) and the system's
//! allocator. They replace a value in the way that is fastest for each: dashmap
//! and the `RwLock` in the old value's memory, which shmtable, whose readers take
//! no lock, cannot.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};

use dashmap::DashMap;
use parking_lot::RwLock;
use shmtable::{Options, Table};

use super::work::{Key, Work};

type Bytes = Vec<u8>;

/// A table of bytes.
pub(crate) trait Store: Sync {
    const NAME: &'static str;

    /// An empty table with room for the work's keys.
    fn with_room(work: &Work) -> Self;

    /// Copies a key's value.
    fn get(&self, key: &[u8], value: &mut Bytes) -> bool;

    /// Copies the values of many keys.
    fn get_many(&self, keys: &[Key]) -> Vec<Option<Bytes>> {
        keys.iter()
            .map(|key| {
                let mut value = Vec::new();
                self.get(key, &mut value).then_some(value)
            })
            .collect()
    }

    /// Stores the value of a new key.
    fn insert(&self, key: &[u8], value: &[u8]);

    /// Replaces the value of a key that is there.
    fn replace(&self, key: &[u8], value: &[u8]);

    fn remove(&self, key: &[u8]) -> bool;
}

impl Store for Table {
    const NAME: &'static str = "shmtable";

    fn with_room(work: &Work) -> Self {
        let entry = work.keys[0].len() + work.value.len();
        Options::new()
            .capacity(work.keys.len())
            .value_space(2 * work.keys.len() * entry)
            .create_anonymous()
            .expect("there is room for a table in shared memory")
    }

    fn get(&self, key: &[u8], value: &mut Bytes) -> bool {
        self.get_into(key, value).expect("get")
    }

    fn get_many(&self, keys: &[Key]) -> Vec<Option<Bytes>> {
        self.get_many(keys).expect("get_many")
    }

    fn insert(&self, key: &[u8], value: &[u8]) {
        self.insert(key, value).expect("insert");
    }

    fn replace(&self, key: &[u8], value: &[u8]) {
        self.insert(key, value).expect("insert");
    }

    fn remove(&self, key: &[u8]) -> bool {
        self.remove(key).expect("remove")
    }
}

fn copy(from: &[u8], to: &mut Bytes) {
    to.clear();
    to.extend_from_slice(from);
}

pub(crate) type Dashmap = DashMap<Bytes, Bytes>;

impl Store for Dashmap {
    const NAME: &'static str = "dashmap";

    fn with_room(work: &Work) -> Self {
        Self::with_capacity(work.keys.len())
    }

    fn get(&self, key: &[u8], value: &mut Bytes) -> bool {
        self.get(key).is_some_and(|found| {
            copy(&found, value);
            true
        })
    }

    fn insert(&self, key: &[u8], value: &[u8]) {
        self.insert(key.to_vec(), value.to_vec());
    }

    fn replace(&self, key: &[u8], value: &[u8]) {
        copy(value, &mut self.get_mut(key).expect("the key is there"));
    }

    fn remove(&self, key: &[u8]) -> bool {
        self.remove(key).is_some()
    }
}

pub(crate) type Papaya = papaya::HashMap<Bytes, Bytes>;

impl Store for Papaya {
    const NAME: &'static str = "papaya";

    fn with_room(work: &Work) -> Self {
        Self::with_capacity(work.keys.len())
    }

    fn get(&self, key: &[u8], value: &mut Bytes) -> bool {
        self.pin().get(key).is_some_and(|found| {
            copy(found, value);
            true
        })
    }

    fn insert(&self, key: &[u8], value: &[u8]) {
        self.pin().insert(key.to_vec(), value.to_vec());
    }

    fn replace(&self, key: &[u8], value: &[u8]) {
        self.pin().insert(key.to_vec(), value.to_vec());
    }

    fn remove(&self, key: &[u8]) -> bool {
        self.pin().remove(key).is_some()
    }
}

pub(crate) type Locked = RwLock<HashMap<Bytes, Bytes>>;

impl Store for Locked {
    const NAME: &'static str = "RwLock<HashMap>";

    fn with_room(work: &Work) -> Self {
        Self::new(HashMap::with_capacity(work.keys.len()))
    }

    fn get(&self, key: &[u8], value: &mut Bytes) -> bool {
        self.read().get(key).is_some_and(|found| {
            copy(found, value);
            true
        })
    }

    fn insert(&self, key: &[u8], value: &[u8]) {
        self.write().insert(key.to_vec(), value.to_vec());
    }

    fn replace(&self, key: &[u8], value: &[u8]) {
        copy(value, self.write().get_mut(key).expect("the key is there"));
    }

    fn remove(&self, key: &[u8]) -> bool {
        self.write().remove(key).is_some()
    }
}

/// A table of counters. The rivals' are typed and need no bytes.
pub(crate) trait Counters: Sync {
    const NAME: &'static str;

    fn with_room(work: &Work) -> Self;

    /// Adds to a counter, which begins at 0; its value before.
    fn add(&self, key: &[u8], add: i64) -> i64;
}

impl Counters for Table {
    const NAME: &'static str = "shmtable";

    fn with_room(work: &Work) -> Self {
        Options::new()
            .capacity(work.keys.len())
            .value_space(2 * work.keys.len() * (work.keys[0].len() + 8))
            .create_anonymous()
            .expect("there is room for a table in shared memory")
    }

    fn add(&self, key: &[u8], add: i64) -> i64 {
        self.fetch_add(key, add).expect("fetch_add")
    }
}

impl Counters for DashMap<Bytes, i64> {
    const NAME: &'static str = "dashmap";

    fn with_room(work: &Work) -> Self {
        Self::with_capacity(work.keys.len())
    }

    fn add(&self, key: &[u8], add: i64) -> i64 {
        let change = |counter: &mut i64| {
            *counter += add;
            *counter - add
        };
        match self.get_mut(key) {
            Some(mut counter) => change(&mut counter),
            None => change(&mut self.entry(key.to_vec()).or_insert(0)),
        }
    }
}

impl Counters for papaya::HashMap<Bytes, AtomicI64> {
    const NAME: &'static str = "papaya";

    fn with_room(work: &Work) -> Self {
        Self::with_capacity(work.keys.len())
    }

    fn add(&self, key: &[u8], add: i64) -> i64 {
        let map = self.pin();
        match map.get(key) {
            Some(counter) => counter,
            None => map.get_or_insert_with(key.to_vec(), AtomicI64::default),
        }
        .fetch_add(add, Ordering::Relaxed)
    }
}

impl Counters for RwLock<HashMap<Bytes, AtomicI64>> {
    const NAME: &'static str = "RwLock<HashMap>";

    fn with_room(work: &Work) -> Self {
        Self::new(HashMap::with_capacity(work.keys.len()))
    }

    fn add(&self, key: &[u8], add: i64) -> i64 {
        if let Some(counter) = self.read().get(key) {
            return counter.fetch_add(add, Ordering::Relaxed);
        }
        self.write()
            .entry(key.to_vec())
            .or_default()
            .fetch_add(add, Ordering::Relaxed)
    }
}
