//! Insertions of short records, where the key is in its home bucket and the chunk that is
//! being filled has room, and what all insertions fall back to.
//!
//! They do what [`Writer::modify`] does. What `modify` keeps for all other cases costs as
//! much as the write, so these are apart, and leave such cases to it.
//!
//! # What is done while the memory brings the bucket
//! A record is written before the stripe is locked, in the time that the bucket takes to
//! arrive, if it is likely to be needed. It turns out not to be if the bucket holds the entry
//! itself, or if one store replaces the value; then the record was written for nothing, and its
//! space is kept for another one. So a value that one store may replace is written beforehand only
//! after a [`Streak`](crate::write::streak::Streak) of new keys.

use crate::error::Result;
use crate::index::fast_path::Glance;
use crate::index::probe::{self, Hash};
use crate::index::slot::Content;
use crate::index::stripe_ops::{Locked, New, Place};
use crate::layout::WORD;
use crate::segment::record::{self, Lengths};
use crate::write::writer::Writer;
use crate::write::{Change, Staged};

impl Writer {
    /// Stores a value whose entry is small in place of one of another length. Apart: inlined,
    /// it would make `Table::insert` keep the lock's guard in memory.
    #[inline(never)]
    pub(crate) fn replace_by_small(
        &self,
        locked: Locked<'_>,
        place: Place<'_>,
        key: &[u8],
        hash: Hash,
        value: &[u8],
    ) -> Result<bool> {
        if place.entry.at().is_some() {
            if self.segment.geometry.needs_run(place.entry.lengths()) {
                // Its chunks are given back when it is unlinked: not here.
                drop(locked);
                return self.insert_slow(key, value, None);
            }
            let Some(content) = Content::small(key, value) else {
                drop(locked);
                return self.insert_slow(key, value, None);
            };
            locked.replace(place, hash, New::Small(content));
            return Ok(false);
        }
        // No one store leads from a small one to a small one.
        let Some(record) = self.write_record(key, value) else {
            drop(locked);
            return self.insert_slow(key, value, None);
        };
        locked.replace(place, hash, New::Record(record.space()));
        // Before the record is finished: no other thread waits for that.
        drop(locked);
        Ok(false)
    }

    /// Stores a value whose entry is small, and which is not in its home bucket or has no room
    /// there. `true`: the key was new.
    ///
    /// # Errors
    /// As [`modify`](Self::modify).
    #[cold]
    #[inline(never)]
    pub(crate) fn insert_small_elsewhere(
        &self,
        locked: Locked<'_>,
        key: &[u8],
        hash: Hash,
        value: &[u8],
        content: Content,
    ) -> Result<bool> {
        if locked.search(key, hash)?.is_some() {
            drop(locked);
            return self.insert_slow(key, value, None);
        }
        locked.insert(hash, New::Small(content))?;
        Ok(true)
    }

    /// As [`insert_small_elsewhere`](Self::insert_small_elsewhere), for an entry that is not small;
    /// its record may be written already.
    #[cold]
    #[inline(never)]
    fn insert_record_elsewhere<'a>(
        &'a self,
        mut record: Option<Staged<'a>>,
        locked: Locked<'_>,
        key: &[u8],
        hash: Hash,
        value: &[u8],
    ) -> Result<bool> {
        if locked.search(key, hash)?.is_none() {
            if record.is_none() {
                record = self.write_record(key, value);
            }
            if let Some(written) = &record {
                locked.insert(hash, New::Record(written.space()))?;
                self.streak.goes_on();
                return Ok(true);
            }
        }
        drop(locked);
        self.insert_slow(key, value, record)
    }

    /// Writes a record to the chunk that is being filled, if there is room for it.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn write_record(&self, key: &[u8], value: &[u8]) -> Option<Staged<'_>> {
        let lengths = Lengths::of(key, value);
        let space = self.arena.allocate_here(&self.segment, lengths)?;
        Some(Staged::write(self, space, lengths, key, value))
    }

    /// Stores a value whose entry is not small. `true`: the key was new.
    ///
    /// # Errors
    /// As [`modify`](Self::modify).
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn insert_record(&self, key: &[u8], hash: Hash, value: &[u8]) -> Result<bool> {
        if !Lengths::of(key, value).are_short() {
            return self.insert_slow(key, value, None);
        }
        let home = probe::home_to_lock(&self.segment, hash);
        home.bucket.prefetch();
        let mut record = None;
        if self.streak.is_long() || value.len() > WORD {
            record = self.write_record(key, value);
        }
        let locked = self.lock_unchecked(hash.stripe(&self.segment))?;
        let home = locked.home(home, hash);
        let found = match locked.glance(home.bucket, key, hash) {
            Glance::Small(slot, entry) | Glance::Record(slot, entry) => Some(Place {
                bucket: home.number,
                slot,
                entry,
            }),
            Glance::Absent => None,
            Glance::Undecided => {
                return self.insert_record_elsewhere(record, locked, key, hash, value);
            }
        };
        if let Some(place) = found {
            if place.entry.lengths().replaceable_in_place(value.len()) {
                locked.store_in_place(&place.entry, record::word_from(value));
                self.streak.ends();
                if let Some(written) = record {
                    written.keep_space();
                }
                return Ok(false);
            }
            if self.segment.geometry.needs_run(place.entry.lengths()) {
                // Its chunks are given back when it is unlinked: not here.
                drop(locked);
                return self.insert_slow(key, value, record);
            }
        }
        if record.is_none() {
            record = self.write_record(key, value);
        }
        // By reference: a move would take as long as a lookup.
        let Some(written) = &record else {
            drop(locked);
            return self.insert_slow(key, value, None);
        };
        let new = New::Record(written.space());
        if let Some(place) = found {
            if place.can_be_rewritten(Lengths::of(key, value)) {
                return Ok(self.rewrite(locked, place, hash, record));
            }
            locked.replace(place, hash, new);
        } else if locked.insert_at_home(home.bucket, hash, new) {
            self.streak.goes_on();
        } else {
            return self.insert_record_elsewhere(record, locked, key, hash, value);
        }
        // Before the record is finished: no other thread waits for that.
        drop(locked);
        Ok(found.is_none())
    }

    /// Stores the value of a record in the place of one with the same lengths. `false`: the key was
    /// not new.
    #[inline(never)]
    fn rewrite(
        &self,
        locked: Locked<'_>,
        place: Place<'_>,
        hash: Hash,
        record: Option<Staged<'_>>,
    ) -> bool {
        if let Some(record) = record {
            locked.rewrite(place, hash, record.space());
            drop(locked);
            record.keep_space();
        }
        self.streak.ends();
        false
    }

    /// Stores a value of several slices, which together with the key have more than
    /// [`SHORT`](record::SHORT) bytes. `true`: the key was new.
    ///
    /// # Errors
    /// As [`modify`](Self::modify).
    pub(crate) fn insert_slices(&self, key: &[u8], value: &[&[u8]]) -> Result<bool> {
        let hash = Hash::of(&self.segment, key);
        let record = self.stage(key, value)?;
        let (new, _) = self.modify(key, hash, Some(record), |current, _| {
            Ok((!current.is_present(), Change::Staged))
        })?;
        if !new {
            self.streak.ends();
        }
        Ok(new)
    }

    /// Stores a value in any case; the record may be written already.
    #[cold]
    #[inline(never)]
    pub(crate) fn insert_slow<'a>(
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
}
