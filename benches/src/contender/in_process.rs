//! Rivals that can't leave their process. Each takes a hasher as a parameter: the fastest
//! one unless another is named.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use dashmap::DashMap;
use papaya::{Guard, LocalGuard};
use parking_lot::RwLock;

use super::hasher::{Fastest, Hasher};
use super::{About, Contender, Room, Session, Sharing, copy};
use crate::Result;

type Bytes = Vec<u8>;

/// A rival whose threads share it. Its names are the one with the fastest hasher and the
/// one with the default hasher.
const fn threads<H: Hasher>(names: [&'static str; 2], setup: &'static str) -> About {
    About {
        name: names[H::IS_DEFAULT as usize],
        setup,
        hasher: H::NAME,
        sharing: Sharing::Threads,
        slow: false,
    }
}

/// dashmap.
#[derive(Debug)]
pub struct Dashmap<H: Hasher = Fastest> {
    values: DashMap<Bytes, Bytes, H>,
    counters: DashMap<Bytes, i64, H>,
}

impl<H: Hasher> Contender for Dashmap<H> {
    const ABOUT: About = threads::<H>(
        ["dashmap", "dashmap, SipHash"],
        "`DashMap<Vec<u8>, Vec<u8>>` with capacity; replaces in place; counters are `i64`",
    );

    type Session<'a> = &'a Self;

    fn create(room: &Room) -> Result<Self> {
        let (values, counters) = room.values_and_counters();
        Ok(Self {
            values: DashMap::with_capacity_and_hasher(values, H::default()),
            counters: DashMap::with_capacity_and_hasher(counters, H::default()),
        })
    }

    fn session(&self, _: bool) -> &Self {
        self
    }
}

impl<H: Hasher> Session for &Dashmap<H> {
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
pub struct Papaya<H: Hasher = Fastest> {
    values: papaya::HashMap<Bytes, Bytes, H>,
    counters: papaya::HashMap<Bytes, AtomicI64, H>,
}

/// Operations of papaya under one guard. A guard that is held for longer keeps replaced
/// values from being freed.
const UNDER_A_GUARD: u32 = 64;

impl<H: Hasher> Contender for Papaya<H> {
    const ABOUT: About = threads::<H>(
        ["papaya", "papaya, SipHash"],
        "`HashMap<Vec<u8>, Vec<u8>>` with capacity, one guard for 64 operations; counters are \
         `AtomicI64`",
    );

    type Session<'a> = Guarded<'a, H>;

    fn create(room: &Room) -> Result<Self> {
        let (values, counters) = room.values_and_counters();
        Ok(Self {
            values: papaya::HashMap::with_capacity_and_hasher(values, H::default()),
            counters: papaya::HashMap::with_capacity_and_hasher(counters, H::default()),
        })
    }

    fn session(&self, _: bool) -> Guarded<'_, H> {
        Guarded {
            papaya: self,
            values: self.values.guard(),
            counters: self.counters.guard(),
            left: UNDER_A_GUARD,
        }
    }
}

/// papaya with its guards.
#[derive(Debug)]
pub struct Guarded<'a, H: Hasher> {
    papaya: &'a Papaya<H>,
    values: LocalGuard<'a>,
    counters: LocalGuard<'a>,
    /// Operations until the guards are renewed.
    left: u32,
}

impl<H: Hasher> Guarded<'_, H> {
    #[inline(always)]
    fn begin(&mut self) {
        if self.left == 0 {
            self.renew();
        }
        self.left -= 1;
    }

    #[inline(never)]
    fn renew(&mut self) {
        self.values.refresh();
        self.counters.refresh();
        self.left = UNDER_A_GUARD;
    }
}

impl<H: Hasher> Session for Guarded<'_, H> {
    #[inline(always)]
    fn get(&mut self, key: &[u8], value: &mut Bytes) -> bool {
        self.begin();
        let found = self.papaya.values.get(key, &self.values);
        found.is_some_and(|found| {
            copy(found, value);
            true
        })
    }

    #[inline(always)]
    fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.begin();
        let values = &self.papaya.values;
        values.insert(key.to_vec(), value.to_vec(), &self.values);
    }

    #[inline(always)]
    fn remove(&mut self, key: &[u8]) -> bool {
        self.begin();
        self.papaya.values.remove(key, &self.values).is_some()
    }

    #[inline(always)]
    fn add(&mut self, key: &[u8], add: i64) -> i64 {
        self.begin();
        let counters = &self.papaya.counters;
        match counters.get(key, &self.counters) {
            Some(counter) => counter,
            None => counters.get_or_insert_with(key.to_vec(), AtomicI64::default, &self.counters),
        }
        .fetch_add(add, Ordering::Relaxed)
    }
}

/// scc.
#[derive(Debug)]
pub struct Scc<H: Hasher = Fastest> {
    values: scc::HashMap<Bytes, Bytes, H>,
    counters: scc::HashMap<Bytes, i64, H>,
}

impl<H: Hasher> Contender for Scc<H> {
    const ABOUT: About = threads::<H>(
        ["scc", "scc, SipHash"],
        "`HashMap<Vec<u8>, Vec<u8>>` with capacity, its synchronous calls; replaces in place; \
         counters are `i64`",
    );

    type Session<'a> = &'a Self;

    fn create(room: &Room) -> Result<Self> {
        let (values, counters) = room.values_and_counters();
        Ok(Self {
            values: scc::HashMap::with_capacity_and_hasher(values, H::default()),
            counters: scc::HashMap::with_capacity_and_hasher(counters, H::default()),
        })
    }

    fn session(&self, _: bool) -> &Self {
        self
    }
}

impl<H: Hasher> Session for &Scc<H> {
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

/// hashbrown behind a lock. Its default hasher is the fastest one.
#[derive(Debug)]
pub struct Locked {
    values: RwLock<hashbrown::HashMap<Bytes, Bytes, Fastest>>,
    counters: RwLock<hashbrown::HashMap<Bytes, AtomicI64, Fastest>>,
}

impl Contender for Locked {
    const ABOUT: About = threads::<Fastest>(
        ["locked hashbrown"; 2],
        "`parking_lot::RwLock<hashbrown::HashMap<Vec<u8>, Vec<u8>>>` with capacity; replaces in \
         place; counters are `AtomicI64`, added to under the reader's lock",
    );

    type Session<'a> = &'a Self;

    fn create(room: &Room) -> Result<Self> {
        let (values, counters) = room.values_and_counters();
        Ok(Self {
            values: locked(values),
            counters: locked(counters),
        })
    }

    fn session(&self, _: bool) -> &Self {
        self
    }
}

fn locked<V>(entries: usize) -> RwLock<hashbrown::HashMap<Bytes, V, Fastest>> {
    let map = hashbrown::HashMap::with_capacity_and_hasher(entries, Fastest::default());
    RwLock::new(map)
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

/// The standard library's map, private to one thread.
#[derive(Debug)]
pub struct Std<H: Hasher = Fastest>(Mutex<Maps<H>>);

/// The maps of values and of counters.
type Maps<H> = (HashMap<Bytes, Bytes, H>, HashMap<Bytes, i64, H>);

/// The access of the thread that has the maps.
type Private<'a, H> = std::sync::MutexGuard<'a, Maps<H>>;

impl<H: Hasher> Contender for Std<H> {
    const ABOUT: About = About {
        name: ["std HashMap", "std HashMap, SipHash"][H::IS_DEFAULT as usize],
        setup: "`std::collections::HashMap<Vec<u8>, Vec<u8>>` with capacity, private to one \
                thread, without any lock: a reference, not a rival",
        hasher: H::NAME,
        sharing: Sharing::Unshared,
        slow: false,
    };

    type Session<'a> = Private<'a, H>;

    fn create(room: &Room) -> Result<Self> {
        let (values, counters) = room.values_and_counters();
        let tables = (
            HashMap::with_capacity_and_hasher(values, H::default()),
            HashMap::with_capacity_and_hasher(counters, H::default()),
        );
        Ok(Self(Mutex::new(tables)))
    }

    fn session(&self, _: bool) -> Private<'_, H> {
        self.0.lock().expect("no thread failed with it")
    }
}

impl<H: Hasher> Session for Private<'_, H> {
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
