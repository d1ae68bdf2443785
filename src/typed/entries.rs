//! Operations on one key.

use std::borrow::Borrow;
use std::time::Duration;

use super::TypedTable;
use super::codec::{Codec, check_length, decode, decode_vec, encode, encode_value};
use crate::{Error, Result};

/// The longest value that is read into the stack.
const STACK: usize = 64;

/// One entry: each of these is linearizable, across threads and processes.
impl<K: Codec + ?Sized, V: Codec + ?Sized> TypedTable<K, V> {
    /// Stores `value` under `key`, and says whether the key was new.
    ///
    /// What was there is replaced and not decoded. The lock that is taken, the
    /// cost and the guarantees are those of [`Table::insert`](crate::Table::insert).
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

    /// Stores `value` under `key` if there is no entry, and says whether it
    /// did: of all callers in all processes exactly one wins.
    ///
    /// What is there is not decoded. The lock that is taken, the cost and the
    /// guarantees are those of [`Table::try_insert`](crate::Table::try_insert).
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

    /// The value of `key`, if there is one.
    ///
    /// Takes no lock and writes nothing to shared memory, as
    /// [`Table::get`](crate::Table::get). A value whose codec has a
    /// [`LENGTH`](Codec::LENGTH) of up to 64 bytes is read without allocating.
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

    /// Whether there is an entry for `key`.
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

    /// Removes `key`, and says whether it was there.
    ///
    /// The value is not decoded. The lock that is taken, the cost and the
    /// guarantees are those of [`Table::remove`](crate::Table::remove).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` cannot be encoded, and
    /// those of `Table::remove`. The table is unchanged then.
    #[inline]
    pub fn remove(&self, key: &K::Item) -> Result<bool> {
        self.table.remove(encode::<K>(key)?.as_ref())
    }

    /// Removes `key` if `condition` says so of its value, in one step, and returns whether
    /// it did. For an absent key `condition` isn't called.
    ///
    /// `condition` and the decoding before it run under the lock that
    /// [`Table::remove_if`](crate::Table::remove_if) takes: keep it short.
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

    /// Removes `key` and gives back its value: of all callers in all processes
    /// exactly one gets it.
    ///
    /// The lock that is taken, the cost and the guarantees are those of
    /// [`Table::take`](crate::Table::take); the value is decoded after the
    /// lock was released.
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

    /// Stores `value` under `key` and gives back the value it replaced; `None`
    /// if the key was new.
    ///
    /// The lock that is taken, the cost and the guarantees are those of
    /// [`Table::replace`](crate::Table::replace); the old value is decoded
    /// after the lock was released.
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

    /// Changes the entry of `key` in one step: `change` is given the value
    /// (`None`: there is none) and answers what is to be stored (`None`: the
    /// entry is removed, or stays absent). Returns what is now stored.
    ///
    /// `change`, the decoding before it and the encoding after it run under
    /// the lock that [`Table::update`](crate::Table::update) takes, so no other
    /// writer comes between; readers are not held up. Keep it short. It may be
    /// called again with the value of that time, if room had to be made for the
    /// new one first, and only its last answer counts. A panic in it releases
    /// the lock with nothing changed.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if the key or the new value
    /// cannot be encoded, or the old one not decoded (`change` is not called
    /// then): the entry keeps its value.
    /// [`Error::Reentrant`](crate::Error::Reentrant) inside `change` from what
    /// writes to the table there. Those of `Table::update`, which leave the
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

    /// [`update`](Self::update) with a closure that may fail: then nothing has changed,
    /// and its error is returned. It is of a type of your own, which the table's errors
    /// can become; see [`Table::try_update`](crate::Table::try_update).
    ///
    /// # Errors
    /// The closure's, and those of [`update`](Self::update).
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

    /// Stores `new` under `key` if what is there is `expected`; `None` stands
    /// for no entry, on both sides. If something else is there, the inner
    /// error is what was found.
    ///
    /// Compared are the **encodings**: a NaN equals one of the same bits, `0.0`
    /// does not equal `-0.0`, and where a codec may encode one value in two
    /// ways, equal values may differ. The lock that is taken, the cost and the
    /// guarantees are those of
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

    /// Waits until there is an entry for `key` and gives back its value;
    /// `None` after `timeout`.
    ///
    /// Takes no lock; the wait and its cost are those of
    /// [`Table::wait`](crate::Table::wait).
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

    /// Waits until the entry of `key` is no longer `seen` (`None`: there is
    /// none) and gives back what it is now; the outer `None` after `timeout`.
    ///
    /// Compared are the encodings. Takes no lock; the wait and its cost are
    /// those of [`Table::wait_change`](crate::Table::wait_change).
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

/// A value that the table gave away, decoded.
#[inline]
fn owned<V: Codec + ?Sized>(key: &[u8], value: Option<Vec<u8>>) -> Result<Option<V::Owned>> {
    value.map(|value| decode_vec::<V>(key, value)).transpose()
}

/// The encoding of a value that was given back, in a buffer of its own.
#[inline]
fn to_vec<V: Codec + ?Sized>(key: &[u8], value: &V::Owned) -> Result<Vec<u8>> {
    Ok(encode_value::<V>(key, value.borrow())?.as_ref().to_vec())
}
