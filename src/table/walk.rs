//! A walk through a stripe's buckets that passes each entry once, also if the stripe is doubled
//! in the meantime.

use std::collections::HashSet;

use crate::index::probe::Hash;
use crate::segment::Segment;
use crate::segment::directory::{DirectoryWord, Phase};

/// How far a walk has come.
///
/// A doubling takes entries to other buckets, which the walk may have passed already, or not. An
/// entry that the walk did not find where it had been was removed there after the directory word
/// was stored again (see [`growth`](crate::index::growth)). So if that word is another one at the end
/// of the walk, it begins again, and passes only what it has not passed before.
#[derive(Debug)]
pub(crate) struct Walk {
    stripe: usize,
    /// The place in the stripe of the bucket that comes next.
    place: usize,
    /// The stripe's directory word when the walk began, or began again.
    began_by: Option<DirectoryWord>,
    /// The hashes of the entries that were passed, in a table that grows.
    passed: Vec<u64>,
    /// The same, once it has to be asked for each entry whether it was passed.
    known: HashSet<u64>,
    asks: bool,
}

impl Walk {
    /// A walk through the stripe of this number.
    pub(crate) fn new(stripe: usize) -> Self {
        Self {
            stripe,
            place: 0,
            began_by: None,
            passed: Vec::new(),
            known: HashSet::new(),
            asks: false,
        }
    }

    /// The stripe's number.
    pub(crate) fn stripe(&self) -> usize {
        self.stripe
    }

    /// The stripe's directory word; `None` if the table doesn't grow.
    fn word(&self, segment: &Segment) -> Option<DirectoryWord> {
        segment.map.directory_seen(self.stripe).map(DirectoryWord)
    }

    /// The bucket that comes next, if there is another one.
    pub(crate) fn next(&mut self, segment: &Segment) -> Option<usize> {
        let stripe = self.stripe;
        loop {
            let Some(now) = self.word(segment) else {
                let buckets = segment.buckets_of(segment.stripe(stripe));
                self.place += 1;
                return (self.place <= buckets.len()).then(|| buckets.at(self.place - 1));
            };
            let by = *self.began_by.get_or_insert(now);
            let count = segment.buckets_by(by);
            if self.place < count {
                // Some entries may be in two places.
                self.asks |= by.phase() != Phase::AtRest;
                self.place += 1;
                return Some(segment.first_buckets_of(stripe, count).at(self.place - 1));
            }
            if now == by {
                return None;
            }
            self.began_by = Some(now);
            self.place = 0;
            self.asks = true;
        }
    }

    /// Whether an entry of the bucket that [`next`](Self::next) returned last was not passed
    /// before. From now on it was.
    pub(crate) fn passes(&mut self, segment: &Segment, key: &[u8]) -> bool {
        if !segment.geometry.grows() {
            return true;
        }
        let hash = Hash::of(segment, key).bits();
        // A copy that the walk has just come to was made under another word.
        self.asks |= self.word(segment) != self.began_by;
        if self.asks {
            self.known.extend(self.passed.drain(..));
            return self.known.insert(hash);
        }
        self.passed.push(hash);
        true
    }
}
