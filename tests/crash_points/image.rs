//! A segment's bytes, seen from outside.

use crate::common::{open_file, path_of, read_segment, write_at};

/// Words of a bucket. Slot *i*, from 1, has two of them, and its tag is byte *i* of the second
/// of all.
pub const BUCKET: usize = 16;

/// A segment's file, by docs/format.md.
pub struct Image {
    name: String,
    file: Vec<u8>,
    stripes: usize,
    /// The word of the first stripe's lock.
    locks_at: usize,
    pub buckets: usize,
    pub buckets_at: usize,
    pub chunks: usize,
    pub chunk_words: usize,
    pub states_at: usize,
    pub details_at: usize,
    pub arena_at: usize,
}

impl Image {
    /// The segment of this name.
    pub fn read(name: &str) -> Self {
        let file = read_segment(name);
        let get = |at: usize| word(&file, at) as usize;
        let [stripes, length, participants, chunks] = [6, 7, 8, 9].map(get);
        let chunk_words = get(10) / 8;
        let locks_at = 512 + participants * 8;
        let buckets_at = (locks_at + stripes * 8).next_multiple_of(BUCKET);
        let states_at = buckets_at + stripes * length * BUCKET;
        Self {
            name: name.to_owned(),
            stripes,
            locks_at,
            buckets: stripes * length,
            buckets_at,
            chunks,
            chunk_words,
            states_at,
            details_at: states_at + chunks.next_multiple_of(8),
            arena_at: file.len() / 8 - chunks * chunk_words,
            file,
        }
    }

    pub fn get(&self, at: usize) -> u64 {
        word(&self.file, at)
    }

    pub fn change(&mut self, at: usize, change: impl FnOnce(u64) -> u64) {
        let word = change(self.get(at));
        self.file[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
    }

    /// The buckets of the stripes whose locks are held.
    pub fn locked_buckets(&self) -> Vec<usize> {
        let length = self.buckets / self.stripes;
        let held = |stripe: &usize| self.get(self.locks_at + stripe * 8) & 0xffff != 0;
        let stripes = (0..self.stripes).filter(held);
        stripes
            .flat_map(|stripe| stripe * length..(stripe + 1) * length)
            .collect()
    }

    /// The version of a bucket.
    pub fn version(&self, bucket: usize) -> u64 {
        self.get(self.buckets_at + bucket * BUCKET) >> 24
    }

    /// The kind in a chunk's state: 0 free, 2 sealed, 4 a tail.
    pub fn kind(&self, chunk: usize) -> u64 {
        self.get(self.states_at + chunk) >> 16 & 0xf
    }

    pub fn write(&self) {
        write_at(&open_file(&path_of(&self.name)), &self.file, 0);
    }
}

fn word(file: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(file[at * 8..at * 8 + 8].try_into().unwrap())
}
