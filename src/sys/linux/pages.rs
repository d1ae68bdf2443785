//! Pages made present before they are touched.
//!
//! A store to a shared page that the machine has no memory for is a deadly
//! signal. Asking for the page first turns that into an error.

use std::io;
use std::ops::Range;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;
use rustix::mm::{Advice, madvise};

use super::mapping::Mapping;
use crate::sys::Access;

/// What one system call of [`Mapping::populate`] asks for at most: it is
/// repeated from its start when a signal interrupts it.
const POPULATE_STEP: usize = 16 << 20;

/// A request of more bytes than this must not take all the machine's room first
/// and fail then.
const LARGE: usize = 4 << 20;

impl Mapping {
    /// Makes the pages of these words present.
    ///
    /// What became present before a failure stays so: another process may have
    /// asked for the same pages and be using them already. A large request is
    /// refused at once if the file system says that it has not so much room.
    pub(crate) fn populate(&self, words: Range<usize>) -> io::Result<()> {
        if words.start > words.end || words.end > self.bytes / size_of::<u64>() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.access == Access::ReadOnly {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let page = page_size();
        let (start, end) = (words.start * size_of::<u64>(), words.end * size_of::<u64>());
        if end - start > LARGE && self.room().is_some_and(|room| room < (end - start) as u64) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut next = start / page * page;
        while next < end {
            let stop = end.min(next.saturating_add(POPULATE_STEP));
            self.populate_bytes(next, stop - next)
                .map_err(|error| match error {
                    Errno::FAULT | Errno::NOMEM | Errno::NOSPC => {
                        io::Error::from(io::ErrorKind::StorageFull)
                    }
                    error => error.into(),
                })?;
            next = stop;
        }
        Ok(())
    }

    /// Bytes that the file system has left; `None` if it has no limit or does not
    /// tell.
    fn room(&self) -> Option<u64> {
        let stat = fstatvfs(self.descriptor.fd().ok()?).ok()?;
        (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
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
