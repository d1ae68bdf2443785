//! Making pages present before they are touched, huge ones where it is worth it.

use std::io;
use std::ops::Range;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;

use super::mapping::Mapping;
use crate::sync::AtomicU64;
use crate::sys::Access;
use crate::sys::unix::pages;

/// The size of a huge page in bytes, for base pages of 4 KiB. A machine with others
/// refuses to make huge pages, and uses its base pages.
pub(super) const HUGE_PAGE: usize = 2 << 20;

/// The fewest huge pages that are worth asking for at once: however many they are, the
/// kernel first has each processor empty its lists of new pages, which takes
/// some milliseconds.
const FEWEST: usize = 8;

/// The most huge pages that one system call asks for.
const MOST: usize = 128;

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
            |words, bytes| {
                populate_huge(words, bytes);
            },
        )
    }

    /// Makes bytes present through the file. No store to these pages fails afterwards,
    /// but the first one to each page still causes a minor fault.
    pub(super) fn populate_by_file(&self, start: usize, len: usize) -> Result<(), Errno> {
        let fd = self.descriptor.fd().map_err(|_| Errno::BADF)?;
        fallocate(fd, FallocateFlags::empty(), start as u64, len as u64)
    }
}

/// Makes the whole huge pages among these bytes present as such, if there are enough of
/// them and the machine can. It is a matter of speed only: the caller makes all bytes
/// present afterwards that are not.
///
/// With huge pages the index of a large table takes a tenth of the time to create, and a lookup
/// there finds its address sooner. The kernel makes them when it is asked to
/// (`MADV_COLLAPSE`, Linux 6.1), whatever its settings for shared memory are: they are
/// for files whose size the system has to guess, and here each byte of a huge page was
/// asked for. Returns the bytes that are huge pages now.
pub(super) fn populate_huge(words: &[AtomicU64], bytes: Range<usize>) -> Range<usize> {
    let (first, end) = (bytes.start.div_ceil(HUGE_PAGE), bytes.end / HUGE_PAGE);
    let mut next = first;
    // The file's huge pages begin at multiples of their size; so must their addresses.
    let suits = (words.as_ptr() as usize).is_multiple_of(HUGE_PAGE);
    while suits && first + FEWEST <= end && next < end {
        let stop = end.min(next + MOST);
        // The kernel wants a page to begin with.
        let begun = (next..stop).all(|page| {
            let first = page * HUGE_PAGE;
            pages::populate_step(words, first, 1, |_, _| Err(Errno::OPNOTSUPP)).is_ok()
        });
        if !begun || collapse(words, next, stop - next).is_err() {
            break;
        }
        next = stop;
    }
    first * HUGE_PAGE..next * HUGE_PAGE
}

/// Makes each of `count` huge pages out of the pages that are there and memory of zeros, by
/// one system call.
fn collapse(words: &[AtomicU64], first: usize, count: usize) -> io::Result<()> {
    let address = words
        .as_ptr()
        .wrapping_byte_add(first * HUGE_PAGE)
        .cast_mut()
        .cast();
    // SAFETY: the caller's huge pages are all words of this mapping; the advice changes
    // where their bytes are in the machine's memory, and no byte.
    let status = unsafe { libc::madvise(address, count * HUGE_PAGE, libc::MADV_COLLAPSE) };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
