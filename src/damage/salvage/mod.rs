//! Reading the entries of a table whose header is damaged.
//!
//! The bytes are copied out of the segment, from the file where there is one, and none of
//! them is trusted. So a missing page, or a file that is cut at the same time, causes no
//! signal. Nothing is locked and nothing is written.
//!
//! - `header`: what a damaged header said before.
//! - `source`: the entries in the segment's bytes.
//! - `fault`: what was wrong.

mod fault;
mod header;
mod source;

use std::collections::{HashSet, VecDeque};
use std::iter::FusedIterator;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::layout::{HEADER_CODEC, HEADER_HASH_SEED, HEADER_MAX_BYTES, WORD};
use crate::segment::geometry::Geometry;
use crate::segment::hash::Seed;
use crate::table::iter::OwnedEntry;
use crate::table::options::Options;
pub use fault::SalvageFault;
use header::{Reading, SecondWords};
use source::{BLOCK, Block, Levels, Source};

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
                let seed = Seed::new(reading.header[HEADER_HASH_SEED]);
                source.score(&reading.geometry, &seed)?
            };
            if best.as_ref().is_none_or(|(before, _)| score > *before) {
                best = Some((score, reading));
            }
        }
        let (_, mut reading) = best.ok_or(Error::Corrupted {
            what: "the header says nothing",
            offset: 0,
        })?;
        let mut second: SecondWords = Default::default();
        source.words(HEADER_MAX_BYTES, &mut second)?;
        reading.damage.extend(header::second_fault(&second));
        Salvage::new(source, reading)
    }
}

/// An iterator over the entries of a damaged table; see [`Options::open_damaged`].
///
/// It yields the entries that the index leads to. If part of the index leads nowhere, it then
/// yields the records that the index doesn't lead to and whose keys it doesn't have. Among these
/// may be values that were replaced, keys that were removed, and the same key twice.
///
/// In a table that grows, a stripe that doesn't say how many buckets it has is read wherever it may
/// have some. Each key is given once, but with a value that it may have had before.
#[derive(Debug)]
pub struct Salvage {
    source: Source,
    geometry: Geometry,
    levels: Levels,
    /// The keys that may be met once more, by their hashes.
    unsure_keys: HashSet<u64>,
    codec: u64,
    damage: Vec<SalvageFault>,
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
    fn new(source: Source, reading: Reading) -> Result<Self> {
        let mut damage = reading.damage;
        if source.length < reading.geometry.words {
            damage.push(SalvageFault::Truncated {
                found: source.length * WORD,
                expected: reading.geometry.words * WORD,
            });
        }
        let buckets = source.buckets(&reading.geometry);
        if buckets < reading.geometry.buckets {
            damage.push(SalvageFault::IndexTruncated {
                found: buckets,
                expected: reading.geometry.buckets,
            });
        }
        // A header that is guessed may number the buckets otherwise.
        let levels = if reading.is_confirmed {
            source.levels(&reading.geometry)?
        } else {
            Levels::default()
        };
        Ok(Self {
            codec: reading.header[HEADER_CODEC],
            geometry: reading.geometry,
            levels,
            unsure_keys: HashSet::new(),
            source,
            damage,
            lost: 0,
            uncounted: false,
            unsure: 0,
            found: 0,
            read: VecDeque::new(),
            next: Next::Bucket(0),
        })
    }

    /// Returns what is wrong with the table's header and its length; nothing if both are right.
    ///
    /// It is known from the beginning. What is wrong with the index or with entries is counted
    /// while they are read: see [`lost`](Self::lost).
    pub fn damage(&self) -> &[SalvageFault] {
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

    /// Returns whether the table grows.
    pub fn grows(&self) -> bool {
        self.geometry.grows()
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
                    let block = self
                        .source
                        .block(&self.geometry, &self.levels, first, end)?;
                    *bucket = if block.is_empty() {
                        self.source.next_bucket(&self.geometry, end)?
                    } else {
                        end
                    };
                    let Block {
                        mut entries,
                        mut unsure,
                        lost,
                    } = block;
                    unsure.retain(|(key, _)| self.unsure_keys.insert(xxh3_64(key)));
                    entries.append(&mut unsure);
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
                    if entries.is_empty() {
                        *chunk = self.source.next_chunk(&self.geometry, *chunk)?;
                    }
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
        let said = self.source.entries_said(geometry, &self.levels)?;
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
            let block = self.source.block(geometry, &self.levels, first, end)?;
            first = if block.is_empty() {
                self.source.next_bucket(geometry, end)?
            } else {
                end
            };
            let entries = block.entries.iter().chain(&block.unsure);
            keys.extend(entries.map(|(key, _)| xxh3_64(key)));
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
