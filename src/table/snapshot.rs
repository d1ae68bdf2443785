//! A copy of a whole table at one moment.

use std::collections::{HashMap, hash_map};
use std::iter::FusedIterator;

/// A copy of a table's entries at one moment; see [`Table::snapshot`](crate::Table::snapshot).
///
/// It is in this process's own memory: no other process sees or changes it.
///
/// ```
/// # fn main() -> shmtable::Result<()> {
/// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
/// table.insert_many([("a", "1"), ("b", "2")])?;
/// let copy = table.snapshot()?;
/// assert_eq!(copy.len(), 2);
/// assert_eq!(copy.get("a"), Some(&b"1"[..]));
/// let mut sorted: Vec<(&[u8], &[u8])> = copy.iter().collect();
/// sorted.sort();
/// assert_eq!(sorted[1], (&b"b"[..], &b"2"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(HashMap<Vec<u8>, Vec<u8>>);

impl Snapshot {
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self(HashMap::with_capacity(entries))
    }

    pub(crate) fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.insert(key, value);
    }

    /// Returns the value of a key, or `None`.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.0.get(key.as_ref()).map(Vec::as_slice)
    }

    /// Returns whether a key has a value.
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.0.contains_key(key.as_ref())
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns an iterator over the entries, in no particular order.
    pub fn iter(&self) -> SnapshotIter<'_> {
        SnapshotIter(self.0.iter())
    }

    /// Turns the snapshot into a `HashMap` of the standard library. Copies nothing.
    ///
    /// For another kind of map, collect the entries: `snapshot.into_iter().collect::<BTreeMap<_,
    /// _>>()`.
    pub fn into_map(self) -> HashMap<Vec<u8>, Vec<u8>> {
        self.0
    }
}

impl PartialEq<HashMap<Vec<u8>, Vec<u8>>> for Snapshot {
    fn eq(&self, map: &HashMap<Vec<u8>, Vec<u8>>) -> bool {
        self.0 == *map
    }
}

impl<'s> IntoIterator for &'s Snapshot {
    type Item = (&'s [u8], &'s [u8]);
    type IntoIter = SnapshotIter<'s>;

    fn into_iter(self) -> SnapshotIter<'s> {
        self.iter()
    }
}

impl IntoIterator for Snapshot {
    type Item = (Vec<u8>, Vec<u8>);
    type IntoIter = SnapshotIntoIter;

    fn into_iter(self) -> SnapshotIntoIter {
        SnapshotIntoIter(self.0.into_iter())
    }
}

/// An iterator over borrowed entries of a [`Snapshot`]; see [`Snapshot::iter`].
#[derive(Debug, Clone)]
pub struct SnapshotIter<'s>(hash_map::Iter<'s, Vec<u8>, Vec<u8>>);

impl<'s> Iterator for SnapshotIter<'s> {
    type Item = (&'s [u8], &'s [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (&key[..], &value[..]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for SnapshotIter<'_> {}
impl FusedIterator for SnapshotIter<'_> {}

/// An iterator over owned entries of a [`Snapshot`].
#[derive(Debug)]
pub struct SnapshotIntoIter(hash_map::IntoIter<Vec<u8>, Vec<u8>>);

impl Iterator for SnapshotIntoIter {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for SnapshotIntoIter {}
impl FusedIterator for SnapshotIntoIter {}
