//! Pages made present before they are touched.
//!
//! A store to a shared page that the machine has no memory for is a deadly
//! signal. Asking for the page first turns that into an error.

use std::io;
use std::ops::Range;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::mm::{Advice, madvise};

use super::mapping::Mapping;
use crate::sys::Access;

/// What one system call of [`Mapping::populate`] asks for at most: it is
/// repeated from its start when a signal interrupts it.
const POPULATE_STEP: usize = 16 << 20;

impl Mapping {
    /// Makes the pages of these words present.
    ///
    /// On failure the pages that lie wholly inside the range are given back
    /// and read as zero from then on, so the range must hold nothing that is
    /// still of use. Pages that it shares with its neighbours are left alone.
    pub(crate) fn populate(&self, words: Range<usize>) -> io::Result<()> {
        if words.start > words.end || words.end > self.bytes / size_of::<u64>() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.access == Access::ReadOnly {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let page = page_size();
        let (start, end) = (words.start * size_of::<u64>(), words.end * size_of::<u64>());
        if start == end {
            return Ok(());
        }
        let mut next = start / page * page;
        while next < end {
            let stop = end.min(next.saturating_add(POPULATE_STEP));
            if let Err(error) = self.populate_bytes(next, stop - next) {
                self.give_back(start.next_multiple_of(page), end / page * page);
                return Err(match error {
                    Errno::FAULT | Errno::NOMEM | Errno::NOSPC => io::ErrorKind::StorageFull.into(),
                    error => error.into(),
                });
            }
            next = stop;
        }
        Ok(())
    }

    /// Makes `len` bytes present from `start` on, the start of a page.
    fn populate_bytes(&self, start: usize, len: usize) -> Result<(), Errno> {
        let mut patience = 1000;
        loop {
            match self.populate_once(start, len) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if patience > 0 => {
                    patience -= 1;
                    std::thread::yield_now();
                }
                done => return done,
            }
        }
    }

    fn populate_once(&self, start: usize, len: usize) -> Result<(), Errno> {
        let address = self.base.as_ptr().wrapping_byte_add(start).cast();
        // SAFETY: the pages from `start` for `len` bytes are this mapping's,
        // and the advice has each touched as if by a write that changes no
        // byte of it.
        match unsafe { madvise(address, len, Advice::LinuxPopulateWrite) } {
            // Linux before 5.14.
            Err(Errno::INVAL) => self.populate_by_file(start, len),
            done => done,
        }
    }

    /// The same, through the file: no store to these pages fails afterwards,
    /// though each still meets a minor fault.
    pub(super) fn populate_by_file(&self, start: usize, len: usize) -> Result<(), Errno> {
        let fd = self.descriptor.fd().map_err(|_| Errno::BADF)?;
        fallocate(fd, FallocateFlags::empty(), start as u64, len as u64)
    }

    /// Gives the pages between these bytes, both at the start of a page, back
    /// to the machine. Best effort.
    fn give_back(&self, start: usize, end: usize) {
        if start >= end {
            return;
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let by_file = self.descriptor.fd().map(|fd| {
            let len = (end - start) as u64;
            loop {
                match fallocate(fd, flags, start as u64, len) {
                    Err(Errno::INTR) => {}
                    done => break done,
                }
            }
        });
        if !matches!(by_file, Ok(Ok(()))) {
            let address = self.base.as_ptr().wrapping_byte_add(start).cast();
            // SAFETY: these whole pages are this mapping's. They read as zero
            // afterwards, a change like any other process's to the shared
            // words, and the caller of `populate` said that nobody needs them.
            let _ = unsafe { madvise(address, end - start, Advice::LinuxRemove) };
        }
    }
}

pub(super) fn page_size() -> usize {
    // SAFETY: `sysconf` only looks a number up.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // Every page size is a multiple of the smallest there is.
    usize::try_from(size)
        .ok()
        .filter(|size| *size > 0)
        .unwrap_or(4096)
}
