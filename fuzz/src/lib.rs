//! What the fuzz targets share: a small table as bytes, and what a damaged one may
//! answer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use shmtable::{Error, Options, Result, Table};
pub use test_support::fix_checksum;
use test_support::{is_by_damage, path_of, refuses_damage};

/// Which table is fuzzed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of fixed capacity.
    Fixed,
    /// One that begins with a bucket in each stripe, and grows.
    Growing,
}

impl Kind {
    fn options(self) -> Options {
        match self {
            Self::Fixed => options().capacity(8),
            Self::Growing => options().capacity(2).max_capacity(100),
        }
    }
}

/// The smallest shape that still has full buckets, runs and cleaning.
fn options() -> Options {
    Options::new()
        .value_space(9000)
        .stripes(2)
        .chunk_size(4096)
        .max_participants(2)
        .lock_timeout(Duration::from_millis(2))
}

/// This process's segment.
pub struct FuzzSegment {
    name: String,
    path: PathBuf,
}

impl FuzzSegment {
    pub fn new() -> Self {
        // Nothing is dropped when fuzzing ends: `cargo xtask fuzz` removes the file.
        let name = std::env::var("SHMTABLE_FUZZ_NAME")
            .unwrap_or_else(|_| format!("fuzz-{}", std::process::id()));
        let path = PathBuf::from(path_of(&name));
        Self { name, path }
    }

    /// Makes these bytes the segment. No handle may be open.
    pub fn write(&self, bytes: &[u8]) {
        std::fs::write(&self.path, bytes).expect("/dev/shm can be written to");
    }

    pub fn open(&self) -> Result<Table> {
        options().open(&self.name)
    }

    pub fn open_read_only(&self) -> Result<Table> {
        options().open_read_only(&self.name)
    }

    /// The bytes of a table that was filled and closed.
    pub fn filled(&self, kind: Kind, fill: impl FnOnce(&Table)) -> Vec<u8> {
        let _ = std::fs::remove_file(&self.path);
        let table = kind
            .options()
            .create(&self.name)
            .expect("a table is created");
        fill(&table);
        drop(table);
        std::fs::read(&self.path).expect("the segment is there")
    }
}

impl Default for FuzzSegment {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for FuzzSegment {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Entries of all kinds: of no bytes, of one word, of a chunk and more.
pub fn fill(table: &Table) {
    for number in 0..9_u8 {
        let length = if number == 5 {
            4500
        } else {
            usize::from(number) * 7
        };
        let _ = table.insert(&key(number), &vec![number; length]);
        let _ = table.insert(&key(number), &vec![number; length + 1]);
    }
    let _ = table.remove(&key(3));
    let _ = table.fetch_add(b"counter", 1);
}

/// The same, and more entries than a table that grows has room for in the beginning.
pub fn fill_and_grow(table: &Table) {
    let slots = || table.stats().expect("figures are always given").slots;
    let before = slots();
    fill(table);
    for number in 20..50 {
        table.insert(key(number), [number]).expect("it grows");
    }
    assert!(slots() > before, "it has not grown");
}

pub fn key(number: u8) -> Vec<u8> {
    vec![number; usize::from(number % 19)]
}

/// Panics at an error that damage does not excuse.
pub fn tolerate<T>(result: Result<T>) -> Option<T> {
    let excused = |error: &Error| {
        is_by_damage(error)
            || refuses_damage(error)
            || matches!(error, Error::TooManyParticipants { .. })
    };
    result
        .inspect_err(|error| assert!(excused(error), "{error:?}"))
        .ok()
}

/// Reads everything in every way.
pub fn read_all(table: &Table) {
    let keys: Vec<Vec<u8>> = (0..20).map(key).collect();
    for key in &keys {
        tolerate(table.get(key));
        tolerate(table.contains_key(key));
    }
    tolerate(table.get_many(&keys));
    for entry in table {
        tolerate(entry);
    }
    let _ = (
        table.len(),
        table.stats().expect("figures are always given"),
    );
}

/// Checks and repairs. The table is then sound, unless another process owns a lock.
pub fn repair(table: &Table) {
    if tolerate(table.check()).is_none() || tolerate(table.repair()).is_none() {
        return;
    }
    assert_eq!(
        table.check().expect("it was locked before"),
        Vec::<shmtable::Fault>::new()
    );
    assert_eq!(
        table.repair().expect("the same"),
        Vec::<shmtable::Repaired>::new()
    );
    let entries: HashMap<Vec<u8>, Vec<u8>> = table
        .iter()
        .collect::<Result<_>>()
        .expect("no slot leads nowhere");
    assert_eq!(entries.len(), table.len());
    for (key, value) in &entries {
        assert_eq!(table.get(key).expect("it was met").as_ref(), Some(value));
    }
}
