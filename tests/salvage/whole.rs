//! Tables that are whole, and then aren't.

use std::collections::BTreeMap;

use shmtable::{Options, Salvage, codec_id};

use crate::common::layout::{CHECKSUM, WORD};
use crate::common::{Dice, Name, SegmentBytes, bytes, fix_checksum, open_file, write_at};

/// The words that tell a segment of this format from others.
pub const OF_THE_FORMAT: [usize; 3] = [0, 1, 2];
/// The words from which the places of all entries follow.
pub const OF_THE_GEOMETRY: [usize; 7] = [3, 6, 7, 8, 9, 10, 11];
/// The words that may have had any value: the hash seed, the time of creation, the checksum.
pub const OF_ANY_VALUE: [usize; 3] = [12, 14, CHECKSUM];

pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A table, what it holds, and its segment when that was whole.
pub struct Whole {
    pub name: Name,
    pub segment: SegmentBytes,
    pub model: Model,
}

pub fn codec() -> u64 {
    codec_id("messagepack", "messagepack+pickle")
}

impl Whole {
    pub fn new(options: &Options) -> Self {
        let name = Name::new();
        let table = options.clone().codec(codec()).create(&name).unwrap();
        let mut model = Model::new();
        for number in 0..60_usize {
            // Small entries, records, and one of several chunks.
            let length = if number == 7 { 9000 } else { number % 40 };
            let key = format!("key {number}{}", "x".repeat(number % 9)).into_bytes();
            let value = bytes(number as u64, length);
            for value in [&b"replaced"[..], &value] {
                table.insert(&key, value).unwrap();
            }
            model.insert(key, value);
        }
        for number in (0..60).step_by(7) {
            let key = format!("key {number}{}", "x".repeat(number % 9)).into_bytes();
            assert!(table.remove(&key).unwrap());
            model.remove(&key);
        }
        drop(table);
        let segment = SegmentBytes::read(&name);
        Self {
            name,
            segment,
            model,
        }
    }

    pub fn shapes() -> Vec<Self> {
        let small = Options::new()
            .capacity(100)
            .value_space(40_000)
            .stripes(2)
            .chunk_size(4096)
            .max_participants(3);
        let usual = Options::new()
            .capacity(10_000)
            .value_space(640_000)
            .max_participants(100);
        let odd = Options::new()
            .capacity(777)
            .value_space(123_457)
            .max_participants(7);
        let growing = Options::new()
            .capacity(10)
            .max_capacity(1000)
            .value_space(64_000)
            .stripes(2)
            .chunk_size(4096)
            .max_participants(3);
        [small, usual, odd, growing].iter().map(Self::new).collect()
    }

    /// A table of fixed capacity and one that has grown.
    pub fn both() -> [Self; 2] {
        let mut shapes = Self::shapes();
        let grown = shapes.remove(3);
        [shapes.remove(0), grown]
    }

    /// Writes all of its bytes, at its length, and makes it what it was.
    pub fn restore(&self) {
        let file = open_file(&self.name.path());
        file.set_len(self.segment.bytes.len() as u64).unwrap();
        write_at(&file, &self.segment.bytes, 0);
    }

    /// The checksum of its header with these words in it.
    pub fn checksum(&self, words: &[(usize, u64)]) -> u64 {
        let mut segment = self.segment.clone();
        for (at, word) in words {
            segment.set(*at, *word);
        }
        fix_checksum(&mut segment.bytes);
        segment.get(CHECKSUM)
    }

    /// Writes the table's bytes with other words, and opens what that is.
    pub fn with(&self, words: &[(usize, u64)]) -> shmtable::Result<Salvage> {
        let file = open_file(&self.name.path());
        write_at(&file, &self.segment.bytes[..4096], 0);
        for (at, word) in words {
            write_at(&file, &word.to_le_bytes(), (at * WORD) as u64);
        }
        Options::new().open_damaged(&self.name)
    }

    /// Wrong values for a word.
    pub fn wrong(&self, at: usize) -> Vec<u64> {
        let right = self.segment.get(at);
        let random = Dice::new(at as u64).below(usize::MAX) as u64;
        [
            0,
            1,
            u64::MAX,
            random,
            right ^ 1 << 5,
            right ^ 1 << 40,
            right + 1,
        ]
        .into_iter()
        .filter(|wrong| *wrong != right)
        .collect()
    }
}

pub fn entries(salvage: Salvage) -> Model {
    salvage.map(|entry| entry.unwrap()).collect()
}
