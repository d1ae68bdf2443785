//! What the memory alone would take for a get: two loads, the second where the
//! first one says, and the copy of the value. No hash, no comparison, no check.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::work::Work;

const WORD: usize = 8;

/// An index of a word for each key, and records of a key and a value each.
pub(crate) struct Limit {
    index: Vec<usize>,
    records: Vec<u8>,
    record: usize,
    value: usize,
    /// All entries, in the order in which they are asked for.
    order: Vec<usize>,
}

impl Limit {
    pub(crate) fn new(work: &Work) -> Self {
        let entries = work.keys.len();
        let mut random = SmallRng::seed_from_u64(7);
        let mut shuffled = || {
            let mut numbers: Vec<usize> = (0..entries).collect();
            numbers.shuffle(&mut random);
            numbers
        };
        let (places, order) = (shuffled(), shuffled());
        // A word for the lengths, the key and the value, as in a table's record.
        let value = work.value.len().max(WORD);
        let record =
            WORD + work.keys[0].len().next_multiple_of(WORD) + value.next_multiple_of(WORD);
        let index: Vec<usize> = places.iter().map(|place| place * record).collect();
        let mut records = vec![0; entries * record];
        // The value begins with the entry to be asked for next: one circle.
        for (i, entry) in order.iter().enumerate() {
            let next = order[(i + 1) % entries];
            let at = index[*entry];
            records[at..at + WORD].copy_from_slice(&next.to_le_bytes());
        }
        Self {
            index,
            records,
            record,
            value: work.value.len(),
            order,
        }
    }

    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    /// Copies the value of an entry; the number of the entry to be asked for next.
    pub(crate) fn get(&self, entry: usize, value: &mut Vec<u8>) -> usize {
        let record = &self.records[self.index[entry]..][..self.record];
        value.clear();
        value.extend_from_slice(&record[self.record - self.value..]);
        let next = record
            .first_chunk()
            .expect("a record is longer than a word");
        usize::from_le_bytes(*next)
    }
}
