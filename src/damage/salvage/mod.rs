//! Reading the entries of a table whose header is damaged.
//!
//! The bytes are copied out of the segment, from the file where there is one, and none of
//! them is trusted. So a missing page, or a file that is cut at the same time, causes no
//! signal. Nothing is locked and nothing is written.

mod header;

use std::collections::{HashSet, VecDeque};
use std::iter::FusedIterator;

use xxhash_rust::xxh3::xxh3_64;

use crate::arena::chunk;
use crate::error::{Error, Result};
use crate::index::slot::{self, SlotContent};
use crate::layout::{
    BUCKET_SLOTS, BUCKET_WORDS, CHUNK_CURSOR, HEADER_CODEC, STRIPE_ENTRIES, STRIPE_WORDS, WORD,
};
use crate::segment::geometry::Geometry;
use crate::segment::record::{KEY_AT, Lengths};
use crate::sys::Mapping;
use crate::table::iter::OwnedEntry;
use crate::table::options::Options;
use header::Reading;

/// The number of buckets that are copied at a time.
const BLOCK: usize = 64;
/// Attempts to copy a bucket that others change at the same time.
const LOOKS: usize = 4;
/// The number of blocks by which geometries are compared.
const SAMPLES: usize = 64;
/// Bytes that are copied where a record begins; most records are not longer.
const GLANCE: usize = 256;

/// Opening damaged tables.
impl Options {
    /// Opens what is left of a table whose header is damaged, to read its entries.
    ///
    /// A table that [`open`](Self::open) and [`Table::repair`](crate::Table::repair) refuse,
    /// because its header is not that of a table, may still have all its entries. This method takes
    /// the geometry from the header's words if the checksum confirms them, or would if one of them
    /// were different; otherwise if it agrees with the segment's length.
    ///
    /// Use it on a table that no process writes to: if the table changes at the same time, entries
    /// may be missed. Nothing is locked or changed, and the handle doesn't count as a user.
    /// [`codec`](Self::codec) is a hint, for a header whose codec id is damaged.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::Options;
    ///
    /// let table = Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"key", b"value")?;
    /// let salvage = Options::new().open_damaged(table.name())?;
    /// assert!(salvage.damage().is_empty());
    /// for entry in salvage {
    ///     let (key, value) = entry?;
    ///     assert_eq!((&key[..], &value[..]), (&b"key"[..], &b"value"[..]));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotFound`, `WrongOwner`, `PermissionDenied`, `InvalidName`, `AddressSpaceFull`, `System`;
    /// `IncompatibleFormat` if the header is whole but of another format, or the segment is shorter
    /// than a header; `Corrupted` if no geometry can be found.
    pub fn open_damaged(&self, name: &str) -> Result<Salvage> {
        let (map, codecs) = self.map_damaged(name)?;
        let source = Source::new(map)?;
        let mut words = [0; header::WORDS];
        source.words(0, &mut words)?;
        let length = (source.length * WORD) as u64;
        let mut best: Option<(i64, Reading)> = None;
        let readings = header::readings(name, &words, length, codecs)?;
        let one = readings.len() == 1;
        for reading in readings {
            let score = if one {
                0
            } else {
                source.score(&reading.geometry)?
            };
            if best.as_ref().is_none_or(|(before, _)| score > *before) {
                best = Some((score, reading));
            }
        }
        let (_, reading) = best.ok_or(Error::Corrupted {
            what: "the header says nothing",
            offset: 0,
        })?;
        Ok(Salvage::new(source, reading))
    }
}

/// An iterator over the entries of a damaged table; see [`Options::open_damaged`].
///
/// It yields the entries that the index leads to. If part of the index leads nowhere, it then
/// yields the records that the index doesn't lead to and whose keys it doesn't have. Among these
/// may be values that were replaced, keys that were removed, and the same key twice.
#[derive(Debug)]
pub struct Salvage {
    source: Source,
    geometry: Geometry,
    codec: u64,
    damage: Vec<String>,
    lost: usize,
    uncounted: bool,
    unsure: usize,
    found: u64,
    read: VecDeque<OwnedEntry>,
    next: Next,
}

/// The place where reading goes on.
#[derive(Debug)]
enum Next {
    Bucket(usize),
    /// A chunk, and the keys that the index has, by their hashes.
    Chunk(usize, HashSet<u64>),
    Nothing,
}

impl Salvage {
    fn new(source: Source, reading: Reading) -> Self {
        let mut damage = reading.damage;
        if source.length < reading.geometry.words {
            damage.push(format!(
                "the segment has {} bytes, and had {}",
                source.length * WORD,
                reading.geometry.words * WORD
            ));
        }
        let buckets = source.buckets(&reading.geometry);
        if buckets < reading.geometry.buckets {
            damage.push(format!(
                "part of the index is gone: the segment has {buckets} of its {} buckets",
                reading.geometry.buckets
            ));
        }
        Self {
            codec: reading.header[HEADER_CODEC],
            geometry: reading.geometry,
            source,
            damage,
            lost: 0,
            uncounted: false,
            unsure: 0,
            found: 0,
            read: VecDeque::new(),
            next: Next::Bucket(0),
        }
    }

    /// Returns what is wrong with the table's header and its length, in sentences.
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// Returns the table's codec id, as far as it can be known; see
    /// [`Table::codec_id`](crate::Table::codec_id).
    pub fn codec_id(&self) -> u64 {
        self.codec
    }

    /// Returns the capacity that the table was created with, or more if that can't be known.
    pub fn capacity(&self) -> usize {
        self.geometry.capacity
    }

    /// Returns the value space that the table was created with, or more if that can't be known.
    pub fn value_space(&self) -> usize {
        self.geometry.value_space
    }

    /// Returns how many entries are lost, unless they are among the [unsure](Self::unsure) ones.
    ///
    /// Up to now, these are the slots in use that led to no entry. Once all of the index is read,
    /// the entries that the stripes count and the index no longer has are added.
    pub fn lost(&self) -> usize {
        self.lost
    }

    /// Returns whether more entries than [`lost`](Self::lost) says may be lost.
    ///
    /// That is so if part of the index is gone and not all stripes say how many entries they had.
    /// It is known once all of the index is read.
    pub fn may_have_lost_more(&self) -> bool {
        self.uncounted
    }

    /// Returns how many of the entries up to now are records that the index doesn't lead to.
    pub fn unsure(&self) -> usize {
        self.unsure
    }

    fn fill(&mut self) -> Result<()> {
        while self.read.is_empty() {
            match &mut self.next {
                Next::Bucket(bucket) => {
                    let first = *bucket;
                    let end = (first + BLOCK).min(self.source.buckets(&self.geometry));
                    if first >= end {
                        self.next = self.after_the_index()?;
                        continue;
                    }
                    let (entries, lost) = self.source.block(&self.geometry, first, end)?;
                    *bucket = if entries.is_empty() && lost == 0 {
                        self.source.next_bucket(&self.geometry, end)?
                    } else {
                        end
                    };
                    self.found += entries.len() as u64;
                    self.lost += lost;
                    self.read = entries.into();
                }
                Next::Chunk(chunk, keys) => {
                    if *chunk >= self.geometry.chunks {
                        self.next = Next::Nothing;
                        continue;
                    }
                    let (entries, chunks) = self.source.chunk(&self.geometry, *chunk)?;
                    *chunk += chunks;
                    let entries = entries.into_iter();
                    let unknown = entries.filter(|(key, _)| !keys.contains(&xxh3_64(key)));
                    self.read = unknown.collect();
                    self.unsure += self.read.len();
                }
                Next::Nothing => break,
            }
        }
        Ok(())
    }

    /// What to read after the index: the arena, if the index lacks entries.
    fn after_the_index(&mut self) -> Result<Next> {
        let geometry = &self.geometry;
        let said = self.source.entries_said(geometry)?;
        let known = said.credible.saturating_sub(self.found);
        self.lost = self.lost.max(usize::try_from(known).unwrap_or(usize::MAX));
        let is_cut = self.source.buckets(geometry) < geometry.buckets;
        self.uncounted = is_cut && !said.is_complete;
        let is_all = !is_cut && said.is_complete && self.found >= said.credible;
        if self.lost == 0 && is_all {
            return Ok(Next::Nothing);
        }
        let mut keys = HashSet::new();
        let buckets = self.source.buckets(geometry);
        let mut first = 0;
        while first < buckets {
            let end = (first + BLOCK).min(buckets);
            let (entries, _) = self.source.block(geometry, first, end)?;
            first = if entries.is_empty() {
                self.source.next_bucket(geometry, end)?
            } else {
                end
            };
            keys.extend(entries.iter().map(|(key, _)| xxh3_64(key)));
        }
        Ok(Next::Chunk(0, keys))
    }
}

impl Iterator for Salvage {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(()) => self.read.pop_front().map(Ok),
            Err(error) => {
                self.next = Next::Nothing;
                Some(Err(error))
            }
        }
    }
}

impl FusedIterator for Salvage {}

/// How many entries the stripes count.
struct Said {
    /// Those of the stripes whose counts can be right.
    credible: u64,
    /// Whether these are all stripes.
    is_complete: bool,
}

/// The segment's bytes, none of which is believed.
struct Source {
    map: Mapping,
    /// The segment's length in words.
    length: usize,
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

/// The error for a copy of bytes that failed.
fn cannot_read(source: std::io::Error) -> Error {
    Error::system("read the segment", source)
}

impl Source {
    fn new(map: Mapping) -> Result<Self> {
        let present = map.bytes_present().map_err(cannot_read)?;
        Ok(Self {
            length: map.words().len(),
            present: usize::try_from(present).unwrap_or(usize::MAX),
            map,
        })
    }

    fn bytes(&self, at: usize, out: &mut [u8]) -> Result<()> {
        self.map.copy_bytes(at, out).map_err(cannot_read)
    }

    /// Copies words from `at` on; beyond the end they are zero.
    fn words(&self, at: usize, out: &mut [u64]) -> Result<()> {
        let mut bytes = vec![0; out.len() * WORD];
        self.bytes(at * WORD, &mut bytes)?;
        for (to, from) in out.iter_mut().zip(bytes.as_chunks().0) {
            *to = u64::from_le_bytes(*from);
        }
        Ok(())
    }

    /// The number of buckets in the segment, which may be shorter than it should be.
    fn buckets(&self, geometry: &Geometry) -> usize {
        let words = self.length.saturating_sub(geometry.bucket(0));
        geometry.buckets.min(words / BUCKET_WORDS)
    }

    /// The first bucket from this one on that has memory: a header may say that there are
    /// more buckets than could be read in any reasonable time.
    fn next_bucket(&self, geometry: &Geometry, bucket: usize) -> Result<usize> {
        let at = geometry.bucket(bucket) * WORD;
        let present = self.map.next_present(at).map_err(cannot_read)?;
        Ok(present.map_or(geometry.buckets, |present| {
            let words = (present / WORD).saturating_sub(geometry.bucket(0));
            bucket.max(words / BUCKET_WORDS)
        }))
    }

    /// The number of entries, as the stripes count them.
    fn entries_said(&self, geometry: &Geometry) -> Result<Said> {
        let mut words = vec![0; geometry.stripes * STRIPE_WORDS];
        self.words(geometry.stripe(0), &mut words)?;
        let counts = words.iter().skip(STRIPE_ENTRIES).step_by(STRIPE_WORDS);
        // No stripe has more entries than slots: a higher count is damaged.
        let most = (geometry.stripe_buckets * BUCKET_SLOTS) as u64;
        let credible = counts.clone().filter(|count| **count <= most);
        Ok(Said {
            credible: credible.clone().sum(),
            is_complete: geometry.stripe(0) + words.len() <= self.length
                && credible.count() == geometry.stripes,
        })
    }

    /// The entries of a range of buckets, and the number of slots in use that lead to none.
    fn block(
        &self,
        geometry: &Geometry,
        first: usize,
        end: usize,
    ) -> Result<(Vec<OwnedEntry>, usize)> {
        let mut words = vec![0; (end - first) * BUCKET_WORDS];
        let mut again = words.clone();
        self.words(geometry.bucket(first), &mut words)?;
        for look in 0.. {
            let (mut entries, mut lost) = (Vec::new(), 0);
            for bucket in words.as_chunks().0 {
                self.bucket(geometry, bucket, &mut entries, &mut lost)?;
            }
            self.words(geometry.bucket(first), &mut again)?;
            if again == words || look == LOOKS {
                return Ok((entries, lost));
            }
            words.copy_from_slice(&again);
        }
        Ok((Vec::new(), 0))
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
                    let mut key = Vec::new();
                    slot::key_into(head, tail, lengths.key, &mut key);
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

    /// The record at an offset in the arena, if there can be one.
    fn record(&self, geometry: &Geometry, offset: usize) -> Result<Option<OwnedEntry>> {
        let arena = geometry.chunks * geometry.chunk_words;
        if offset >= arena {
            return Ok(None);
        }
        let at = geometry.word_of(offset) * WORD;
        let mut glance = [0; GLANCE];
        self.bytes(at, &mut glance)?;
        let Some(lengths) = lengths_in(&glance) else {
            return Ok(None);
        };
        if !fits(geometry, offset, lengths) || at + lengths.words() * WORD > self.length * WORD {
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
            self.bytes(at + GLANCE, &mut copy[GLANCE..])?;
        }
        let value_at = lengths.value_at() * WORD;
        let key = copy[KEY_AT * WORD..][..lengths.key].to_vec();
        copy.truncate(value_at + lengths.value);
        copy.drain(..value_at);
        Ok(Some((key, copy)))
    }

    /// The records of a chunk, or of the run of chunks that begins with it, and the number
    /// of these chunks.
    fn chunk(&self, geometry: &Geometry, chunk: usize) -> Result<(Vec<OwnedEntry>, usize)> {
        let mut details = [0; CHUNK_CURSOR + 1];
        self.words(geometry.details(chunk), &mut details)?;
        let mut limit = geometry.chunk_words;
        if let (cursor, true) = chunk::cursor_of(details[CHUNK_CURSOR]) {
            limit = limit.min(cursor);
        }
        let first = chunk * geometry.chunk_words;
        let mut entries = Vec::new();
        let mut at = 0;
        while at < limit {
            let mut word = [0];
            self.words(geometry.word_of(first + at), &mut word)?;
            let lengths = Lengths::unpack(word[0]);
            let Some(lengths) = lengths.filter(|lengths| fits(geometry, first + at, *lengths))
            else {
                break;
            };
            entries.extend(self.record(geometry, first + at)?);
            at += lengths.words();
        }
        Ok((entries, at.div_ceil(geometry.chunk_words).max(1)))
    }

    /// A score for how well a geometry explains the index.
    fn score(&self, geometry: &Geometry) -> Result<i64> {
        let mut score = 0;
        let buckets = self.buckets(geometry);
        // Only parts of a large index: a wrong geometry is wrong everywhere.
        let step = (buckets / SAMPLES).max(1).next_multiple_of(BLOCK);
        for first in (0..buckets).step_by(step) {
            let end = (first + BLOCK).min(buckets);
            let (entries, lost) = self.block(geometry, first, end)?;
            score += entries.len() as i64 - 10 * lost as i64;
        }
        Ok(score)
    }
}

/// The lengths of the record that begins with these bytes.
fn lengths_in(bytes: &[u8; GLANCE]) -> Option<Lengths> {
    Lengths::unpack(u64::from_le_bytes(*bytes.first_chunk()?))
}

/// Whether a record can be at this offset: in one chunk, or at the beginning of a run.
fn fits(geometry: &Geometry, offset: usize, lengths: Lengths) -> bool {
    let inside = offset % geometry.chunk_words;
    let arena = geometry.chunks * geometry.chunk_words;
    if geometry.needs_run(lengths) {
        inside == 0 && lengths.words() <= arena - offset
    } else {
        inside + lengths.words() <= geometry.chunk_words
    }
}
