//! Weakly consistent iteration: entries are read while others write.

use std::collections::VecDeque;
use std::iter::FusedIterator;

use crate::error::Result;
use crate::index::{entry, fast_path, probe};
use crate::segment::Segment;
use crate::table::Table;
use crate::table::walk::Walk;

/// An owned key and its value.
pub(crate) type OwnedEntry = (Vec<u8>, Vec<u8>);

/// An iterator over entries of a table; see [`Table::iter`] and [`Table::scan_prefix`].
///
/// It reads one bucket at a time, without a lock, and holds a clone of the handle.
pub struct Iter {
    table: Table,
    filter: ScanFilter,
    walk: Walk,
    read: VecDeque<OwnedEntry>,
    failed: bool,
}

impl Iter {
    pub(crate) fn new(table: &Table, part: Part, prefix: &[u8]) -> Self {
        Self {
            table: table.clone(),
            filter: ScanFilter {
                part,
                prefix: prefix.into(),
            },
            walk: Walk::new(0),
            read: VecDeque::new(),
            failed: false,
        }
    }

    fn fill(&mut self) -> Result<bool> {
        let segment = self.table.segment();
        while self.read.is_empty() && self.walk.stripe() < segment.geometry.stripes {
            let stripe = self.walk.stripe();
            let Some(bucket) = self.walk.next(segment) else {
                self.walk = Walk::new(stripe + 1);
                continue;
            };
            let mut read = self.table.entries_of_bucket(stripe, bucket, &self.filter)?;
            read.retain(|(key, _)| self.walk.passes(segment, key));
            self.read = read.into();
        }
        Ok(!self.read.is_empty())
    }
}

impl Iterator for Iter {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.fill() {
            Ok(true) => self.read.pop_front().map(Ok),
            Ok(false) => None,
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

impl FusedIterator for Iter {}

impl IntoIterator for &Table {
    type Item = Result<(Vec<u8>, Vec<u8>)>;
    type IntoIter = Iter;

    fn into_iter(self) -> Iter {
        self.iter()
    }
}

impl std::fmt::Debug for Iter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Iter")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// An iterator over keys of a table; see [`Table::keys`]. Values are not read.
#[derive(Debug)]
pub struct Keys(pub(crate) Iter);

impl Iterator for Keys {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map(|(key, _)| key))
    }
}

impl FusedIterator for Keys {}

/// An iterator over values of a table; see [`Table::values`].
#[derive(Debug)]
pub struct Values(pub(crate) Iter);

impl Iterator for Values {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map(|(_, value)| value))
    }
}

impl FusedIterator for Values {}

/// The part of an entry that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// The key; the value stays empty.
    Key,
}

/// Which entries an iterator passes on.
#[derive(Debug, Clone)]
pub(crate) struct ScanFilter {
    part: Part,
    /// What their keys begin with.
    prefix: Box<[u8]>,
}

impl ScanFilter {
    /// Copies an entry if it is wanted.
    pub(crate) fn copy(&self, entry: &entry::Entry<'_>) -> Result<Option<OwnedEntry>> {
        if entry.lengths().key < self.prefix.len() {
            return Ok(None);
        }
        let key = entry.key()?;
        if !key.starts_with(&self.prefix) {
            return Ok(None);
        }
        let value = match self.part {
            Part::Whole => entry.value()?,
            Part::Key => Vec::new(),
        };
        Ok(Some((key, value)))
    }
}

/// Reads all wanted entries of a bucket; `None` if one was unlinked while it was read.
pub(crate) fn read_bucket(
    segment: &Segment,
    number: usize,
    filter: &ScanFilter,
) -> Result<Option<Vec<OwnedEntry>>> {
    let Some(_reading) = segment.announce() else {
        return Ok(None);
    };
    let bucket = probe::bucket(segment, number);
    let tags = bucket.tags();
    let mut entries = Vec::with_capacity(tags.occupied().count_ones() as usize);
    for slot in tags.slots() {
        let entry = match entry::open(segment, bucket, slot) {
            Ok(entry) => entry,
            Err(damage) if fast_path::validate(bucket, tags) => {
                return Err(damage.error(segment, number));
            }
            Err(_) => return Ok(None),
        };
        // Only now are the lengths to be trusted.
        if !fast_path::validate(bucket, tags) {
            return Ok(None);
        }
        entries.extend(filter.copy(&entry)?);
    }
    Ok(fast_path::validate(bucket, tags).then_some(entries))
}

/// Calls a closure with each entry, and ends at the first error.
pub(crate) fn for_each(table: &Table, mut visit: impl FnMut(&[u8], &[u8])) -> Result<()> {
    for entry in table {
        let (key, value) = entry?;
        visit(&key, &value);
    }
    Ok(())
}
