//! shmtable and its rivals behind one trait.
//!
//! Every contender is created with room for the keys to come, and copies the values it
//! reads into a buffer that `get` reuses. Rivals have the fastest hasher and the fastest
//! calls that they offer, and the system's allocator. Those with another default hasher
//! take part with that one as well. Each replaces a value in its fastest way: dashmap, scc
//! and the `RwLock` overwrite the old value, which shmtable can't do because its readers
//! take no lock.
//!
//! Every operation is inlined into the loop that times it. Most programs use a table in
//! one place, where a compiler inlines it; the harness must not decide which contender is
//! a call and which is not.
#![allow(clippy::inline_always, reason = "see above")]

mod hasher;
mod in_process;
mod lmdb;
mod redis;
mod shmtable;

pub use hasher::Hasher;
pub use in_process::{Dashmap, Locked, Papaya, Scc, Std};
pub use lmdb::Lmdb;
pub use redis::{Redis, server as redis_server};

use crate::Result;
use crate::work::{Key, Work};

/// Among whom a contender can be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Processes that open it by name.
    Processes,
    /// Threads of one process.
    Threads,
    /// One thread alone: it is a reference.
    Unshared,
}

/// A contender's description.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its name in tables and plots.
    pub name: &'static str,
    /// How it is set up, in one line.
    pub setup: &'static str,
    /// The hash function of its keys; empty if it has none.
    pub hasher: &'static str,
    /// Among whom it can be shared.
    pub sharing: Sharing,
    /// Whether every operation waits for a server. Such a contender performs fewer
    /// operations, and is timed by the wall clock.
    pub slow: bool,
}

/// The end of a rival's name when it uses its default hasher. With the fastest hasher, the
/// name lacks this ending.
pub const DEFAULT_HASHER: &str = ", SipHash";

impl About {
    /// Whether it is a rival with its default hasher, which also takes part with a faster
    /// one.
    pub fn has_default_hasher(&self) -> bool {
        self.name.ends_with(DEFAULT_HASHER)
    }
}

/// The sizes that a table is created for.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// The most entries at a time; 0 if no size is given.
    pub entries: usize,
    /// Bytes of keys and values, including room to replace them.
    pub value_space: usize,
    /// Whether the values are counters, which some contenders keep in a table of their own.
    pub counters: bool,
}

impl Room {
    /// No size: the table is to grow.
    pub const NOT_GIVEN: Self = Self {
        entries: 0,
        value_space: 0,
        counters: false,
    };

    /// Room for twice this work.
    pub fn for_work(work: &Work) -> Self {
        let entries = work.keys.len();
        Self {
            entries,
            // A counter has eight bytes.
            value_space: 2 * (work.payload() + 8 * entries),
            counters: false,
        }
    }

    /// Room for twice this work, with counters as values.
    pub fn for_counters(work: &Work) -> Self {
        Self {
            counters: true,
            ..Self::for_work(work)
        }
    }

    /// The most entries of the table of values, and of that of counters.
    fn values_and_counters(&self) -> (usize, usize) {
        if self.counters {
            (0, self.entries)
        } else {
            (self.entries, 0)
        }
    }
}

/// A table of bytes and of counters.
pub trait Contender: Sized + Sync {
    /// Its description.
    const ABOUT: About;

    /// One thread's access.
    type Session<'a>: Session
    where
        Self: 'a;

    /// Creates an empty table.
    ///
    /// # Errors
    /// If it can't be created.
    fn create(room: &Room) -> Result<Self>;

    /// The address at which other processes find it.
    fn address(&self) -> Option<String> {
        None
    }

    /// Opens another process's table.
    ///
    /// # Errors
    /// If it isn't there, or can't leave its process.
    fn attach(_address: &str, _room: &Room) -> Result<Self> {
        Err(format!("{} cannot leave its process", Self::ABOUT.name).into())
    }

    /// One thread's access; `alone` if no other thread or process uses the table at that time.
    fn session(&self, alone: bool) -> Self::Session<'_>;

    /// Bytes of memory that it takes; `None` if they are those by which the process grew.
    ///
    /// # Errors
    /// If they can't be determined.
    fn bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// One thread's access. An operation that fails ends the process: a benchmark has no use for
/// a contender that doesn't answer.
pub trait Session {
    /// Copies a key's value, and returns whether the key was there.
    fn get(&mut self, key: &[u8], value: &mut Vec<u8>) -> bool;

    /// Passes the values of many keys to `visit`, in the order of the keys.
    fn get_many(&mut self, keys: &[Key], visit: &mut impl FnMut(Option<&[u8]>)) {
        let mut value = Vec::new();
        for key in keys {
            let found = self.get(key, &mut value);
            visit(found.then_some(&value));
        }
    }

    /// Stores a value.
    fn insert(&mut self, key: &[u8], value: &[u8]);

    /// Replaces the value of a key that is there.
    fn replace(&mut self, key: &[u8], value: &[u8]) {
        self.insert(key, value);
    }

    /// Removes a key, and returns whether it was there.
    fn remove(&mut self, key: &[u8]) -> bool;

    /// Adds to a counter, which begins at 0, and returns its value before.
    fn add(&mut self, key: &[u8], add: i64) -> i64;

    /// Stores many values in the fastest way; not timed.
    fn fill<'k>(&mut self, keys: impl Iterator<Item = &'k Key>, value: &[u8]) {
        for key in keys {
            self.insert(key, value);
        }
    }

    /// Ends the transaction that is under way, if there is one.
    fn finish(&mut self) {}
}

fn copy(from: &[u8], to: &mut Vec<u8>) {
    to.clear();
    to.extend_from_slice(from);
}
