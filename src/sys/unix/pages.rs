//! Making pages of a mapping present before they are touched.
//!
//! A store to a shared page that the machine has no memory for is a deadly
//! signal. Asking for the page first turns that into an error.

use std::io;
use std::ops::Range;

use rustix::fs::StatVfs;
use rustix::io::Errno;
use rustix::mm::{Advice, madvise};

use crate::sync::AtomicU64;

/// The most bytes that one system call asks for: the call starts again from its
/// beginning when a signal interrupts it.
const STEP: usize = 16 << 20;

/// The size in bytes above which a request must not first take all of the machine's room
/// and then fail.
const LARGE: usize = 4 << 20;

/// Makes these words of a writable mapping present.
///
/// Pages that became present before a failure stay present: another process may have
/// asked for the same pages and be using them already. A large request is refused at
/// once if the file system says that it doesn't have enough room. `by_file` reserves
/// a number of bytes from a start on, where the kernel can't do it through the mapping
/// (Linux before 5.14). `huge` may make some of the bytes present faster.
pub(in crate::sys) fn populate(
    words: &[AtomicU64],
    range: Range<usize>,
    room: impl Fn() -> Option<StatVfs>,
    by_file: impl Fn(usize, usize) -> Result<(), Errno>,
    huge: impl FnOnce(&[AtomicU64], Range<usize>),
) -> io::Result<()> {
    if words.get(range.clone()).is_none() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let page = page_size();
    let (start, end) = (range.start * size_of::<u64>(), range.end * size_of::<u64>());
    let room_left = || room_left(&room()?);
    if end - start > LARGE && room_left().is_some_and(|bytes| bytes < (end - start) as u64) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    huge(words, start..end);
    let mut next = start / page * page;
    while next < end {
        let stop = end.min(next.saturating_add(STEP));
        populate_step(words, next, stop - next, &by_file).map_err(|error| match error {
            Errno::FAULT | Errno::NOMEM | Errno::NOSPC => {
                io::Error::from(io::ErrorKind::StorageFull)
            }
            error => error.into(),
        })?;
        next = stop;
    }
    Ok(())
}

/// The bytes that a file system has left; `None` if it has no limit.
pub(in crate::sys) fn room_left(system: &StatVfs) -> Option<u64> {
    // One without a limit has no blocks.
    let bytes = system.f_bavail.saturating_mul(system.f_frsize);
    (system.f_blocks > 0).then_some(bytes)
}

/// Makes `len` bytes present from `start` on, the start of a page.
pub(in crate::sys) fn populate_step(
    words: &[AtomicU64],
    start: usize,
    len: usize,
    by_file: impl Fn(usize, usize) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut patience = 1000;
    let address = words.as_ptr().wrapping_byte_add(start).cast_mut().cast();
    loop {
        // SAFETY: the `len` bytes from `start` on are words of this mapping, as the
        // caller checked, and their pages contain nothing besides this mapping; the advice has
        // the kernel touch each page as if by a write that changes no byte of it.
        let advised = unsafe { madvise(address, len, Advice::LinuxPopulateWrite) };
        let done = match advised {
            // A kernel before 5.14, or a rule for system calls that refuses the advice.
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => {
                by_file(start, len)
            }
            done => done,
        };
        match done {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if patience > 0 => {
                patience -= 1;
                std::thread::yield_now();
            }
            done => return done,
        }
    }
}

pub(in crate::sys) fn page_size() -> usize {
    // SAFETY: `sysconf` only returns a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // Every page size is a multiple of the smallest there is.
    usize::try_from(size)
        .ok()
        .filter(|size| *size > 0)
        .unwrap_or(4096)
}
