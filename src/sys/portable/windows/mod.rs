//! The system calls of Windows: byte-range locks on the companion file, which the system
//! releases when the process is gone, and named events to sleep on.
//!
//! A table may be used by any process that may use the folder for temporary files, which
//! Windows gives each user. There are no user ids here: [`current_user`] is zero for every
//! user, and so is every owner.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::FileExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use shared_memory::{ShmemConf, ShmemError};
use windows_sys::Win32::Foundation::{
    ERROR_FILE_INVALID, ERROR_FILE_NOT_FOUND, ERROR_TOO_MANY_OPEN_FILES,
};
use windows_sys::Win32::Storage::FileSystem::MoveFileExW;
use windows_sys::Win32::System::Memory::{PAGE_READONLY, VirtualProtect};

use super::companion::{Companion, MAX_BYTES, SegmentId};
use crate::sync::AtomicU64;
use crate::sys::{Access, Owner, TooManyFiles};

mod bells;
mod locks;

pub(super) use bells::Bells;
pub(crate) use locks::Liveness;

/// The current user: zero for all users; see the module.
pub(crate) fn current_user() -> u32 {
    0
}

/// Returns `false`. Here no code closes the handles of other code, so no caller asks.
pub(crate) fn process_exists(_pid: u32) -> bool {
    false
}

pub(super) fn directory() -> PathBuf {
    std::env::temp_dir().join("shmtable")
}

pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

pub(super) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Moves a file to a name that is free.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let wide = |path: &Path| -> Vec<u16> { path.as_os_str().encode_wide().chain([0]).collect() };
    let (from, to) = (wide(from), wide(to));
    // SAFETY: both pointers are to strings that end with a zero, and that exist for the
    // time of the call. Without flags the call fails if there is such a file already.
    match unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), 0) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Fails: Windows can't exchange two files.
pub(super) fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether an error means that there are too many handles; Windows tells no limit.
pub(crate) fn too_many_files(error: &io::Error) -> Option<TooManyFiles> {
    let code = error.raw_os_error().map(i32::cast_unsigned);
    (code == Some(ERROR_TOO_MANY_OPEN_FILES)).then_some(TooManyFiles { limit: None })
}

fn open(path: &Path, access: Access) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(access == Access::ReadWrite)
        .open(path)
}

/// An open companion file and its locks.
pub(super) struct LockFile {
    file: File,
}

impl LockFile {
    pub(super) fn open(path: &Path, access: Access) -> io::Result<Self> {
        Ok(Self {
            file: open(path, access)?,
        })
    }

    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; MAX_BYTES];
        let mut length = 0;
        while let Some(rest @ [_, ..]) = bytes.get_mut(length..) {
            match self.file.seek_read(rest, length as u64)? {
                0 => break,
                more => length += more,
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    pub(super) fn share(&self, byte: u64) -> io::Result<bool> {
        locks::try_patiently(&self.file, byte, locks::Kind::Shared)
    }

    pub(super) fn hold(&self, byte: u64) -> io::Result<bool> {
        locks::try_lock(&self.file, byte, locks::Kind::Alone)
    }

    /// Calls `act` while this file, which shares the byte, holds it alone; `None` if others
    /// share it too.
    pub(super) fn while_alone<R>(
        &self,
        byte: u64,
        act: impl FnOnce() -> R,
    ) -> io::Result<Option<R>> {
        // Locks can't change their kind. A process that takes the byte in between is
        // dealt with below.
        locks::unlock(&self.file, byte)?;
        let alone = self.hold(byte);
        let result = alone.as_ref().is_ok_and(|alone| *alone).then(act);
        if result.is_some() {
            locks::unlock(&self.file, byte)?;
        }
        self.share(byte)?;
        alone?;
        Ok(result)
    }

    pub(super) fn owner(&self, mode: u32) -> io::Result<Owner> {
        // This only tells that the file still exists.
        self.file.metadata()?;
        Ok(Owner {
            user: current_user(),
            mode,
        })
    }

    /// Does nothing: the companion has the mode, and Windows has no such bits.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    pub(super) fn set_mode(&self, _mode: u32) -> io::Result<()> {
        Ok(())
    }
}

impl Liveness {
    /// Makes a `Liveness` for inspecting the companion at this path.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::new(open(path, Access::ReadOnly)?))
    }

    /// Makes a `Liveness` on the companion at this path, if it is this segment's.
    pub(super) fn open(
        path: &Path,
        access: Access,
        _same: &LockFile,
        companion: &Companion,
    ) -> io::Result<Self> {
        if Companion::at(path)? == *companion {
            Ok(Self::new(open(path, access)?))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// Accepts every length: if the disk is full, the system returns an error, and no signal.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn check_length(_bytes: usize) -> io::Result<()> {
    Ok(())
}

/// The most bytes that all mappings of this process may have together: there is no limit.
pub(super) fn address_space_limit() -> Option<u64> {
    None
}

/// The name of the object and of its file for `shared_memory`.
pub(super) fn object_name(id: SegmentId) -> String {
    format!("shmtable-{id}")
}

/// The path of the file in which `shared_memory` keeps an object.
fn object_path(id: SegmentId) -> PathBuf {
    std::env::temp_dir()
        .join("shared_memory-rs")
        .join(object_name(id))
}

/// Removes an object as `shared_memory` removes one in use: by dropping a last owner of it.
pub(super) fn remove_object(id: SegmentId) -> io::Result<()> {
    match ShmemConf::new().os_id(object_name(id)).open() {
        Ok(mut last) => {
            last.set_owner(true);
            drop(last);
        }
        Err(ShmemError::MapOpenFailed(ERROR_FILE_NOT_FOUND)) => {}
        // A file that never got its length can't be mapped.
        Err(_) => remove_file(&object_path(id))?,
    }
    // `shared_memory` renames the file, and doesn't always succeed in removing it.
    let mut renamed = object_path(id).into_os_string();
    renamed.push("_deleted");
    remove_file(renamed.as_ref())
}

fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

pub(super) fn object_exists(id: SegmentId) -> io::Result<bool> {
    object_path(id).try_exists()
}

/// The length of an object of which `mapped` bytes were mapped. The last page is mapped as a
/// whole, even if the file ends within it.
pub(super) fn object_length(id: SegmentId, mapped: usize) -> io::Result<usize> {
    let length = std::fs::metadata(object_path(id))?.len();
    Ok(usize::try_from(length).map_or(mapped, |length| length.min(mapped)))
}

/// Whether an object could not be mapped because it has no length.
pub(super) fn is_of_no_length(error: &io::Error) -> bool {
    error.raw_os_error().map(i32::cast_unsigned) == Some(ERROR_FILE_INVALID)
}

/// Runs `run`: standard streams have no descriptor numbers here.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn with_streams<R>(run: impl FnOnce() -> R) -> io::Result<R> {
    Ok(run())
}

/// Makes a store to these pages a deadly exception.
pub(super) fn protect(base: NonNull<u8>, bytes: usize) -> io::Result<()> {
    let mut before = 0;
    // SAFETY: the pages are those of one view, whose words are only loaded from now on.
    // Removing a right makes only stores to these pages invalid, and there are none.
    // `before` is writable.
    let done =
        unsafe { VirtualProtect(base.as_ptr().cast(), bytes, PAGE_READONLY, &raw mut before) };
    match done {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Checks the range only: the file system gave the file all of its room at its creation.
pub(super) fn populate(words: &[AtomicU64], range: Range<usize>) -> io::Result<()> {
    match words.get(range) {
        Some(_) => Ok(()),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}
