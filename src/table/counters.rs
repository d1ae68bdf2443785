//! Counters: atomic arithmetic on one key.

use super::Table;
use crate::error::{Error, Result};
use crate::index::fast_path::Glance;
use crate::index::probe::{self, Hash};
use crate::index::stripe_ops::Locked;
use crate::layout::WORD;
use crate::segment::record;
use crate::write::Change;
use crate::write::writer::{ReentrancyGuard, Writer};

/// Counters.
impl Table {
    /// Adds to a counter, and returns its value before the addition.
    ///
    /// An absent key counts as 0. A counter is stored as 8 little-endian bytes.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert_eq!(table.fetch_add(b"hits", 2)?, 0);
    /// assert_eq!(table.fetch_add(b"hits", 1)?, 2);
    /// assert_eq!(table.get(b"hits")?, Some(3_i64.to_le_bytes().to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotACounter` if the value doesn't have 8 bytes; `CounterOverflow`; otherwise as
    /// [`insert`](Self::insert).
    #[inline]
    pub fn fetch_add(&self, key: impl AsRef<[u8]>, add: i64) -> Result<i64> {
        self.fetch_add_bytes(key.as_ref(), add)
    }

    /// Raises a counter to `n` if it is less, and returns its value before.
    ///
    /// An absent key counts as `n`, which is stored. In either case, the larger of `n` and the
    /// result is the counter's value afterwards. A counter is stored as 8 little-endian bytes.
    ///
    /// This is one step for all processes, under the lock of the key's stripe. Nothing is stored if
    /// the counter is `n` or more.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert_eq!(table.fetch_max(b"peak", 7)?, 7);
    /// assert_eq!(table.fetch_max(b"peak", 9)?, 7);
    /// assert_eq!(table.fetch_max(b"peak", 8)?, 9);
    /// assert_eq!(table.get(b"peak")?, Some(9_i64.to_le_bytes().to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotACounter` if the value doesn't have 8 bytes; otherwise as [`insert`](Self::insert).
    pub fn fetch_max(&self, key: impl AsRef<[u8]>, n: i64) -> Result<i64> {
        self.store_if(key.as_ref(), n, |value| n > value)
    }

    /// Lowers a counter to `n` if it is greater, and returns its value before.
    ///
    /// An absent key counts as `n`, which is stored. In either case, the smaller of `n` and the
    /// result is the counter's value afterwards. In all else this is
    /// [`fetch_max`](Self::fetch_max).
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert_eq!(table.fetch_min(b"fastest", 7)?, 7);
    /// assert_eq!(table.fetch_min(b"fastest", 9)?, 7);
    /// assert_eq!(table.fetch_min(b"fastest", -1)?, 7);
    /// assert_eq!(table.get(b"fastest")?, Some((-1_i64).to_le_bytes().to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`fetch_max`](Self::fetch_max).
    pub fn fetch_min(&self, key: impl AsRef<[u8]>, n: i64) -> Result<i64> {
        self.store_if(key.as_ref(), n, |value| n < value)
    }

    /// Changes a value of at most 8 bytes in place, in one step for all processes.
    ///
    /// The closure gets the value. It may change the bytes, but not their number. If it returns
    /// `Some`, the changed value is stored and the result is returned. If it returns `None`, nothing
    /// is stored. If the key is absent or its value is longer, the closure isn't called, and the
    /// answer is `None` too: [`try_update`](Self::try_update) takes any value, but allocates.
    ///
    /// The closure runs under the stripe's lock: keep it short. It may read this table; writing to
    /// it fails with `Reentrant`. If it panics, the lock is released and nothing has changed. If it
    /// forks, the call returns `Reentrant` in the child.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert("state", "idle")?;
    /// let begin = |state: &mut [u8]| (state == b"idle").then(|| state.copy_from_slice(b"busy"));
    /// assert_eq!(table.update_in_place("state", begin)?, Some(()));
    /// assert_eq!(table.update_in_place("state", begin)?, None);
    /// assert_eq!(table.get("state")?, Some(b"busy".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn update_in_place<R>(
        &self,
        key: impl AsRef<[u8]>,
        change: impl FnOnce(&mut [u8]) -> Option<R>,
    ) -> Result<Option<R>> {
        let key = key.as_ref();
        let writer = self.writer()?;
        let hash = Hash::of(&writer.segment, key);
        let home = probe::home_to_lock(&writer.segment, hash);
        home.bucket.prefetch();
        let locked = writer.lock(hash.stripe(&writer.segment))?;
        let entry = match locked.glance(locked.home(home, hash).bucket, key, hash) {
            Glance::Small(_, entry) | Glance::Record(_, entry) => entry,
            Glance::Absent => return Ok(None),
            Glance::Undecided => match locked.find(key, hash)? {
                Some(place) => place.entry,
                None => return Ok(None),
            },
        };
        let mut value = [0; WORD];
        let Some(value) = value.get_mut(..entry.lengths().value) else {
            return Ok(None);
        };
        record::copy_bytes(entry.value_words(), value);
        let held = ReentrancyGuard::new(self.segment());
        let result = change(value);
        drop(held);
        // It may have taken long.
        locked.check()?;
        if !locked.is_ours() {
            // The closure forked, and this is the child: the lock is the parent's.
            return Err(Error::Reentrant);
        }
        if result.is_some() {
            locked.store_in_place(&entry, record::word_from(value));
        }
        Ok(result)
    }

    /// Stores `n` as a counter if there is none, or if its value `gives_way`. Returns the value
    /// before, or `n`.
    fn store_if(&self, key: &[u8], n: i64, gives_way: impl Fn(i64) -> bool) -> Result<i64> {
        modify(self.writer()?, key, |value| {
            let stores = value.is_none_or(&gives_way);
            Ok((value.unwrap_or(n), stores.then_some(n)))
        })
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn fetch_add_bytes(&self, key: &[u8], add: i64) -> Result<i64> {
        // Apart, so that callers' compilers inline the rest, as with lookups.
        if key.len() > Hash::SHORT {
            return self.add_to_long(key, add);
        }
        self.add_to(key, add)
    }

    #[inline(never)]
    fn add_to_long(&self, key: &[u8], add: i64) -> Result<i64> {
        self.add_to(key, add)
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn add_to(&self, key: &[u8], add: i64) -> Result<i64> {
        let writer = self.writer()?;
        let hash = Hash::of(&writer.segment, key);
        let home = probe::home_to_lock(&writer.segment, hash);
        home.bucket.prefetch();
        let locked = writer.lock_unchecked(hash.stripe(&writer.segment))?;
        #[expect(clippy::match_same_arms, reason = "two copies, see `Glance`")]
        let before = match locked.glance(locked.home(home, hash).bucket, key, hash) {
            Glance::Small(_, entry) => locked.add(entry, add),
            Glance::Record(_, entry) => locked.add(entry, add),
            Glance::Absent => None,
            Glance::Undecided => return Self::add_searching(writer, locked, key, hash, add),
        };
        let Some(before) = before else {
            drop(locked);
            return Self::add_slow(writer, key, add);
        };
        // Unlocked before the answer is made, which would otherwise be kept in memory.
        drop(locked);
        Ok(before)
    }

    /// Adds to a counter wherever it is. Takes ownership of the lock, because callers would keep a
    /// lent one in memory.
    #[cold]
    #[inline(never)]
    fn add_searching(
        writer: &Writer,
        locked: Locked<'_>,
        key: &[u8],
        hash: Hash,
        add: i64,
    ) -> Result<i64> {
        let found = locked.search(key, hash)?;
        let before = found.and_then(|place| locked.add(place.entry, add));
        drop(locked);
        match before {
            Some(before) => Ok(before),
            None => Self::add_slow(writer, key, add),
        }
    }

    /// Adds to a counter, or creates it.
    #[cold]
    #[inline(never)]
    fn add_slow(writer: &Writer, key: &[u8], add: i64) -> Result<i64> {
        modify(writer, key, |value| {
            let value = value.unwrap_or(0);
            let sum = value.checked_add(add).ok_or(Error::CounterOverflow {
                value: value.into(),
                add: add.into(),
                number: "i64",
            })?;
            Ok((value, Some(sum)))
        })
    }
}

/// Changes a counter wherever it is, or creates it. `decide` gets its value, `None` if the key
/// is absent, and returns the answer and the value to store, if any.
fn modify(
    writer: &Writer,
    key: &[u8],
    decide: impl Fn(Option<i64>) -> Result<(i64, Option<i64>)>,
) -> Result<i64> {
    writer.check_sizes(key, WORD)?;
    let hash = Hash::of(&writer.segment, key);
    let (answer, _) = writer.modify(key, hash, None, |current, _| {
        let (answer, new) = decide(current.counter()?)?;
        let change = new.map_or(Change::Keep, |new| Change::Counter(new.to_le_bytes()));
        Ok((answer, change))
    })?;
    Ok(answer)
}
