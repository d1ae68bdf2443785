//! Operations on many entries.

use std::borrow::Borrow;

use super::TypedTable;
use super::codec::{Codec, decode, decode_vec, encode, encode_value};
use super::iter::{TypedIter, TypedKeys, TypedValues};
use super::snapshot::TypedSnapshot;
use crate::Result;

/// Operations on many entries.
///
/// Each entry is read or written atomically, but together they are not one moment of the table,
/// except in [`snapshot`](Self::snapshot).
impl<K: Codec + ?Sized, V: Codec + ?Sized> TypedTable<K, V> {
    /// Returns the values of many keys, owned or borrowed ones, in the order of the keys.
    ///
    /// Takes no lock. The lookups overlap in memory; in a large table that is several times as fast
    /// as as many [`get`](Self::get)s, see [`Table::get_many`](crate::Table::get_many). All keys
    /// are encoded and collected first.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if a key cannot be encoded or one of the values cannot
    /// be decoded, and those of `Table::get_many`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert("a", &10)?;
    /// assert_eq!(sizes.get_many(["a", "b"])?, [Some(10), None]);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn get_many<Q: Borrow<K::Item>>(
        &self,
        keys: impl IntoIterator<Item = Q>,
    ) -> Result<Vec<Option<V::Owned>>> {
        let asked: Vec<Q> = keys.into_iter().collect();
        let keys = encode_all::<K, Q>(&asked)?;
        let found = self.table.get_many(&keys)?;
        let decoded = |(key, value): (&K::Encoded<'_>, Option<Vec<u8>>)| {
            value
                .map(|value| decode_vec::<V>(key.as_ref(), value))
                .transpose()
        };
        keys.iter().zip(found).map(decoded).collect()
    }

    /// Calls a closure with the value of each of many keys, in the order of the keys.
    ///
    /// Saves collecting the values of [`get_many`](Self::get_many), and an allocation for each
    /// value whose codec needs none; see [`Table::get_many_with`](crate::Table::get_many_with).
    ///
    /// # Errors
    /// As [`get_many`](Self::get_many); `visit` has seen the values before the one that
    /// failed.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert("a", &10)?;
    /// let mut total = 0;
    /// sizes.get_many_with(["a", "b"], |size| total += size.unwrap_or(0))?;
    /// assert_eq!(total, 10);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn get_many_with<Q: Borrow<K::Item>>(
        &self,
        keys: impl IntoIterator<Item = Q>,
        mut visit: impl FnMut(Option<V::Owned>),
    ) -> Result<()> {
        let asked: Vec<Q> = keys.into_iter().collect();
        let keys = encode_all::<K, Q>(&asked)?;
        let mut shown = keys.iter();
        let mut refused = None;
        self.table.get_many_with(&keys, |value| {
            let key = shown.next().map_or(&b""[..], AsRef::as_ref);
            if refused.is_none() {
                match value.map(|value| decode::<V>(key, value)).transpose() {
                    Ok(value) => visit(value),
                    Err(error) => refused = Some(error),
                }
            }
        })?;
        refused.map_or(Ok(()), Err)
    }

    /// Stores many entries, owned or borrowed ones, and returns how many keys were new.
    ///
    /// They are encoded and stored one after the other, each as by [`insert`](Self::insert); see
    /// [`Table::insert_many`](crate::Table::insert_many).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if a key or a value cannot be encoded, and those of
    /// `Table::insert_many`. The entries before the one that failed are stored.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// assert_eq!(sizes.insert_many([("a", 10), ("b", 20), ("a", 30)])?, 2);
    /// assert_eq!(sizes.get("a")?, Some(30));
    /// let counted = vec![("c".to_owned(), 1), ("d".to_owned(), 2)];
    /// assert_eq!(sizes.insert_many(counted)?, 2);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn insert_many<Q, W>(&self, entries: impl IntoIterator<Item = (Q, W)>) -> Result<usize>
    where
        Q: Borrow<K::Item>,
        W: Borrow<V::Item>,
    {
        let mut new = 0;
        for (key, value) in entries {
            let key = encode::<K>(key.borrow())?;
            let value = encode_value::<V>(key.as_ref(), value.borrow())?;
            new += usize::from(self.table.insert(&key, &value)?);
        }
        Ok(new)
    }

    /// Removes many keys, owned or borrowed ones, and returns how many were there.
    ///
    /// They are removed one after the other, each as by [`remove`](Self::remove).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if a key cannot be encoded, and those of
    /// [`Table::remove_many`](crate::Table::remove_many). The keys before the one that
    /// failed are gone.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("a", 10), ("b", 20)])?;
    /// assert_eq!(sizes.remove_many(["a", "c"])?, 1);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn remove_many<Q: Borrow<K::Item>>(
        &self,
        keys: impl IntoIterator<Item = Q>,
    ) -> Result<usize> {
        let mut removed = 0;
        for key in keys {
            removed += usize::from(self.remove(key.borrow())?);
        }
        Ok(removed)
    }

    /// Removes the entries whose keys' **encodings** begin with some bytes, and returns how many
    /// were removed.
    ///
    /// Nothing is decoded; see [`Table::remove_prefix`](crate::Table::remove_prefix). For keys that
    /// are `str` or `[u8]`, the encoding is the key itself.
    ///
    /// # Errors
    /// Those of `Table::remove_prefix`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("logs/a", 10), ("logs/b", 20), ("data", 30)])?;
    /// assert_eq!(sizes.remove_prefix("logs/")?, 2);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn remove_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<usize> {
        self.table.remove_prefix(prefix)
    }

    /// Returns an iterator over all entries, in no particular order.
    ///
    /// Takes no lock, and the table may change during the iteration. An entry that is in the table
    /// throughout is seen exactly once; one that is removed and inserted again may be seen twice.
    /// See [`Table::iter`](crate::Table::iter).
    ///
    /// # Errors
    /// An item is [`Error::Codec`](crate::Error::Codec) if that entry can't be decoded; the
    /// iteration then goes on with the next one. Other items may be errors of `Table::iter`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("a", 10), ("b", 20)])?;
    /// let mut largest = ("none".to_owned(), 0);
    /// for entry in &sizes {
    ///     let (name, size) = entry?;
    ///     if size > largest.1 {
    ///         largest = (name, size);
    ///     }
    /// }
    /// assert_eq!(largest, ("b".to_owned(), 20));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn iter(&self) -> TypedIter<K, V> {
        TypedIter::new(self.table.iter())
    }

    /// Returns an iterator over the entries whose keys' **encodings** begin with some bytes, in no
    /// particular order.
    ///
    /// Other entries are not decoded; see [`Table::scan_prefix`](crate::Table::scan_prefix). For
    /// keys that are `str` or `[u8]`, the encoding is the key itself.
    ///
    /// # Errors
    /// As [`iter`](Self::iter).
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("logs/a", 10), ("logs/b", 20), ("data", 30)])?;
    /// let mut total = 0;
    /// for entry in sizes.scan_prefix("logs/") {
    ///     total += entry?.1;
    /// }
    /// assert_eq!(total, 30);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> TypedIter<K, V> {
        TypedIter::new(self.table.scan_prefix(prefix))
    }

    /// Returns an iterator over the keys, as [`iter`](Self::iter) does, without decoding the
    /// values.
    ///
    /// # Errors
    /// As [`iter`](Self::iter).
    pub fn keys(&self) -> TypedKeys<K> {
        TypedKeys::new(self.table.keys())
    }

    /// Returns an iterator over the values, as [`iter`](Self::iter) does, without decoding the
    /// keys.
    ///
    /// # Errors
    /// As [`iter`](Self::iter).
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("a", 10), ("b", 20)])?;
    /// assert_eq!(sizes.values().sum::<Result<u64, _>>()?, 30);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn values(&self) -> TypedValues<V> {
        TypedValues::new(self.table.iter())
    }

    /// Calls a closure with each entry of [`iter`](Self::iter).
    ///
    /// No lock is held while the closure runs; see [`Table::for_each`](crate::Table::for_each).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if an entry can't be decoded; the entries after it are
    /// not visited. Those of `Table::for_each`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("a", 10), ("b", 20)])?;
    /// let mut total = 0;
    /// sizes.for_each(|_name, size| total += size)?;
    /// assert_eq!(total, 30);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn for_each(&self, mut visit: impl FnMut(K::Owned, V::Owned)) -> Result<()> {
        let mut refused = None;
        self.table.for_each(|key, value| {
            if refused.is_none() {
                match entry::<K, V>(key, value) {
                    Ok((key, value)) => visit(key, value),
                    Err(error) => refused = Some(error),
                }
            }
        })?;
        refused.map_or(Ok(()), Err)
    }

    /// Removes the entries for which a closure returns `false`, and returns how many were removed.
    ///
    /// The closure, and the decoding before it, run under a lock, so the entry that is removed is
    /// the one that the closure has seen; see [`Table::retain`](crate::Table::retain). A panic in
    /// the closure releases the lock and leaves that entry unchanged.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if an entry can't be decoded: that one and those after
    /// it are kept; what was removed before it stays removed. Inside the closure, writing to the
    /// table fails with [`Error::Reentrant`](crate::Error::Reentrant). Those of `Table::retain`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("a", 10), ("b", 20)])?;
    /// assert_eq!(sizes.retain(|_name, size| size > 15)?, 1);
    /// assert_eq!(sizes.get_many(["a", "b"])?, [None, Some(20)]);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(K::Owned, V::Owned) -> bool) -> Result<usize> {
        let mut refused = None;
        let removed = self.table.retain(|key, value| {
            refused.is_some()
                || match entry::<K, V>(key, value) {
                    Ok((key, value)) => keep(key, value),
                    Err(error) => {
                        refused = Some(error);
                        true
                    }
                }
        })?;
        refused.map_or(Ok(removed), Err)
    }

    /// Returns a copy of the whole table at one moment.
    ///
    /// Locks and costs what [`Table::snapshot`](crate::Table::snapshot) does. The copy is decoded
    /// when you read it, with no lock held.
    ///
    /// # Errors
    /// Those of `Table::snapshot`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// # use std::collections::HashMap;
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert("a", &10)?;
    /// let copy = sizes.snapshot()?;
    /// sizes.insert("a", &20)?;
    /// assert_eq!(copy.get("a")?, Some(10));
    /// assert_eq!(copy.into_map()?, HashMap::from([("a".to_owned(), 10)]));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn snapshot(&self) -> Result<TypedSnapshot<K, V>> {
        self.table.snapshot().map(TypedSnapshot::new)
    }
}

/// Encodes all keys.
fn encode_all<K: Codec + ?Sized, Q: Borrow<K::Item>>(keys: &[Q]) -> Result<Vec<K::Encoded<'_>>> {
    keys.iter().map(|key| encode::<K>(key.borrow())).collect()
}

/// Decodes an entry that is only lent.
#[inline]
fn entry<K, V>(key: &[u8], value: &[u8]) -> Result<(K::Owned, V::Owned)>
where
    K: Codec + ?Sized,
    V: Codec + ?Sized,
{
    Ok((decode::<K>(key, key)?, decode::<V>(key, value)?))
}
