//! Methods of `Table` for many keys.

use super::Table;
use crate::error::{Error, Result};
use crate::index::lookup;
use crate::index::stripe_ops::{self, Locked, Place};
use crate::sync;
use crate::table::iter::{self, Iter, Keys, OwnedEntry, Part, ScanFilter, Values};
use crate::table::snapshot::Snapshot;
use crate::table::walk::Walk;
use crate::write::writer::ReentrancyGuard;

/// Many keys.
impl Table {
    /// Stores many values, and returns how many keys were new.
    ///
    /// Each is stored as if by [`insert`](Self::insert), one after the other.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert_eq!(table.insert_many([("a", "1"), ("b", "2"), ("a", "3")])?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert); the entries before the one that failed are
    /// stored.
    pub fn insert_many<K, V>(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<usize>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut new = 0;
        for (key, value) in entries {
            new += usize::from(self.insert(key.as_ref(), value.as_ref())?);
        }
        Ok(new)
    }

    /// Returns an iterator over all entries, in no particular order, while others read and write.
    ///
    /// An entry that is in the table from beginning to end is seen exactly once, with a value that
    /// it had at some moment. One that comes or goes during the iteration may be seen or not. One
    /// that is removed and inserted again may be seen twice, because it may get a place that the
    /// iteration has yet to reach. Takes no lock.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert_many([("a", "1"), ("b", "2")])?;
    /// let mut entries = table.iter().collect::<shmtable::Result<Vec<_>>>()?;
    /// entries.sort();
    /// assert_eq!(entries[1], (b"b".to_vec(), b"2".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> Iter {
        Iter::new(self, Part::Whole, b"")
    }

    /// Returns an iterator over the entries whose keys begin with some bytes, in no particular
    /// order.
    ///
    /// Works as [`iter`](Self::iter), and doesn't copy the entries that it passes over. It still
    /// reads every key of the table, because keys are not kept in order.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert_many([("user:1", "ann"), ("user:2", "bob"), ("jobs", "7")])?;
    /// let users = table.scan_prefix("user:").collect::<shmtable::Result<Vec<_>>>()?;
    /// assert_eq!(users.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Iter {
        Iter::new(self, Part::Whole, prefix.as_ref())
    }

    /// Returns an iterator over the keys, as [`iter`](Self::iter) does, without reading the values.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"a", b"1")?;
    /// assert_eq!(table.keys().next().transpose()?, Some(b"a".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn keys(&self) -> Keys {
        Keys(Iter::new(self, Part::Key, b""))
    }

    /// Returns an iterator over the values, as [`iter`](Self::iter) does.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"a", b"1")?;
    /// assert_eq!(table.values().next().transpose()?, Some(b"1".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn values(&self) -> Values {
        Values(self.iter())
    }

    /// Calls a closure with each entry of [`iter`](Self::iter).
    ///
    /// No lock is held while the closure runs, so it may do anything.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert_many([("a", "1"), ("b", "22")])?;
    /// let mut bytes = 0;
    /// table.for_each(|_key, value| bytes += value.len())?;
    /// assert_eq!(bytes, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn for_each(&self, visit: impl FnMut(&[u8], &[u8])) -> Result<()> {
        iter::for_each(self, visit)
    }

    /// Removes the entries for which a closure returns `false`, and returns how many were removed.
    ///
    /// For each entry, the decision and the removal are one step. The closure runs under the
    /// stripe's lock, as in [`update`](Self::update): it may read this table but not write to it.
    /// If it panics, the entries that it saw before are gone or kept as it said.
    ///
    /// The lock is released after each bucket, so other writers go on. The closure may or may not
    /// see what they insert in the meantime.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert_many([("a", "1"), ("b", "22")])?;
    /// assert_eq!(table.retain(|_key, value| value.len() > 1)?, 1);
    /// assert!(!table.contains_key(b"a")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]. The entries before the failure are gone or kept, as the closure said.
    pub fn retain(&self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) -> Result<usize> {
        self.remove_where(|locked, place, key| {
            let value = place.entry.value()?;
            let held = ReentrancyGuard::new(self.segment());
            let kept = keep(key, &value);
            drop(held);
            locked.check()?;
            if !locked.is_ours() {
                return Err(Error::Reentrant);
            }
            Ok(!kept)
        })
    }

    /// Removes the entries that a closure chooses under the stripe's lock, which is released after
    /// each bucket.
    fn remove_where(
        &self,
        mut choose: impl FnMut(&Locked<'_>, &Place<'_>, &[u8]) -> Result<bool>,
    ) -> Result<usize> {
        let writer = self.writer()?;
        let mut removed = 0;
        let segment = self.segment();
        for stripe in segment.stripes() {
            let mut walk = Walk::new(segment.number_of(stripe));
            loop {
                let mut words = 0;
                let locked = writer.lock(stripe)?;
                let Some(bucket) = walk.next(segment) else {
                    break;
                };
                locked.for_each_in(bucket, |place| {
                    let (key, hash) = locked.hash_of(place)?;
                    if !walk.passes(segment, &key) {
                        return Ok(());
                    }
                    if choose(&locked, place, &key)? {
                        locked.remove(*place, hash);
                        removed += 1;
                        if place.entry.at().is_some() {
                            words += place.entry.lengths().words();
                        }
                    }
                    Ok(())
                })?;
                drop(locked);
                writer.note_removed_words(words);
            }
        }
        if removed > 0 {
            writer.settle();
        }
        Ok(removed)
    }

    /// Removes many keys, and returns how many were there.
    ///
    /// Each is removed as if by [`remove`](Self::remove), one after the other.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert_many([("a", "1"), ("b", "2")])?;
    /// assert_eq!(table.remove_many(["a", "b", "c"])?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`remove`](Self::remove); the keys before the one that failed are gone.
    pub fn remove_many<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<usize> {
        let mut removed = 0;
        for key in keys {
            removed += usize::from(self.remove(key)?);
        }
        Ok(removed)
    }

    /// Removes the entries whose keys begin with some bytes, and returns how many were removed.
    ///
    /// Reads every key of the table under its stripe's lock, which is released after each bucket.
    /// So other writers go on, and what they insert in the meantime may stay.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert_many([("user:1", "ann"), ("user:2", "bob"), ("jobs", "7")])?;
    /// assert_eq!(table.remove_prefix("user:")?, 2);
    /// assert_eq!(table.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]. Some of the entries may be gone.
    pub fn remove_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<usize> {
        self.remove_prefix_of_bytes(prefix.as_ref())
    }

    fn remove_prefix_of_bytes(&self, prefix: &[u8]) -> Result<usize> {
        self.remove_where(|_, _, key| Ok(key.starts_with(prefix)))
    }

    /// Removes all entries.
    ///
    /// Goes stripe by stripe, so what others insert in the meantime may stay. A table that grows gives
    /// the memory of its records back to the machine, but for a small part, unless a read-only
    /// handle is open; its index keeps what it has. A table of fixed capacity keeps all its memory for new
    /// entries. The rest is freed when the last handle of an unlinked table is closed.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// table.clear()?;
    /// assert!(table.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]. Some of the entries may be gone.
    pub fn clear(&self) -> Result<()> {
        let writer = self.writer()?;
        let emptied = writer.begin_to_empty();
        for stripe in self.segment().stripes() {
            let locked = writer.lock(stripe)?;
            locked.remove_all(|chunk| emptied.has(chunk))?;
        }
        emptied.free();
        writer.give_back_excess();
        Ok(())
    }

    /// Moves values together, and gives all memory that they don't need back to the machine. Returns
    /// the bytes that were given back.
    ///
    /// A table that grows gives memory back by itself when it is cleared, or when most of its entries
    /// were removed, but keeps some for what comes next. This gives that back too, and what replaced
    /// values have left. The index keeps its memory. A table of fixed capacity keeps all of it, and
    /// so does every table while a read-only handle is open, or a reader takes long. Then the
    /// result is 0.
    ///
    /// Takes the lock of each entry that is moved, one after the other: others go on. Costs about
    /// as much as to insert what is moved, and some milliseconds in which every processor passes a
    /// memory fence (`membarrier`; without that system call nothing is given back).
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// let table = shmtable::Options::new().create_anonymous()?;
    /// for n in 0..50_000_u64 {
    ///     table.insert(n.to_le_bytes(), [0; 100])?;
    /// }
    /// let before = table.stats()?.memory_bytes;
    /// for n in 100..50_000_u64 {
    ///     table.remove(n.to_le_bytes())?;
    /// }
    /// table.shrink_to_fit()?;
    /// assert_eq!(table.len(), 100);
    /// # #[cfg(target_os = "linux")]
    /// assert!(table.stats()?.memory_bytes < before / 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]. What was done until then stays.
    pub fn shrink_to_fit(&self) -> Result<usize> {
        self.writer()?.shrink_to_fit()
    }

    /// Returns the number of entries.
    ///
    /// It is exact while no process writes. Otherwise each stripe's count is exact at a moment of
    /// its own. Costs one load for each stripe.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert_many([("a", "1"), ("b", "2")])?;
    /// assert_eq!(table.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn len(&self) -> usize {
        stripe_ops::entries(self.segment())
    }

    /// Returns whether there are no entries; as exact as [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a copy of the whole table at one moment.
    ///
    /// Takes the locks of all stripes, and holds them while it copies: writers wait, readers don't.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// let copy = table.snapshot()?;
    /// table.insert(b"k", b"2")?;
    /// assert_eq!(copy.get("k"), Some(&b"1"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]; `ReadOnly` too, because it has to lock.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let writer = self.writer()?;
        let stripes = writer.lock_all()?;
        let mut copy = Snapshot::with_capacity(self.len().min(self.capacity()));
        for locked in &stripes {
            for bucket in locked.buckets() {
                locked.for_each_in(bucket, |place| {
                    copy.insert(place.entry.key()?, place.entry.value()?);
                    Ok(())
                })?;
            }
        }
        Ok(copy)
    }

    pub(crate) fn entries_of_bucket(
        &self,
        stripe: usize,
        bucket: usize,
        filter: &ScanFilter,
    ) -> Result<Vec<OwnedEntry>> {
        self.get_ready_to_read()?;
        loop {
            for _ in 0..lookup::ATTEMPTS {
                if let Some(entries) = iter::read_bucket(self.segment(), bucket, filter)? {
                    return Ok(entries);
                }
                sync::spin_hint();
            }
            if let Some(locked) = self.lock_to_read(self.segment().stripe(stripe))? {
                let mut entries = Vec::new();
                locked.for_each_in(bucket, |place| {
                    entries.extend(filter.copy(&place.entry)?);
                    Ok(())
                })?;
                return Ok(entries);
            }
            sync::yield_now();
        }
    }
}
