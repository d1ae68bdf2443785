//! A walk through a stripe's buckets that passes each entry once, also if the stripe is doubled
//! in the meantime.

use std::collections::HashSet;

use crate::index::probe::Hash;
use crate::segment::Segment;

/// How far a walk has come.
///
/// A doubling takes entries from the buckets that there were to those that it adds, which come
/// behind them in the walk. So those added are walked too, and there an entry counts only if it
/// was not passed before. An entry that the walk did not find where it had been was taken away by
/// a doubling, which shows when the walk has come to the end: the directory word was stored before
/// (see [`growth`](crate::index::growth)).
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The place in the stripe of the bucket that comes next.
    place: usize,
    /// The number of the stripe's buckets when the walk began.
    began_with: usize,
    /// The hashes of the entries that were passed, in a table that grows.
    passed: Vec<u64>,
    /// The same, once the walk has come to added buckets.
    known: HashSet<u64>,
}

impl Walk {
    /// The bucket that comes next, if the stripe has another one now.
    pub(crate) fn next(&mut self, segment: &Segment, stripe: usize) -> Option<usize> {
        let buckets = segment.buckets_of(segment.stripe(stripe));
        if self.place == 0 {
            self.began_with = buckets.len();
        }
        if self.place >= buckets.len() {
            return None;
        }
        if self.place >= self.began_with {
            self.known.extend(self.passed.drain(..));
        }
        self.place += 1;
        Some(buckets.at(self.place - 1))
    }

    /// Whether an entry of the bucket that [`next`](Self::next) returned last was not passed
    /// before. From now on it was.
    pub(crate) fn passes(&mut self, segment: &Segment, key: &[u8]) -> bool {
        if !segment.geometry.grows() {
            return true;
        }
        let hash = Hash::of(segment, key).bits();
        if self.place <= self.began_with {
            self.passed.push(hash);
            return true;
        }
        self.known.insert(hash)
    }
}
