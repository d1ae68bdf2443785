//! Making pages present before they are touched.

use std::io;
use std::ops::Range;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;

use super::mapping::Mapping;
use crate::sys::Access;
use crate::sys::unix::pages;

impl Mapping {
    /// Makes the pages of these words present.
    ///
    /// Pages that became present before a failure stay present: another process may have
    /// asked for the same pages and be using them already. A large request is
    /// refused at once if the file system says that it doesn't have enough room.
    pub(crate) fn populate(&self, words: Range<usize>) -> io::Result<()> {
        if self.access == Access::ReadOnly {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        pages::populate(
            self.words(),
            words,
            || fstatvfs(self.descriptor.fd().ok()?).ok(),
            |start, len| self.populate_by_file(start, len),
        )
    }

    /// Makes bytes present through the file. No store to these pages fails afterwards,
    /// but the first one to each page still causes a minor fault.
    pub(super) fn populate_by_file(&self, start: usize, len: usize) -> Result<(), Errno> {
        let fd = self.descriptor.fd().map_err(|_| Errno::BADF)?;
        fallocate(fd, FallocateFlags::empty(), start as u64, len as u64)
    }
}
