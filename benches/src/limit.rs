//! The time that memory alone takes for a get: two loads, the second of which depends on the
//! first, and the copy of the value. No hash, no comparison, no check.

use std::hint::black_box;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use crate::work::Work;

const WORD: usize = 8;

/// An index of a word for each key, and records of a key and a value each: the
/// footprint of a table.
#[derive(Debug)]
pub struct Limit {
    index: Vec<usize>,
    records: Vec<u8>,
    record: usize,
    value: usize,
    /// All entries, in the order in which independent gets ask for them.
    order: Vec<usize>,
    /// The next entry of the chained gets.
    entry: usize,
    /// The place in the order of the independent gets.
    next: usize,
    buffer: Vec<u8>,
}

impl Limit {
    /// The limit for this work.
    pub fn new(work: &Work) -> Self {
        let entries = work.keys.len();
        let mut random = SmallRng::seed_from_u64(7);
        let mut shuffled = || {
            let mut numbers: Vec<usize> = (0..entries).collect();
            numbers.shuffle(&mut random);
            numbers
        };
        let (places, order) = (shuffled(), shuffled());
        // A word for the lengths, the key and the value, as in a table's record.
        let value = work.value().len().max(WORD);
        let record =
            WORD + work.keys[0].len().next_multiple_of(WORD) + value.next_multiple_of(WORD);
        let index: Vec<usize> = places.iter().map(|place| place * record).collect();
        // Pages that were never written would all be one page of zeros, which is cached.
        let mut records = vec![1; entries * record];
        // A record begins with the number of the next entry. All entries form one circle.
        for (i, entry) in order.iter().enumerate() {
            let next = order[(i + 1) % entries];
            let at = index[*entry];
            records[at..at + WORD].copy_from_slice(&next.to_le_bytes());
        }
        Self {
            index,
            records,
            record,
            value: work.value().len(),
            order,
            entry: 0,
            next: 0,
            buffer: Vec::new(),
        }
    }

    /// A get that begins when the one before has its value, as in a program that needs it.
    pub fn chained(&mut self) {
        self.entry = self.get(self.entry);
        black_box(self.buffer.as_ptr());
    }

    /// A get that doesn't wait for the one before, as in `get_many`.
    pub fn independent(&mut self) {
        let entry = self.turn();
        black_box(self.get(entry));
        black_box(self.buffer.as_ptr());
    }

    /// Copies a value whose place is known.
    pub fn copy(&mut self) {
        let place = self.turn();
        let end = (place + 1) * self.record;
        self.buffer.clear();
        self.buffer
            .extend_from_slice(&self.records[end - self.value..end]);
        black_box(self.buffer.as_ptr());
    }

    fn turn(&mut self) -> usize {
        let entry = self.order[self.next];
        self.next = (self.next + 1) % self.order.len();
        entry
    }

    fn get(&mut self, entry: usize) -> usize {
        let record = &self.records[self.index[entry]..][..self.record];
        self.buffer.clear();
        self.buffer
            .extend_from_slice(&record[self.record - self.value..]);
        let next = record
            .first_chunk()
            .expect("a record is longer than a word");
        usize::from_le_bytes(*next)
    }
}
