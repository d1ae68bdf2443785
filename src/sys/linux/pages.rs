//! Making pages present before they are touched, huge ones where it is worth it.

use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::thread::Builder;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;

use super::mapping::Mapping;
use crate::layout::WORD;
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

/// The stack of a thread that makes system calls and nothing else, in bytes.
const STACK: usize = 64 << 10;

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

    /// Gives the memory of these words back: whole pages of the file become holes, and the rest of
    /// the words zero.
    pub(crate) fn give_back(&self, words: Range<usize>) -> io::Result<()> {
        if self.access == Access::ReadOnly {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if self.words().get(words.clone()).is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (start, len) = ((words.start * WORD) as u64, (words.len() * WORD) as u64);
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        loop {
            match fallocate(self.descriptor.fd()?, hole, start, len) {
                Err(Errno::INTR) => {}
                done => return Ok(done?),
            }
        }
    }

    /// Makes huge pages of those of these words, which are present, if there are enough of them
    /// and the machine can: in the background, in a thread that ends with that.
    ///
    /// It takes the kernel some milliseconds for all of them and a fraction of one for each, in
    /// which accesses to that one wait. A process that forks in the meantime has no such
    /// thread in the child, where nothing depends on it. Nor does it depend on the mapping: if that
    /// is gone, the kernel refuses, or makes huge pages of what has come there.
    pub(crate) fn make_huge_later(&self, words: Range<usize>) {
        self.huge_later(words, |_| true);
    }

    /// Makes the pages of these words present in the background, as
    /// [`make_huge_later`](Self::make_huge_later) does: only those that huge pages can be made of,
    /// and only if they are a small part of the file system's free memory. Words whose pages must
    /// be present are populated besides.
    pub(crate) fn populate_huge_later(&self, words: Range<usize>) {
        const PARTS: u64 = 8;
        let bytes = (words.len() * WORD) as u64;
        let file = self.descriptor.fd().ok();
        let room = file.and_then(|file| pages::room_left(&fstatvfs(file).ok()?));
        if room.is_none_or(|room| room / PARTS >= bytes) {
            self.huge_later(words, begin_huge);
        }
    }

    /// Makes huge pages of those of these words, each after `begin` got its address and gave leave.
    fn huge_later(&self, words: Range<usize>, begin: impl Fn(usize) -> bool + Send + 'static) {
        let mapped_at = self.words().as_ptr().addr();
        let pages = huge_pages_in(mapped_at, words.start * WORD..words.end * WORD);
        if !pages.is_empty() {
            in_background(move || {
                make_huge(mapped_at, pages, begin);
            });
        }
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
    let mapped_at = words.as_ptr().addr();
    let pages = huge_pages_in(mapped_at, bytes);
    let first = pages.start;
    let made = make_huge(mapped_at, pages, |address| {
        let start = address - mapped_at;
        // The kernel wants a page to begin with.
        pages::populate_step(words, start, 1, |_, _| Err(Errno::OPNOTSUPP)).is_ok()
    });
    first * HUGE_PAGE..made * HUGE_PAGE
}

/// The numbers of the whole huge pages among bytes of a mapping at this address; none if they are
/// too few, or can't be huge there.
fn huge_pages_in(mapped_at: usize, bytes: Range<usize>) -> Range<usize> {
    let (first, end) = (bytes.start.div_ceil(HUGE_PAGE), bytes.end / HUGE_PAGE);
    // The file's huge pages begin at multiples of their size; so must their addresses.
    let are_possible = first + FEWEST <= end && mapped_at.is_multiple_of(HUGE_PAGE);
    first..if are_possible { end } else { first }
}

/// Makes huge pages of a mapping, whose numbers count from its address on, each after `begin` got
/// its address and gave leave. Returns the number of the first that was not made.
fn make_huge(mapped_at: usize, pages: Range<usize>, begin: impl Fn(usize) -> bool) -> usize {
    let address = |page| mapped_at + page * HUGE_PAGE;
    let mut next = pages.start;
    while next < pages.end {
        let stop = pages.end.min(next + MOST);
        let are_begun = (next..stop).all(|page| begin(address(page)));
        if !are_begun || collapse_at(address(next), stop - next).is_err() {
            break;
        }
        next = stop;
    }
    next
}

/// Gives the first page of a huge page at an address memory, if it has none: the kernel wants a
/// page to begin with.
fn begin_huge(address: usize) -> bool {
    let start = std::ptr::without_provenance_mut(address);
    // SAFETY: whatever is mapped there, if anything is, the advice has the kernel touch a page as
    // if by a write that changes no byte of it.
    unsafe { libc::madvise(start, 1, libc::MADV_POPULATE_WRITE) == 0 }
}

/// Makes `count` huge pages out of the pages from an address on, if they can be made there.
fn collapse_at(address: usize, count: usize) -> io::Result<()> {
    let start = std::ptr::without_provenance_mut(address);
    // SAFETY: whatever is mapped there, if anything is, the advice changes where its bytes are in
    // the machine's memory, and no byte.
    let status = unsafe { libc::madvise(start, count * HUGE_PAGE, libc::MADV_COLLAPSE) };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Does `work` in a thread of its own that ends with it, and that no signal is delivered to.
/// Without a thread to be had, nothing is done.
fn in_background(work: impl FnOnce() + Send + 'static) {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: it fills the set that it gets a pointer to.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the first set was filled, the second one has room for the mask of this thread.
    let blocked =
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    if blocked != 0 {
        return;
    }
    // A thread begins with the mask of the one that makes it.
    let made = Builder::new().name("shmtable".to_owned()).stack_size(STACK);
    drop(made.spawn(work));
    // SAFETY: `before` was filled by the call that blocked all signals.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
}
