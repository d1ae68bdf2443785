//! Operations on many entries.

use std::collections::HashMap;
use std::hash::Hash;

use super::TypedTable;
use super::codec::{Codec, decode, decode_vec, encode};
use crate::Result;

/// Many entries: each by itself is read or written atomically, but together
/// they are not one moment of the table, except in [`snapshot`](Self::snapshot).
impl<K: Codec + ?Sized, V: Codec + ?Sized> TypedTable<K, V> {
    /// The values of `keys`, in their order.
    ///
    /// Takes no lock. The searches overlap in memory, which makes it several
    /// times as fast as as many [`get`](Self::get)s in a large table; see
    /// [`Table::get_many`](crate::Table::get_many). The encoded keys are
    /// collected first.
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
    pub fn get_many<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a K::Item>,
    ) -> Result<Vec<Option<V::Owned>>>
    where
        K::Item: 'a,
    {
        let keys: Vec<_> = keys.into_iter().map(encode::<K>).collect::<Result<_>>()?;
        let found = self.table.get_many(&keys)?;
        found
            .into_iter()
            .map(|value| value.map(decode_vec::<V>).transpose())
            .collect()
    }

    /// Stores entries one after the other, each as [`insert`](Self::insert)
    /// does, and says how many keys were new. They are encoded one by one, not
    /// collected; see [`Table::insert_many`](crate::Table::insert_many).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if a key or a value cannot be encoded, and those of
    /// `Table::insert_many`. The entries before the one that failed are stored.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// assert_eq!(sizes.insert_many([("a", &10), ("b", &20), ("a", &30)])?, 2);
    /// assert_eq!(sizes.get("a")?, Some(30));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn insert_many<'k, 'v>(
        &self,
        entries: impl IntoIterator<Item = (&'k K::Item, &'v V::Item)>,
    ) -> Result<usize>
    where
        K::Item: 'k,
        V::Item: 'v,
    {
        let mut refused = None;
        let encoded = entries.into_iter().map_while(|(key, value)| {
            match encode::<K>(key).and_then(|key| Ok((key, encode::<V>(value)?))) {
                Ok(entry) => Some(entry),
                Err(error) => {
                    refused = Some(error);
                    None
                }
            }
        });
        let new = self.table.insert_many(encoded)?;
        refused.map_or(Ok(new), Err)
    }

    /// The entries, in no order.
    ///
    /// Takes no lock, and the table may change meanwhile: an entry that is
    /// there throughout is seen exactly once, and one that is removed and inserted
    /// again may be seen twice; see [`Table::iter`](crate::Table::iter).
    ///
    /// # Errors
    /// An item is [`Error::Codec`](crate::Error::Codec) if that entry cannot be decoded, and the
    /// iteration goes on behind it; or one of those of `Table::iter`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("a", &10), ("b", &20)])?;
    /// let mut largest = ("none".to_owned(), 0);
    /// for entry in sizes.iter() {
    ///     let (name, size) = entry?;
    ///     if size > largest.1 {
    ///         largest = (name, size);
    ///     }
    /// }
    /// assert_eq!(largest, ("b".to_owned(), 20));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Result<(K::Owned, V::Owned)>> {
        self.table.iter().map(|entry| {
            let (key, value) = entry?;
            Ok((decode_vec::<K>(key)?, decode_vec::<V>(value)?))
        })
    }

    /// The keys, in no order, as [`iter`](Self::iter) gives them; values are
    /// not decoded.
    ///
    /// # Errors
    /// As [`iter`](Self::iter).
    pub fn keys(&self) -> impl Iterator<Item = Result<K::Owned>> {
        self.table.keys().map(|key| decode_vec::<K>(key?))
    }

    /// The values, in no order, as [`iter`](Self::iter) gives them; keys are
    /// not decoded.
    ///
    /// # Errors
    /// As [`iter`](Self::iter).
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("a", &10), ("b", &20)])?;
    /// assert_eq!(sizes.values().sum::<Result<u64, _>>()?, 30);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn values(&self) -> impl Iterator<Item = Result<V::Owned>> {
        self.table.values().map(|value| decode_vec::<V>(value?))
    }

    /// Calls `visit` with each entry, as [`iter`](Self::iter) gives them. No
    /// lock is held meanwhile; see [`Table::for_each`](crate::Table::for_each).
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if an entry cannot be decoded; those after it are not
    /// visited. Those of `Table::for_each`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("a", &10), ("b", &20)])?;
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

    /// Removes the entries for which `keep` answers false, and says how many
    /// it were.
    ///
    /// `keep` and the decoding before it run under a lock, so an entry that is
    /// removed is one that `keep` has seen; see
    /// [`Table::retain`](crate::Table::retain). A panic in it releases the lock
    /// with that entry unchanged.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if an entry cannot be decoded: it and those after it
    /// are kept, those removed before it stay removed.
    /// [`Error::Reentrant`](crate::Error::Reentrant) inside `keep` from what writes to the table there.
    /// Those of `Table::retain`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert_many([("a", &10), ("b", &20)])?;
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

    /// A copy of all entries as they were at one point in time.
    ///
    /// What it locks and what it costs is what
    /// [`Table::snapshot`](crate::Table::snapshot) does; the copy is decoded
    /// afterwards, with no lock held.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if an entry cannot be decoded, and those of
    /// `Table::snapshot`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// # use std::collections::HashMap;
    /// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// sizes.insert("a", &10)?;
    /// assert_eq!(sizes.snapshot()?, HashMap::from([("a".to_owned(), 10)]));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn snapshot(&self) -> Result<HashMap<K::Owned, V::Owned>>
    where
        K::Owned: Eq + Hash,
    {
        self.table
            .snapshot()?
            .into_iter()
            .map(|(key, value)| Ok((decode_vec::<K>(key)?, decode_vec::<V>(value)?)))
            .collect()
    }
}

/// An entry that is only lent, decoded.
#[inline]
fn entry<K, V>(key: &[u8], value: &[u8]) -> Result<(K::Owned, V::Owned)>
where
    K: Codec + ?Sized,
    V: Codec + ?Sized,
{
    Ok((decode::<K>(key)?, decode::<V>(value)?))
}
