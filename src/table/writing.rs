//! Methods of `Table` that write one key.

use super::Table;
use crate::error::{Error, Result};
use crate::index::fast_path::Glance;
use crate::index::probe::{self, Hash};
use crate::index::slot::Content;
use crate::index::stripe_ops::{New, Place};
use crate::segment::record::{self, SHORT, ValueSource};
use crate::write::Change;
use crate::write::writer::ReentrancyGuard;

/// Writing one key.
impl Table {
    /// Stores a value, and returns whether the key was new.
    ///
    /// A value of at most 8 bytes that keeps its length is replaced in place. A small entry (key
    /// and value have at most 15 bytes together, the value at most 8) is kept in the index and
    /// takes no other room, unless it replaces a small entry whose value has another length. Any
    /// other value that keeps its length stays in its place if key and value have at most 256 bytes
    /// together. All else takes new room, and what it replaces becomes garbage, which is cleaned up
    /// when room is short.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert!(table.insert(b"k", b"1")?);
    /// assert!(!table.insert(b"k", b"2")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `TableFull`, `ValueSpaceFull`, `SharedMemoryFull`, `KeyTooLarge`, `ValueTooLarge`. See
    /// [`Table`] for the rest.
    #[inline]
    pub fn insert(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        self.insert_bytes(key.as_ref(), value.as_ref())
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn insert_bytes(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        let Some(content) = Content::small(key, value) else {
            return self.insert_record(key, value);
        };
        let writer = self.writer()?;
        writer.check_sizes(key, value.len())?;
        let hash = Hash::of(&writer.segment, key);
        let home = probe::home_to_lock(&writer.segment, hash);
        home.bucket.prefetch();
        let locked = writer.lock_unchecked(hash.stripe(&writer.segment))?;
        let home = locked.home(home, hash);
        let (slot, entry) = match locked.glance(home.bucket, key, hash) {
            Glance::Small(slot, entry) | Glance::Record(slot, entry) => (slot, entry),
            Glance::Absent if locked.insert_at_home(home.bucket, hash, New::Small(content)) => {
                return Ok(true);
            }
            Glance::Absent | Glance::Undecided => {
                return writer.insert_small_elsewhere(locked, key, hash, value, content);
            }
        };
        if entry.lengths().replaceable_in_place(value.len()) {
            locked.store_in_place(&entry, record::word_from(value));
            return Ok(false);
        }
        let place = Place {
            bucket: home.number,
            slot,
            entry,
        };
        writer.replace_by_small(locked, place, key, hash, value)
    }

    /// Stores a value whose entry needs a record. Apart, so that callers' compilers inline the
    /// rest of an insertion.
    #[inline(never)]
    fn insert_record(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        let writer = self.writer()?;
        writer.check_sizes(key, value.len())?;
        let hash = Hash::of(&writer.segment, key);
        writer.insert_record(key, hash, value)
    }

    /// Stores a value that is given in several slices, and returns whether the key was new.
    ///
    /// The value is the bytes of the slices, one slice after another. A long value is copied to the
    /// segment straight from the slices, without being joined first: a header and its body, say.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert_slices(b"k", &[b"head", b"", b"body"])?;
    /// assert_eq!(table.get(b"k")?, Some(b"headbody".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_slices(&self, key: impl AsRef<[u8]>, value: &[&[u8]]) -> Result<bool> {
        let key = key.as_ref();
        if key.len().saturating_add(value.length()) <= SHORT {
            return self.insert_bytes(key, &value.concat());
        }
        self.writer()?.insert_slices(key, value)
    }

    /// Stores a value if the key has none, and returns whether it did.
    ///
    /// If several processes try at once, exactly one of them gets `true`.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert!(table.try_insert(b"claim", b"process 1")?);
    /// assert!(!table.try_insert(b"claim", b"process 2")?);
    /// assert_eq!(table.get(b"claim")?, Some(b"process 1".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    #[inline]
    pub fn try_insert(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        self.try_insert_bytes(key.as_ref(), value.as_ref())
    }

    fn try_insert_bytes(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        let writer = self.writer()?;
        writer.check_sizes(key, value.len())?;
        if self.length_of(key)?.is_some() {
            return Ok(false);
        }
        let hash = Hash::of(self.segment(), key);
        let staged = writer.stage_if_large(key, value)?;
        let (won, _) = writer.modify(key, hash, staged, |current, _| {
            Ok(if current.is_present() {
                (false, Change::Keep)
            } else {
                (true, Change::Put(value))
            })
        })?;
        Ok(won)
    }

    /// Stores a value, and returns the one that it replaced; `None` if the key was new.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert_eq!(table.replace(b"k", b"1")?, None);
    /// assert_eq!(table.replace(b"k", b"2")?, Some(b"1".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    #[inline]
    pub fn replace(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Option<Vec<u8>>> {
        self.replace_bytes(key.as_ref(), value.as_ref())
    }

    fn replace_bytes(&self, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>> {
        let writer = self.writer()?;
        let hash = Hash::of(self.segment(), key);
        let staged = writer.stage_if_large(key, value)?;
        let (old, _) = writer.modify(key, hash, staged, |current, _| {
            Ok((current.read()?, Change::Put(value)))
        })?;
        Ok(old)
    }

    /// Removes a key, and returns whether it was there.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// assert!(table.remove(b"k")?);
    /// assert!(!table.remove(b"k")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    #[inline]
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.remove_bytes(key.as_ref())
    }

    fn remove_bytes(&self, key: &[u8]) -> Result<bool> {
        let writer = self.writer()?;
        let hash = Hash::of(self.segment(), key);
        let (removed, _) = writer.modify(key, hash, None, |current, _| {
            Ok((current.is_present(), Change::Remove))
        })?;
        Ok(removed)
    }

    /// Removes a key if a closure says so of its value, and returns whether it was removed.
    ///
    /// This is one step for all processes. The closure runs under the stripe's lock: keep it short.
    /// It may read this table; writing to it fails with `Reentrant`. The closure isn't called for
    /// an absent key. If it panics, nothing has changed. If it forks, the call returns `Reentrant`
    /// in the child.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"session", b"expired")?;
    /// assert!(!table.remove_if(b"session", |value| value == b"open")?);
    /// assert!(table.remove_if(b"session", |value| value == b"expired")?);
    /// assert!(!table.remove_if(b"session", |_| true)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn remove_if(
        &self,
        key: impl AsRef<[u8]>,
        mut condition: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool> {
        let key = key.as_ref();
        let writer = self.writer()?;
        let hash = Hash::of(self.segment(), key);
        let (removed, _) = writer.modify(key, hash, None, |current, _| {
            let Some(value) = current.read()? else {
                return Ok((false, Change::Keep));
            };
            let held = ReentrancyGuard::new(self.segment());
            let goes = condition(&value);
            drop(held);
            Ok((goes, if goes { Change::Remove } else { Change::Keep }))
        })?;
        Ok(removed)
    }

    /// Removes a key, and returns its value.
    ///
    /// If several processes try at once, exactly one of them gets the value.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"job", b"sweep")?;
    /// assert_eq!(table.take(b"job")?, Some(b"sweep".to_vec()));
    /// assert_eq!(table.take(b"job")?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    #[inline]
    pub fn take(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.take_bytes(key.as_ref())
    }

    fn take_bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let writer = self.writer()?;
        let hash = Hash::of(self.segment(), key);
        let (value, _) = writer.modify(key, hash, None, |current, _| {
            Ok((current.read()?, Change::Remove))
        })?;
        Ok(value)
    }

    /// Replaces a value by the one that a closure computes from it, in one step for all processes.
    ///
    /// The closure gets `None` for an absent key. The value that it returns is stored, and
    /// returned; if it returns `None`, the key is removed or stays absent.
    ///
    /// The closure runs under the stripe's lock: keep it short. It may read this table; writing to
    /// it fails with `Reentrant`. If it panics, the lock is released and nothing has changed. It
    /// runs a second time only if room had to be made for its result and the value changed while
    /// that happened. If it forks, the call returns `Reentrant` in the child.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let append = |old: Option<&[u8]>| Some([old.unwrap_or_default(), b"x"].concat());
    /// assert_eq!(table.update(b"k", append)?, Some(b"x".to_vec()));
    /// assert_eq!(table.update(b"k", append)?, Some(b"xx".to_vec()));
    /// assert_eq!(table.update(b"k", |_| None)?, None);
    /// assert!(!table.contains_key(b"k")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn update<F>(&self, key: impl AsRef<[u8]>, mut change: F) -> Result<Option<Vec<u8>>>
    where
        F: FnMut(Option<&[u8]>) -> Option<Vec<u8>>,
    {
        self.try_update_bytes(key.as_ref(), |old| Ok(change(old)))
    }

    /// Replaces a value as [`update`](Self::update) does, by a closure that may fail.
    ///
    /// If the closure fails, nothing has changed and its error is returned. The error is of a type
    /// of your own that implements `From<Error>`, or [`Error`] itself. Where the compiler can't
    /// infer the type, write it down: `try_update::<_, MyError>(..)`.
    ///
    /// ```
    /// use shmtable::{Error, Options};
    ///
    /// #[derive(Debug)]
    /// enum WithdrawError {
    ///     NotEnough,
    ///     Table(Error),
    /// }
    ///
    /// impl From<Error> for WithdrawError {
    ///     fn from(error: Error) -> Self {
    ///         Self::Table(error)
    ///     }
    /// }
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// let coins = Options::new().capacity(100).create_anonymous()?;
    /// coins.insert("ann", [3])?;
    /// let withdraw = |amount: u8| {
    ///     coins.try_update("ann", |old| {
    ///         let has = old.and_then(|old| old.first()).unwrap_or(&0);
    ///         let left = has.checked_sub(amount).ok_or(WithdrawError::NotEnough)?;
    ///         Ok(Some(vec![left]))
    ///     })
    /// };
    /// assert!(matches!(withdraw(2), Ok(Some(left)) if left == [1]));
    /// assert!(matches!(withdraw(2), Err(WithdrawError::NotEnough)));
    /// assert_eq!(coins.get("ann")?, Some(vec![1]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The closure's error; otherwise as [`insert`](Self::insert).
    pub fn try_update<F, E>(&self, key: impl AsRef<[u8]>, change: F) -> Result<Option<Vec<u8>>, E>
    where
        F: FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>, E>,
        E: From<Error>,
    {
        self.try_update_bytes(key.as_ref(), change)
    }

    fn try_update_bytes<F, E>(&self, key: &[u8], mut change: F) -> Result<Option<Vec<u8>>, E>
    where
        F: FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>, E>,
        E: From<Error>,
    {
        let writer = self.writer()?;
        writer.check_sizes(key, 0)?;
        let hash = Hash::of(self.segment(), key);
        let (mut seen, mut failed) = (None, None);
        let outcome = writer.modify(key, hash, None, |current, undone| {
            if let (Some(computed), Some(old)) = (undone, &seen)
                && current.is(Option::as_deref(old))
            {
                // Room has been made, and the value is what it was.
                return Ok(((), computed));
            }
            let old = current.read()?;
            let held = ReentrancyGuard::new(self.segment());
            let new = change(old.as_deref());
            drop(held);
            seen = Some(old);
            let change = match new {
                Ok(new) => new.map_or(Change::Remove, Change::Computed),
                Err(error) => {
                    failed = Some(error);
                    Change::Keep
                }
            };
            Ok(((), change))
        });
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(match outcome?.1 {
            Change::Computed(value) => Some(value),
            _ => None,
        })
    }

    /// Stores `new` if the value is `expected`; otherwise the inner error is the value that was
    /// found.
    ///
    /// `None` stands for an absent key in all three. Takes no lock if the value isn't the expected
    /// one.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert_eq!(table.compare_exchange(b"k", None, Some(b"1"))?, Ok(()));
    /// assert_eq!(
    ///     table.compare_exchange(b"k", Some(b"0"), Some(b"2"))?,
    ///     Err(Some(b"1".to_vec()))
    /// );
    /// assert_eq!(table.compare_exchange(b"k", Some(b"1"), None)?, Ok(()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    #[inline]
    pub fn compare_exchange(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<std::result::Result<(), Option<Vec<u8>>>> {
        self.compare_exchange_bytes(key.as_ref(), expected, new)
    }

    fn compare_exchange_bytes(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<std::result::Result<(), Option<Vec<u8>>>> {
        let writer = self.writer()?;
        writer.check_sizes(key, new.map_or(0, <[u8]>::len))?;
        let now = self.get_bytes(key)?;
        if now.as_deref() != expected {
            return Ok(Err(now));
        }
        let hash = Hash::of(self.segment(), key);
        let staged = match new {
            Some(value) => writer.stage_if_large(key, value)?,
            None => None,
        };
        let (outcome, _) = writer.modify(key, hash, staged, |current, _| {
            Ok(if current.is(expected) {
                (Ok(()), new.map_or(Change::Remove, Change::Put))
            } else {
                (Err(current.read()?), Change::Keep)
            })
        })?;
        Ok(outcome)
    }
}
