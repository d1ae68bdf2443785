//! Operations on one key.

use std::borrow::Borrow;
use std::time::Duration;

use super::TypedTable;
use super::codec::{Codec, check_length, decode, decode_vec, encode, encode_value};
use crate::{Error, Result};

/// The length of the longest value that is read into the stack.
const STACK: usize = 64;

/// Operations on one entry: each is linearizable, across threads and processes.
impl<K: Codec + ?Sized, V: Codec + ?Sized> TypedTable<K, V> {
    /// Stores a value, and returns whether the key was new.
    ///
    /// A value that is replaced is not decoded. Locks, cost and guarantees are those of
    /// [`Table::insert`](crate::Table::insert).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` or `value` cannot be
    /// encoded, and those of `Table::insert`. The table is unchanged then.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let ages = TypedTable::<str, u8>::create_anonymous(Options::new().capacity(10))?;
    /// assert!(ages.insert("ann", &41)?);
    /// assert!(!ages.insert("ann", &42)?);
    /// assert_eq!(ages.get("ann")?, Some(42));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    #[inline]
    pub fn insert(&self, key: &K::Item, value: &V::Item) -> Result<bool> {
        let key = encode::<K>(key)?;
        let value = encode_value::<V>(key.as_ref(), value)?;
        self.table.insert(key.as_ref(), value.as_ref())
    }

    /// Stores a value if the key has none, and returns whether it did.
    ///
    /// Of all callers in all processes, exactly one gets `true`. An existing value is not decoded.
    /// Locks, cost and guarantees are those of [`Table::try_insert`](crate::Table::try_insert).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` or `value` cannot be
    /// encoded, and those of `Table::try_insert`. The table is unchanged then.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let claims = TypedTable::<str, u32>::create_anonymous(Options::new().capacity(10))?;
    /// assert!(claims.try_insert("part 7", &std::process::id())?);
    /// assert!(!claims.try_insert("part 7", &0)?);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    #[inline]
    pub fn try_insert(&self, key: &K::Item, value: &V::Item) -> Result<bool> {
        let key = encode::<K>(key)?;
        let value = encode_value::<V>(key.as_ref(), value)?;
        self.table.try_insert(key.as_ref(), value.as_ref())
    }

    /// Returns the value of a key, or `None`.
    ///
    /// Takes no lock and writes nothing to shared memory, as [`Table::get`](crate::Table::get). A
    /// value whose codec has a [`LENGTH`](Codec::LENGTH) of up to 64 bytes is read without
    /// allocating.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` cannot be encoded or the
    /// value cannot be decoded, and those of `Table::get`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let names = TypedTable::<u32, str>::create_anonymous(Options::new().capacity(10))?;
    /// names.insert(&7, "seven")?;
    /// assert_eq!(names.get(&7)?.as_deref(), Some("seven"));
    /// assert_eq!(names.get(&8)?, None);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    #[inline]
    pub fn get(&self, key: &K::Item) -> Result<Option<V::Owned>> {
        let key = encode::<K>(key)?;
        match V::LENGTH {
            Some(length) if length <= STACK => {
                let mut buffer = [0; STACK];
                let value = &mut buffer[..length];
                let Some(found) = self.table.get_into_slice(key.as_ref(), value)? else {
                    return Ok(None);
                };
                check_length::<V>("decode", Some(key.as_ref()), found)?;
                decode::<V>(key.as_ref(), value).map(Some)
            }
            _ => owned::<V>(key.as_ref(), self.table.get(&key)?),
        }
    }

    /// Returns whether a key has a value.
    ///
    /// Takes no lock, decodes nothing and costs what
    /// [`Table::contains_key`](crate::Table::contains_key) costs.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` cannot be encoded, and
    /// those of `Table::contains_key`.
    #[inline]
    pub fn contains_key(&self, key: &K::Item) -> Result<bool> {
        self.table.contains_key(encode::<K>(key)?.as_ref())
    }

    /// Removes a key, and returns whether it was there.
    ///
    /// The value is not decoded. Locks, cost and guarantees are those of
    /// [`Table::remove`](crate::Table::remove).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` cannot be encoded, and
    /// those of `Table::remove`. The table is unchanged then.
    #[inline]
    pub fn remove(&self, key: &K::Item) -> Result<bool> {
        self.table.remove(encode::<K>(key)?.as_ref())
    }

    /// Removes a key if a closure says so of its value, and returns whether it was removed.
    ///
    /// This is one step for all processes. The closure, and the decoding before it, run under the
    /// lock that [`Table::remove_if`](crate::Table::remove_if) takes: keep it short. It isn't
    /// called for an absent key.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` cannot be encoded or the value
    /// cannot be decoded, and those of `Table::remove_if`. The table is unchanged then.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let visits = TypedTable::<str, u32>::create_anonymous(Options::new().capacity(10))?;
    /// visits.insert("/", &3)?;
    /// assert!(!visits.remove_if("/", |count| count == 0)?);
    /// assert!(visits.remove_if("/", |count| count == 3)?);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn remove_if(
        &self,
        key: &K::Item,
        mut condition: impl FnMut(V::Owned) -> bool,
    ) -> Result<bool> {
        let key = encode::<K>(key)?;
        let mut refused = None;
        let removed =
            self.table
                .remove_if(&key, |value| match decode::<V>(key.as_ref(), value) {
                    Ok(value) => condition(value),
                    Err(error) => {
                        refused = Some(error);
                        false
                    }
                })?;
        refused.map_or(Ok(removed), Err)
    }

    /// Removes a key, and returns its value.
    ///
    /// Of all callers in all processes, exactly one gets the value. Locks, cost and guarantees are
    /// those of [`Table::take`](crate::Table::take). The value is decoded after the lock is
    /// released.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` cannot be encoded; also
    /// if the value cannot be decoded, and then **the entry is gone**. Those of
    /// `Table::take`, which leave the table unchanged.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let jobs = TypedTable::<u64, str>::create_anonymous(Options::new().capacity(10))?;
    /// jobs.insert(&1, "sweep")?;
    /// assert_eq!(jobs.take(&1)?.as_deref(), Some("sweep"));
    /// assert_eq!(jobs.take(&1)?, None);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    #[inline]
    pub fn take(&self, key: &K::Item) -> Result<Option<V::Owned>> {
        let key = encode::<K>(key)?;
        owned::<V>(key.as_ref(), self.table.take(&key)?)
    }

    /// Stores a value, and returns the one that it replaced; `None` if the key was new.
    ///
    /// Locks, cost and guarantees are those of [`Table::replace`](crate::Table::replace). The old
    /// value is decoded after the lock is released.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` or `value` cannot be
    /// encoded; also if the old value cannot be decoded, and then **the new
    /// value is stored**. Those of `Table::replace`, which leave the table
    /// unchanged.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let best = TypedTable::<str, f64>::create_anonymous(Options::new().capacity(10))?;
    /// assert_eq!(best.replace("loss", &0.5)?, None);
    /// assert_eq!(best.replace("loss", &0.25)?, Some(0.5));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    #[inline]
    pub fn replace(&self, key: &K::Item, value: &V::Item) -> Result<Option<V::Owned>> {
        let key = encode::<K>(key)?;
        let value = encode_value::<V>(key.as_ref(), value)?;
        owned::<V>(key.as_ref(), self.table.replace(&key, &value)?)
    }

    /// Replaces a value by the one that a closure computes from it, in one step for all processes.
    ///
    /// The closure gets `None` for an absent key. The value that it returns is stored, and
    /// returned; if it returns `None`, the key is removed or stays absent.
    ///
    /// The closure, the decoding before it and the encoding after it run under the lock that
    /// [`Table::update`](crate::Table::update) takes, so no other writer comes between; readers
    /// don't wait. Keep it short. If room has to be made for the new value first, the closure may
    /// be called again with the value of that time, and only its last result counts. A panic in it
    /// releases the lock with nothing changed.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if the key or the new value can't be encoded, or the
    /// old value can't be decoded (then the closure isn't called): the entry keeps its value.
    /// Inside the closure, writing to the table fails with
    /// [`Error::Reentrant`](crate::Error::Reentrant). Those of `Table::update`, which leave the
    /// entry unchanged.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let highest = TypedTable::<str, u32>::create_anonymous(Options::new().capacity(10))?;
    /// for seen in [3, 8, 5] {
    ///     highest.update("north", |old| Some(old.map_or(seen, |old| old.max(seen))))?;
    /// }
    /// assert_eq!(highest.get("north")?, Some(8));
    /// assert_eq!(highest.update("north", |_| None)?, None);
    /// assert!(highest.is_empty());
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn update(
        &self,
        key: &K::Item,
        mut change: impl FnMut(Option<V::Owned>) -> Option<V::Owned>,
    ) -> Result<Option<V::Owned>> {
        let key = encode::<K>(key)?;
        self.change(key.as_ref(), |old| Ok::<_, Error>(change(old)))
    }

    /// Replaces a value as [`update`](Self::update) does, by a closure that may fail.
    ///
    /// If the closure fails, nothing has changed and its error is returned. The error is of a type
    /// of your own that implements `From<Error>`; see
    /// [`Table::try_update`](crate::Table::try_update).
    ///
    /// # Errors
    /// The closure's error, and those of [`update`](Self::update).
    ///
    /// ```
    /// # use shmtable::{Error, Options, TypedTable};
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
    /// let coins = TypedTable::<str, u32>::create_anonymous(Options::new().capacity(10))?;
    /// coins.insert("ann", &3)?;
    /// let withdraw = |amount| {
    ///     coins.try_update("ann", |has| {
    ///         let left = has.unwrap_or(0).checked_sub(amount);
    ///         left.map(Some).ok_or(WithdrawError::NotEnough)
    ///     })
    /// };
    /// assert!(matches!(withdraw(2), Ok(Some(1))));
    /// assert!(matches!(withdraw(2), Err(WithdrawError::NotEnough)));
    /// assert_eq!(coins.get("ann")?, Some(1));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn try_update<F, E>(&self, key: &K::Item, change: F) -> Result<Option<V::Owned>, E>
    where
        F: FnMut(Option<V::Owned>) -> Result<Option<V::Owned>, E>,
        E: From<Error>,
    {
        self.change(encode::<K>(key)?.as_ref(), change)
    }

    fn change<E: From<Error>>(
        &self,
        key: &[u8],
        mut change: impl FnMut(Option<V::Owned>) -> Result<Option<V::Owned>, E>,
    ) -> Result<Option<V::Owned>, E> {
        let mut stored = None;
        self.table.try_update(key, |old| {
            stored = change(old.map(|old| decode::<V>(key, old)).transpose()?)?;
            let encoded = stored.as_ref().map(|value| to_vec::<V>(key, value));
            Ok::<_, E>(encoded.transpose()?)
        })?;
        Ok(stored)
    }

    /// Stores `new` if the value is `expected`; otherwise the inner error is the value that was
    /// found.
    ///
    /// `None` stands for an absent key in all three. The **encodings** are compared: a NaN equals
    /// one of the same bits, `0.0` doesn't equal `-0.0`, and if a codec has two encodings for one
    /// value, equal values may differ. Locks, cost and guarantees are those of
    /// [`Table::compare_exchange`](crate::Table::compare_exchange).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key`, `expected` or `new`
    /// cannot be encoded or what was found cannot be decoded, and those of
    /// `Table::compare_exchange`. The table is unchanged then.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let state = TypedTable::<u64, str>::create_anonymous(Options::new().capacity(10))?;
    /// assert_eq!(state.compare_exchange(&1, None, Some("waiting"))?, Ok(()));
    /// assert_eq!(state.compare_exchange(&1, Some("waiting"), Some("running"))?, Ok(()));
    /// assert_eq!(
    ///     state.compare_exchange(&1, Some("waiting"), Some("running"))?,
    ///     Err(Some("running".to_owned()))
    /// );
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn compare_exchange(
        &self,
        key: &K::Item,
        expected: Option<&V::Item>,
        new: Option<&V::Item>,
    ) -> Result<std::result::Result<(), Option<V::Owned>>> {
        let key = encode::<K>(key)?;
        let encoded = |value| encode_value::<V>(key.as_ref(), value);
        let expected = expected.map(encoded).transpose()?;
        let new = new.map(encoded).transpose()?;
        let outcome = self.table.compare_exchange(
            key.as_ref(),
            expected.as_ref().map(AsRef::as_ref),
            new.as_ref().map(AsRef::as_ref),
        )?;
        match outcome {
            Ok(()) => Ok(Ok(())),
            Err(found) => owned::<V>(key.as_ref(), found).map(Err),
        }
    }

    /// Waits until a key has a value, and returns the value; `None` after the timeout.
    ///
    /// Takes no lock. The wait and its cost are those of [`Table::wait`](crate::Table::wait).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` cannot be encoded or the
    /// value cannot be decoded, and those of `Table::wait`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// # use std::{thread, time::Duration};
    /// let results = TypedTable::<str, f64>::create_anonymous(Options::new().capacity(10))?;
    /// let worker = {
    ///     let results = results.clone();
    ///     thread::spawn(move || results.insert("half", &0.5))
    /// };
    /// assert_eq!(results.wait("half", Duration::from_secs(10))?, Some(0.5));
    /// assert!(worker.join().expect("the worker did not panic")?);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn wait(&self, key: &K::Item, timeout: Duration) -> Result<Option<V::Owned>> {
        let key = encode::<K>(key)?;
        owned::<V>(key.as_ref(), self.table.wait(&key, timeout)?)
    }

    /// Waits until a key's value differs from the one you saw, and returns the new one.
    ///
    /// `None` in `seen`, and in the inner `Option`, stands for an absent key. The outer `Option` is
    /// `None` after the timeout. The encodings are compared. Takes no lock; the wait and its cost
    /// are those of [`Table::wait_change`](crate::Table::wait_change).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` or `seen` cannot be
    /// encoded or the value cannot be decoded, and those of
    /// `Table::wait_change`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// # use std::time::Duration;
    /// let done = TypedTable::<str, u32>::create_anonymous(Options::new().capacity(10))?;
    /// done.insert("files", &3)?;
    /// assert_eq!(done.wait_change("files", Some(&2), Duration::from_secs(1))?, Some(Some(3)));
    /// assert_eq!(done.wait_change("files", Some(&3), Duration::ZERO)?, None);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn wait_change(
        &self,
        key: &K::Item,
        seen: Option<&V::Item>,
        timeout: Duration,
    ) -> Result<Option<Option<V::Owned>>> {
        let key = encode::<K>(key)?;
        let encoded = |value| encode_value::<V>(key.as_ref(), value);
        let seen = seen.map(encoded).transpose()?;
        self.table
            .wait_change(&key, seen.as_ref().map(AsRef::as_ref), timeout)?
            .map(|value| owned::<V>(key.as_ref(), value))
            .transpose()
    }
}

/// Decodes a value that the table returned.
#[inline]
fn owned<V: Codec + ?Sized>(key: &[u8], value: Option<Vec<u8>>) -> Result<Option<V::Owned>> {
    value.map(|value| decode_vec::<V>(key, value)).transpose()
}

/// Encodes a value into a buffer of its own.
#[inline]
fn to_vec<V: Codec + ?Sized>(key: &[u8], value: &V::Owned) -> Result<Vec<u8>> {
    Ok(encode_value::<V>(key, value.borrow())?.as_ref().to_vec())
}
