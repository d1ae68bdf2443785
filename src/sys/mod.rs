//! What the table needs of an operating system. No other module of the crate asks
//! the system for anything.
//!
//! All `unsafe` of the crate is in this module and below it. Every layer above sees the
//! segment as `&[AtomicU64]`: none of them can fault or race in the sense of
//! the language, whatever bytes a segment holds.
//!
//! # The contract: what an operating system must offer
//!
//! A back end is a module with two types and a few functions of these names. There
//! are three: `linux`; `portable`, for Windows and macOS, and for tests on Linux with
//! `--cfg shmtable_portable`; and `heap`, for loom's models. `unix` is what the first
//! two share. All layers above are the same for the three, and so is `fork`, which has
//! nothing to do where there is no fork.
//!
//! `Mapping`: one mapped segment.
//! - `create(name, words, mode, fill)`: makes a segment of `words` zero words,
//!   calls `fill` on it and only then gives it its name. At no instant can
//!   another process see a segment under this name for which `fill` has not
//!   returned; if `fill` fails or the process dies nothing is left behind.
//!   [`std::io::ErrorKind::AlreadyExists`] if the name is taken.
//! - `replace(name, words, mode, fill)`: makes a segment as `create` does, but the name may
//!   be taken. Then it passes to the new segment in one step, and processes that have the
//!   old one open keep it. (On Windows there is a moment when the name belongs to neither.)
//!   The next `replace` or `list` removes what a process leaves behind that dies on the way.
//! - `open(name, access, admit)`: shows the segment's [`Owner`] to `admit`, and
//!   maps it if that returns `Ok`. Symbolic links and anything that is not a
//!   plain segment are refused with [`NotASegment`] inside the error, files
//!   too short for a header with [`std::io::ErrorKind::UnexpectedEof`] and [`TooShort`].
//!   [`Access::ReadOnly`] must need no more than permission to read, where the system
//!   can map in that way.
//! - All three fail with [`NoAddressSpace`] inside the error if the process has no
//!   room to map the segment. The first two fail with [`FileTooLong`] if the process may not
//!   write a file of that length, and with [`NotASegment`] if something else has the name.
//! - `words()`: the segment. A trailing part of a word is not shown. Words
//!   mapped read-only may only be loaded: a store is a deadly signal.
//! - `copy_bytes(offset, out)`: copies bytes of the segment, from byte `offset` on. Bytes without a
//!   page, or beyond the segment's end, are zero. Where the segment is a file, none of this
//!   raises a signal, even if the file is truncated during the copy.
//! - `next_present(offset)`: the first byte from `offset` on that may be other than zero; `None` if
//!   there is none.
//! - `bytes_present()`: at most how many bytes of the segment may be other than zero.
//! - `populate(range)`: makes the pages of these words present, so that no
//!   later access to them can fail. [`std::io::ErrorKind::StorageFull`] when the
//!   machine has no memory for them; pages that became present before that stay. A
//!   system that can't refuse pages in advance must not raise a signal when memory runs
//!   out.
//! - `make_huge_later(range)`: may lay out these words, which are present, in pages that are found
//!   sooner, in the background. A matter of speed only.
//! - `populate_huge_later(range)`: may make these words present in such pages, in the background,
//!   if that takes little of the memory that is free. A matter of speed only.
//! - `give_back(range)`: gives the memory of these words back to the machine; they are zero then.
//!   No access to them may happen until they are populated again.
//! - `sleep(at, low_half, timeout)`: sleeps while the low 32 bits of the word `at`
//!   equal `low_half`, until woken or timed out; may return early for no
//!   reason. Works across processes, on read-only mappings too.
//! - `wake_one(at)`, `wake_all(at)`: wake at least one sleeper on the word, or all. A
//!   wake may be lost if that is rare: each sleep has a timeout of at most 50 ms.
//! - `owner()`: the segment's [`Owner`] now.
//! - `liveness()`: a new [`Liveness`] of this segment.
//! - `has_name(name)`: whether the name names this segment now.
//! - `owner_if_named(name)`: the segment's [`Owner`] now, if the name names it; `None` also if
//!   other code in this process has closed the segment's descriptor.
//! - `unlink_if_same(name)`: removes the name if it still names this segment, and
//!   returns whether it did.
//! - `while_alone(act)`: calls `act` at a moment when no other process and no other handle
//!   has the segment open, for any use, and none can open it; `None` if one has.
//!   [`std::io::ErrorKind::Unsupported`] where the system can't tell.
//!
//! `Liveness`: the right to hold liveness bytes of a segment. The kernel releases
//! them when the process dies, however it dies; a forked child never keeps
//! its parent's.
//! - `try_hold(byte)`: holds the byte alone; `false` if another `Liveness` holds it.
//! - `try_share(byte)`: holds the byte together with other sharers.
//! - `is_held_by_others(byte)`: whether another `Liveness` holds the byte, alone or shared.
//!   If the system can't answer, the byte counts as held: no process is declared dead
//!   without an answer.
//! - `release(byte)`: releases the byte.
//! - `first_held_by_others(bytes)`: a byte of the range that another `Liveness` holds;
//!   `None` where the system doesn't tell.
//! - `is_open()`: whether it can still hold bytes. Other code in this process may have
//!   closed its descriptor, and then all its bytes are free.
//! - dropping it releases all its bytes.
//!
//! Functions and a constant:
//! - `sleep_on_any(words, bell, rings, timeout)`: sleeps as `Mapping::sleep` does, on several
//!   words of any segments, until any of them is woken, or the [`Doorbell`] was rung more than
//!   `rings` times. Many words, and some systems, make it a sleep of a few milliseconds at most.
//! - `wake_here(word)`: wakes the sleepers of this process on a word of its own memory.
//! - `fence_everywhere()`: has every thread of all processes pass a sequentially consistent fence
//!   between its beginning and its end; `false` if the system can't. `fence_here()` is such a fence
//!   for this thread, as far as `fence_everywhere` doesn't bring it.
//! - `unlink(name)`: removes the name.
//! - `rename(from, to, replace)`: renames in one step;
//!   [`std::io::ErrorKind::Unsupported`] where that can't be done.
//! - `list()`: the names of all segments, sorted. `list_beginning(prefix)`: those that begin
//!   with `prefix`.
//! - `random()`: 64 bits that can't be guessed.
//! - `current_user()`: the user of this process.
//! - `too_many_files(error)`: whether the error means that there are too many open files, and
//!   how many there may be.
//! - `is_open_here(name)`: whether this process has the segment open; `false` if that takes
//!   long to find out.
//! - `is_idle(name)`: whether the segment belongs to this user and none of its bytes is held, leaving out
//!   `UNANNOUNCED_BYTE`.
//!   It doesn't wait, and doesn't open segments of other users; `false` if it can't be found
//!   out.
//! - `process_exists(pid)`: whether there is a process with this id, as far as this process
//!   can see.
//! - `MAX_NAME`: the longest name, in bytes.
//! - `CAN_GROW`: whether a segment takes memory only for words that were populated.

#![allow(unsafe_code)]

mod crash;
#[cfg(not(loom))]
mod doorbell;
pub(crate) mod fork;
mod kept;
pub(crate) mod memory;

#[cfg(all(shmtable_crash_points, not(loom)))]
pub(crate) use crash::reach_crash_point;
pub(crate) use crash::{crash_point, process_crash_point};
#[cfg(not(loom))]
pub(crate) use doorbell::Doorbell;
pub(crate) use kept::KeptWord;
pub(crate) use memory::indexed::{Directory, HomeBucket, IndexedMapping};

#[cfg(loom)]
mod heap;
#[cfg(loom)]
pub(crate) use heap::*;

#[cfg(all(not(loom), unix))]
mod unix;

#[cfg(all(not(loom), target_os = "linux", not(shmtable_portable)))]
mod linux;
#[cfg(all(not(loom), target_os = "linux", not(shmtable_portable)))]
pub(crate) use linux::*;

#[cfg(all(not(loom), any(not(target_os = "linux"), shmtable_portable)))]
mod portable;
#[cfg(all(not(loom), any(not(target_os = "linux"), shmtable_portable)))]
pub(crate) use portable::*;

#[cfg(all(test, not(loom)))]
mod tests;

/// Why a segment could not be mapped, though there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no address space")]
pub(crate) struct NoAddressSpace {
    /// Bytes of the segment.
    pub(crate) asked: usize,
    /// The most bytes that all mappings of the process may have together; `None`: only the
    /// machine has a limit.
    pub(crate) limit: Option<u64>,
}

/// A segment would be longer than any file that this process may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file would be too long")]
pub(crate) struct FileTooLong {
    /// Bytes of the segment.
    pub(crate) asked: usize,
    /// The longest file that the process may write; `None`: the file system has the limit.
    pub(crate) limit: Option<u64>,
}

/// No more files can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyFiles {
    /// The most that this process may have; `None`: the limit is the machine's.
    pub(crate) limit: Option<u64>,
}

/// What has a segment's name but isn't a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is {0}")]
pub(crate) struct NotASegment(pub(crate) &'static str);

/// The length, in bytes, of a file that is too short for a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has {0} bytes")]
pub(crate) struct TooShort(pub(crate) u64);

impl From<TooShort> for std::io::Error {
    fn from(short: TooShort) -> Self {
        Self::new(std::io::ErrorKind::UnexpectedEof, short)
    }
}

/// The length in bytes of a segment of `words` words, if there can be such a segment.
#[cfg(not(loom))]
fn bytes_of(words: usize) -> std::io::Result<usize> {
    words
        .checked_mul(size_of::<u64>())
        .filter(|bytes| *bytes > 0 && isize::try_from(*bytes).is_ok())
        .ok_or_else(|| std::io::ErrorKind::InvalidInput.into())
}

/// How a segment is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// The owner of a segment, and the permissions of other users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The owner's user id.
    pub(crate) user: u32,
    /// The permission bits of the segment's file.
    pub(crate) mode: u32,
}

impl Owner {
    /// Whether only `user` may write to the segment.
    pub(crate) fn is_private_to(self, user: u32) -> bool {
        self.user == user && self.mode & 0o022 == 0
    }
}
