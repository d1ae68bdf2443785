//! How every write goes: stage a record, lock the stripe, publish one word.
//!
//! A record whose value is known beforehand is staged (space taken, bytes
//! written) before the lock is taken, so that the critical section does not grow
//! with the value. A small one, and one whose value depends on what is found, is
//! staged under the lock, in room that is there already; if there is none, the
//! lock is let go of, room is made, and the whole decision is taken again.

use crate::arena::{Purpose, Space};
use crate::clean::Effort;
use crate::error::{Error, Result};
use crate::index::locked::{self, Locked, Place};
use crate::index::probe::Hash;
use crate::index::read::Found;
use crate::layout::WORD;
use crate::record::{self, Header};
use crate::sync::{Ordering, crash_point};
use crate::writer::Writer;

/// Bytes of key and value up to which a record is staged under the lock: writing
/// so little costs less than staging it in vain when it turns out that a value can
/// be replaced in place. Models have both kinds.
const SMALL: usize = if cfg!(loom) { 9 } else { 256 };

/// A record that is written and not yet published. Dropping it gives it up.
pub(crate) struct Staged<'a> {
    writer: &'a Writer,
    space: Space,
    header: Header,
}

impl Staged<'_> {
    /// Makes it a record of `value`, which a change asks for now, if the lengths allow.
    fn made_for(self, change: &Change<'_>, value: &[u8]) -> Option<Self> {
        if matches!(change, Change::Put(_)) {
            return Some(self);
        }
        // What was staged for an earlier decision may differ, and nobody has seen it.
        if self.header.value != value.len() {
            return None;
        }
        let at = self.space.at + self.header.value_at();
        record::store_bytes(&self.writer.segment.words()[at..], value);
        Some(self)
    }
}

impl Drop for Staged<'_> {
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
    /// Store this value, made from what was found.
    Computed(Vec<u8>),
    /// The same for a counter, without an allocation.
    Counter(i64),
}

/// What a write finds under its key.
pub(crate) struct Current<'p>(Option<Place<'p>>);

impl Current<'_> {
    pub(crate) fn is_present(&self) -> bool {
        self.0.is_some()
    }

    /// The value as a counter; absent is 0.
    pub(crate) fn counter(&self) -> Result<i64> {
        let Some(place) = &self.0 else {
            return Ok(0);
        };
        if place.record.header.value != WORD {
            return Err(Error::NotACounter {
                length: place.record.header.value,
            });
        }
        let word = place.record.value.first();
        Ok(word.map_or(0, |word| word.load(Ordering::Relaxed)) as i64)
    }

    /// A copy of the value.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>> {
        self.0.map(locked::value_of).transpose()
    }

    /// Whether this is the value; `None` is absence.
    pub(crate) fn is(&self, expected: Option<&[u8]>) -> bool {
        match (&self.0, expected) {
            (None, None) => true,
            (Some(place), Some(value)) => {
                place.record.header.value == value.len()
                    && record::equal_bytes(place.record.value, value)
            }
            _ => false,
        }
    }
}

/// What came of one try to modify.
enum Tried<'v, R> {
    Done(R, Change<'v>),
    /// There is no room for what was decided.
    NoRoom(Change<'v>),
}

impl Change<'_> {
    /// The value to store, if it is to store one; `counter` is where a counter's is made.
    #[inline]
    fn value<'s>(&'s self, counter: &'s mut [u8; WORD]) -> Option<&'s [u8]> {
        match self {
            Change::Keep | Change::Remove => None,
            Change::Put(value) => Some(value),
            Change::Computed(value) => Some(value),
            Change::Counter(value) => {
                *counter = value.to_le_bytes();
                Some(counter)
            }
        }
    }

    /// The word that the value found becomes by one store, if it can: see
    /// [`Header::replaceable_in_place`].
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn in_place(&self, found: Header) -> Option<u64> {
        let value = match self {
            Change::Keep | Change::Remove => return None,
            Change::Counter(value) => {
                return found
                    .replaceable_in_place(WORD)
                    .then_some(value.cast_unsigned());
            }
            Change::Put(value) => *value,
            Change::Computed(value) => value,
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
    pub(crate) fn stage(&self, key: &[u8], value: &[u8]) -> Result<Staged<'_>> {
        let header = Header {
            key: key.len(),
            value: value.len(),
        };
        let words = self.segment.geometry.record_words(header);
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
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn try_stage(&self, key: &[u8], value: &[u8]) -> Result<Option<Staged<'_>>> {
        self.check_sizes(key, value.len())?;
        let header = Header {
            key: key.len(),
            value: value.len(),
        };
        let Some(space) = self
            .arena
            .allocate(&self.segment, &self.me, header, &Purpose::Write)?
        else {
            return Ok(None);
        };
        let staged = Staged {
            writer: self,
            space,
            header,
        };
        let words = &self.segment.words()[space.at..space.at + header.words()];
        record::store_bytes(&words[1..], key);
        crash_point!("stage: key written");
        record::store_bytes(&words[header.value_at()..], value);
        crash_point!("stage: value written");
        Ok(Some(staged))
    }

    /// Finds `key` under its stripe's lock, lets `decide` say what to do, and does
    /// it. If room must be made for what it wanted, `decide` runs again and gets
    /// what it said the time before.
    ///
    /// What was decided comes back with the result, so that a computed value is
    /// not copied.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn modify<'a, 'v, R>(
        &'a self,
        key: &[u8],
        hash: Hash,
        staged: Option<Staged<'a>>,
        mut decide: impl FnMut(Current<'_>, Option<Change<'v>>) -> Result<(R, Change<'v>)>,
    ) -> Result<(R, Change<'v>)> {
        match self.try_modify(key, hash, staged, |current| decide(current, None))? {
            Tried::Done(result, change) => Ok((result, change)),
            Tried::NoRoom(change) => self.modify_with_room(key, hash, change, decide),
        }
    }

    /// The same after room was made, which others may take.
    #[cold]
    fn modify_with_room<'v, R>(
        &self,
        key: &[u8],
        hash: Hash,
        mut undone: Change<'v>,
        mut decide: impl FnMut(Current<'_>, Option<Change<'v>>) -> Result<(R, Change<'v>)>,
    ) -> Result<(R, Change<'v>)> {
        loop {
            let staged = match undone.value(&mut [0; WORD]) {
                Some(value) => Some(self.stage(key, value)?),
                None => None,
            };
            let decide = |current: Current<'_>| decide(current, Some(undone));
            match self.try_modify(key, hash, staged, decide)? {
                Tried::Done(result, change) => return Ok((result, change)),
                Tried::NoRoom(change) => undone = change,
            }
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn try_modify<'a, 'v, R>(
        &'a self,
        key: &[u8],
        hash: Hash,
        staged: Option<Staged<'a>>,
        decide: impl FnOnce(Current<'_>) -> Result<(R, Change<'v>)>,
    ) -> Result<Tried<'v, R>> {
        let locked = self.lock(hash.stripe(&self.segment))?;
        let found = match locked.find_at_home(key, hash) {
            Found::Present(place) => Some(place),
            Found::Absent => None,
            Found::Undecided => {
                return self.try_modify_elsewhere(locked, key, hash, staged, decide);
            }
        };
        self.carry_out(locked, found, key, hash, staged, decide)
    }

    /// The rest of a try whose key is not where keys nearly always are.
    #[cold]
    fn try_modify_elsewhere<'a, 'v, R>(
        &'a self,
        locked: Locked<'a>,
        key: &[u8],
        hash: Hash,
        staged: Option<Staged<'a>>,
        decide: impl FnOnce(Current<'_>) -> Result<(R, Change<'v>)>,
    ) -> Result<Tried<'v, R>> {
        let found = locked.find(key, hash)?;
        self.carry_out(locked, found, key, hash, staged, decide)
    }

    /// Lets `decide` say what to do with what was found, and does it.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn carry_out<'a, 'v, R>(
        &'a self,
        locked: Locked<'a>,
        found: Option<Place<'a>>,
        key: &[u8],
        hash: Hash,
        staged: Option<Staged<'a>>,
        decide: impl FnOnce(Current<'_>) -> Result<(R, Change<'v>)>,
    ) -> Result<Tried<'v, R>> {
        let (result, change) = decide(Current(found))?;
        if !locked.is_ours() {
            // The closure forked, and this is the child: the lock is the
            // parent's, and so is the change.
            return Err(Error::Reentrant);
        }
        if let Some(place) = found
            && let Some(word) = change.in_place(place.record.header)
        {
            locked.store_in_place(place, word);
            return Ok(Tried::Done(result, change));
        }
        let done = match (change.value(&mut [0; WORD]), found) {
            (Some(value), _) => {
                let staged = staged.and_then(|staged| staged.made_for(&change, value));
                self.put(&locked, found, key, hash, value, staged)?
            }
            (None, Some(place)) if matches!(change, Change::Remove) => {
                locked.remove(place, hash);
                true
            }
            (None, _) => return Ok(Tried::Done(result, change)),
        };
        drop(locked);
        if !done {
            return Ok(Tried::NoRoom(change));
        }
        if let Some(place) = found {
            self.reclaim(place);
        }
        Ok(Tried::Done(result, change))
    }

    /// Publishes a record of a value; `false` if there is no room for it.
    fn put<'a>(
        &'a self,
        locked: &Locked<'_>,
        found: Option<Place<'_>>,
        key: &[u8],
        hash: Hash,
        value: &[u8],
        staged: Option<Staged<'a>>,
    ) -> Result<bool> {
        let record = match staged {
            Some(staged) => staged,
            None => match self.try_stage(key, value) {
                Ok(Some(staged)) => staged,
                Ok(None) | Err(Error::SharedMemoryFull { .. }) => return Ok(false),
                Err(error) => return Err(error),
            },
        };
        match found {
            Some(place) => locked.replace(place, &record.space),
            None => locked.insert(hash, &record.space)?,
        }
        Ok(true)
    }

    /// Gives the chunks of a large record back as soon as it is unlinked. Failing
    /// that, cleaning will.
    fn reclaim(&self, place: Place<'_>) {
        let geometry = &self.segment.geometry;
        if geometry.record_words(place.record.header) > geometry.chunk_words {
            let chunk = geometry.chunk_of(place.at);
            let _ = self.clean(chunk, &Purpose::Move { away_from: 0..0 });
        }
    }

    /// Writes a record before the lock is taken, unless it is small.
    pub(crate) fn stage_if_large(&self, key: &[u8], value: &[u8]) -> Result<Option<Staged<'_>>> {
        self.check_sizes(key, value.len())?;
        if key.len() + value.len() <= SMALL {
            return Ok(None);
        }
        self.stage(key, value).map(Some)
    }
}
