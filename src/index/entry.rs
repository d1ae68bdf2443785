//! An entry as an operation sees it: in a slot, or in a record that a slot leads to.
//!
//! # What makes an entry visible
//! An operation sees an entry only as an [`Entry`], and only [`Entry::small`] and
//! [`Entry::record`] make one: its fields are private. They have three callers:
//!
//! - [`open`], for the entry of a slot whatever its key is: iteration, and what has to see every
//!   slot in use, as cleaning, recovery, `check` and `repair` do;
//! - [`compare_small`](super::fast_path::compare_small) and
//!   [`compare_record`](super::fast_path::compare_record), for the entry of a key: all lookups, with
//!   and without the stripe's lock.
//!
//! An entry is visible if a slot holds it. A rule by which some entries are there and yet don't
//! count would have to be asked where operations find entries, not here, because cleaning must
//! find those too: CONTRIBUTING's recipe for a format word names the places.
//!
//! Two things don't look at entries: the stripes' counts, which count slots in use, and `salvage`,
//! which copies bytes that it can't trust.

use crate::error::{Error, Result};
use crate::index::bucket::Bucket;
use crate::index::slot::{self, SlotContent};
use crate::segment::Segment;
use crate::segment::record::{self, Lengths, Record};
use crate::sync::{AtomicU64, Ordering};

/// An entry that a lookup found.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    lengths: Lengths,
    value: &'a [AtomicU64],
    location: Location<'a>,
}

/// Where an entry is.
#[derive(Clone, Copy)]
pub(crate) enum Location<'a> {
    /// In its slot, whose head this is.
    InSlot { head: u64 },
    /// In the arena: the position of its record's first word, and the words of its key.
    InRecord { at: usize, key: &'a [AtomicU64] },
}

impl<'a> Entry<'a> {
    /// The small entry of a slot with this head and tail.
    #[inline]
    pub(super) fn small(lengths: Lengths, head: u64, tail: &'a AtomicU64) -> Self {
        Self {
            lengths,
            value: std::slice::from_ref(tail),
            location: Location::InSlot { head },
        }
    }

    /// The entry of the record at `at`.
    #[inline]
    pub(super) fn record(at: usize, record: Record<'a>) -> Self {
        let Record {
            lengths,
            key,
            value,
        } = record;
        Self {
            lengths,
            value,
            location: Location::InRecord { at, key },
        }
    }

    /// The lengths of its key and value.
    #[inline]
    pub(crate) fn lengths(&self) -> Lengths {
        self.lengths
    }

    /// The words that begin with its value: a record's, or the tail of its slot.
    #[inline]
    pub(crate) fn value_words(&self) -> &'a [AtomicU64] {
        self.value
    }

    /// Where it is.
    #[inline]
    pub(crate) fn location(&self) -> Location<'a> {
        self.location
    }

    /// The position of its record's first word; `None` if its slot holds the entry.
    #[inline]
    pub(crate) fn at(&self) -> Option<usize> {
        match self.location {
            Location::InSlot { .. } => None,
            Location::InRecord { at, .. } => Some(at),
        }
    }

    /// Copies the key.
    pub(crate) fn key(&self) -> Result<Vec<u8>> {
        match self.location {
            Location::InSlot { head } => {
                let tail = self.value.first();
                let tail = tail.map_or(0, |tail| tail.load(Ordering::Relaxed));
                let bytes = slot::key_in(head, tail, self.lengths.key);
                Ok(bytes[..self.lengths.key].to_vec())
            }
            Location::InRecord { key: words, .. } => {
                let mut key = Vec::new();
                record::load_bytes(words, self.lengths.key, &mut key)?;
                Ok(key)
            }
        }
    }

    /// Copies the value.
    pub(crate) fn value(&self) -> Result<Vec<u8>> {
        let mut value = Vec::new();
        record::load_bytes(self.value, self.lengths.value, &mut value)?;
        Ok(value)
    }

    /// Whether the entry has this value.
    pub(crate) fn has_value(&self, value: &[u8]) -> bool {
        let length = self.lengths.value;
        length == value.len()
            && match (self.location, self.value) {
                (Location::InSlot { .. }, [tail]) => {
                    let tail = tail.load(Ordering::Relaxed);
                    slot::value_in(tail, length) == record::word_from(value)
                }
                _ => record::equal_bytes(self.value, value),
            }
    }
}

/// What a slot with a key's tag holds.
pub(crate) enum Compared<'a> {
    /// The entry of the key.
    Same(Entry<'a>),
    /// The entry of another key.
    Other,
    /// No entry. This is damage, if the slot still holds the same.
    NoEntry(Damage),
}

/// What a slot holds instead of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    /// The position of a word at which there is no record.
    NoRecord(usize),
    /// Lengths that no entry has.
    NoLengths,
}

impl Damage {
    #[cold]
    pub(crate) fn error(self, segment: &Segment, bucket: usize) -> Error {
        match self {
            Self::NoRecord(at) => Segment::damaged("a slot leads to no record", at),
            Self::NoLengths => Segment::damaged(
                "a slot holds lengths that no entry has",
                segment.geometry.bucket(bucket),
            ),
        }
    }
}

/// Opens the entry of a slot in use; [`Damage`] if its lengths or its offset can't be right.
#[inline]
pub(crate) fn open<'a>(
    segment: &'a Segment,
    bucket: Bucket<'a>,
    slot: usize,
) -> std::result::Result<Entry<'a>, Damage> {
    let head = bucket.head(slot);
    match slot::holds(head) {
        SlotContent::Small(lengths) => Ok(Entry::small(lengths, head, bucket.tail(slot))),
        SlotContent::Record(offset) => {
            let at = segment.geometry.word_of(offset);
            let record = record::open(segment, at).ok_or(Damage::NoRecord(at))?;
            Ok(Entry::record(at, record))
        }
        SlotContent::Nothing => Err(Damage::NoLengths),
    }
}
