//! The memory of a segment: an object of the `shared_memory` crate.

use std::io;
use std::ptr::NonNull;

use shared_memory::{Shmem, ShmemConf, ShmemError};

use super::companion::Id;
use super::os;
use crate::sync::AtomicU64;
use crate::sys::NoAddressSpace;

/// A mapped shared-memory object.
pub(super) struct Memory {
    shmem: Shmem,
    base: NonNull<AtomicU64>,
    /// Words that are mapped.
    #[cfg(windows)]
    all: usize,
    /// Words that are the segment's.
    words: usize,
}

// SAFETY: `Shmem` owns a mapping and a descriptor or handles, none of which belongs
// to a thread: its drop, on whichever thread, gives them back to the system. It is
// not `Send` because of the address in it.
unsafe impl Send for Memory {}

// SAFETY: a shared `Memory` hands the mapping out as atomic words alone; of
// `Shmem` it calls nothing.
unsafe impl Sync for Memory {}

impl Memory {
    /// Makes an object for a segment of so many bytes, all zero, which goes when this is
    /// dropped, until [`keep`](Self::keep).
    pub(super) fn create(id: Id, bytes: usize) -> io::Result<Self> {
        let length = os::Bells::length(bytes)?;
        os::check_length(length)?;
        Self::of(os::with_streams(|| conf(id).size(length).create())?, bytes)
    }

    /// Maps the object of a segment of so many bytes.
    pub(super) fn open(id: Id, bytes: usize) -> io::Result<Self> {
        let mut memory = Self::of(os::with_streams(|| conf(id).open())?, bytes)?;
        let length = os::object_length(id, memory.shmem.len())?;
        memory.shorten(length / size_of::<u64>());
        Ok(memory)
    }

    fn of(shmem: Result<Shmem, ShmemError>, asked: usize) -> io::Result<Self> {
        let shmem = shmem.map_err(|error| match system(error) {
            // Objects take no memory when they are made, mappings do.
            error if error.kind() == io::ErrorKind::OutOfMemory => {
                let limit = os::address_space_limit();
                io::Error::new(error.kind(), NoAddressSpace { asked, limit })
            }
            error => error,
        })?;
        // Aligned: it is the start of a page, and looked at below.
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

    /// From here on the object lives until [`remove`].
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
        // SAFETY: both callers ask for at most as many words as were mapped (`words` only shrinks).
        // `Shmem` mapped so many at `base`, which is aligned, at most `isize::MAX`
        // bytes, and unmaps them in its drop, which the borrow of `self` excludes.
        // Any bits are a valid word. Other threads and processes change them at any
        // time, which atomics allow; a mapping that was protected against writing
        // is only loaded from, see the contract.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), words) }
    }

    /// Shows only the first so many words from here on.
    pub(super) fn shorten(&mut self, words: usize) {
        self.words = self.words.min(words);
    }

    /// Makes a store to the words a deadly signal.
    pub(super) fn protect(&self) -> io::Result<()> {
        os::protect(self.base.cast(), self.shmem.len())
    }
}

fn conf(id: Id) -> ShmemConf {
    ShmemConf::new().os_id(os::object_name(id))
}

/// Removes an object; who has it mapped keeps it. None is as well.
pub(super) fn remove(id: Id) -> io::Result<()> {
    os::remove_object(id)
}

pub(super) fn exists(id: Id) -> io::Result<bool> {
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
