//! Reading one key, or a batch of them, without a lock.

use std::mem::MaybeUninit;

use super::Table;
use crate::error::{Error, Result};
use crate::index::fast_path::{self, Copier, Found, by};
use crate::index::lookup;
use crate::index::probe::{self, Hash};
use crate::index::slot::{self, SlotContent};
use crate::index::stripe_ops::Locked;
use crate::segment::record;
use crate::segment::slices::copy_slices;
use crate::segment::stripe::Stripe;
use crate::sync::{self, AtomicU64};
use crate::sys::memory::simd;

/// Keys that [`Table::get_many`] looks up at once: enough to keep the memory busy, few
/// enough to stay in the first cache.
const BATCH: usize = 32;

/// Copies a value into a vector, in place of what that holds.
struct IntoVec<'a>(&'a mut Vec<u8>);

impl Copier for IntoVec<'_> {
    type Copied = ();

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn copy(&mut self, words: &[AtomicU64], length: usize) -> Result<()> {
        record::load_bytes(words, length, self.0)
    }
}

/// Reading.
impl Table {
    /// Returns the value of a key, or `None`.
    ///
    /// Takes no lock. In a large table it costs one cache miss for a small entry (key and value
    /// have at most 15 bytes together, the value at most 8), two for any other, and the copy.
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
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.get_bytes(key.as_ref())
    }

    pub(super) fn get_bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        Ok(self.get_bytes_into(key, &mut value)?.then_some(value))
    }

    /// Copies the value of a key into a buffer, and returns whether there is one.
    ///
    /// The buffer's old content is gone; it is empty if the key is absent. Saves the allocation of
    /// [`get`](Self::get).
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
    #[inline]
    pub fn get_into(&self, key: impl AsRef<[u8]>, value: &mut Vec<u8>) -> Result<bool> {
        self.get_bytes_into(key.as_ref(), value)
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn get_bytes_into(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let found = self.lookup(key, IntoVec(value))?;
        if found.is_none() {
            value.clear();
        }
        Ok(found.is_some())
    }

    /// Returns whether a key has a value. Takes no lock.
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
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.length_of(key.as_ref())?.is_some())
    }

    /// Returns the values of many keys, in the order of the keys.
    ///
    /// Each value is read as if by [`get`](Self::get). In a large table this is several times as
    /// fast as single gets, because the memory accesses of many keys overlap.
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
        let mut values = Vec::with_capacity(keys.len());
        self.get_many_with(keys, |value| values.push(value.map(<[u8]>::to_vec)))?;
        Ok(values)
    }

    /// Calls a closure with the value of each of many keys, in the order of the keys.
    ///
    /// Each value is read as if by [`get`](Self::get). Saves the allocations of
    /// [`get_many`](Self::get_many): the closure sees a buffer that is used again for the next
    /// value.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"a", b"1")?;
    /// let mut bytes = 0;
    /// table.get_many_with(&["a", "b"], |value| bytes += value.map_or(0, <[u8]>::len))?;
    /// assert_eq!(bytes, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]. The closure has seen the values before the one that failed.
    pub fn get_many_with<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        mut visit: impl FnMut(Option<&[u8]>),
    ) -> Result<()> {
        let segment = self.segment();
        let mut hashes = Vec::with_capacity(BATCH.min(keys.len()));
        let mut value = Vec::new();
        for batch in keys.chunks(BATCH) {
            hashes.clear();
            for key in batch {
                let hash = Hash::of(segment, key.as_ref());
                probe::home(segment, hash).bucket.prefetch();
                hashes.push(hash);
            }
            for hash in &hashes {
                let bucket = probe::home(segment, *hash).bucket;
                if let Some(slot) = bucket.tags().first_with(hash.tag())
                    && let SlotContent::Record(offset) = slot::holds(bucket.head(slot))
                {
                    simd::prefetch(segment.words(), segment.geometry.word_of(offset));
                }
            }
            for (key, hash) in batch.iter().zip(&hashes) {
                let found = self.lookup_hashed(key.as_ref(), *hash, IntoVec(&mut value))?;
                visit(found.map(|()| value.as_slice()));
            }
        }
        Ok(())
    }

    /// Copies as much of a key's value as fits into a slice, and returns the value's whole length.
    ///
    /// Returns `None` if the key is absent. Never allocates.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"value")?;
    /// let mut buffer = [0; 4];
    /// assert_eq!(table.get_into_slice(b"k", &mut buffer)?, Some(5));
    /// assert_eq!(&buffer, b"valu");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    #[inline]
    pub fn get_into_slice(
        &self,
        key: impl AsRef<[u8]>,
        buffer: &mut [u8],
    ) -> Result<Option<usize>> {
        self.get_bytes_into_slice(key.as_ref(), buffer)
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn get_bytes_into_slice(&self, key: &[u8], buffer: &mut [u8]) -> Result<Option<usize>> {
        self.lookup(
            key,
            by(|words, length| {
                let fits = length.min(buffer.len());
                record::copy_bytes(words, &mut buffer[..fits]);
                Ok(length)
            }),
        )
    }

    /// Copies a key's value into several slices, and returns the value's whole length.
    ///
    /// The slices are filled one after another, as far as the value goes or they have room: a
    /// header and its body, say. Returns `None` if the key is absent. Never allocates.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"headbody")?;
    /// let (mut head, mut body) = ([0; 4], [0; 10]);
    /// assert_eq!(table.get_into_slices(b"k", &mut [&mut head, &mut body])?, Some(8));
    /// assert_eq!((&head, &body[..4]), (b"head", &b"body"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn get_into_slices(
        &self,
        key: impl AsRef<[u8]>,
        buffers: &mut [&mut [u8]],
    ) -> Result<Option<usize>> {
        self.lookup(
            key.as_ref(),
            by(|words, length| {
                copy_slices(words, length, buffers);
                Ok(length)
            }),
        )
    }

    /// Copies a key's value into memory that needs no content before, and returns the value's
    /// whole length.
    ///
    /// Fills the buffers as [`get_into_slices`](Self::get_into_slices) does. After `Ok(Some(length))`
    /// the first `length` bytes of the buffers, as far as they have room, are initialized; you may
    /// rely on this in `unsafe` code. After any other answer some of them may be.
    ///
    /// ```
    /// use std::mem::MaybeUninit;
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"headbody")?;
    /// let mut memory = Box::new_uninit_slice(8);
    /// let (head, body) = memory.split_at_mut(4);
    /// assert_eq!(table.get_into_uninit(b"k", &mut [head, body])?, Some(8));
    /// // SAFETY: the value's 8 bytes were copied to it.
    /// let memory: Box<[u8]> = unsafe { memory.assume_init() };
    /// assert_eq!(&*memory, b"headbody");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`].
    pub fn get_into_uninit(
        &self,
        key: impl AsRef<[u8]>,
        buffers: &mut [&mut [MaybeUninit<u8>]],
    ) -> Result<Option<usize>> {
        self.lookup(
            key.as_ref(),
            by(|words, length| {
                // What it returns was copied, whatever the segment says.
                Ok(copy_slices(words, length, buffers))
            }),
        )
    }

    pub(super) fn length_of(&self, key: &[u8]) -> Result<Option<usize>> {
        self.lookup(key, by(|_, length| Ok(length)))
    }

    /// Looks up a key without a lock or, after too many disturbances, with one.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn lookup<R>(&self, key: &[u8], copy: impl Copier<Copied = R>) -> Result<Option<R>> {
        if key.len() > Hash::SHORT {
            return self.lookup_long(key, copy);
        }
        let hash = Hash::of(self.segment(), key);
        self.lookup_hashed(key, hash, copy)
    }

    /// Looks up a long key. Apart, because the hash of long keys is so much code that callers'
    /// compilers would not inline the rest.
    #[inline(never)]
    fn lookup_long<R>(&self, key: &[u8], copy: impl Copier<Copied = R>) -> Result<Option<R>> {
        let hash = Hash::of(self.segment(), key);
        self.lookup_hashed(key, hash, copy)
    }

    /// Looks up a key whose hash is known.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn lookup_hashed<R>(
        &self,
        key: &[u8],
        hash: Hash,
        mut copy: impl Copier<Copied = R>,
    ) -> Result<Option<R>> {
        match fast_path::lookup_fast(self.segment(), key, hash, &mut copy)? {
            Found::Present(result) => Ok(Some(result)),
            Found::Absent => Ok(None),
            Found::Undecided => self.lookup_slow(key, copy),
        }
    }

    /// Looks up a key, however long it takes. Makes the hash again, so that callers need not keep
    /// it.
    #[cold]
    #[inline(never)]
    fn lookup_slow<R>(&self, key: &[u8], mut copy: impl Copier<Copied = R>) -> Result<Option<R>> {
        let segment = self.segment();
        let hash = Hash::of(segment, key);
        self.get_ready_to_read()?;
        loop {
            let found = match lookup::lookup_slow(self.segment(), key, hash, &mut copy)? {
                Found::Undecided => self.lookup_locked(key, hash, &mut copy)?,
                decided => decided,
            };
            match found {
                Found::Present(result) => return Ok(Some(result)),
                Found::Absent => return Ok(None),
                Found::Undecided => sync::yield_now(),
            }
        }
    }

    /// Looks up a key under its stripe's lock; `Undecided` if this caller can't have the lock.
    fn lookup_locked<R>(
        &self,
        key: &[u8],
        hash: Hash,
        copy: &mut impl Copier<Copied = R>,
    ) -> Result<Found<R>> {
        let Some(locked) = self.lock_to_read(hash.stripe(self.segment()))? else {
            return Ok(Found::Undecided);
        };
        Ok(match locked.find(key, hash)? {
            Some(place) => {
                Found::Present(copy.copy(place.entry.value_words(), place.entry.lengths().value)?)
            }
            None => Found::Absent,
        })
    }

    /// Locks a stripe for a read, or returns `None` if this handle or this thread must not lock it.
    pub(super) fn lock_to_read<'a>(&'a self, stripe: Stripe<'a>) -> Result<Option<Locked<'a>>> {
        match self.writer() {
            Ok(writer) => match writer.lock(stripe) {
                // Neither a stopped lock owner nor a closed descriptor keeps a read from going on.
                Err(Error::LockTimeout { .. } | Error::DescriptorClosed { .. }) => Ok(None),
                locked => locked.map(Some),
            },
            Err(
                Error::ReadOnly
                | Error::Reentrant
                | Error::TooManyParticipants { .. }
                | Error::DescriptorClosed { .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
