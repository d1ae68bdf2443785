//! The checksum of all entries.

use xxhash_rust::xxh3::Xxh3;

use crate::damage::Fault;

/// The checksum of all entries, in their order; it is the same in both formats.
///
/// It is XXH3-64 of each entry: the lengths of key and value, 8 little-endian bytes each, then the
/// key and the value.
#[derive(Default)]
pub struct Checksum {
    hash: Xxh3,
    entries: u64,
}

impl Checksum {
    /// Adds the next entry.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.hash.update(&(key.len() as u64).to_le_bytes());
        self.hash.update(&(value.len() as u64).to_le_bytes());
        self.hash.update(key);
        self.hash.update(value);
        self.entries += 1;
    }

    /// Returns the number of entries that were added.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Returns the checksum of the entries that were added.
    pub fn digest(&self) -> u64 {
        self.hash.digest()
    }

    /// Compares what a dump says at its end with the entries that were added.
    ///
    /// # Errors
    /// `Count` or `Checksum` if they differ.
    pub fn compare(&self, entries: u64, checksum: u64) -> Result<(), Fault> {
        if entries != self.entries {
            return Err(Fault::Count {
                expected: entries,
                found: self.entries,
            });
        }
        if checksum != self.digest() {
            return Err(Fault::Checksum {
                expected: checksum,
                found: self.digest(),
            });
        }
        Ok(())
    }
}
