//! Windows and macOS (and Linux with `--cfg shmtable_portable`, for tests): the
//! `shared_memory` crate maps, a companion file names the segment and carries its
//! liveness bytes.
//!
//! # A segment here
//!
//! | what | where |
//! |---|---|
//! | memory | a shared-memory object that `shared_memory` makes under a random id: `shm_open` on Unix, a mapped file in the folder for temporary files on Windows |
//! | name | the companion file `table-...` in a folder of the user's own, which holds the id, the length, the mode and the name |
//! | liveness | locks on bytes of the companion file |
//! | sleeping | Windows: `raw_sync`'s events; elsewhere by looking at the word |
//!
//! The companion is moved to its name when the table is complete, as one step, so
//! nobody sees half a table. It takes whatever characters a name has, and names
//! longer than the 31 bytes that macOS gives a shared-memory object.
//!
//! ```text
//! .new-ID  --publish-->  table-...  --unlink-->  .gone-ID  --last user-->  removed
//! ```
//!
//! A table is replaced by exchanging its companion and the new one's, and then the old
//! one, which is under the new one's first name, is moved to its own `.gone-ID`: by
//! whoever sweeps next, if the process dies in between. Windows exchanges no files:
//! there the old one is moved away first, and for a moment the name is nobody's.
//!
//! Each process that has the segment mapped shares the lock of one more byte. Files
//! that are not under a name, and that nobody uses, are removed with their memory
//! by whoever creates, lists or unlinks next: so what killed processes leave behind
//! goes.
//!
//! # What the two crates cannot do
//!
//! Neither had a release in years; both still build, and do what they did.
//!
//! `shared_memory` 0.12.4 is a thin layer over the system's calls; what is used of
//! it works between processes.
//! - It maps for writing only and makes objects for their user alone: a read-only
//!   handle needs permission to write, and other users are shut out whatever the
//!   mode says. The pages of a read-only handle are protected after mapping.
//! - On Unix the umask has a say in the object's mode, and nothing takes it back: one
//!   that takes the owner's own rights away makes tables that no second process opens.
//! - It removes what it made when the maker drops it; so ownership is given up when
//!   the table has its name.
//! - On Windows it reports lengths rounded up to pages, and may leave a file
//!   `..._deleted`: the companion knows the length that a segment should have, the
//!   file which one it has, and the sweep removes what is left.
//! - On Windows all of a segment is on disk from the start, not as it fills.
//! - On Unix it keeps its descriptor to itself, so a fallback that reserves pages
//!   through the file is not to be had, and it uses number 0, 1 or 2 if that is
//!   closed: we see to it that none is.
//!
//! `raw_sync` 0.1.5 has events of two kinds. On Windows they are objects of the
//! kernel, which survive whoever dies, and are used here.
//! On Unix an event is a mutex and a condition variable of the C library in shared
//! memory: the mutex is not robust, setting the event locks it without a timeout,
//! and so a process that is killed at the wrong instruction would block every later
//! one for ever; damaged bytes crash it. The crate's `BusyEvent` spins. So neither
//! is used on Unix: there a sleeper looks at the word itself, at growing distances
//! of up to a millisecond. Its mutexes are not used anywhere, for the same reason.

use std::ffi::{OsStr, OsString};
use std::io;
use std::time::{Duration, Instant};

use crate::sync::{AtomicU64, Ordering};

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
/// same limit everywhere. The file's name has a digest of it.
pub(crate) const MAX_NAME: usize = 246;

/// Removes the name of a segment. Whoever has it mapped keeps it.
pub(crate) fn unlink(name: &OsStr) -> io::Result<()> {
    let name = name.to_str().ok_or(io::ErrorKind::NotFound)?;
    check_name(name)?;
    let directory = Directory::open()?;
    directory.sweep();
    let record = directory.find(name)?;
    directory.take_away(name, &record)
}

/// Cannot be done: the companion file has the name inside, and its locks are those of the
/// handles, so another file cannot take its place.
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

/// The names of the segments that begin so, sorted.
pub(crate) fn list_beginning(beginning: &str) -> io::Result<Vec<String>> {
    Directory::open()?.list(beginning)
}

/// Whether this process has the segment open, as far as it is known at once: it is not.
pub(crate) fn is_open_here(_name: &str) -> bool {
    false
}

/// Whether the segment is this user's, as all in the folder are, and nobody has it mapped.
pub(crate) fn is_idle(name: &str) -> bool {
    check_name(name).is_ok()
        && Directory::open().is_ok_and(|directory| !directory.is_used(name).unwrap_or(true))
}

/// 64 bits nobody can guess.
pub(crate) fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::from)
}

/// The caller has validated the name; this is the last gate before the file
/// system.
fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains(['/', '\0']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a segment's name",
        ));
    }
    Ok(())
}

/// Sleeps while a word is what it was, by looking again and again. Relaxed: a hint, and
/// the caller looks again itself.
fn poll(word: &AtomicU64, low_half: u32, timeout: Duration) {
    const FIRST: Duration = Duration::from_micros(20);
    const LONGEST: Duration = Duration::from_millis(1);
    let begin = Instant::now();
    let mut nap = FIRST;
    while word.load(Ordering::Relaxed) as u32 == low_half {
        let left = timeout.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(nap.min(left));
        nap = (nap * 2).min(LONGEST);
    }
}
