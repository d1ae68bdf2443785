//! Rivals that cannot leave their process.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use dashmap::DashMap;
use parking_lot::RwLock;

use super::{About, Contender, Room, Session, Sharing, copy};
use crate::Result;

type Bytes = Vec<u8>;

const fn threads(name: &'static str, setup: &'static str) -> About {
    About {
        name,
        setup,
        sharing: Sharing::Threads,
        slow: false,
    }
}

/// dashmap.
#[derive(Debug)]
pub struct Dashmap {
    values: DashMap<Bytes, Bytes>,
    counters: DashMap<Bytes, i64>,
}

impl Contender for Dashmap {
    const ABOUT: About = threads(
        "dashmap",
        "`DashMap<Vec<u8>, Vec<u8>>` with capacity; replaces in place; counters are `i64`",
    );

    type Session<'a> = &'a Self;

    fn create(room: &Room) -> Result<Self> {
        let (values, counters) = room.values_and_counters();
        Ok(Self {
            values: DashMap::with_capacity(values),
            counters: DashMap::with_capacity(counters),
        })
    }

    fn session(&self, _: bool) -> &Self {
        self
    }
}

impl Session for &Dashmap {
    #[inline(always)]
    fn get(&mut self, key: &[u8], value: &mut Bytes) -> bool {
        let found = self.values.get(key);
        found.is_some_and(|found| {
            copy(&found, value);
            true
        })
    }

    #[inline(always)]
    fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.values.insert(key.to_vec(), value.to_vec());
    }

    #[inline(always)]
    fn replace(&mut self, key: &[u8], value: &[u8]) {
        let mut old = self.values.get_mut(key).expect("the key is there");
        copy(value, &mut old);
    }

    #[inline(always)]
    fn remove(&mut self, key: &[u8]) -> bool {
        self.values.remove(key).is_some()
    }

    #[inline(always)]
    fn add(&mut self, key: &[u8], add: i64) -> i64 {
        let change = |counter: &mut i64| {
            *counter += add;
            *counter - add
        };
        match self.counters.get_mut(key) {
            Some(mut counter) => change(&mut counter),
            None => change(&mut self.counters.entry(key.to_vec()).or_insert(0)),
        }
    }
}

/// papaya.
#[derive(Debug)]
pub struct Papaya {
    values: papaya::HashMap<Bytes, Bytes>,
    counters: papaya::HashMap<Bytes, AtomicI64>,
}

impl Contender for Papaya {
    const ABOUT: About = threads(
        "papaya",
        "`HashMap<Vec<u8>, Vec<u8>>` with capacity, pinned for each operation; counters are \
         `AtomicI64`",
    );

    type Session<'a> = &'a Self;

    fn create(room: &Room) -> Result<Self> {
        let (values, counters) = room.values_and_counters();
        Ok(Self {
            values: papaya::HashMap::with_capacity(values),
            counters: papaya::HashMap::with_capacity(counters),
        })
    }

    fn session(&self, _: bool) -> &Self {
        self
    }
}

impl Session for &Papaya {
    #[inline(always)]
    fn get(&mut self, key: &[u8], value: &mut Bytes) -> bool {
        let values = self.values.pin();
        values.get(key).is_some_and(|found| {
            copy(found, value);
            true
        })
    }

    #[inline(always)]
    fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.values.pin().insert(key.to_vec(), value.to_vec());
    }

    #[inline(always)]
    fn remove(&mut self, key: &[u8]) -> bool {
        self.values.pin().remove(key).is_some()
    }

    #[inline(always)]
    fn add(&mut self, key: &[u8], add: i64) -> i64 {
        let counters = self.counters.pin();
        match counters.get(key) {
            Some(counter) => counter,
            None => counters.get_or_insert_with(key.to_vec(), AtomicI64::default),
        }
        .fetch_add(add, Ordering::Relaxed)
    }
}

/// scc.
#[derive(Debug)]
pub struct Scc {
    values: scc::HashMap<Bytes, Bytes>,
    counters: scc::HashMap<Bytes, i64>,
}

impl Contender for Scc {
    const ABOUT: About = threads(
        "scc",
        "`HashMap<Vec<u8>, Vec<u8>>` with capacity, its synchronous calls; replaces in place; \
         counters are `i64`",
    );

    type Session<'a> = &'a Self;

    fn create(room: &Room) -> Result<Self> {
        let (values, counters) = room.values_and_counters();
        Ok(Self {
            values: scc::HashMap::with_capacity(values),
            counters: scc::HashMap::with_capacity(counters),
        })
    }

    fn session(&self, _: bool) -> &Self {
        self
    }
}

impl Session for &Scc {
    #[inline(always)]
    fn get(&mut self, key: &[u8], value: &mut Bytes) -> bool {
        let found = self.values.read_sync(key, |_, found| copy(found, value));
        found.is_some()
    }

    #[inline(always)]
    fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.values.upsert_sync(key.to_vec(), value.to_vec());
    }

    #[inline(always)]
    fn replace(&mut self, key: &[u8], value: &[u8]) {
        let replaced = self.values.update_sync(key, |_, old| copy(value, old));
        replaced.expect("the key is there");
    }

    #[inline(always)]
    fn remove(&mut self, key: &[u8]) -> bool {
        self.values.remove_sync(key).is_some()
    }

    #[inline(always)]
    fn add(&mut self, key: &[u8], add: i64) -> i64 {
        let change = |counter: &mut i64| {
            *counter += add;
            *counter - add
        };
        let changed = self.counters.update_sync(key, |_, counter| change(counter));
        changed.unwrap_or_else(|| {
            let mut counter = self.counters.entry_sync(key.to_vec()).or_insert(0);
            change(&mut counter)
        })
    }
}

/// hashbrown behind a lock.
#[derive(Debug)]
pub struct Locked {
    values: RwLock<hashbrown::HashMap<Bytes, Bytes>>,
    counters: RwLock<hashbrown::HashMap<Bytes, AtomicI64>>,
}

impl Contender for Locked {
    const ABOUT: About = threads(
        "locked hashbrown",
        "`parking_lot::RwLock<hashbrown::HashMap<Vec<u8>, Vec<u8>>>` with capacity; replaces in \
         place; counters are `AtomicI64`, added to under the reader's lock",
    );

    type Session<'a> = &'a Self;

    fn create(room: &Room) -> Result<Self> {
        let (values, counters) = room.values_and_counters();
        Ok(Self {
            values: RwLock::new(hashbrown::HashMap::with_capacity(values)),
            counters: RwLock::new(hashbrown::HashMap::with_capacity(counters)),
        })
    }

    fn session(&self, _: bool) -> &Self {
        self
    }
}

impl Session for &Locked {
    #[inline(always)]
    fn get(&mut self, key: &[u8], value: &mut Bytes) -> bool {
        let values = self.values.read();
        values.get(key).is_some_and(|found| {
            copy(found, value);
            true
        })
    }

    #[inline(always)]
    fn insert(&mut self, key: &[u8], value: &[u8]) {
        let (key, value) = (key.to_vec(), value.to_vec());
        self.values.write().insert(key, value);
    }

    #[inline(always)]
    fn replace(&mut self, key: &[u8], value: &[u8]) {
        let mut values = self.values.write();
        copy(value, values.get_mut(key).expect("the key is there"));
    }

    #[inline(always)]
    fn remove(&mut self, key: &[u8]) -> bool {
        self.values.write().remove(key).is_some()
    }

    #[inline(always)]
    fn add(&mut self, key: &[u8], add: i64) -> i64 {
        if let Some(counter) = self.counters.read().get(key) {
            return counter.fetch_add(add, Ordering::Relaxed);
        }
        let mut counters = self.counters.write();
        let counter = counters.entry(key.to_vec()).or_default();
        counter.fetch_add(add, Ordering::Relaxed)
    }
}

/// The standard library's map, which one thread has for itself.
#[derive(Debug)]
pub struct Std(Mutex<(HashMap<Bytes, Bytes>, HashMap<Bytes, i64>)>);

/// A thread that has it.
type Private<'a> = std::sync::MutexGuard<'a, (HashMap<Bytes, Bytes>, HashMap<Bytes, i64>)>;

impl Contender for Std {
    const ABOUT: About = About {
        name: "std HashMap",
        setup: "`std::collections::HashMap<Vec<u8>, Vec<u8>>` with capacity, private to one \
                thread, without any lock: a reference, no rival",
        sharing: Sharing::Nobody,
        slow: false,
    };

    type Session<'a> = Private<'a>;

    fn create(room: &Room) -> Result<Self> {
        let (values, counters) = room.values_and_counters();
        let tables = (
            HashMap::with_capacity(values),
            HashMap::with_capacity(counters),
        );
        Ok(Self(Mutex::new(tables)))
    }

    fn session(&self, _: bool) -> Private<'_> {
        self.0.lock().expect("nobody failed with it")
    }
}

impl Session for Private<'_> {
    #[inline(always)]
    fn get(&mut self, key: &[u8], value: &mut Bytes) -> bool {
        self.0.get(key).is_some_and(|found| {
            copy(found, value);
            true
        })
    }

    #[inline(always)]
    fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key.to_vec(), value.to_vec());
    }

    #[inline(always)]
    fn replace(&mut self, key: &[u8], value: &[u8]) {
        copy(value, self.0.get_mut(key).expect("the key is there"));
    }

    #[inline(always)]
    fn remove(&mut self, key: &[u8]) -> bool {
        self.0.remove(key).is_some()
    }

    #[inline(always)]
    fn add(&mut self, key: &[u8], add: i64) -> i64 {
        let counter = match self.1.get_mut(key) {
            Some(counter) => counter,
            None => self.1.entry(key.to_vec()).or_insert(0),
        };
        *counter += add;
        *counter - add
    }
}
