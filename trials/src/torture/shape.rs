//! Which keys there are, and the table that holds them.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;
use shmtable::Options;

use super::value;
use crate::tables::Kind;

/// Keys of each worker's own. No other worker writes them.
pub(crate) const VALUES: Range<usize> = 0..24;
/// Counters of each worker's own.
pub(crate) const COUNTERS: Range<usize> = 24..27;
/// Counters that all workers add to.
pub(crate) const SUMS: Range<usize> = 27..31;
/// Keys that all workers write.
pub(crate) const SHARED: Range<usize> = 31..43;
/// What each worker has listed, in a table that grows.
pub(crate) const LIST: usize = 43;
/// Cells of each worker's diary.
pub(crate) const CELLS: usize = 44;

/// Far above the longest stop, and far below [`DEADLINE`].
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(20);
/// An operation that takes longer hangs: it may have waited for room and for a lock.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// The most entries of a table that grows: more than come into it.
const MOST: usize = 1 << 22;

/// How large a trial is.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Shape {
    /// Processes that write at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub(crate) workers: u8,
    /// The longest value, in bytes
    #[arg(long, default_value_t = 64 << 10, value_parser = clap::value_parser!(u32).range(1000..))]
    pub(crate) value_max: u32,
    /// Only on tables of one kind; half of the time on each by default
    #[arg(long)]
    pub(crate) tables: Option<Kind>,
}

impl Shape {
    pub(crate) fn workers(self) -> usize {
        usize::from(self.workers)
    }

    fn value_max(self) -> usize {
        self.value_max as usize
    }

    /// The same, on tables of one kind.
    pub(crate) fn on(self, kind: Kind) -> Self {
        Self {
            tables: Some(kind),
            ..self
        }
    }

    pub(crate) fn kind(self) -> Kind {
        self.tables.unwrap_or(Kind::Fixed)
    }

    pub(crate) fn grows(self) -> bool {
        self.kind() == Kind::Growing
    }

    /// The table that comes after so many others of its kind.
    pub(crate) fn options(self, number: usize) -> Options {
        let options = Options::new()
            .max_participants(self.workers() + 2)
            .lock_timeout(LOCK_TIMEOUT);
        if self.grows() {
            self.options_of_growing(options, number)
        } else {
            self.options_of_fixed(options)
        }
    }

    fn keys(self) -> usize {
        self.workers() * SUMS.start + SUMS.len() + SHARED.len()
    }

    fn chunk(self) -> usize {
        (self.value_max() / 8).next_power_of_two().max(4096)
    }

    /// A table that is too small: buckets overflow, a new key finds no slot now and then,
    /// and there is so little room that writers clean all the time and large values find
    /// no neighbors now and then.
    fn options_of_fixed(self, options: Options) -> Options {
        // What a value takes in the mean, and two of the largest.
        let mean = self.value_max() / 80 + 500;
        options
            .capacity(self.keys() * 2 / 5)
            .value_space(self.keys() * mean + self.value_max())
            .stripes(2)
            .chunk_size(self.chunk())
    }

    /// A table that begins small: of one stripe, which takes long to be doubled in the end, of many
    /// that are doubled often, or one that no size was given.
    fn options_of_growing(self, options: Options, number: usize) -> Options {
        let small = |stripes| {
            options
                .clone()
                .capacity(self.keys() * 2 / 5)
                .max_capacity(MOST)
                .stripes(stripes)
                .chunk_size(self.chunk())
        };
        match number % 4 {
            0 | 2 => small(1),
            1 => small(128),
            _ => options,
        }
    }

    /// A length for a value: mostly small, sometimes several chunks.
    pub(crate) fn length(self, dice: &mut SmallRng) -> usize {
        let most = self.value_max();
        let middle = (most / 16).max(400);
        match dice.random_range(0..100) {
            0..25 => value::SMALL,
            25..75 => dice.random_range(value::LEAST..=300),
            75..98 => dice.random_range(301..=middle),
            _ => dice.random_range(middle..=most),
        }
    }

    /// Where each key belongs.
    pub(crate) fn tracked_keys(self) -> HashMap<Vec<u8>, TrackedKey> {
        let own = (0..self.workers())
            .flat_map(|worker| (0..SUMS.start).map(move |cell| TrackedKey::new(worker, cell)));
        let shared = (SUMS.start..SHARED.end).map(|cell| TrackedKey::new(0, cell));
        own.chain(shared)
            .map(|tracked| (tracked.key(), tracked))
            .collect()
    }
}

/// A key, and the cell that tells of it in the diaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrackedKey {
    /// The only worker that writes it; `None`: all do.
    pub(crate) owner: Option<usize>,
    pub(crate) cell: usize,
}

impl TrackedKey {
    /// The key of a cell in the diary of a worker.
    pub(crate) fn new(worker: usize, cell: usize) -> Self {
        Self {
            owner: (cell < SUMS.start).then_some(worker),
            cell,
        }
    }

    /// The number that its values carry.
    pub(crate) fn number(self) -> u32 {
        (self.owner.map_or(0, |owner| owner + 1) * 64 + self.cell) as u32
    }

    pub(crate) fn key(self) -> Vec<u8> {
        let mut key = format!("key {}", self.number()).into_bytes();
        if self.cell.is_multiple_of(5) {
            // Long keys are records too.
            key.resize(300, b'.');
        }
        key
    }

    /// Whether it is a sum that is kept as a record, not as a counter's word.
    pub(crate) fn is_record_sum(self) -> bool {
        self.cell >= SUMS.start + 2 && SUMS.contains(&self.cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_tracked_once() {
        let shape = Shape {
            workers: 200,
            value_max: 1000,
            tables: None,
        };
        let tracked_keys = shape.tracked_keys();
        assert_eq!(
            tracked_keys.len(),
            200 * SUMS.start + SHARED.end - SUMS.start
        );
        for (key, tracked) in tracked_keys {
            assert_eq!(tracked.key(), key);
        }
    }
}
