//! Keys and values.

use std::fs;
use std::ops::Deref;
use std::path::Path;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::Result;

/// Bytes of a key in a file: those of the key, its length, and whether it is present.
const STORED: usize = 18;

/// A key of up to 16 bytes, stored in place: keys are in memory in the order in which they
/// are used, so that reading the next one costs no cache miss.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    bytes: [u8; 16],
    length: u8,
    /// Whether the table has it.
    pub present: bool,
}

impl Key {
    fn new(key: &[u8], present: bool) -> Self {
        let mut bytes = [0; 16];
        bytes[..key.len()].copy_from_slice(key);
        let length = key.len() as u8;
        Self {
            bytes,
            length,
            present,
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// The kinds of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Decimal numbers -> `1`.
    Decimal,
    /// 16 random bytes -> this many bytes.
    Random(usize),
    /// Decimal numbers -> counters.
    Counters,
}

impl Kind {
    /// The name in tables and plots.
    pub fn name(self) -> String {
        match self {
            Self::Decimal => "decimal -> 1 B".to_owned(),
            Self::Random(value) => format!("16 B -> {}", size(value)),
            Self::Counters => "decimal -> i64".to_owned(),
        }
    }

    /// Bytes of a value.
    pub fn value_bytes(self) -> usize {
        match self {
            Self::Decimal => 1,
            Self::Random(value) => value,
            Self::Counters => 8,
        }
    }
}

/// A number of bytes, in the unit that fits.
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// The keys and values of a table, in the orders in which they are used.
#[derive(Debug, Clone)]
pub struct Work {
    /// The keys of the table, in the order of insertion: a random one.
    pub keys: Vec<Key>,
    /// The same keys in another random order.
    pub hits: Vec<Key>,
    /// Keys of which every second one, at random, is not in the table.
    pub half: Vec<Key>,
    /// Those of them that are not.
    pub misses: Vec<Key>,
    /// Twice as many bytes as a value has; a value is their beginning.
    pub bytes: Vec<u8>,
    /// Lengths from 0 to all bytes, equally likely.
    pub lengths: Vec<usize>,
}

impl Work {
    /// Work of `entries` keys.
    pub fn new(kind: Kind, entries: usize) -> Self {
        let mut random = SmallRng::seed_from_u64(1);
        let mut key = |number: usize| {
            let present = number < entries;
            match kind {
                Kind::Random(_) => Key::new(&random.random::<[u8; 16]>(), present),
                _ => Key::new(number.to_string().as_bytes(), present),
            }
        };
        let half = entries.div_ceil(2);
        let mut keys: Vec<Key> = (0..entries).map(&mut key).collect();
        let misses: Vec<Key> = (entries..entries + half).map(&mut key).collect();
        keys.shuffle(&mut SmallRng::seed_from_u64(2));
        let hits = shuffled(&keys, 3);
        let half = shuffled(&[&hits[..half], &misses[..]].concat(), 4);
        let misses = absent(&half);
        let mut bytes = vec![b'1'; 2 * kind.value_bytes()];
        if kind != Kind::Decimal {
            SmallRng::seed_from_u64(5).fill(&mut bytes[..]);
        }
        let mut random = SmallRng::seed_from_u64(6);
        let lengths = (0..1 << 16)
            .map(|_| random.random_range(0..=bytes.len()))
            .collect();
        Self {
            keys,
            hits,
            half,
            misses,
            bytes,
            lengths,
        }
    }

    /// The value of every key.
    pub fn value(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() / 2]
    }

    /// Bytes of all keys and values.
    pub fn payload(&self) -> usize {
        let keys: usize = self.keys.iter().map(|key| key.len()).sum();
        keys + self.keys.len() * self.value().len()
    }

    /// Writes it to files, from which the contenders' processes read it, in any language.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result {
        for (name, keys) in [
            ("keys", &self.keys),
            ("hits", &self.hits),
            ("half", &self.half),
        ] {
            let stored = |key: &Key| {
                let mut all = [0; STORED];
                all[..16].copy_from_slice(&key.bytes);
                all[16] = key.length;
                all[17] = key.present.into();
                all
            };
            let stored: Vec<u8> = keys.iter().flat_map(stored).collect();
            fs::write(folder.join(name), stored)?;
        }
        fs::write(folder.join("bytes"), &self.bytes)?;
        let lengths = self.lengths.iter();
        let lengths: Vec<u8> = lengths.flat_map(|l| (*l as u32).to_le_bytes()).collect();
        fs::write(folder.join("lengths"), lengths)?;
        Ok(())
    }

    /// Reads it back.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let keys = |name| -> Result<Vec<Key>> {
            let stored = fs::read(folder.join(name))?;
            let key = |at: &[u8]| Key::new(&at[..usize::from(at[16])], at[17] != 0);
            Ok(stored.chunks_exact(STORED).map(key).collect())
        };
        let half = keys("half")?;
        let lengths = fs::read(folder.join("lengths"))?;
        let length = |at: &[u8; 4]| u32::from_le_bytes(*at) as usize;
        Ok(Self {
            keys: keys("keys")?,
            hits: keys("hits")?,
            misses: absent(&half),
            half,
            bytes: fs::read(folder.join("bytes"))?,
            lengths: lengths.as_chunks().0.iter().map(length).collect(),
        })
    }
}

/// The keys that are not in the table.
fn absent(keys: &[Key]) -> Vec<Key> {
    let absent = keys.iter().filter(|key| !key.present);
    absent.copied().collect()
}

/// The same keys in an order of this seed.
fn shuffled(keys: &[Key], seed: u64) -> Vec<Key> {
    let mut keys = keys.to_vec();
    keys.shuffle(&mut SmallRng::seed_from_u64(seed));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_give_the_work_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let work = Work::new(Kind::Random(100), 1001);
        work.write(folder.path()).expect("written");
        let read = Work::read(folder.path()).expect("read");
        let all = |keys: &[Key]| -> Vec<(Vec<u8>, bool)> {
            keys.iter().map(|key| (key.to_vec(), key.present)).collect()
        };
        assert_eq!(all(&read.half), all(&work.half));
        assert_eq!(read.lengths, work.lengths);
        let hits = work.half.iter().filter(|key| key.present).count();
        assert_eq!(hits, 501);
        assert_eq!(all(&read.misses), all(&work.misses));
        assert_eq!(read.misses.len(), 501);
        assert!(work.hits.iter().all(|key| key.present));
    }
}
