//! Verifying a live table.
//!
//! # What is verified when
//! Others may read and write at the same time, and what they have half done must not be
//! reported. So each thing is verified at a moment when it has to be right:
//!
//! - *Without a lock*: what never changes (the header, words that mean nothing), what
//!   only its owner changes (this handle's own participant slot), what no store leaves
//!   wrong (bits of participant slots, the populated mark), and lock words, which are
//!   read before the lock is taken. There is no such owner if there is no such slot, or if the
//!   slot has not reached that generation yet: a reader that sees an owner in a word sees
//!   its generation in the slot.
//! - *Under the stripe's lock, stripe by stripe*: counts, tags, slots, and the records
//!   they lead to. Only the lock owner changes those.
//! - *With the locks of all stripes*, which writers wait for and readers don't: chunks.
//!   No record is published, unlinked or moved, so the live words of each chunk are
//!   known and a live count must not be above them. No chunk with a record in it is
//!   freed: cleaning takes the lock of every record. Space is still taken, chunks still
//!   opened and left, and a cleaner that has reached the end of its chunk still frees it;
//!   so an anomaly counts only if three reads show the same.
//!   Records follow one another up to the last live one, in any chunk; up to the cursor
//!   in a sealed one, which no participant fills. Live counts that are too low and chunks of
//!   the dead are what a death leaves, and not wrong. In a table that grows, chunks behind the
//!   populated mark have no memory for their states: these are read from the file.

mod census;
mod chunks;
mod unmarked;

use std::collections::HashSet;

pub(crate) use census::{Census, Live};
pub(crate) use chunks::{chunk_faults, in_use, record_at};
pub(crate) use unmarked::{Unmarked, counts_too_many_chunks, unmarked_words};

use crate::damage::fault::{Fault, FaultKind, FaultPlace};
use crate::error::{Error, Result};
use crate::index::bucket::{Bucket, MAX_OVERFLOW};
use crate::index::entry::{Entry, Location};
use crate::index::probe;
use crate::index::slot::Content;
use crate::index::stripe_ops::Locked;
use crate::layout::{
    self, CHUNK_WORDS, HEADER_CODEC, HEADER_FLAGS, HEADER_HASH_SEED, HEADER_POPULATED,
    HEADER_SECOND_CHECKSUM, HEADER_WORDS, PARTICIPANT_STATE, PARTICIPANT_WORDS, STRIPE_ENTRIES,
    STRIPE_LOCK, STRIPE_WORDS, WORD,
};
use crate::locking::lock::{SLEEPERS, WAITERS};
use crate::locking::participants::{self, OWNER_BITS, OwnerId};
use crate::segment::Segment;
use crate::segment::directory::{DirectoryWord, Phase};
use crate::segment::geometry::Geometry;
use crate::segment::stripe::Stripe;
use crate::sync::Ordering;
use crate::table::Table;
use crate::write::writer::Writer;

impl Table {
    /// Verifies every invariant of the table, and returns what is wrong; empty if all is well.
    ///
    /// It verifies the header, participant slots and lock words; each stripe's number of buckets,
    /// counts, tags and slots, and the records they lead to; the states, cursors, runs and live counts of chunks,
    /// and that records follow one another in them. It can't tell whether the bytes of a value are
    /// right: they have no checksum.
    ///
    /// Readers go on. Writers wait: first for one stripe at a time, while its keys are read, then
    /// for all stripes, as with [`snapshot`](Self::snapshot), while every record's header is read.
    /// That takes about 0.45 s for a million entries, and ten times that for ten times as many;
    /// [`check_stripes`](Self::check_stripes) leaves it out. Like every operation, a check takes
    /// over the locks of processes that died, and so recovers what they were doing.
    /// [`repair`](Self::repair) repairs the rest.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// for fault in table.check()? {
    ///     eprintln!("{:?}: {fault}", fault.place);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]. Damage is reported in the result, not as an error.
    pub fn check(&self) -> Result<Vec<Fault>> {
        let mut wrong = self.check_stripes()?;
        let segment = self.segment();
        let _stripes = self.writer()?.lock_all()?;
        // A chunk whose records are all dead may be given back.
        let _reading = segment.announce();
        let census = Census::take(segment);
        wrong.extend(census.overlaps());
        for chunk in 0..segment.chunks_with_state() {
            wrong.extend(chunk_faults(segment, &census, chunk));
        }
        if segment.geometry.grows() {
            wrong.extend(unmarked::unmarked_faults(segment)?);
        }
        Ok(wrong)
    }

    /// Verifies what [`check`](Self::check) does except the chunks, and never keeps more than one
    /// stripe locked.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert!(table.check_stripes()?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_stripes(&self) -> Result<Vec<Fault>> {
        let writer = self.writer()?;
        let segment = self.segment();
        let mut wrong = Vec::new();
        // A model's header says only what has memory, and its shape is not one that a file
        // may have.
        if !cfg!(loom) {
            check_header(segment, &mut wrong)?;
        }
        check_participants(writer, &mut wrong);
        for stripe in segment.stripes() {
            wrong.extend(lock_of_nobody(segment, stripe));
            let locked = writer.lock(stripe)?;
            check_stripe(&locked, &mut wrong);
        }
        Ok(wrong)
    }
}

fn load(segment: &Segment, at: usize) -> u64 {
    segment.words()[at].load(Ordering::Relaxed)
}

fn check_header(segment: &Segment, wrong: &mut Vec<Fault>) -> Result<()> {
    let header = |at, text| Fault::new(FaultKind::Header, FaultPlace::Header, at, text);
    if header_changed(segment) {
        let text = "the header is not what it was when the table was opened";
        wrong.push(header(0, text.to_owned()));
    }
    let populated = load(segment, HEADER_POPULATED);
    if populated > segment.geometry.chunks as u64 {
        let text = format!(
            "the header says that {populated} of {} chunks have memory",
            segment.geometry.chunks
        );
        wrong.push(header(HEADER_POPULATED, text));
    } else if counts_too_many_chunks(segment, populated as usize)? {
        let text = format!("the header says that {populated} chunks have memory; less is there");
        wrong.push(header(HEADER_POPULATED, text));
    }
    for at in reserved(segment) {
        if load(segment, at) != 0 {
            let text = format!(
                "the word at byte {} means nothing and is not zero",
                at * WORD
            );
            let place = FaultPlace::of_reserved(&segment.geometry, at);
            wrong.push(Fault::new(FaultKind::Unused, place, at, text));
        }
    }
    Ok(())
}

/// Returns whether a process that opens the table now sees another header than this one did.
pub(crate) fn header_changed(segment: &Segment) -> bool {
    Geometry::read("", segment.words()).ok().as_ref() != Some(&segment.geometry)
        || load(segment, HEADER_HASH_SEED) != segment.seed.bits()
        || load(segment, HEADER_CODEC) != segment.codec
        || load(segment, HEADER_FLAGS) != segment.flags
}

/// The words before the arena that the format does not mention.
pub(crate) fn reserved(segment: &Segment) -> impl Iterator<Item = usize> {
    let geometry = &segment.geometry;
    // The checksums cover the words before them.
    let header =
        layout::unused(layout::HEADER, HEADER_WORDS).filter(|at| *at > HEADER_SECOND_CHECKSUM);
    let slots = (0..geometry.participants).flat_map(move |slot| {
        layout::unused(layout::PARTICIPANT, PARTICIPANT_WORDS)
            .map(move |at| geometry.participant(slot) + at)
    });
    let stripes = (0..geometry.stripes).flat_map(move |stripe| {
        layout::unused(layout::STRIPE, STRIPE_WORDS).map(move |at| geometry.stripe(stripe) + at)
    });
    let details = (0..segment.chunks_with_state()).flat_map(move |chunk| {
        layout::unused(layout::CHUNK, CHUNK_WORDS).map(move |at| geometry.details(chunk) + at)
    });
    // The gap behind the states, and the one behind the details, have no pages if the table grows.
    let gaps = if geometry.grows() {
        [0..0, 0..0]
    } else {
        [
            geometry.state(geometry.chunks)..geometry.details_at,
            geometry.details(geometry.chunks)..geometry.reading_at,
        ]
    };
    header
        .chain(slots)
        .chain(stripes)
        .chain(geometry.directory_end()..geometry.bucket(0))
        .chain(details)
        .chain(gaps.into_iter().flatten())
}

fn check_participants(writer: &Writer, wrong: &mut Vec<Fault>) {
    let segment = &*writer.segment;
    for slot in 0..segment.geometry.participants {
        let at = segment.geometry.participant(slot) + PARTICIPANT_STATE;
        let state = load(segment, at);
        let mut say = |what: &str| {
            let text = format!("participant slot {slot} {what}");
            let place = FaultPlace::ParticipantSlot(slot);
            wrong.push(Fault::new(FaultKind::ParticipantSlot, place, at, text));
        };
        if slot == writer.me.id().slot {
            if state != writer.me.state() {
                say("is this handle's and says something else");
            }
        } else if has_stray_bits(state) {
            say("has bits that mean nothing");
        }
    }
}

/// Whether a participant slot's state has bits that no participant sets.
pub(crate) fn has_stray_bits(state: u64) -> bool {
    state != participants::without_stray_bits(state)
}

/// Whether no participant has ever been this owner.
pub(crate) fn is_nobody(segment: &Segment, owner: OwnerId) -> bool {
    if owner.slot >= segment.geometry.participants {
        return true;
    }
    let at = segment.geometry.participant(owner.slot) + PARTICIPANT_STATE;
    // The caller read the owner in a word, with acquire, so it reads no older generation here.
    let generation = (load(segment, at) >> 32) as u32;
    (owner.generation.wrapping_sub(generation) as i32) > 0
}

/// The fault of a stripe's lock word that names no participant.
pub(crate) fn lock_of_nobody(segment: &Segment, stripe: Stripe<'_>) -> Option<Fault> {
    let word = stripe.word(STRIPE_LOCK).load(Ordering::Acquire);
    let nobody = match OwnerId::from_bits(word) {
        Some(owner) => is_nobody(segment, owner),
        None => word & OWNER_BITS != 0,
    };
    let stray = word & !OWNER_BITS & !WAITERS & !SLEEPERS != 0;
    let stripe = segment.number_of(stripe);
    (nobody || stray).then(|| {
        let at = segment.geometry.stripe(stripe) + STRIPE_LOCK;
        let text = format!("stripe {stripe}: its lock word {word:#x} names no participant");
        Fault::new(FaultKind::Lock, FaultPlace::Stripe(stripe), at, text)
    })
}

fn check_stripe(locked: &Locked<'_>, wrong: &mut Vec<Fault>) {
    let (segment, stripe) = (locked.segment(), locked.number());
    wrong.extend(directory_fault(locked));
    let (overflows, entries) = locked.recount();
    let (stored_overflows, stored_entries) = locked.counts();
    if entries != stored_entries {
        let kind = FaultKind::Count {
            stored: stored_entries,
            counted: entries,
        };
        let at = segment.geometry.stripe(stripe) + STRIPE_ENTRIES;
        let text = format!("stripe {stripe}: holds {entries} entries and says {stored_entries}");
        wrong.push(Fault::new(kind, FaultPlace::Stripe(stripe), at, text));
    }
    let mut keys = HashSet::new();
    for (i, number) in locked.buckets().enumerate() {
        let at = segment.geometry.bucket(number);
        let (counted, stored) = (overflows[i], stored_overflows[i]);
        // A count that has reached its maximum stays there.
        if counted != stored && stored != MAX_OVERFLOW {
            let kind = FaultKind::Count {
                stored: stored.into(),
                counted: counted.into(),
            };
            let text =
                format!("bucket {number}: {counted} keys passed over it and it says {stored}");
            wrong.push(Fault::new(kind, FaultPlace::Bucket(number), at, text));
        }
        let tags = probe::bucket(segment, number).tags();
        if tags.has_stray_bits() {
            // The tags are the second word.
            let text = format!("bucket {number}: has a tag and no slot for it");
            let place = FaultPlace::Bucket(number);
            wrong.push(Fault::new(FaultKind::Unused, place, at + 1, text));
        }
        for slot in tags.slots() {
            check_slot(locked, number, slot, &mut keys, wrong);
        }
    }
}

/// The fault of a stripe's directory word that no owner of the lock leaves.
pub(crate) fn directory_fault(locked: &Locked<'_>) -> Option<Fault> {
    let word = DirectoryWord(locked.directory_word()?.load(Ordering::Relaxed));
    let (geometry, stripe) = (&locked.segment().geometry, locked.number());
    let levels = geometry.levels();
    let is_right = word.is_sound(*levels.start(), *levels.end()) && word.phase() == Phase::AtRest;
    (!is_right).then(|| {
        let text = format!(
            "stripe {stripe}: its directory word {:#x} says no number of buckets",
            word.0
        );
        let at = geometry.directory(stripe);
        Fault::new(
            FaultKind::Directory,
            FaultPlace::Directory(stripe),
            at,
            text,
        )
    })
}

fn check_slot(
    locked: &Locked<'_>,
    bucket: usize,
    slot: usize,
    keys: &mut HashSet<Vec<u8>>,
    wrong: &mut Vec<Fault>,
) {
    let at = locked.segment().geometry.bucket(bucket) + Bucket::at(slot);
    let place = FaultPlace::Slot { bucket, slot };
    let entry = |text| Fault::new(FaultKind::Entry, place, at, text);
    let outcome = locked.place(bucket, slot).and_then(|found| {
        let (key, hash) = locked.hash_of(&found)?;
        if !locked.is_found_in(&key, hash, bucket, slot)? {
            wrong.push(entry(format!(
                "bucket {bucket}: the key in slot {slot} is not found by its hash"
            )));
        }
        if !locked.keeps_hash(&found, hash) {
            wrong.push(entry(format!(
                "bucket {bucket}: slot {slot} keeps another hash than that of its key"
            )));
        }
        if !is_padded(&found.entry) {
            let (place, at, what) = match found.entry.at() {
                Some(at) => (
                    FaultPlace::record(at),
                    at,
                    format!("the record at byte {}", at * WORD),
                ),
                None => (
                    place,
                    at,
                    format!("bucket {bucket}: the entry in slot {slot}"),
                ),
            };
            let text = format!("{what} is not padded with zeros");
            wrong.push(Fault::new(FaultKind::Padding, place, at, text));
        }
        if !keys.insert(key) {
            wrong.push(entry(format!(
                "bucket {bucket}: a key is twice in its stripe"
            )));
        }
        Ok(())
    });
    if let Err(error) = outcome {
        let (at, what) = match error {
            // The remedies are for callers that did not ask what is wrong.
            Error::Corrupted { what, offset } => {
                (offset / WORD, format!("{what} at byte {offset}"))
            }
            error => (at, error.to_string()),
        };
        let text = format!("bucket {bucket}, slot {slot}: {what}");
        wrong.push(Fault::new(FaultKind::Entry, place, at, text));
    }
}

/// The slots in use of some buckets, with the buckets' numbers.
pub(crate) fn slots_in_use(
    segment: &Segment,
    buckets: impl Iterator<Item = usize>,
) -> impl Iterator<Item = (usize, usize)> {
    buckets.flat_map(|number| {
        let tags = probe::bucket(segment, number).tags();
        tags.slots().map(move |slot| (number, slot))
    })
}

/// The words of a small entry's slot as they should be; `None` for a record.
pub(crate) fn right_content(entry: &Entry<'_>) -> Option<Content> {
    if entry.at().is_some() {
        return None;
    }
    Content::small(&entry.key().ok()?, &entry.value().ok()?)
}

/// Whether an entry has zeros behind its value.
pub(crate) fn is_padded(entry: &Entry<'_>) -> bool {
    let (lengths, value) = (entry.lengths(), entry.value_words());
    if let Location::InSlot { head } = entry.location() {
        let tail = value.first().map(|tail| tail.load(Ordering::Relaxed));
        let content = tail.map(|tail| Content { head, tail });
        return content.is_some() && right_content(entry) == content;
    }
    let rest = lengths.value % WORD;
    let last = value.get(lengths.value / WORD);
    rest == 0 || last.is_none_or(|word| word.load(Ordering::Relaxed) >> (8 * rest) == 0)
}
