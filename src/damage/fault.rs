//! Faults: what a check finds wrong, where, and of which kind.

use std::fmt;

use crate::layout::{CHUNK_WORDS, HEADER_WORDS, PARTICIPANT_WORDS, STRIPE_WORDS, WORD};
use crate::segment::geometry::Geometry;

/// Something that [`Table::check`](crate::Table::check) found wrong.
///
/// `Display` gives a sentence for people, with all numbers; its wording may change.
///
/// ```
/// # fn main() -> shmtable::Result<()> {
/// use shmtable::FaultKind;
///
/// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
/// for fault in table.check()? {
///     match fault.kind {
///         FaultKind::Entry => eprintln!("needs a backup: {fault}"),
///         _ => eprintln!("{fault}, at byte {}", fault.offset),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// What kind of fault it is: what it means for you.
    pub kind: FaultKind,
    /// The part of the segment that is wrong.
    pub place: FaultPlace,
    /// The offset of the wrong word in the segment, in bytes. Where words contradict each
    /// other, it is that of one of them.
    pub offset: usize,
    text: String,
}

/// Kinds of faults: one for each decision that a caller can make.
///
/// [`Table::repair`](crate::Table::repair) deals with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The header is wrong, so that other processes may be unable to open the table. Keep
    /// this handle open until it has repaired the table: no other one can.
    Header,
    /// A participant slot says what its owner did not store. If another process has the slot,
    /// it can be repaired after that process has closed the table.
    ParticipantSlot,
    /// A lock names a participant that never existed. You need do nothing: the next process
    /// that wants the lock takes it over.
    Lock,
    /// Bits that mean nothing are not zero. Nothing depends on them, and their repair loses
    /// nothing; but a program other than this crate has written to the segment.
    Unused,
    /// A number is wrong: of a stripe's entries, of the keys that passed over a bucket, or of
    /// a chunk's live words. Its repair loses nothing. If more entries were counted in a
    /// stripe than are there, some may be lost already.
    Count {
        /// The number in the segment.
        stored: u64,
        /// The right one.
        counted: u64,
    },
    /// An entry can't be read, or isn't found by its key. Repair removes it unless it can be
    /// found again: restore its value from elsewhere.
    Entry,
    /// Bytes behind a key or a value are not zero, which may hide the entry from lookups.
    /// Its repair loses nothing.
    Padding,
    /// A stripe of a growing table doesn't say how many buckets it has. Until it is repaired,
    /// entries of the stripe may not be found.
    Directory,
    /// A chunk doesn't fit its records. They can be read, but writes may overwrite them:
    /// repair the table before you write to it.
    Chunk,
}

/// The part of a segment that a fault is in. Numbers count from 0, slots of a bucket from 1,
/// as in `docs/format.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultPlace {
    /// The header.
    Header,
    /// This participant slot.
    ParticipantSlot(usize),
    /// The words of this stripe's lock and counts.
    Stripe(usize),
    /// The directory word of this stripe.
    Directory(usize),
    /// The version, tags or overflow count of this bucket.
    Bucket(usize),
    /// An entry of a bucket.
    Slot {
        /// The bucket's number in the table.
        bucket: usize,
        /// The slot's number in the bucket.
        slot: usize,
    },
    /// This chunk's state, details or contents.
    Chunk(usize),
    /// The record at this offset, in bytes.
    Record(usize),
    /// Words between two parts of the segment, which belong to neither.
    Gap,
}

impl Fault {
    /// A fault at a word of the segment.
    pub(super) fn new(
        kind: FaultKind,
        place: FaultPlace,
        at: usize,
        text: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            place,
            offset: at * WORD,
            text: text.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FaultPlace {
    /// The record that begins at a word.
    pub(super) fn record(at: usize) -> Self {
        Self::Record(at * WORD)
    }

    /// The part that a word before the buckets, or among the chunks' details, belongs to.
    pub(super) fn of_reserved(geometry: &Geometry, at: usize) -> Self {
        let part = |begin: usize, words: usize, parts: usize| {
            let number = at.checked_sub(begin)? / words;
            (number < parts).then_some(number)
        };
        if at < HEADER_WORDS {
            return Self::Header;
        }
        part(
            geometry.participant(0),
            PARTICIPANT_WORDS,
            geometry.participants,
        )
        .map(Self::ParticipantSlot)
        .or_else(|| part(geometry.stripe(0), STRIPE_WORDS, geometry.stripes).map(Self::Stripe))
        .or_else(|| part(geometry.details(0), CHUNK_WORDS, geometry.chunks).map(Self::Chunk))
        .unwrap_or(Self::Gap)
    }
}
