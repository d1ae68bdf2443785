//! Writes: stage a record, lock the stripe, publish one word.
//!
//! A large record whose value is known beforehand is staged (space taken, bytes
//! written) before the lock is taken, so that the critical section does not grow
//! with the value. A small one, and one whose value depends on what is found, is
//! staged under the lock, in room that is there already. If there is none, the
//! lock is released, room is made, and the whole decision is taken again.
//!
//! Insertions and additions to counters take a shorter way first: see `index::fast_path`,
//! and `insert` for records.

pub(crate) mod claims;
mod clean;
mod insert;
mod shrink;
mod streak;
pub(crate) mod writer;

use crate::arena::{Purpose, Space};
use crate::error::{Error, Result};
use crate::index::probe::Hash;
use crate::index::stripe_ops::{Locked, New, Place};
use crate::layout::WORD;
use crate::segment::record::{self, Lengths, ValueSource};
use crate::sync::Ordering;
use crate::write::clean::Effort;
use crate::write::writer::Writer;

/// A record that is written and not yet published. Dropping it gives it up.
pub(crate) struct Staged<'a> {
    writer: &'a Writer,
    space: Space,
    lengths: Lengths,
}

impl<'a> Staged<'a> {
    /// Writes a record to its space, where its header is already.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn write(
        writer: &'a Writer,
        space: Space,
        lengths: Lengths,
        key: &[u8],
        value: impl ValueSource,
    ) -> Self {
        let staged = Self {
            writer,
            space,
            lengths,
        };
        let words = &writer.segment.words()[space.at..space.at + lengths.words()];
        record::write_body(words, lengths, key, value);
        staged
    }

    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    /// Gives the record up, and keeps its space for another one. No slot may lead to it.
    pub(crate) fn keep_space(self) {
        let (writer, space) = (self.writer, self.space);
        // Dropping it would give its space up.
        std::mem::forget(self);
        writer.arena.keep(&writer.segment, &writer.me, space);
    }

    /// Writes another value of the same length: no reader has seen the first one.
    fn overwrite(&self, value: &[u8]) {
        let at = self.space.at + self.lengths.value_at();
        record::store_bytes(&self.writer.segment.words()[at..], value);
    }
}

impl Drop for Staged<'_> {
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn drop(&mut self) {
        self.writer
            .arena
            .finish(&self.writer.segment, &self.writer.me, &self.space);
    }
}

/// What a write does to its key.
pub(crate) enum Change<'v> {
    /// Nothing.
    Keep,
    Remove,
    /// Store this value, which was known before the lock was taken.
    Put(&'v [u8]),
    /// Publish the record that was staged before the lock was taken.
    Staged,
    /// Store this value, made from what was found.
    Computed(Vec<u8>),
    /// Store this counter, made from what was found.
    Counter([u8; WORD]),
}

/// What a write finds under its key.
pub(crate) struct Current<'p>(Option<Place<'p>>);

impl Current<'_> {
    pub(crate) fn is_present(&self) -> bool {
        self.0.is_some()
    }

    /// The value as a counter; `None` is absence.
    pub(crate) fn counter(&self) -> Result<Option<i64>> {
        let Some(place) = &self.0 else {
            return Ok(None);
        };
        if place.entry.lengths().value != WORD {
            return Err(Error::NotACounter {
                length: place.entry.lengths().value,
                size: WORD,
            });
        }
        let word = place.entry.value_words().first();
        let value = word.map_or(0, |word| word.load(Ordering::Relaxed));
        Ok(Some(value.cast_signed()))
    }

    /// A copy of the value.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>> {
        self.0.map(|place| place.entry.value()).transpose()
    }

    /// Whether this is the value; `None` is absence.
    pub(crate) fn is(&self, expected: Option<&[u8]>) -> bool {
        match (&self.0, expected) {
            (None, None) => true,
            (Some(place), Some(value)) => place.entry.has_value(value),
            _ => false,
        }
    }
}

impl Change<'_> {
    /// What the value found becomes by one store, if it can: see
    /// [`Lengths::replaceable_in_place`].
    #[inline]
    fn in_place(&self, found: Lengths) -> Option<u64> {
        let value = match self {
            // What is staged by itself is longer than a store.
            Change::Keep | Change::Remove | Change::Staged => return None,
            Change::Put(value) => *value,
            Change::Computed(value) => value,
            Change::Counter(value) => value,
        };
        found
            .replaceable_in_place(value.len())
            .then(|| record::word_from(value))
    }
}

impl Writer {
    /// Refuses keys and values that no table, or not this one, can hold.
    #[inline]
    pub(crate) fn check_sizes(&self, key: &[u8], value: usize) -> Result<()> {
        let geometry = &self.segment.geometry;
        if key.len() <= geometry.max_key && value <= geometry.max_entry - key.len() {
            return Ok(());
        }
        Err(self.too_large(key.len(), value))
    }

    #[cold]
    fn too_large(&self, key: usize, value: usize) -> Error {
        let geometry = &self.segment.geometry;
        if key > geometry.max_key {
            Error::KeyTooLarge {
                limit: geometry.max_key,
                size: key,
            }
        } else {
            Error::ValueTooLarge {
                limit: geometry.max_entry - key,
                size: value,
            }
        }
    }

    /// Writes a record, making room for it if need be. No lock may be held.
    pub(crate) fn stage(&self, key: &[u8], value: impl ValueSource) -> Result<Staged<'_>> {
        let lengths = Lengths::of(key, value);
        let words = lengths.words();
        let mut effort = Effort::default();
        loop {
            match self.try_stage(key, value) {
                Ok(Some(staged)) => return Ok(staged),
                Ok(None) => {}
                Err(error) => effort.refused(error)?,
            }
            self.make_room(words, &mut effort)?;
        }
    }

    /// Writes a record if there is room already.
    fn try_stage(&self, key: &[u8], value: impl ValueSource) -> Result<Option<Staged<'_>>> {
        self.check_sizes(key, value.length())?;
        self.check()?;
        let lengths = Lengths::of(key, value);
        let Some(space) = self
            .arena
            .allocate(&self.segment, &self.me, lengths, &Purpose::Write)?
        else {
            return Ok(None);
        };
        Ok(Some(Staged::write(self, space, lengths, key, value)))
    }

    /// Finds `key` under its stripe's lock, lets `decide` say what to do, and does
    /// it. If room must be made for what it wanted, `decide` runs again and gets
    /// what it said the time before.
    ///
    /// What was decided comes back with the result, so that a computed value is
    /// not copied.
    pub(crate) fn modify<'a, 'v, R>(
        &'a self,
        key: &[u8],
        hash: Hash,
        mut staged: Option<Staged<'a>>,
        mut decide: impl FnMut(Current<'_>, Option<Change<'v>>) -> Result<(R, Change<'v>)>,
    ) -> Result<(R, Change<'v>)> {
        let mut undone = None;
        loop {
            let locked = self.lock(hash.stripe(&self.segment))?;
            let found = locked.find(key, hash)?;
            let decided = decide(Current(found), undone.take());
            // It may have taken long.
            locked.check()?;
            let (result, change) = decided?;
            if !locked.is_ours() {
                // The closure forked, and this is the child: the lock is the
                // parent's, and so is the change.
                return Err(Error::Reentrant);
            }
            if let Some(place) = found
                && let Some(word) = change.in_place(place.entry.lengths())
            {
                locked.store_in_place(&place.entry, word);
                return Ok((result, change));
            }
            let value = match &change {
                Change::Keep => return Ok((result, change)),
                Change::Remove => {
                    if let Some(place) = found {
                        locked.remove(place, hash);
                        drop(locked);
                        self.reclaim(place);
                        self.note_removed(&place);
                    }
                    return Ok((result, change));
                }
                Change::Put(value) => *value,
                // Its bytes are in its record.
                Change::Staged => &[],
                Change::Computed(value) => value,
                Change::Counter(value) => value,
            };
            if matches!(change, Change::Computed(_) | Change::Counter(_)) {
                // What was staged for an earlier decision may differ.
                staged = staged.filter(|staged| staged.lengths.value == value.len());
                if let Some(staged) = &staged {
                    staged.overwrite(value);
                }
            }
            if self.put(&locked, found, key, hash, value, &mut staged)? {
                drop(locked);
                if let Some(place) = found {
                    self.reclaim(place);
                }
                return Ok((result, change));
            }
            drop(locked);
            staged = Some(self.stage(key, value)?);
            undone = Some(change);
        }
    }

    /// Publishes a value: in its slot if it can be there and has no record yet; `false` if
    /// there is no room for a record.
    fn put<'a>(
        &'a self,
        locked: &Locked<'_>,
        found: Option<Place<'_>>,
        key: &[u8],
        hash: Hash,
        value: &[u8],
        staged: &mut Option<Staged<'a>>,
    ) -> Result<bool> {
        let publish = |new: New<'_>| match found {
            Some(place) => {
                locked.replace(place, hash, new);
                Ok(())
            }
            None => locked.insert(hash, new),
        };
        if staged.is_none()
            && let Some(small) = New::small(found, key, value)
        {
            publish(small)?;
            return Ok(true);
        }
        let record = match staged.take() {
            Some(staged) => staged,
            None => match self.try_stage(key, value) {
                Ok(Some(staged)) => staged,
                Ok(None) | Err(Error::SharedMemoryFull { .. } | Error::MaxBytesReached { .. }) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            },
        };
        if let Some(place) = found
            && record.lengths.are_short()
            && place.can_be_rewritten(record.lengths)
        {
            locked.rewrite(place, hash, record.space());
            record.keep_space();
            return Ok(true);
        }
        publish(New::Record(&record.space))?;
        Ok(true)
    }

    /// Gives the chunks of a large record back as soon as it is unlinked. Failing
    /// that, cleaning will.
    fn reclaim(&self, place: Place<'_>) {
        let geometry = &self.segment.geometry;
        if let Some(at) = place.entry.at()
            && geometry.needs_run(place.entry.lengths())
        {
            let chunk = geometry.chunk_of(at);
            let _ = self.clean(chunk, &Purpose::Move { away_from: 0..0 });
        }
    }

    /// Writes a record before the lock is taken, unless it is small.
    pub(crate) fn stage_if_large(&self, key: &[u8], value: &[u8]) -> Result<Option<Staged<'_>>> {
        self.check_sizes(key, value.len())?;
        if Lengths::of(key, value).are_short() {
            return Ok(None);
        }
        self.stage(key, value).map(Some)
    }
}
