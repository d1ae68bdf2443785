//! The two most frequent writes when all they need is at hand: their key is where keys
//! nearly always are, and room is left in the chunk that is being filled.
//!
//! They do what [`Writer::modify`] does. What that keeps for all other cases costs as
//! much as the write, so these are apart, and leave such cases to it.
//!
//! # What is done while the memory brings the bucket
//! A record is written before the stripe is locked if it will be needed. It is not if the
//! bucket holds the entry itself, or if a value can be replaced in place, which nobody knows
//! before the bucket is there; then the record is given up and its room is garbage. So a
//! value that could be is written beforehand only after a [`Streak`] of new keys.

use std::sync::atomic::{AtomicU32, Ordering as LocalOrdering};

use crate::error::Result;
use crate::index::lookup::{Entry, Glance};
use crate::index::probe::{self, Hash};
use crate::index::slot::Content;
use crate::index::stripe_ops::{Locked, New, Place};
use crate::layout::WORD;
use crate::segment::record::{self, Header};
use crate::sync::Ordering;
use crate::write::writer::Writer;
use crate::write::{Change, SMALL, Staged};

/// How many insertions of short records by this process in a row added a key, as far as it
/// matters: who adds many will add more. Threads may overwrite each other's counts.
pub(crate) struct Streak(AtomicU32);

impl Streak {
    /// A record given up for each so many new ones at most.
    const LONG: u32 = if cfg!(loom) { 1 } else { 4 };

    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    #[inline]
    fn is_long(&self) -> bool {
        self.0.load(LocalOrdering::Relaxed) >= Self::LONG
    }

    #[inline]
    fn goes_on(&self) {
        let length = self.0.load(LocalOrdering::Relaxed);
        if length < Self::LONG {
            self.0.store(length + 1, LocalOrdering::Relaxed);
        }
    }

    #[inline]
    fn ends(&self) {
        self.0.store(0, LocalOrdering::Relaxed);
    }
}

impl Writer {
    /// Stores a value whose entry is small, with this content. `true`: the key was new.
    ///
    /// # Errors
    /// As [`modify`](Self::modify).
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn insert_small(
        &self,
        key: &[u8],
        hash: Hash,
        value: &[u8],
        content: Content,
    ) -> Result<bool> {
        let (bucket, home) = probe::home(&self.segment, hash);
        home.prefetch();
        let locked = self.lock_at_once(hash.stripe(&self.segment))?;
        let (slot, entry) = match locked.glance(home, key, hash) {
            Glance::Small(slot, entry) | Glance::Record(slot, entry) => (slot, entry),
            Glance::Absent if locked.insert_at_home(home, hash, New::Small(content)) => {
                return Ok(true);
            }
            Glance::Absent | Glance::Undecided => {
                drop(locked);
                return self.insert_anyhow(key, value, None);
            }
        };
        if entry.lengths.replaceable_in_place(value.len()) {
            locked.store_in_place(&entry, record::word_from(value));
            return Ok(false);
        }
        let place = Place {
            bucket,
            slot,
            entry,
        };
        self.replace(locked, place, key, value, content)
    }

    /// Stores a value whose entry is small in place of one of another length. Apart, for which
    /// callers of the above would keep the lock's guard in memory.
    #[inline(never)]
    fn replace(
        &self,
        locked: Locked<'_>,
        place: Place<'_>,
        key: &[u8],
        value: &[u8],
        content: Content,
    ) -> Result<bool> {
        if place.entry.at().is_some() {
            if self.segment.geometry.needs_run(place.entry.lengths) {
                // Its chunks are given back when it is unlinked: not here.
                drop(locked);
                return self.insert_anyhow(key, value, None);
            }
            locked.replace(place, New::Small(content));
            return Ok(false);
        }
        // No one store leads from a small one to a small one.
        let Some(record) = self.write_record(key, value) else {
            drop(locked);
            return self.insert_anyhow(key, value, None);
        };
        locked.replace(place, New::Record(record.space()));
        // Before the record is finished, which nobody waits for.
        drop(locked);
        Ok(false)
    }

    /// Writes a record to the chunk that is being filled, if there is room for it.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn write_record(&self, key: &[u8], value: &[u8]) -> Option<Staged<'_>> {
        let header = Header::of(key, value);
        let space = self.arena.allocate_here(&self.segment, header)?;
        Some(Staged::write(self, space, header, key, value))
    }

    /// Stores a value whose entry is not small. `true`: the key was new.
    ///
    /// # Errors
    /// As [`modify`](Self::modify).
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn insert_record(&self, key: &[u8], hash: Hash, value: &[u8]) -> Result<bool> {
        if key.len() + value.len() > SMALL {
            return self.insert_anyhow(key, value, None);
        }
        let (bucket, home) = probe::home(&self.segment, hash);
        home.prefetch();
        let mut record = None;
        if self.streak.is_long() || value.len() > WORD {
            record = self.write_record(key, value);
        }
        let locked = self.lock_at_once(hash.stripe(&self.segment))?;
        let found = match locked.glance(home, key, hash) {
            Glance::Small(slot, entry) | Glance::Record(slot, entry) => Some(Place {
                bucket,
                slot,
                entry,
            }),
            Glance::Absent => None,
            Glance::Undecided => {
                drop(locked);
                return self.insert_anyhow(key, value, record);
            }
        };
        if let Some(place) = found {
            if place.entry.lengths.replaceable_in_place(value.len()) {
                locked.store_in_place(&place.entry, record::word_from(value));
                self.streak.ends();
                return Ok(false);
            }
            if self.segment.geometry.needs_run(place.entry.lengths) {
                // Its chunks are given back when it is unlinked: not here.
                drop(locked);
                return self.insert_anyhow(key, value, record);
            }
        }
        if record.is_none() {
            record = self.write_record(key, value);
        }
        // Where it lies: a move would take as long as a look-up.
        let Some(written) = &record else {
            drop(locked);
            return self.insert_anyhow(key, value, None);
        };
        let new = New::Record(written.space());
        if let Some(place) = found {
            locked.replace(place, new);
        } else if locked.insert_at_home(home, hash, new) {
            self.streak.goes_on();
        } else {
            drop(locked);
            return self.insert_anyhow(key, value, record);
        }
        // Before the record is finished, which nobody waits for.
        drop(locked);
        Ok(found.is_none())
    }

    /// The same in any other case; the record may be written already.
    #[cold]
    #[inline(never)]
    fn insert_anyhow<'a>(
        &'a self,
        key: &[u8],
        value: &[u8],
        mut record: Option<Staged<'a>>,
    ) -> Result<bool> {
        let hash = Hash::of(&self.segment, key);
        if record.is_none() {
            record = self.stage_if_large(key, value)?;
        }
        let (new, _) = self.modify(key, hash, record, |current, _| {
            Ok((!current.is_present(), Change::Put(value)))
        })?;
        if !new {
            self.streak.ends();
        }
        Ok(new)
    }

    /// Adds to a counter that there is, and returns its value before.
    ///
    /// # Errors
    /// `LockTimeout`.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn add_at_once(&self, key: &[u8], hash: Hash, add: i64) -> Result<Option<i64>> {
        let (_, home) = probe::home(&self.segment, hash);
        home.prefetch();
        let locked = self.lock_at_once(hash.stripe(&self.segment))?;
        #[expect(clippy::match_same_arms, reason = "two copies, see `Glance`")]
        let before = match locked.glance(home, key, hash) {
            Glance::Small(_, entry) => add_to(&locked, entry, add),
            Glance::Record(_, entry) => add_to(&locked, entry, add),
            Glance::Absent => None,
            Glance::Undecided => return add_anywhere(locked, key, hash, add),
        };
        let Some(before) = before else {
            drop(locked);
            return Ok(None);
        };
        // Before the answer is made, which would lie in memory meanwhile.
        drop(locked);
        Ok(Some(before))
    }
}

/// Adds to a counter wherever it is. Takes the lock over: callers would keep it in memory for
/// one who borrows it.
#[cold]
#[inline(never)]
#[expect(clippy::needless_pass_by_value, reason = "see above")]
fn add_anywhere(locked: Locked<'_>, key: &[u8], hash: Hash, add: i64) -> Result<Option<i64>> {
    let found = locked.search(key, hash)?;
    Ok(found.and_then(|place| add_to(&locked, place.entry, add)))
}

/// Adds to the counter found, if it is one and can hold the sum.
#[inline(always)]
#[allow(clippy::inline_always)]
fn add_to(locked: &Locked<'_>, entry: Entry<'_>, add: i64) -> Option<i64> {
    let word = entry.value.first()?;
    if entry.lengths.value != WORD {
        return None;
    }
    let value = word.load(Ordering::Relaxed).cast_signed();
    let sum = value.checked_add(add)?;
    locked.store_in_place(&entry, sum.cast_unsigned());
    Some(value)
}
