//! The system calls of macOS, and of Linux for tests: open-file-description locks on the
//! companion file, which forked children don't keep.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::time::Duration;

use rustix::fs::{CWD, Mode, RenameFlags, fchmod, renameat_with};
use rustix::io::{Errno, pread};
use rustix::mm::{MprotectFlags, mprotect};
use rustix::process::{Resource, getrlimit};
use rustix::shm;

use super::companion::{Companion, MAX_BYTES, SegmentId};
use super::memory::Memory;
use crate::sync::AtomicU64;
use crate::sys::fork::descriptors::Descriptor;
use crate::sys::unix::liveness::{self, Liveness as Locks};
use crate::sys::unix::{open_plain, open_plain_at_once, owner_of};
use crate::sys::{Access, Owner};

pub(super) use crate::sys::unix::check_length;
pub(crate) use crate::sys::unix::liveness::Liveness;
pub(crate) use crate::sys::unix::{process_exists, too_many_files};

/// The user that owns the files that this process makes.
pub(crate) fn current_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The user's folder. Its parent may be shared by all users, so its name contains the user's
/// id.
pub(super) fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("shmtable-{}", current_user()))
}

/// Makes the user's folder, and refuses one that others made or may write to.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let found = std::fs::symlink_metadata(path)?;
    if found.is_dir() && found.uid() == current_user() && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::other(
        "it is not a folder of this user's alone; remove it, or set TMPDIR",
    ))
}

pub(super) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Moves a file to a name that is free.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

/// Exchanges two files. Both systems can do that where they keep temporary files.
pub(super) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        done => Ok(done?),
    }
}

/// An open companion file. Its locks belong to this open file, which forked children share.
pub(super) struct LockFile {
    descriptor: Descriptor,
}

impl LockFile {
    pub(super) fn open(path: &Path, access: Access) -> io::Result<Self> {
        let (fd, _) = open_plain(path, access)?;
        Ok(Self {
            descriptor: Descriptor::inherited(fd)?,
        })
    }

    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; MAX_BYTES];
        let mut length = 0;
        while let Some(rest @ [_, ..]) = bytes.get_mut(length..) {
            match pread(self.descriptor.fd()?, rest, length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    pub(super) fn share(&self, byte: u64) -> io::Result<bool> {
        liveness::share(&self.descriptor, byte)
    }

    pub(super) fn hold(&self, byte: u64) -> io::Result<bool> {
        liveness::hold(&self.descriptor, byte)
    }

    /// Calls `act` while this file, which shares the byte, holds it alone; `None` if others
    /// share it too.
    pub(super) fn while_alone<R>(
        &self,
        byte: u64,
        act: impl FnOnce() -> R,
    ) -> io::Result<Option<R>> {
        // If the lock can't be changed to the other kind, it stays as it was.
        match self.hold(byte) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // The file was opened only for reading.
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
                return Err(io::ErrorKind::Unsupported.into());
            }
            Err(error) => return Err(error),
        }
        let result = act();
        self.share(byte)?;
        Ok(Some(result))
    }

    /// The owner and mode of the file, not those in the companion.
    pub(super) fn owner(&self, _mode: u32) -> io::Result<Owner> {
        Ok(owner_of(&self.descriptor.stat()?))
    }

    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode as rustix::fs::RawMode);
        Ok(fchmod(self.descriptor.fd()?, mode)?)
    }
}

impl Locks {
    /// Makes a `Liveness` for inspecting the companion at this path.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let open = || Ok(open_plain_at_once(path, Access::ReadOnly)?.0);
        Ok(Self::new(Descriptor::not_inherited(open)?))
    }

    /// Makes a `Liveness` on the companion at this path, if it is the same file.
    pub(super) fn open(
        path: &Path,
        access: Access,
        same: &LockFile,
        _record: &Companion,
    ) -> io::Result<Self> {
        let descriptor = Descriptor::not_inherited(|| Ok(open_plain(path, access)?.0))?;
        if descriptor.id() == same.descriptor.id() {
            Ok(Self::new(descriptor))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// The most bytes that all mappings of this process may have together.
pub(super) fn address_space_limit() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// The name of an object for `shm_open`; macOS allows 31 bytes.
pub(super) fn object_name(id: SegmentId) -> String {
    format!("/shmtable-{id}")
}

pub(super) fn remove_object(id: SegmentId) -> io::Result<()> {
    match shm::unlink(object_name(id)) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn object_exists(id: SegmentId) -> io::Result<bool> {
    match shm::open(object_name(id), shm::OFlags::RDONLY, Mode::empty()) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The length of an object of which `mapped` bytes were mapped.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn object_length(_id: SegmentId, mapped: usize) -> io::Result<usize> {
    Ok(mapped)
}

/// Whether an object could not be mapped because it has no length.
pub(super) fn is_of_no_length(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
}

/// Runs code that opens descriptors, while none of the standard streams is closed: code that
/// prints to a closed one must not write to a segment.
pub(super) fn with_streams<R>(run: impl FnOnce() -> R) -> io::Result<R> {
    let mut held = Vec::new();
    loop {
        let file = File::open("/dev/null")?;
        if file.as_raw_fd() > 2 {
            return Ok(run());
        }
        held.push(file);
    }
}

/// Makes a store to these pages a deadly signal.
pub(super) fn protect(base: NonNull<u8>, bytes: usize) -> io::Result<()> {
    // SAFETY: the pages are those of one mapping, whose words are only loaded from now on.
    // Removing a right makes only stores to these pages invalid, and there are none.
    Ok(unsafe { mprotect(base.as_ptr().cast(), bytes, MprotectFlags::READ) }?)
}

#[cfg(target_os = "linux")]
pub(super) fn populate(words: &[AtomicU64], range: Range<usize>) -> io::Result<()> {
    crate::sys::unix::pages::populate(
        words,
        range,
        || rustix::fs::statvfs("/dev/shm").ok(),
        // Linux before 5.14: `shared_memory` doesn't give access to its descriptor.
        |_, _| Err(Errno::OPNOTSUPP),
        |_, _| {},
    )
}

/// Makes the pages of these words present by touching them, which changes nothing in them.
/// The system swaps, and ends processes when that is not enough; it has no way to refuse
/// pages in advance.
#[cfg(not(target_os = "linux"))]
pub(super) fn populate(words: &[AtomicU64], range: Range<usize>) -> io::Result<()> {
    const PAGE: usize = 4096 / size_of::<u64>();
    let words = words.get(range).ok_or(io::ErrorKind::InvalidInput)?;
    for word in words.iter().step_by(PAGE).chain(words.last()) {
        word.fetch_add(0, crate::sync::Ordering::Relaxed);
    }
    Ok(())
}

/// Nothing: sleepers poll the word by themselves.
pub(super) struct Bells;

#[allow(
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "on Windows it does something"
)]
impl Bells {
    pub(super) fn length(bytes: usize) -> io::Result<usize> {
        Ok(bytes)
    }

    pub(super) fn of(_memory: &Memory, _bytes: usize) -> Self {
        Self
    }

    pub(super) fn sleep(&self, memory: &Memory, at: usize, low_half: u32, timeout: Duration) {
        if let Some(word) = memory.words().get(at) {
            super::poll(word, low_half, timeout);
        }
    }

    pub(super) fn ring(&self, _memory: &Memory, _word: usize) {}
}
