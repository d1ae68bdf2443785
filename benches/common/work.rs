//! Keys and values.

use std::ops::Deref;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// A key of up to 16 bytes, stored in place: keys lie in memory in the order in
/// which they are used, so that fetching the question costs no cache miss.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    bytes: [u8; 16],
    length: u8,
}

impl Key {
    fn new(key: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..key.len()].copy_from_slice(key);
        Self {
            bytes,
            length: key.len() as u8,
        }
    }

    fn decimal(number: usize) -> Self {
        Self::new(number.to_string().as_bytes())
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

/// What a table is filled with and asked for.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// The keys of the table, in the order of insertion.
    pub(crate) keys: Vec<Key>,
    /// The same keys in another order.
    pub(crate) hits: Vec<Key>,
    /// As many keys that are not in the table.
    pub(crate) misses: Vec<Key>,
    /// The value of every key.
    pub(crate) value: Vec<u8>,
}

impl Work {
    /// Decimal numbers -> "1".
    pub(crate) fn decimal(keys: usize) -> Self {
        let present = (0..keys).map(Key::decimal).collect();
        let absent = (keys..2 * keys).map(Key::decimal).collect();
        Self::new("decimal keys -> 1 B", present, absent, b"1".to_vec())
    }

    /// Decimal numbers -> counters.
    pub(crate) fn counters(keys: usize) -> Self {
        Self {
            name: "decimal keys -> i64",
            ..Self::decimal(keys)
        }
    }

    /// 16 random bytes -> 100 bytes.
    pub(crate) fn hundred(keys: usize) -> Self {
        Self::random("16 B keys -> 100 B", keys, 100)
    }

    /// 16 random bytes -> 4 KiB, and a fortieth of the keys: about as many bytes.
    pub(crate) fn page(keys: usize) -> Self {
        Self::random("16 B keys -> 4 KiB", keys.div_ceil(40), 4096)
    }

    fn random(name: &'static str, keys: usize, value: usize) -> Self {
        let mut random = SmallRng::seed_from_u64(1);
        let mut some = || -> Vec<Key> {
            let key = |_| Key::new(&random.random::<[u8; 16]>());
            (0..keys).map(key).collect()
        };
        let (present, absent) = (some(), some());
        Self::new(name, present, absent, bytes(value))
    }

    fn new(name: &'static str, mut keys: Vec<Key>, mut misses: Vec<Key>, value: Vec<u8>) -> Self {
        let mut random = SmallRng::seed_from_u64(2);
        keys.shuffle(&mut random);
        misses.shuffle(&mut random);
        let hits = shuffled(&keys, 3);
        Self {
            name,
            keys,
            hits,
            misses,
            value,
        }
    }

    /// Keys of which every second one, at random, is not in the table.
    pub(crate) fn half_misses(&self) -> Vec<Key> {
        let half = self.keys.len().div_ceil(2);
        let both = [&self.hits[..half], &self.misses[..half]].concat();
        shuffled(&both, 4)
    }
}

/// The same keys in an order of this seed.
pub(crate) fn shuffled(keys: &[Key], seed: u64) -> Vec<Key> {
    let mut keys = keys.to_vec();
    keys.shuffle(&mut SmallRng::seed_from_u64(seed));
    keys
}

/// Random bytes.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SmallRng::seed_from_u64(5).fill(&mut bytes[..]);
    bytes
}

/// Lengths from 0 up to this one, all equally likely.
pub(crate) fn lengths(count: usize, most: usize) -> Vec<usize> {
    let mut random = SmallRng::seed_from_u64(6);
    (0..count).map(|_| random.random_range(0..=most)).collect()
}
