//! A copy of a whole table that decodes what is read from it.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use super::codec::{Codec, decode, decode_key, decode_vec, encode};
use crate::{Result, Snapshot, SnapshotIter};

/// A copy of a typed table's entries at one moment; see
/// [`TypedTable::snapshot`](crate::TypedTable::snapshot).
///
/// It holds the bytes, and decodes the entries that you ask for.
///
/// ```
/// # use std::collections::HashMap;
/// # use shmtable::{Options, TypedTable};
/// let sizes = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
/// sizes.insert_many([("a", 10), ("b", 20)])?;
/// let copy = sizes.snapshot()?;
/// assert_eq!(copy.get("a")?, Some(10));
/// assert_eq!(copy.len(), 2);
/// for entry in &copy {
///     let (name, size) = entry?;
///     println!("{name}: {size}");
/// }
/// let map: HashMap<String, u64> = copy.into_map()?;
/// assert_eq!(map["b"], 20);
/// # Ok::<(), shmtable::Error>(())
/// ```
pub struct TypedSnapshot<K: Codec + ?Sized, V: Codec + ?Sized> {
    bytes: Snapshot,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> TypedSnapshot<K, V> {
    pub(super) fn new(bytes: Snapshot) -> Self {
        Self {
            bytes,
            types: PhantomData,
        }
    }

    /// Returns the value of a key, or `None`.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` cannot be encoded or the value
    /// cannot be decoded.
    pub fn get(&self, key: &K::Item) -> Result<Option<V::Owned>> {
        let key = encode::<K>(key)?;
        let value = self.bytes.get(&key);
        value
            .map(|value| decode::<V>(key.as_ref(), value))
            .transpose()
    }

    /// Returns whether a key has a value.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` cannot be encoded.
    pub fn contains_key(&self, key: &K::Item) -> Result<bool> {
        Ok(self.bytes.contains_key(encode::<K>(key)?))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns an iterator over the entries, in no particular order.
    ///
    /// An entry that can't be decoded is an [`Error::Codec`](crate::Error::Codec), and the
    /// iteration goes on with the next one.
    pub fn iter(&self) -> TypedSnapshotIter<'_, K, V> {
        TypedSnapshotIter {
            entries: self.bytes.iter(),
            types: PhantomData,
        }
    }

    /// Decodes all entries into a `HashMap` of the standard library.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if an entry cannot be decoded.
    pub fn into_map(self) -> Result<HashMap<K::Owned, V::Owned>>
    where
        K::Owned: Eq + Hash,
    {
        let decoded = |(key, value): (Vec<u8>, _)| {
            let value = decode_vec::<V>(&key, value)?;
            Ok((decode_key::<K>(key)?, value))
        };
        self.bytes.into_iter().map(decoded).collect()
    }

    /// Returns the same copy without its types.
    pub fn into_bytes(self) -> Snapshot {
        self.bytes
    }
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> Clone for TypedSnapshot<K, V> {
    fn clone(&self) -> Self {
        Self::new(self.bytes.clone())
    }
}

/// Shows how many entries there are, but none of them.
impl<K: Codec + ?Sized, V: Codec + ?Sized> fmt::Debug for TypedSnapshot<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedSnapshot")
            .field("key", &K::NAME)
            .field("value", &V::NAME)
            .field("entries", &self.len())
            .finish()
    }
}

impl<'s, K: Codec + ?Sized, V: Codec + ?Sized> IntoIterator for &'s TypedSnapshot<K, V> {
    type Item = Result<(K::Owned, V::Owned)>;
    type IntoIter = TypedSnapshotIter<'s, K, V>;

    fn into_iter(self) -> TypedSnapshotIter<'s, K, V> {
        self.iter()
    }
}

/// An iterator over decoded entries of a [`TypedSnapshot`]; see [`TypedSnapshot::iter`].
pub struct TypedSnapshotIter<'s, K: Codec + ?Sized, V: Codec + ?Sized> {
    entries: SnapshotIter<'s>,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> Iterator for TypedSnapshotIter<'_, K, V> {
    type Item = Result<(K::Owned, V::Owned)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = self.entries.next()?;
        let entry = decode::<K>(key, key);
        Some(entry.and_then(|owned| Ok((owned, decode::<V>(key, value)?))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> ExactSizeIterator for TypedSnapshotIter<'_, K, V> {}
impl<K: Codec + ?Sized, V: Codec + ?Sized> FusedIterator for TypedSnapshotIter<'_, K, V> {}

impl<K: Codec + ?Sized, V: Codec + ?Sized> fmt::Debug for TypedSnapshotIter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedSnapshotIter")
            .field("left", &self.len())
            .finish_non_exhaustive()
    }
}
