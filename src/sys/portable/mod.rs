//! The back end for Windows and macOS, and with `--cfg shmtable_portable` for tests on
//! Linux: the `shared_memory` crate maps segments, and a companion file has a segment's
//! name and its liveness bytes.
//!
//! # A segment here
//!
//! | what | where |
//! |---|---|
//! | memory | a shared-memory object that `shared_memory` makes under a random id: `shm_open` on Unix, a mapped file in the folder for temporary files on Windows |
//! | name | the companion file `table-...` in a folder of the user's own, which holds the id, the length, the mode and the name |
//! | liveness | locks on bytes of the companion file |
//! | sleeping | Windows: `raw_sync`'s events; elsewhere the sleeper polls the word |
//!
//! The companion is moved to its name in one step when the table is complete, so
//! no process sees half a table. A companion makes any characters possible in a name, and
//! names longer than the 31 bytes that macOS allows a shared-memory object.
//!
//! ```text
//! .new-ID  --publish-->  table-...  --unlink-->  .gone-ID  --last user-->  removed
//! ```
//!
//! To replace a table, its companion and the new one are exchanged. Then the old one,
//! which is under the new one's first name, is moved to its own `.gone-ID`; if the process
//! dies in between, the next sweep does it. Windows can't exchange files: there the old
//! companion is moved away first, and for a moment no table has the name.
//!
//! Each process that has the segment mapped shares the lock of one more byte. The next
//! process that creates, lists or unlinks a table removes the files that have no table's
//! name and that no process uses, with their memory. So what killed processes leave behind
//! goes.
//!
//! # What the two crates cannot do
//!
//! Neither crate has had a release in years; both still build and work as before.
//!
//! `shared_memory` 0.12.4 is a thin layer over the system's calls. The parts used here
//! work between processes.
//! - It maps only for writing, and makes objects that only their user may open: a read-only
//!   handle needs permission to write, and other users have no access, whatever the
//!   mode says. The pages of a read-only handle are protected after mapping.
//! - On Unix the umask limits the object's mode, and there is no way to undo that: a umask
//!   without the owner's own bits makes tables that no second process can open.
//! - It removes an object when its creator drops it; so ownership is given up when
//!   the table has its name.
//! - On Windows it reports lengths rounded up to pages, and may leave a file
//!   `..._deleted`: the companion knows the length that a segment should have, the
//!   file which one it has, and the sweep removes what is left.
//! - On Windows all of a segment is on disk from the start, not as it fills.
//! - On Unix it doesn't give access to its descriptor, so a fallback that reserves pages
//!   through the file is impossible. And it uses number 0, 1 or 2 if that is closed: we
//!   ensure that none is.
//!
//! `raw_sync` 0.1.5 has two kinds of events. On Windows they are objects of the
//! kernel, which survive the death of any process, and are used here.
//! On Unix an event is a mutex and a condition variable of the C library in shared
//! memory. The mutex is not robust, and setting the event locks it without a timeout,
//! so a process that is killed at the wrong instruction would block every later
//! one forever; damaged bytes crash it. The crate's `BusyEvent` spins. So neither
//! is used on Unix: there a sleeper polls the word itself, at growing intervals
//! of up to a millisecond. The crate's mutexes are used nowhere, for the same reason.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use crate::sync::{AtomicU64, Ordering, fence};
use crate::sys::Doorbell;

mod companion;
mod mapping;
mod memory;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

use companion::Directory;

pub(crate) use mapping::Mapping;
pub(crate) use os::{Liveness, current_user, process_exists, too_many_files};

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
compile_error!(
    "shmtable runs on Linux, macOS and Windows: elsewhere it knows no file locks that follow \
     an open file instead of a process"
);

/// The longest name of a segment, in bytes: as on Linux, so that programs find the
/// same limit everywhere. The companion's file name has a digest of the name.
pub(crate) const MAX_NAME: usize = 246;

/// A segment takes memory for all of its length, so tables have a fixed capacity.
pub(crate) const CAN_GROW: bool = false;

/// There is no such fence here.
pub(crate) fn fence_everywhere() -> bool {
    false
}

/// Without the other part, a whole fence.
pub(crate) fn fence_here() {
    fence(Ordering::SeqCst);
}

/// Removes the name of a segment. Processes that have it mapped keep it.
pub(crate) fn unlink(name: &OsStr) -> io::Result<()> {
    let name = name.to_str().ok_or(io::ErrorKind::NotFound)?;
    check_name(name)?;
    let directory = Directory::open()?;
    directory.sweep();
    let companion = directory.find(name)?;
    directory.take_away(name, &companion)
}

/// Fails: segments can't be renamed here. The companion file has the name inside, and its
/// locks are those of the handles, so another file can't take its place.
pub(crate) fn rename(from: &str, to: &str, _replace: bool) -> io::Result<()> {
    check_name(from)?;
    check_name(to)?;
    Err(io::ErrorKind::Unsupported.into())
}

/// The names of all segments, sorted.
pub(crate) fn list() -> io::Result<Vec<OsString>> {
    let directory = Directory::open()?;
    directory.sweep();
    Ok(directory.list("")?.into_iter().map(Into::into).collect())
}

/// The names of the segments that begin with `beginning`, sorted.
pub(crate) fn list_beginning(beginning: &str) -> io::Result<Vec<String>> {
    Directory::open()?.list(beginning)
}

/// Returns `false`: whether this process has the segment open would take long to find out.
pub(crate) fn is_open_here(_name: &str) -> bool {
    false
}

/// Whether the segment is this user's, as all in the folder are, and no process has it mapped.
pub(crate) fn is_idle(name: &str) -> bool {
    check_name(name).is_ok()
        && Directory::open().is_ok_and(|directory| !directory.is_used(name).unwrap_or(true))
}

/// 64 random bits that can't be guessed.
pub(crate) fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::from)
}

/// Refuses names that no segment may have. The caller has validated the name; this is the
/// last gate before the file system.
fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains(['/', '\0']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a segment's name",
        ));
    }
    Ok(())
}

/// Sleeps while the low half of each word is what is said with it, and the bell was rung `rings`
/// times, by polling as [`poll`] does.
pub(crate) fn sleep_on_any(
    words: &[(&Mapping, usize, u32)],
    bell: &Doorbell,
    rings: u32,
    timeout: Duration,
) {
    poll_while(timeout, || {
        let same = |&(mapping, word, low_half): &(&Mapping, usize, u32)| {
            let word = mapping.words().get(word);
            word.is_none_or(|word| word.load(Ordering::Relaxed) as u32 == low_half)
        };
        bell.rings() == rings && words.iter().all(same)
    });
}

/// Nothing: sleepers poll.
pub(crate) fn wake_here(_: &AtomicU32) {}

/// Sleeps while the low half of a word equals `low_half`, by polling. The load is relaxed: it
/// is a hint, and the caller reads the word again itself.
fn poll(word: &AtomicU64, low_half: u32, timeout: Duration) {
    poll_while(timeout, || word.load(Ordering::Relaxed) as u32 == low_half);
}

fn poll_while(timeout: Duration, same: impl Fn() -> bool) {
    const FIRST: Duration = Duration::from_micros(20);
    const LONGEST: Duration = Duration::from_millis(1);
    let begin = Instant::now();
    let mut nap = FIRST;
    while same() {
        let left = timeout.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(nap.min(left));
        nap = (nap * 2).min(LONGEST);
    }
}
