//! What the table needs of an operating system, and nothing else of the crate
//! may ask it for more.
//!
//! All `unsafe` of the crate lives below this module. Everything above sees the
//! segment as `&[AtomicU64]`: no layer above can fault or race in the sense of
//! the language, whatever bytes a segment holds.
//!
//! # The contract: what an operating system must offer
//!
//! A back end is a module with two types and a few functions of these names. There
//! are three: `linux`; `portable`, for Windows and macOS, and for tests on Linux with
//! `--cfg shmtable_portable`; and `heap`, for loom's models. `unix` is what the first
//! two share. All above is the same for the three, and so is `fork`, which has
//! nothing to do where there is no fork.
//!
//! `Mapping`: one mapped segment.
//! - `create(name, words, mode, fill)`: makes a segment of `words` zero words,
//!   calls `fill` on it and only then gives it its name. At no instant can
//!   another process see a segment under this name for which `fill` has not
//!   returned; if `fill` fails or the process dies nothing is left behind.
//!   [`std::io::ErrorKind::AlreadyExists`] if the name is taken.
//! - `replace(name, words, mode, fill)`: the same, but the name may be taken; then it is
//!   the new segment's from one moment to the next, and whoever has the old one open
//!   keeps it. (On Windows there is a moment without either.) What a process leaves
//!   that dies on the way is removed by the next `replace` or `list`.
//! - `open(name, access, admit)`: shows the segment's [`Owner`] to `admit`, and
//!   maps it if that returns `Ok`. Symbolic links and anything that is not a
//!   plain segment are refused with [`NotASegment`] inside the error, files
//!   too short for a header with [`std::io::ErrorKind::UnexpectedEof`] and [`TooShort`].
//!   [`Access::ReadOnly`] must need no more than the right to read where the system
//!   can map in that way.
//! - All three fail with [`NoAddressSpace`] inside the error where the process has no
//!   room to map the segment; the first two with [`FileTooLong`] where it may write no
//!   file of that length, and with [`NotASegment`] where something else has the name.
//! - `words()`: the segment. A trailing part of a word is not shown. Words
//!   mapped read-only may only be loaded: a store is a deadly signal.
//! - `copy_bytes(at, out)`: copies bytes of the segment, from byte `at` on. Bytes without a
//!   page, or beyond the segment's end, are zero; where the segment is a file, none of this
//!   is a signal, even if the file is cut meanwhile.
//! - `next_present(at)`: where, from byte `at` on, bytes begin that can be others than zero;
//!   `None` if there are none.
//! - `bytes_present()`: how many bytes of the segment can be others than zero, at most.
//! - `populate(range)`: makes the pages of these words present, so that no
//!   later access to them can fail. [`std::io::ErrorKind::StorageFull`] when the
//!   machine has no memory for them; pages that became present before that stay. A
//!   system that cannot refuse pages in advance must not answer their lack with a
//!   signal.
//! - `sleep(word, low_half, timeout)`: sleeps while the low 32 bits of the word
//!   equal `low_half`, until woken or timed out; may return early for no
//!   reason. Works across processes, on read-only mappings too.
//! - `wake_one(word)`, `wake_all(word)`: wake at least so many. A wake-up may be lost
//!   if that is rare: each sleep has a timeout, of 50 ms at most.
//! - `owner()`: the segment's [`Owner`] now.
//! - `liveness()`: a new [`Liveness`] of this segment.
//! - `has_name(name)`: whether the name names this segment now.
//! - `unlink_if_same(name)`: removes the name if it still names this segment;
//!   tells whether it did.
//! - `while_alone(act)`: calls `act` at a moment when nobody else has the segment open,
//!   in whatever process and for whatever use, and nobody can open it; `None` if
//!   somebody has. [`std::io::ErrorKind::Unsupported`] where the system cannot tell.
//!
//! `Liveness`: the right to hold liveness bytes of a segment. The kernel lets go
//! of them when the process dies, however it dies; a forked child never keeps
//! its parent's.
//! - `try_hold(byte)`: holds it alone; `false` if anybody else holds it.
//! - `try_share(byte)`: holds it together with other sharers.
//! - `is_held_by_others(byte)`: whether anybody but this `Liveness` holds it in
//!   either way. A failed look-up counts as held: nobody is declared dead for
//!   want of an answer.
//! - `release(byte)`: lets go of it.
//! - `first_held_by_others(bytes)`: a byte of a range that anybody but this `Liveness`
//!   holds; `None` where the system does not tell.
//! - `is_open()`: whether it can hold anything still. Somebody else in this process may have
//!   closed its descriptor, and then all its bytes are free.
//! - dropping it lets go of all bytes.
//!
//! Functions: `unlink(name)`; `rename(from, to, replace)`, in one step
//! ([`std::io::ErrorKind::Unsupported`] where that cannot be done); `list()` (the names of all
//! segments, sorted), `list_beginning(prefix)` (those that begin so), `random()` (64 bits nobody
//! can guess), `current_user()`; `too_many_files(error)` (whether it is for want of
//! descriptors, and how many there may be); `is_open_here(name)`, whether this process has
//! the segment open
//! (`false` if that takes long to find out); `is_idle(name)`, whether the segment belongs to this
//! user and nobody holds any byte of it, without a wait and without opening what is another
//! user's (`false` if that cannot be found out); `process_exists(pid)`, whether there is a
//! process of this id, as far as this process can see; and the constant `MAX_NAME`, the longest name
//! in bytes.

#![allow(unsafe_code)]

mod crash;
pub(crate) mod fork;
mod kept;
pub(crate) mod memory;

#[cfg(all(shmtable_crash_points, not(loom)))]
pub(crate) use crash::reach_crash_point;
pub(crate) use crash::{crash_point, process_crash_point};
pub(crate) use kept::KeptWord;
pub(crate) use memory::indexed::IndexedMapping;

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
    /// What all mappings of the process may have together; `None`: as much as the
    /// machine can.
    pub(crate) limit: Option<u64>,
}

/// A segment would be longer than any file that this process may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the file would be too long")]
pub(crate) struct FileTooLong {
    /// Bytes of the segment.
    pub(crate) asked: usize,
    /// What the process may write; `None`: the file system has the limit.
    pub(crate) limit: Option<u64>,
}

/// There are as many open files as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyFiles {
    /// Those that this process may have; `None`: the machine has no more.
    pub(crate) limit: Option<u64>,
}

/// What has a segment's name, and is none.
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

/// The length of a segment of so many words, if there can be one.
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

/// Who owns a segment and who else may touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The owner's user id.
    pub(crate) user: u32,
    /// The permission bits of the segment's file.
    pub(crate) mode: u32,
}
