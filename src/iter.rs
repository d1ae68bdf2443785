//! Weakly consistent iteration.

use std::collections::VecDeque;
use std::iter::FusedIterator;

use crate::error::Result;
use crate::index::{probe, read};
use crate::segment::Segment;
use crate::table::Table;

/// An owned key and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// Entries of a table; see [`Table::iter`].
///
/// Reads a bucket at a time, without a lock. Holds a clone of the handle.
pub struct Iter {
    table: Table,
    part: Part,
    bucket: usize,
    read: VecDeque<Entry>,
    failed: bool,
}

impl Iter {
    pub(crate) fn new(table: &Table, part: Part) -> Self {
        Self {
            table: table.clone(),
            part,
            bucket: 0,
            read: VecDeque::new(),
            failed: false,
        }
    }

    fn fill(&mut self) -> Result<bool> {
        let buckets = self.table.segment().geometry.buckets;
        while self.read.is_empty() && self.bucket < buckets {
            self.read = self.table.entries_of_bucket(self.bucket, self.part)?.into();
            self.bucket += 1;
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

/// Keys of a table; see [`Table::keys`]. Values are not read.
#[derive(Debug)]
pub struct Keys(pub(crate) Iter);

impl Iterator for Keys {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map(|(key, _)| key))
    }
}

impl FusedIterator for Keys {}

/// What is copied of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// The key; the value stays empty.
    Key,
}

/// Reads all entries of a bucket; `None` if one was unlinked meanwhile.
pub(crate) fn read_bucket(
    segment: &Segment,
    number: usize,
    part: Part,
) -> Result<Option<Vec<Entry>>> {
    let bucket = probe::bucket(segment, number);
    let tags = bucket.tags();
    let mut entries = Vec::with_capacity(tags.occupied().count_ones() as usize);
    for slot in tags.slots() {
        let entry = match read::open(segment, bucket, slot) {
            Ok(entry) => entry,
            Err(damage) if read::still(bucket, tags) => return Err(damage.error(segment, number)),
            Err(_) => return Ok(None),
        };
        // The lengths are not to be trusted before.
        if !read::still(bucket, tags) {
            return Ok(None);
        }
        let value = match part {
            Part::Whole => entry.value()?,
            Part::Key => Vec::new(),
        };
        entries.push((entry.key()?, value));
    }
    Ok(read::still(bucket, tags).then_some(entries))
}

/// Turns an iterator that fails into one result.
pub(crate) fn for_each(table: &Table, mut visit: impl FnMut(&[u8], &[u8])) -> Result<()> {
    for entry in table {
        let (key, value) = entry?;
        visit(&key, &value);
    }
    Ok(())
}
