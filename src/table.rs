//! The public table.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::index::locked::{self, Locked};
use crate::index::probe::{self, Hash};
use crate::index::read::{self, Found};
use crate::iter::{self, Entry, Iter};
use crate::layout::{FLAG_ANONYMOUS, WORD};
use crate::options::{Options, check_name, system_error};
use crate::participants::Participant;
use crate::record;
use crate::segment::Segment;
use crate::sync::{self, AtomicU64};
use crate::sys::fork::{self, ForkCell};
use crate::sys::{self, Liveness, simd};
use crate::wait;
use crate::write::Change;
use crate::writer::{Held, Writer};

/// Keys that [`Table::get_many`] has under way at once: enough to keep the memory
/// busy, few enough to stay in the first cache.
const BATCH: usize = 32;

/// A hash table in a named shared-memory segment.
///
/// Keys and values are bytes. A key has 0 to 1 048 575 bytes; a key and its value
/// together have at most as many as the table's
/// [`value_space`](crate::Options::value_space).
///
/// A `Table` is a handle: cloning it is cheap, threads share it, and a forked
/// child goes on using it as a participant of its own. Other processes open the
/// same segment by its name. The segment lives until [`Table::unlink`] or a
/// reboot, and as long as somebody has it open.
///
/// # What is atomic
/// Every method that takes one key is linearizable, among all threads of all
/// processes. Methods over many keys are not one moment of the table, except
/// [`snapshot`](Self::snapshot).
///
/// # What is locked
/// [`get`](Self::get), [`get_into`](Self::get_into), [`get_many`](Self::get_many),
/// [`contains_key`](Self::contains_key) and iteration take no lock and write
/// nothing to shared memory; they take the key's stripe lock only after they were
/// disturbed 64 times in a row. Everything that writes takes the stripe lock of
/// its key. A record of more than 256 bytes is written before the lock is taken;
/// under the lock, one word is stored. [`update`](Self::update) and
/// [`retain`](Self::retain) run a closure under it, [`replace`](Self::replace),
/// [`take`](Self::take) and [`compare_exchange`](Self::compare_exchange) copy or
/// compare the old value.
///
/// # Errors of every method
/// - `Corrupted`, if the segment's bytes are damaged.
///
/// and of every method that writes, besides:
/// - `ReadOnly` on a handle opened read-only,
/// - `LockTimeout` if a living process, stopped perhaps, kept the lock,
/// - `Reentrant` if called from a closure that runs under a lock of this table,
/// - `TooManyParticipants`, in the first write of a forked child.
///
/// A call that returns an error has not changed the table, unless its own text
/// says otherwise. No method panics on account of what the segment holds.
#[derive(Clone)]
pub struct Table(Arc<Handle>);

struct Handle {
    segment: Arc<Segment>,
    writer: ForkCell<Writer>,
    name: String,
    read_only: bool,
    /// Holds the readers' byte while a read-only handle is open.
    _presence: Option<Liveness>,
    /// The process that removes the segment when it drops the handle.
    creator: Option<u64>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.creator == Some(fork::generation()) {
            // Somebody may have unlinked it already and made another.
            let _ = self.segment.map.unlink_if_same(&self.name);
        }
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("name", &self.0.name)
            .field("capacity", &self.capacity())
            .field("read_only", &self.0.read_only)
            .finish_non_exhaustive()
    }
}

/// Life of a table.
impl Table {
    /// A new handle for writing; `creator` is the participant that made the
    /// segment, if this is its first handle.
    pub(crate) fn attach(
        name: &str,
        segment: Arc<Segment>,
        creator: Option<Participant>,
    ) -> Result<Self> {
        let anonymous = creator.is_some() && segment.flags & FLAG_ANONYMOUS != 0;
        let table = Self(Arc::new(Handle {
            writer: ForkCell::new(),
            segment,
            name: name.to_owned(),
            read_only: false,
            _presence: None,
            creator: anonymous.then(fork::generation),
        }));
        table
            .0
            .writer
            .get_or_try_init(|| Writer::new(&table.0.segment, creator))?;
        Ok(table)
    }

    pub(crate) fn read_only(name: &str, segment: Arc<Segment>, presence: Option<Liveness>) -> Self {
        Self(Arc::new(Handle {
            writer: ForkCell::new(),
            segment,
            name: name.to_owned(),
            read_only: true,
            _presence: presence,
            creator: None,
        }))
    }

    /// Opens a table with default [`Options`].
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let created = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// # let name = created.name();
    /// let table = shmtable::Table::open(name)?;
    /// table.insert(b"k", b"1")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(name: &str) -> Result<Self> {
        Options::new().open(name)
    }

    /// Opens a table for reading with default [`Options`].
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let created = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// # let name = created.name();
    /// let table = shmtable::Table::open_read_only(name)?;
    /// assert_eq!(table.get(b"k")?, None);
    /// assert!(matches!(table.insert(b"k", b"1"), Err(shmtable::Error::ReadOnly)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Options::open_read_only`].
    pub fn open_read_only(name: &str) -> Result<Self> {
        Options::new().open_read_only(name)
    }

    /// Removes a table's name. Who has it open goes on using it; its memory is
    /// freed when the last of them ends.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Error, Options, Table};
    ///
    /// # let name = &format!("doc-unlink-{}", std::process::id());
    /// let table = Options::new().capacity(100).create(name)?;
    /// Table::unlink(name)?;
    /// assert!(matches!(Table::open(name), Err(Error::NotFound { .. })));
    /// table.insert(b"still", b"usable")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `InvalidName`, `System`.
    pub fn unlink(name: &str) -> Result<()> {
        check_name(name)?;
        sys::unlink(name).map_err(|source| system_error(source, name, "unlink"))
    }

    /// The names of all tables on this machine, in no order.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert!(shmtable::Table::list()?.iter().any(|name| name == table.name()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `System` if they could not be listed.
    pub fn list() -> Result<Vec<String>> {
        sys::list().map_err(|source| Error::System {
            action: "list the segments",
            source,
        })
    }

    /// The name it was created or opened with.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether the handle was opened read-only.
    pub fn is_read_only(&self) -> bool {
        self.0.read_only
    }

    /// The number of entries the table was created for.
    pub fn capacity(&self) -> usize {
        self.segment().geometry.capacity
    }

    /// The id of the codec the table was created with; 0 is plain bytes.
    pub fn codec_id(&self) -> u64 {
        self.segment().codec
    }

    /// Whether the table is removed with its creator.
    pub fn is_anonymous(&self) -> bool {
        self.segment().flags & FLAG_ANONYMOUS != 0
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.0.segment
    }

    /// This process's part of the handle, if it may write now.
    pub(crate) fn writer(&self) -> Result<&Writer> {
        if self.0.read_only {
            return Err(Error::ReadOnly);
        }
        Held::check(self.segment())?;
        self.0
            .writer
            .get_or_try_init(|| Writer::new(&self.0.segment, None))
    }
}

/// Reading.
impl Table {
    /// The value of a key, or `None`.
    ///
    /// Takes no lock. Costs two cache misses in a large table, and the copy.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// assert_eq!(table.get(b"k")?, Some(b"1".to_vec()));
    /// assert_eq!(table.get(b"other")?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        Ok(self.get_into(key, &mut value)?.then_some(value))
    }

    /// Replaces the content of `value` by the value of a key; `false`, and `value`
    /// empty, if there is none. Saves the allocation of [`get`](Self::get).
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// let mut value = Vec::new();
    /// assert!(table.get_into(b"k", &mut value)?);
    /// assert_eq!(value, b"1");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn get_into(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let hash = Hash::of(self.segment(), key);
        let found = self.lookup(key, hash, |words, length| {
            record::load_bytes(words, length, value)
        })?;
        if found.is_none() {
            value.clear();
        }
        Ok(found.is_some())
    }

    /// Whether there is a value for a key. Takes no lock.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"")?;
    /// assert!(table.contains_key(b"k")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn contains_key(&self, key: &[u8]) -> Result<bool> {
        Ok(self.length_of(key)?.is_some())
    }

    /// The values of many keys, in their order; each as if by [`get`](Self::get).
    ///
    /// Several times as fast as single gets in a large table: the memory accesses
    /// of many keys are under way at the same time.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"a", b"1")?;
    /// assert_eq!(table.get_many(&["a", "b"])?, [Some(b"1".to_vec()), None]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        let segment = self.segment();
        let mut values = Vec::with_capacity(keys.len());
        let mut hashes = Vec::with_capacity(BATCH);
        for batch in keys.chunks(BATCH) {
            hashes.clear();
            for key in batch {
                let hash = Hash::of(segment, key.as_ref());
                let at = segment.geometry.bucket(hash.home(segment));
                simd::prefetch(segment.words(), at);
                hashes.push(hash);
            }
            for hash in &hashes {
                let bucket = probe::bucket(segment, hash.home(segment));
                let matches = bucket.tags().matching(hash.tag());
                if matches != 0 {
                    let slot = bucket.slot(matches.trailing_zeros() as usize);
                    simd::prefetch(segment.words(), segment.geometry.word_of(slot));
                }
            }
            for (key, hash) in batch.iter().zip(&hashes) {
                let mut value = Vec::new();
                let found = self.lookup(key.as_ref(), *hash, |words, length| {
                    record::load_bytes(words, length, &mut value)
                })?;
                values.push(found.map(|()| value));
            }
        }
        Ok(values)
    }

    /// Copies a value, as far as it fits, and tells its full length.
    pub(crate) fn read_fixed(&self, key: &[u8], buffer: &mut [u8]) -> Result<Option<usize>> {
        let hash = Hash::of(self.segment(), key);
        self.lookup(key, hash, |words, length| {
            let fits = length.min(buffer.len());
            record::copy_bytes(words, &mut buffer[..fits]);
            Ok(length)
        })
    }

    fn length_of(&self, key: &[u8]) -> Result<Option<usize>> {
        let hash = Hash::of(self.segment(), key);
        self.lookup(key, hash, |_, length| Ok(length))
    }

    /// Looks a key up without a lock, or, after too many disturbances, with one.
    #[inline]
    fn lookup<R>(
        &self,
        key: &[u8],
        hash: Hash,
        mut copy: impl FnMut(&[AtomicU64], usize) -> Result<R>,
    ) -> Result<Option<R>> {
        loop {
            match read::lookup(self.segment(), key, hash, &mut copy)? {
                Found::Present(result) => return Ok(Some(result)),
                Found::Absent => return Ok(None),
                Found::Disturbed => {}
            }
            let Some(locked) = self.lock_to_read(hash.stripe(self.segment()))? else {
                sync::yield_now();
                continue;
            };
            return locked
                .find(key, hash)?
                .found
                .map(|place| {
                    let words = place.header.value.div_ceil(WORD);
                    copy(&place.value()[..words], place.header.value)
                })
                .transpose();
        }
    }

    /// The stripe, locked, unless this handle or this thread must not.
    fn lock_to_read(&self, stripe: usize) -> Result<Option<Locked<'_>>> {
        match self.writer() {
            Ok(writer) => match writer.lock(stripe) {
                // A stopped holder is no reason not to read.
                Err(Error::LockTimeout { .. }) => Ok(None),
                locked => locked.map(Some),
            },
            Err(Error::ReadOnly | Error::Reentrant | Error::TooManyParticipants { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Writing one key.
impl Table {
    /// Stores a value. `true`: the key was new; `false`: its value was replaced.
    ///
    /// A value of 1 to 8 bytes that keeps its length is replaced in place. Any
    /// other takes new room, and what it replaces becomes garbage that is cleaned
    /// up when room is short.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert!(table.insert(b"k", b"1")?);
    /// assert!(!table.insert(b"k", b"2")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `TableFull`, `ValueSpaceFull`, `SharedMemoryFull`, `KeyTooLarge`,
    /// `ValueTooLarge`; see [`Table`] for the rest.
    pub fn insert(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        let writer = self.writer()?;
        let hash = Hash::of(self.segment(), key);
        let staged = writer.stage_if_large(key, value)?;
        let (new, _) = writer.modify(key, hash, staged, |current| {
            Ok((!current.is_present(), Change::Put(value)))
        })?;
        Ok(new)
    }

    /// Stores a value if the key has none. Of all processes that try, exactly one
    /// gets `true`.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert!(table.try_insert(b"claim", b"process 1")?);
    /// assert!(!table.try_insert(b"claim", b"process 2")?);
    /// assert_eq!(table.get(b"claim")?, Some(b"process 1".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn try_insert(&self, key: &[u8], value: &[u8]) -> Result<bool> {
        let writer = self.writer()?;
        writer.check_sizes(key, value.len())?;
        if self.contains_key(key)? {
            return Ok(false);
        }
        let hash = Hash::of(self.segment(), key);
        let staged = writer.stage_if_large(key, value)?;
        let (won, _) = writer.modify(key, hash, staged, |current| {
            Ok(if current.is_present() {
                (false, Change::Keep)
            } else {
                (true, Change::Put(value))
            })
        })?;
        Ok(won)
    }

    /// Stores a value and returns the one it replaced; `None`: the key was new.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert_eq!(table.replace(b"k", b"1")?, None);
    /// assert_eq!(table.replace(b"k", b"2")?, Some(b"1".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn replace(&self, key: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>> {
        let writer = self.writer()?;
        let hash = Hash::of(self.segment(), key);
        let staged = writer.stage_if_large(key, value)?;
        let (old, _) = writer.modify(key, hash, staged, |current| {
            Ok((current.read()?, Change::Put(value)))
        })?;
        Ok(old)
    }

    /// Removes a key. `true`: it was there.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// assert!(table.remove(b"k")?);
    /// assert!(!table.remove(b"k")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn remove(&self, key: &[u8]) -> Result<bool> {
        let writer = self.writer()?;
        let hash = Hash::of(self.segment(), key);
        let (removed, _) = writer.modify(key, hash, None, |current| {
            Ok((current.is_present(), Change::Remove))
        })?;
        Ok(removed)
    }

    /// Removes a key and returns its value. Of all processes that try, exactly one
    /// gets it.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"job", b"sweep")?;
    /// assert_eq!(table.take(b"job")?, Some(b"sweep".to_vec()));
    /// assert_eq!(table.take(b"job")?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let writer = self.writer()?;
        let hash = Hash::of(self.segment(), key);
        let (value, _) = writer.modify(key, hash, None, |current| {
            Ok((current.read()?, Change::Remove))
        })?;
        Ok(value)
    }

    /// Replaces a value by what a closure makes of it, atomically: read, modify and
    /// write are one step for all processes. The closure gets `None` for an absent
    /// key; what it returns is stored, and returned; `None` removes the key or
    /// leaves it absent.
    ///
    /// The closure runs under the stripe's lock: keep it short. It may read this
    /// table; writing to it fails with `Reentrant`. If it panics, the lock is
    /// released and nothing has changed. It runs again if room must be made for
    /// what it returned. If it forks, the child's call returns `Reentrant`.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let append = |old: Option<&[u8]>| Some([old.unwrap_or_default(), b"x"].concat());
    /// assert_eq!(table.update(b"k", append)?, Some(b"x".to_vec()));
    /// assert_eq!(table.update(b"k", append)?, Some(b"xx".to_vec()));
    /// assert_eq!(table.update(b"k", |_| None)?, None);
    /// assert!(!table.contains_key(b"k")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn update<F>(&self, key: &[u8], mut change: F) -> Result<Option<Vec<u8>>>
    where
        F: FnMut(Option<&[u8]>) -> Option<Vec<u8>>,
    {
        self.try_update(key, |old| Ok(change(old)))
    }

    /// [`update`](Self::update) with a closure that may fail, which changes nothing.
    pub(crate) fn try_update<F>(&self, key: &[u8], mut change: F) -> Result<Option<Vec<u8>>>
    where
        F: FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>>,
    {
        let writer = self.writer()?;
        writer.check_sizes(key, 0)?;
        let hash = Hash::of(self.segment(), key);
        let ((), change) = writer.modify(key, hash, None, |current| {
            let old = current.read()?;
            let held = Held::new(self.segment());
            let new = change(old.as_deref())?;
            drop(held);
            Ok(((), new.map_or(Change::Remove, Change::Computed)))
        })?;
        Ok(match change {
            Change::Computed(value) => Some(value),
            _ => None,
        })
    }

    /// Stores `new` if the value is `expected`; `None` stands for an absent key in
    /// both. The inner error is the value that was found instead.
    ///
    /// Takes no lock if the value is not the expected one.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert_eq!(table.compare_exchange(b"k", None, Some(b"1"))?, Ok(()));
    /// assert_eq!(
    ///     table.compare_exchange(b"k", Some(b"0"), Some(b"2"))?,
    ///     Err(Some(b"1".to_vec()))
    /// );
    /// assert_eq!(table.compare_exchange(b"k", Some(b"1"), None)?, Ok(()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn compare_exchange(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<std::result::Result<(), Option<Vec<u8>>>> {
        let writer = self.writer()?;
        writer.check_sizes(key, new.map_or(0, <[u8]>::len))?;
        let now = self.get(key)?;
        if now.as_deref() != expected {
            return Ok(Err(now));
        }
        let hash = Hash::of(self.segment(), key);
        let staged = match new {
            Some(value) => writer.stage_if_large(key, value)?,
            None => None,
        };
        let (outcome, _) = writer.modify(key, hash, staged, |current| {
            Ok(if current.is(expected) {
                (Ok(()), new.map_or(Change::Remove, Change::Put))
            } else {
                (Err(current.read()?), Change::Keep)
            })
        })?;
        Ok(outcome)
    }

    /// Adds to a counter and returns its value before; an absent key counts as 0.
    /// A counter is stored as 8 little-endian bytes.
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
    /// `NotACounter` if the value has not 8 bytes, `CounterOverflow`; then as
    /// [`insert`](Self::insert).
    pub fn fetch_add(&self, key: &[u8], add: i64) -> Result<i64> {
        let writer = self.writer()?;
        writer.check_sizes(key, WORD)?;
        let hash = Hash::of(self.segment(), key);
        let (before, _) = writer.modify(key, hash, None, |current| {
            let value = current.counter()?;
            let Some(sum) = value.checked_add(add) else {
                return Err(Error::CounterOverflow { value, add });
            };
            Ok((value, Change::Counter(sum)))
        })?;
        Ok(before)
    }
}

/// Many keys.
impl Table {
    /// Stores many values; the number of keys that were new. Each is stored as if
    /// by [`insert`](Self::insert), one after the other.
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

    /// All entries, in no order, while others read and write.
    ///
    /// An entry that is there from beginning to end is seen exactly once, with a
    /// value that it had at some moment; one that comes or goes meanwhile may be
    /// seen or not. Takes no lock.
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
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(self)
    }

    /// The keys of [`iter`](Self::iter).
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"a", b"1")?;
    /// assert_eq!(table.keys().next().transpose()?, Some(b"a".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = Result<Vec<u8>>> + '_ {
        self.iter().map(|entry| entry.map(|(key, _)| key))
    }

    /// The values of [`iter`](Self::iter).
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"a", b"1")?;
    /// assert_eq!(table.values().next().transpose()?, Some(b"1".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn values(&self) -> impl Iterator<Item = Result<Vec<u8>>> + '_ {
        self.iter().map(|entry| entry.map(|(_, value)| value))
    }

    /// Calls a closure for each entry of [`iter`](Self::iter). No lock is held
    /// meanwhile; the closure may do anything.
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

    /// Removes the entries for which a closure returns `false`; the number removed.
    ///
    /// For each entry, the decision and the removal are one step. The closure runs
    /// under the stripe's lock, as in [`update`](Self::update): it may read this
    /// table and not write to it, and if it panics the entries that it saw before
    /// are gone or kept as it said.
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
    /// See [`Table`]. The entries before the failure are gone or kept.
    pub fn retain(&self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) -> Result<usize> {
        let writer = self.writer()?;
        let mut removed = 0;
        for stripe in 0..self.segment().geometry.stripes() {
            for bucket in self.segment().geometry.buckets_of(stripe) {
                let locked = writer.lock(stripe)?;
                locked.for_each_in(bucket, |place| {
                    let (key, hash) = locked.hash_of(place)?;
                    let value = locked::value_of(place)?;
                    let held = Held::new(self.segment());
                    let kept = keep(&key, &value);
                    drop(held);
                    if !locked.is_ours() {
                        return Err(Error::Reentrant);
                    }
                    if !kept {
                        locked.remove(place, hash);
                        removed += 1;
                    }
                    Ok(())
                })?;
            }
        }
        Ok(removed)
    }

    /// Removes all entries, stripe by stripe: what others insert meanwhile may
    /// stay.
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
    /// See [`Table`]. A part of the entries may be gone.
    pub fn clear(&self) -> Result<()> {
        let writer = self.writer()?;
        for stripe in 0..self.segment().geometry.stripes() {
            let locked = writer.lock(stripe)?;
            for bucket in self.segment().geometry.buckets_of(stripe) {
                locked.for_each_in(bucket, |place| {
                    let (_, hash) = locked.hash_of(place)?;
                    locked.remove(place, hash);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// The number of entries. Exact if nobody writes; else each stripe's count is
    /// exact at a moment of its own. Costs one load for each stripe.
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
        locked::entries(self.segment())
    }

    /// Whether there is no entry; as exact as [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the whole table at one moment.
    ///
    /// Takes the locks of all stripes and holds them while it copies: writers
    /// wait, readers do not.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// let copy = table.snapshot()?;
    /// table.insert(b"k", b"2")?;
    /// assert_eq!(copy[&b"k"[..]], b"1");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]; `ReadOnly` too, because it must lock.
    pub fn snapshot(&self) -> Result<HashMap<Vec<u8>, Vec<u8>>> {
        let writer = self.writer()?;
        let geometry = &self.segment().geometry;
        // In ascending order, and nobody else holds one while waiting for another
        // but in the same order: no deadlock.
        let stripes: Vec<Locked<'_>> = (0..geometry.stripes())
            .map(|stripe| writer.lock(stripe))
            .collect::<Result<_>>()?;
        let mut copy = HashMap::with_capacity(self.len());
        for (stripe, locked) in stripes.iter().enumerate() {
            for bucket in geometry.buckets_of(stripe) {
                locked.for_each_in(bucket, |place| {
                    let (key, _) = locked.hash_of(place)?;
                    copy.insert(key, locked::value_of(place)?);
                    Ok(())
                })?;
            }
        }
        Ok(copy)
    }

    pub(crate) fn entries_of_bucket(&self, bucket: usize) -> Result<Vec<Entry>> {
        let stripe = bucket / self.segment().geometry.stripe_buckets;
        loop {
            for _ in 0..read::ATTEMPTS {
                if let Some(entries) = iter::read_bucket(self.segment(), bucket)? {
                    return Ok(entries);
                }
                sync::spin_hint();
            }
            if let Some(locked) = self.lock_to_read(stripe)? {
                let mut entries = Vec::new();
                locked.for_each_in(bucket, |place| {
                    entries.push((locked.hash_of(place)?.0, locked::value_of(place)?));
                    Ok(())
                })?;
                return Ok(entries);
            }
            sync::yield_now();
        }
    }
}

/// Waiting.
impl Table {
    /// Waits until a key has a value and returns it; `None` after the timeout.
    ///
    /// Sleeps without using the processor; the process that publishes the key
    /// wakes it. A read-only handle cannot ask to be woken and looks every 5 ms at
    /// the latest.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let worker = table.clone();
    /// let handle = std::thread::spawn(move || worker.insert(b"result", b"42"));
    /// let value = table.wait(b"result", Duration::from_secs(10))?;
    /// assert_eq!(value.as_deref(), Some(&b"42"[..]));
    /// # handle.join().unwrap()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]; never `LockTimeout`.
    pub fn wait(&self, key: &[u8], timeout: Duration) -> Result<Option<Vec<u8>>> {
        let stripe = Hash::of(self.segment(), key).stripe(self.segment());
        wait::until(self.segment(), stripe, self.0.read_only, timeout, || {
            self.get(key)
        })
    }

    /// Waits until a key's value differs from what the caller saw (`None`: absent)
    /// and returns what it is then; the outer `None` after the timeout. A value
    /// that changed and changed back meanwhile may go unnoticed.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// use std::time::Duration;
    ///
    /// table.insert(b"state", b"running")?;
    /// let changed = table.wait_change(b"state", Some(b"waiting"), Duration::from_secs(1))?;
    /// assert_eq!(changed, Some(Some(b"running".to_vec())));
    /// assert_eq!(table.wait_change(b"state", Some(b"running"), Duration::ZERO)?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_change(
        &self,
        key: &[u8],
        seen: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Option<Option<Vec<u8>>>> {
        let stripe = Hash::of(self.segment(), key).stripe(self.segment());
        wait::until(self.segment(), stripe, self.0.read_only, timeout, || {
            let now = self.get(key)?;
            Ok((now.as_deref() != seen).then_some(now))
        })
    }
}
