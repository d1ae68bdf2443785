//! The bytes of a damaged segment, of which none is believed.
//!
//! Of a table that grows, much has no memory: it is skipped, and nothing is as large as a number
//! of the segment says.

use crate::arena::chunk;
use crate::damage::file::{self, cannot_read};
use crate::error::Result;
use crate::index::slot::{self, SlotContent};
use crate::layout::{BUCKET_SLOTS, BUCKET_WORDS, CHUNK_CURSOR, STRIPE_ENTRIES, STRIPE_WORDS, WORD};
use crate::segment::directory::{DirectoryWord, Phase};
use crate::segment::geometry::{ArenaOffset, Geometry};
use crate::segment::hash::Seed;
use crate::segment::record::{KEY_AT, Lengths};
use crate::sys::Mapping;
use crate::table::iter::OwnedEntry;

/// The number of buckets that are copied at a time.
pub(super) const BLOCK: usize = 64;
/// Attempts to copy a bucket that others change at the same time.
const LOOKS: usize = 4;
/// The number of blocks by which geometries are compared.
const SAMPLES: usize = 64;
/// Bytes that are copied where a record begins; most records are not longer.
const GLANCE: usize = 256;

/// What the directory of a table that grows says of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its stripe has it.
    There,
    /// Its stripe doesn't have it yet.
    NotYet,
    /// Its stripe may have it, or may have the same entries elsewhere too.
    Unsure,
}

/// The words that tell how many buckets stripes have. Empty: all have all their buckets.
#[derive(Debug, Default)]
pub(super) struct Levels(Vec<DirectoryWord>);

impl Levels {
    fn of(&self, geometry: &Geometry, bucket: usize) -> Standing {
        let (stripe, place) = geometry.place_of(bucket);
        match self.0.get(stripe) {
            None if geometry.grows() => Standing::Unsure,
            None => Standing::There,
            Some(word) => match credible_level(geometry, *word) {
                None => Standing::Unsure,
                Some(level) if place >> level != 0 => Standing::NotYet,
                Some(_) if word.phase() != Phase::AtRest => Standing::Unsure,
                Some(_) => Standing::There,
            },
        }
    }

    /// The most buckets that a stripe can have.
    fn most_buckets(&self, geometry: &Geometry, stripe: usize) -> usize {
        let word = self.0.get(stripe);
        let level = word.and_then(|word| credible_level(geometry, *word));
        level.map_or(geometry.most_buckets, |level| 1 << level)
    }
}

/// The level of a directory word, if at least two of its copies agree on one that is possible.
fn credible_level(geometry: &Geometry, word: DirectoryWord) -> Option<u32> {
    let levels = geometry.levels();
    word.majority().filter(|level| levels.contains(level))
}

/// The entries of some buckets.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Those that stand in one place.
    pub(super) entries: Vec<OwnedEntry>,
    /// Those that may stand in another place too.
    pub(super) unsure: Vec<OwnedEntry>,
    /// The number of slots in use that lead to none.
    pub(super) lost: usize,
}

impl Block {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.unsure.is_empty() && self.lost == 0
    }
}

/// How many entries the stripes count.
pub(super) struct Said {
    /// Those of the stripes whose counts can be right.
    pub(super) credible: u64,
    /// Whether these are all stripes.
    pub(super) is_complete: bool,
}

/// The segment's bytes.
pub(super) struct Source {
    map: Mapping,
    /// The segment's length in words.
    pub(super) length: usize,
    /// An upper bound, in bytes, of the length of any value that was stored.
    present: usize,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("words", &self.length)
            .finish_non_exhaustive()
    }
}

impl Source {
    pub(super) fn new(map: Mapping) -> Result<Self> {
        let present = map.bytes_present().map_err(cannot_read)?;
        Ok(Self {
            length: map.words().len(),
            present: usize::try_from(present).unwrap_or(usize::MAX),
            map,
        })
    }

    fn bytes(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        self.map.copy_bytes(offset, out).map_err(cannot_read)
    }

    /// Copies words from `at` on; beyond the end they are zero.
    pub(super) fn words(&self, at: usize, out: &mut [u64]) -> Result<()> {
        file::copy_words(&self.map, at, out)
    }

    /// The number of buckets in the segment, which may be shorter than it should be.
    pub(super) fn buckets(&self, geometry: &Geometry) -> usize {
        let words = self.length.saturating_sub(geometry.bucket(0));
        geometry.buckets.min(words / BUCKET_WORDS)
    }

    /// The first bucket from this one on that has memory: a header may say that there are
    /// more buckets than could be read in any reasonable time.
    pub(super) fn next_bucket(&self, geometry: &Geometry, bucket: usize) -> Result<usize> {
        let offset = geometry.bucket(bucket) * WORD;
        let present = self.map.next_present(offset).map_err(cannot_read)?;
        Ok(present.map_or(geometry.buckets, |present| {
            let words = (present / WORD).saturating_sub(geometry.bucket(0));
            bucket.max(words / BUCKET_WORDS)
        }))
    }

    /// The first chunk from this one on whose first record can have memory.
    pub(super) fn next_chunk(&self, geometry: &Geometry, chunk: usize) -> Result<usize> {
        if chunk >= geometry.chunks {
            return Ok(chunk);
        }
        let offset = geometry.chunk(chunk) * WORD;
        let present = self.map.next_present(offset).map_err(cannot_read)?;
        Ok(present.map_or(geometry.chunks, |present| {
            let words = (present / WORD).saturating_sub(geometry.chunk(0));
            chunk.max(words / geometry.chunk_words)
        }))
    }

    /// The directory of a table that grows.
    pub(super) fn levels(&self, geometry: &Geometry) -> Result<Levels> {
        if !geometry.grows() {
            return Ok(Levels::default());
        }
        let mut words = vec![0; geometry.stripes];
        self.words(geometry.directory(0), &mut words)?;
        Ok(Levels(words.into_iter().map(DirectoryWord).collect()))
    }

    /// The number of entries, as the stripes count them.
    pub(super) fn entries_said(&self, geometry: &Geometry, levels: &Levels) -> Result<Said> {
        let mut words = vec![0; geometry.stripes * STRIPE_WORDS];
        self.words(geometry.stripe(0), &mut words)?;
        let counts = words.iter().skip(STRIPE_ENTRIES).step_by(STRIPE_WORDS);
        // No stripe has more entries than slots: a higher count is damaged.
        let most = |stripe| (levels.most_buckets(geometry, stripe) * BUCKET_SLOTS) as u64;
        let credible = counts
            .enumerate()
            .filter(|(stripe, count)| **count <= most(*stripe))
            .map(|(_, count)| *count);
        Ok(Said {
            credible: credible.clone().sum(),
            is_complete: geometry.stripe(0) + words.len() <= self.length
                && credible.count() == geometry.stripes,
        })
    }

    /// The entries of a range of buckets.
    pub(super) fn block(
        &self,
        geometry: &Geometry,
        levels: &Levels,
        first: usize,
        end: usize,
    ) -> Result<Block> {
        let mut words = vec![0; (end - first) * BUCKET_WORDS];
        let mut again = words.clone();
        self.words(geometry.bucket(first), &mut words)?;
        for look in 0.. {
            let mut block = Block::default();
            for (number, bucket) in (first..).zip(words.as_chunks().0) {
                let entries = match levels.of(geometry, number) {
                    Standing::There => &mut block.entries,
                    Standing::Unsure => &mut block.unsure,
                    Standing::NotYet => continue,
                };
                self.bucket(geometry, bucket, entries, &mut block.lost)?;
            }
            self.words(geometry.bucket(first), &mut again)?;
            if again == words || look == LOOKS {
                return Ok(block);
            }
            words.copy_from_slice(&again);
        }
        Ok(Block::default())
    }

    fn bucket(
        &self,
        geometry: &Geometry,
        words: &[u64; BUCKET_WORDS],
        entries: &mut Vec<OwnedEntry>,
        lost: &mut usize,
    ) -> Result<()> {
        let tags = words[1].to_le_bytes();
        for slot in (1..=BUCKET_SLOTS).filter(|slot| tags[*slot] != 0) {
            let (head, tail) = (words[2 * slot], words[2 * slot + 1]);
            let entry = match slot::holds(head) {
                SlotContent::Small(lengths) => {
                    let key = slot::key_in(head, tail, lengths.key)[..lengths.key].to_vec();
                    let value = slot::value_in(tail, lengths.value).to_le_bytes();
                    Some((key, value[..lengths.value].to_vec()))
                }
                SlotContent::Record(offset) => self.record(geometry, offset)?,
                SlotContent::Nothing => None,
            };
            match entry {
                Some(entry) => entries.push(entry),
                None => *lost += 1,
            }
        }
        Ok(())
    }

    /// The record at a place in the arena, if there can be one.
    fn record(&self, geometry: &Geometry, place: ArenaOffset) -> Result<Option<OwnedEntry>> {
        let arena = geometry.chunks * geometry.chunk_words;
        if place.0 >= arena {
            return Ok(None);
        }
        let offset = geometry.word_of(place) * WORD;
        let mut glance = [0; GLANCE];
        self.bytes(offset, &mut glance)?;
        let Some(lengths) = lengths_in(&glance) else {
            return Ok(None);
        };
        if !geometry.fits(place, lengths) || offset + lengths.words() * WORD > self.length * WORD {
            return Ok(None);
        }
        let bytes = lengths.words() * WORD;
        let mut copy = Vec::new();
        if bytes > self.present.saturating_add(WORD) || copy.try_reserve_exact(bytes).is_err() {
            return Ok(None);
        }
        copy.extend_from_slice(&glance[..bytes.min(GLANCE)]);
        copy.resize(bytes, 0);
        if bytes > GLANCE {
            self.bytes(offset + GLANCE, &mut copy[GLANCE..])?;
        }
        let value_at = lengths.value_at() * WORD;
        let key = copy[KEY_AT * WORD..][..lengths.key].to_vec();
        copy.truncate(value_at + lengths.value);
        copy.drain(..value_at);
        Ok(Some((key, copy)))
    }

    /// The records of a chunk, or of the run of chunks that begins with it, and the number
    /// of these chunks.
    pub(super) fn chunk(
        &self,
        geometry: &Geometry,
        chunk: usize,
    ) -> Result<(Vec<OwnedEntry>, usize)> {
        let mut details = [0; CHUNK_CURSOR + 1];
        self.words(geometry.details(chunk), &mut details)?;
        let mut limit = geometry.chunk_words;
        if let (cursor, true) = chunk::cursor_of(details[CHUNK_CURSOR]) {
            limit = limit.min(cursor);
        }
        let first = chunk * geometry.chunk_words;
        let mut entries = Vec::new();
        let mut filled = 0;
        while filled < limit {
            let place = ArenaOffset(first + filled);
            let mut word = [0];
            self.words(geometry.word_of(place), &mut word)?;
            let lengths = Lengths::unpack(word[0]);
            let Some(lengths) = lengths.filter(|lengths| geometry.fits(place, *lengths)) else {
                break;
            };
            entries.extend(self.record(geometry, place)?);
            filled += lengths.words();
        }
        Ok((entries, filled.div_ceil(geometry.chunk_words).max(1)))
    }

    /// A score for how well a geometry explains the index.
    pub(super) fn score(&self, geometry: &Geometry, seed: &Seed) -> Result<i64> {
        let (mut all, mut at_home, mut lost) = (0, 0, 0);
        let buckets = self.buckets(geometry);
        // Only parts of a large index: a wrong geometry is wrong everywhere.
        let step = (buckets / SAMPLES).max(1).next_multiple_of(BLOCK);
        let mut read = 0;
        for first in (0..buckets).step_by(step) {
            let first = self.next_bucket(geometry, first.max(read))?;
            let end = (first + BLOCK).min(buckets);
            if first >= end {
                break;
            }
            read = end;
            let mut words = vec![0; (end - first) * BUCKET_WORDS];
            self.words(geometry.bucket(first), &mut words)?;
            for (number, bucket) in (first..).zip(words.as_chunks().0) {
                let mut entries = Vec::new();
                self.bucket(geometry, bucket, &mut entries, &mut lost)?;
                let is_at_home = |(key, _): &&OwnedEntry| {
                    let hash = seed.hash(key);
                    may_be_home(geometry, hash, number)
                };
                all += entries.len();
                at_home += entries.iter().filter(is_at_home).count();
            }
        }
        // Most entries are in their home buckets, or the seed is wrong and this tells nothing.
        let bonus = if 2 * at_home > all { 4 * at_home } else { 0 };
        Ok((all + bonus) as i64 - 10 * lost as i64)
    }
}

/// The lengths of the record that begins with these bytes.
fn lengths_in(bytes: &[u8; GLANCE]) -> Option<Lengths> {
    Lengths::unpack(u64::from_le_bytes(*bytes.first_chunk()?))
}

/// Whether a bucket can be the home bucket of a hash.
fn may_be_home(geometry: &Geometry, hash: u64, bucket: usize) -> bool {
    let share = |of: usize| ((u128::from(hash) * of as u128) >> u64::BITS) as usize;
    if !geometry.grows() {
        return share(geometry.buckets) == bucket;
    }
    let (stripe, place) = geometry.place_of(bucket);
    // By the bits of the hash that it takes to have this place.
    let mask = (place + 1).next_power_of_two() - 1;
    share(geometry.stripes) == stripe && (hash >> u8::BITS) as usize & mask == place
}
