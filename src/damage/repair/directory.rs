//! Repairing the directory of a table that grows: how many buckets each stripe has.

use std::collections::HashSet;

use super::{Repair, put_word};
use crate::damage::check;
use crate::damage::fault::FaultPlace;
use crate::damage::file;
use crate::error::Result;
use crate::index::growth;
use crate::index::probe::Hash;
use crate::layout::{BUCKET_SLOTS, BUCKET_WORDS, OVERFLOW_BITS};
use crate::segment::Segment;
use crate::segment::directory::{DirectoryWord, Phase};
use crate::sync::Ordering;

/// The number of buckets that are copied at a time.
const BLOCK: usize = file::BLOCK / BUCKET_WORDS;

impl Repair<'_> {
    /// Repairs the words that say how many buckets stripes have.
    pub(super) fn directory(&mut self) -> Result<()> {
        let levels = self.segment.geometry.levels();
        for (stripe, locked) in self.stripes.iter().enumerate() {
            let (Some(word), Some(fault)) =
                (locked.directory_word(), check::directory_fault(locked))
            else {
                continue;
            };
            let found = DirectoryWord(word.load(Ordering::Relaxed));
            // If more than a bit is wrong, two parts may agree by chance.
            let said = found.majority().filter(|level| {
                levels.contains(level)
                    && found.differs_in(DirectoryWord::new(*level, Phase::AtRest)) <= 1
            });
            let (level, why) = match said {
                Some(level) => (level, "it says that again"),
                None => (
                    self.level_of_most(stripe)?,
                    "most of its entries are found by that",
                ),
            };
            put_word(word, DirectoryWord::new(level, Phase::AtRest).0);
            self.fixed(
                FaultPlace::Directory(stripe),
                format!("{fault}; the stripe has {} buckets: {why}", 1_u64 << level),
            );
        }
        Ok(())
    }

    /// The lowest of the levels by which most entries are found in the buckets that a stripe can
    /// have.
    fn level_of_most(&self, stripe: usize) -> Result<u32> {
        let buckets = Candidates::read(self.segment, stripe)?;
        let levels = self.segment.geometry.levels();
        let (mut best, mut most) = (*levels.start(), 0);
        for level in levels {
            let found = buckets.found_by(level);
            if found > most {
                (best, most) = (level, found);
            }
        }
        Ok(best)
    }
}

/// What is in the buckets that a stripe has if its level is the highest one. Some may have no
/// memory: they are read from the file, which takes none.
struct Candidates<'a> {
    segment: &'a Segment,
    /// The places of buckets that keys passed over.
    passed: HashSet<usize>,
    /// The places of entries, and their hashes.
    entries: Vec<(usize, Hash)>,
}

impl<'a> Candidates<'a> {
    fn read(segment: &'a Segment, stripe: usize) -> Result<Self> {
        let mut candidates = Self {
            segment,
            passed: HashSet::new(),
            entries: Vec::new(),
        };
        let geometry = &segment.geometry;
        let all = segment.first_buckets_of(stripe, geometry.most_buckets);
        let mut place = 0;
        while place < geometry.most_buckets {
            // What a doubling adds lies together.
            let (added_at, added_end) = match place.checked_ilog2() {
                None => (0, 1),
                Some(doubling) => (1 << doubling, 2 << doubling),
            };
            let begin = geometry.bucket(all.at(added_at));
            let end = begin + (added_end - added_at) * BUCKET_WORDS;
            let mut at = file::present_from(segment, begin, end)?;
            while at < end {
                // From the beginning of a bucket on.
                at -= (at - begin) % BUCKET_WORDS;
                let buckets = BLOCK.min((end - at) / BUCKET_WORDS);
                let words = file::words(segment, at, buckets * BUCKET_WORDS)?;
                let first = added_at + (at - begin) / BUCKET_WORDS;
                for (place, bucket) in (first..).zip(words.as_chunks().0) {
                    candidates.add(stripe, place, bucket);
                }
                at = file::present_from(segment, at + words.len(), end)?;
            }
            place = added_end;
        }
        Ok(candidates)
    }

    fn add(&mut self, stripe: usize, place: usize, bucket: &[u64; BUCKET_WORDS]) {
        if bucket[0] & ((1 << OVERFLOW_BITS) - 1) != 0 {
            self.passed.insert(place);
        }
        let tags = bucket[1].to_le_bytes();
        for slot in (1..=BUCKET_SLOTS).filter(|slot| tags[*slot] != 0) {
            let (head, tail) = (bucket[2 * slot], bucket[2 * slot + 1]);
            let Some(hash) = growth::hash_in(self.segment, head, tail) else {
                continue;
            };
            let is_here = self.segment.map.stripe_number(hash.bits()) == stripe;
            if is_here && hash.tag() == tags[slot] {
                self.entries.push((place, hash));
            }
        }
    }

    /// The number of entries that lookups find if the stripe has this level.
    fn found_by(&self, level: u32) -> usize {
        let word = DirectoryWord::new(level, Phase::AtRest);
        let is_found = |(place, hash): &&(usize, Hash)| {
            let home = hash.home_in_stripe(self.segment, word);
            place >> level == 0
                && (0..home ^ place).all(|step| self.passed.contains(&(home ^ step)))
        };
        self.entries.iter().filter(is_found).count()
    }
}
