//! Iterators that decode, as types with names.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use super::TypedTable;
use super::codec::{Codec, decode_key, decode_vec};
use crate::{Iter, Keys, Result};

/// An iterator over entries of a typed table; see [`TypedTable::iter`] and
/// [`TypedTable::scan_prefix`].
///
/// It holds a clone of the handle. An entry that can't be decoded is an error, and the iteration
/// goes on with the next one.
pub struct TypedIter<K: Codec + ?Sized, V: Codec + ?Sized> {
    entries: Iter,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> TypedIter<K, V> {
    pub(super) fn new(entries: Iter) -> Self {
        Self {
            entries,
            types: PhantomData,
        }
    }
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> Iterator for TypedIter<K, V> {
    type Item = Result<(K::Owned, V::Owned)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.entries.next()?.and_then(|(key, value)| {
            let value = decode_vec::<V>(&key, value)?;
            Ok((decode_key::<K>(key)?, value))
        }))
    }
}

/// An iterator over keys of a typed table; see [`TypedTable::keys`]. Values are not read.
pub struct TypedKeys<K: Codec + ?Sized> {
    keys: Keys,
    types: PhantomData<fn(&K)>,
}

impl<K: Codec + ?Sized> TypedKeys<K> {
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys,
            types: PhantomData,
        }
    }
}

impl<K: Codec + ?Sized> Iterator for TypedKeys<K> {
    type Item = Result<K::Owned>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.keys.next()?.and_then(decode_key::<K>))
    }
}

/// An iterator over values of a typed table; see [`TypedTable::values`]. Keys are not decoded.
pub struct TypedValues<V: Codec + ?Sized> {
    /// With their keys, because errors name them.
    entries: Iter,
    types: PhantomData<fn(&V)>,
}

impl<V: Codec + ?Sized> TypedValues<V> {
    pub(super) fn new(entries: Iter) -> Self {
        Self {
            entries,
            types: PhantomData,
        }
    }
}

impl<V: Codec + ?Sized> Iterator for TypedValues<V> {
    type Item = Result<V::Owned>;

    fn next(&mut self) -> Option<Self::Item> {
        let decoded = |(key, value): (Vec<u8>, _)| decode_vec::<V>(&key, value);
        Some(self.entries.next()?.and_then(decoded))
    }
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> FusedIterator for TypedIter<K, V> {}
impl<K: Codec + ?Sized> FusedIterator for TypedKeys<K> {}
impl<V: Codec + ?Sized> FusedIterator for TypedValues<V> {}

impl<K: Codec + ?Sized, V: Codec + ?Sized> IntoIterator for &TypedTable<K, V> {
    type Item = Result<(K::Owned, V::Owned)>;
    type IntoIter = TypedIter<K, V>;

    fn into_iter(self) -> TypedIter<K, V> {
        self.iter()
    }
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> fmt::Debug for TypedIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedIter").field(&self.entries).finish()
    }
}

impl<K: Codec + ?Sized> fmt::Debug for TypedKeys<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedKeys").field(&self.keys).finish()
    }
}

impl<V: Codec + ?Sized> fmt::Debug for TypedValues<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedValues").field(&self.entries).finish()
    }
}
