//! The memory of a segment: an object of the `shared_memory` crate.

use std::io;
use std::ptr::NonNull;

use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::companion::SegmentId;
use super::os;
use crate::sync::AtomicU64;
use crate::sys::NoAddressSpace;

/// A mapped shared-memory object.
pub(super) struct Memory {
    shmem: Shmem,
    base: NonNull<AtomicU64>,
    /// The number of words that are mapped.
    #[cfg(windows)]
    all: usize,
    /// The number of words that are the segment's.
    words: usize,
}

// SAFETY: `Shmem` owns a mapping and a descriptor or handles, none of which belongs
// to a thread: its drop, on any thread, returns them to the system. It is not
// `Send` only because it contains an address.
unsafe impl Send for Memory {}

// SAFETY: a shared `Memory` hands out the mapping only as atomic words. Of `Shmem` it only
// asks the length, which does not change.
unsafe impl Sync for Memory {}

impl Memory {
    /// Makes an object for a segment of `bytes` zero bytes. Unless [`keep`](Self::keep) is
    /// called, the object is removed when this is dropped.
    pub(super) fn create(id: SegmentId, bytes: usize) -> io::Result<Self> {
        let length = os::Bells::length(bytes)?;
        os::check_length(length)?;
        Self::of(os::with_streams(|| conf(id).size(length).create())?, bytes)
    }

    /// Maps the object of a segment of `bytes` bytes.
    pub(super) fn open(id: SegmentId, bytes: usize) -> io::Result<Self> {
        let mut memory = Self::of(os::with_streams(|| conf(id).open())?, bytes)?;
        let length = os::object_length(id, memory.shmem.len())?;
        memory.shorten(length / size_of::<u64>());
        Ok(memory)
    }

    fn of(shmem: Result<Shmem, ShmemError>, asked: usize) -> io::Result<Self> {
        let shmem = shmem.map_err(|error| match system(error) {
            // Making an object takes no memory, mapping it does.
            error if error.kind() == io::ErrorKind::OutOfMemory => {
                let limit = os::address_space_limit();
                io::Error::new(error.kind(), NoAddressSpace { asked, limit })
            }
            error => error,
        })?;
        // Aligned: it is the start of a page, and checked below.
        #[allow(clippy::cast_ptr_alignment)]
        let base = NonNull::new(shmem.as_ptr().cast::<AtomicU64>());
        let base = base.filter(|base| base.is_aligned() && isize::try_from(shmem.len()).is_ok());
        let words = shmem.len() / size_of::<u64>();
        Ok(Self {
            base: base.ok_or(io::ErrorKind::OutOfMemory)?,
            #[cfg(windows)]
            all: words,
            words,
            shmem,
        })
    }

    /// Keeps the object until [`remove`], beyond the drop of this.
    pub(super) fn keep(&mut self) {
        self.shmem.set_owner(false);
    }

    /// The segment.
    #[inline]
    pub(super) fn words(&self) -> &[AtomicU64] {
        self.first(self.words)
    }

    /// The segment and what is mapped behind it.
    #[cfg(windows)]
    pub(super) fn all(&self) -> &[AtomicU64] {
        self.first(self.all)
    }

    #[inline]
    fn first(&self, words: usize) -> &[AtomicU64] {
        // SAFETY: both callers ask for at most as many words as were mapped (`words` only
        // shrinks). `Shmem` mapped them at `base`, which is aligned, and they have at most
        // `isize::MAX` bytes. It unmaps them in its drop, which the borrow of `self` excludes.
        // Any bits are a valid word. Other threads and processes change them at any
        // time, which atomics allow. The words of a mapping that was protected against
        // writing are only loaded; see the contract.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), words) }
    }

    /// Makes the segment at most its first `words` words.
    pub(super) fn shorten(&mut self, words: usize) {
        self.words = self.words.min(words);
    }

    /// Makes a store to the words a deadly signal.
    pub(super) fn protect(&self) -> io::Result<()> {
        os::protect(self.base.cast(), self.shmem.len())
    }
}

fn conf(id: SegmentId) -> ShmemConf {
    ShmemConf::new().os_id(os::object_name(id))
}

/// Removes an object, if there is one; processes that have it mapped keep it.
pub(super) fn remove(id: SegmentId) -> io::Result<()> {
    os::remove_object(id)
}

pub(super) fn exists(id: SegmentId) -> io::Result<bool> {
    os::object_exists(id)
}

fn system(error: ShmemError) -> io::Error {
    match error {
        ShmemError::MappingIdExists => io::ErrorKind::AlreadyExists.into(),
        ShmemError::MapCreateFailed(code)
        | ShmemError::MapOpenFailed(code)
        | ShmemError::UnknownOsError(code) => io::Error::from_raw_os_error(code.cast_signed()),
        error => io::Error::other(error),
    }
}
