//! What the fuzz targets share: a small table as bytes, and what a damaged one may
//! answer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use shmtable::{Error, Options, Result, Table};
use xxhash_rust::xxh3::xxh3_64;

/// The header's words that its checksum covers, in bytes.
const CHECKED: usize = 128;

/// The smallest shape that still has full buckets, runs and cleaning.
pub fn options() -> Options {
    Options::new()
        .capacity(8)
        .value_space(9000)
        .stripes(2)
        .chunk_size(4096)
        .max_participants(2)
        .lock_timeout(Duration::from_millis(2))
}

/// This process's segment.
pub struct Segment {
    name: String,
    path: PathBuf,
}

impl Segment {
    pub fn new() -> Self {
        // Nothing is dropped when fuzzing ends: who started it removes the file.
        let name = std::env::var("SHMTABLE_FUZZ_NAME")
            .unwrap_or_else(|_| format!("fuzz-{}", std::process::id()));
        let path = PathBuf::from(format!("/dev/shm/shmtable.{name}"));
        Self { name, path }
    }

    /// Makes these bytes the segment. Nobody may have it open.
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
    pub fn filled(&self, fill: impl FnOnce(&Table)) -> Vec<u8> {
        let _ = std::fs::remove_file(&self.path);
        let table = options().create(&self.name).expect("a table is created");
        fill(&table);
        drop(table);
        std::fs::read(&self.path).expect("the segment is there")
    }
}

impl Default for Segment {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Segment {
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

pub fn key(number: u8) -> Vec<u8> {
    vec![number; usize::from(number % 19)]
}

/// Makes a header valid if its numbers are.
pub fn fix_checksum(bytes: &mut [u8]) {
    if bytes.len() >= CHECKED + 8 {
        let sum = xxh3_64(&bytes[..CHECKED]);
        bytes[CHECKED..CHECKED + 8].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Panics at an error that damage cannot excuse.
pub fn tolerate<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(
            Error::Corrupted { .. }
            | Error::IncompatibleFormat { .. }
            | Error::LockTimeout { .. }
            | Error::TableFull { .. }
            | Error::ValueSpaceFull { .. }
            | Error::KeyTooLarge { .. }
            | Error::ValueTooLarge { .. }
            | Error::TooManyParticipants { .. }
            | Error::NotACounter { .. }
            | Error::CounterOverflow { .. },
        ) => None,
        Err(other) => panic!("{other:?}"),
    }
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

/// Checks and repairs; then all is well, unless a lock is another's.
pub fn mend(table: &Table) {
    if tolerate(table.check()).is_none() || tolerate(table.repair()).is_none() {
        return;
    }
    assert_eq!(
        table.check().expect("it was locked before"),
        Vec::<String>::new()
    );
    assert_eq!(table.repair().expect("the same"), Vec::<String>::new());
    let entries: HashMap<Vec<u8>, Vec<u8>> = table
        .iter()
        .collect::<Result<_>>()
        .expect("no slot leads nowhere");
    assert_eq!(entries.len(), table.len());
    for (key, value) in &entries {
        assert_eq!(table.get(key).expect("it was met").as_ref(), Some(value));
    }
}
