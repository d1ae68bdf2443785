//! The back end for Linux: segments are files in the shared-memory file system,
//! liveness bytes are open-file-description locks on them, and threads sleep on words
//! with futexes.
//!
//! The segment `NAME` is the file `/dev/shm/shmtable.NAME`. The files
//! `/dev/shm/.shmtable.*` are not segments yet: they are being made, on kernels without
//! unnamed files, or are about to replace another segment.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, RenameFlags, link, lstat, renameat_with};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::Access;
use super::fork::descriptors::{self, Descriptor, FileId};
use super::unix::liveness::is_any_held_but;
use super::unix::open_plain_at_once;
use crate::layout::UNANNOUNCED_BYTE;

mod alone;
mod fences;
mod futex;
mod mapping;
mod pages;
mod staging;
#[cfg(test)]
mod tests;

use super::NotASegment;
pub(crate) use super::unix::liveness::Liveness;
pub(crate) use super::unix::{process_exists, too_many_files};
pub(crate) use fences::{fence_everywhere, fence_here};
pub(crate) use futex::{sleep_on_any, wake_here};
pub(crate) use mapping::Mapping;

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("shmtable's format and its futexes need a 64-bit little-endian target");

/// The folder where the shared-memory file system is mounted.
const DIRECTORY: &str = "/dev/shm";

/// The beginning of the file names of segments.
const PREFIX: &str = "shmtable.";

/// The longest name of a segment, in bytes. A file name has at most 255.
pub(crate) const MAX_NAME: usize = 255 - PREFIX.len();

/// A segment takes memory only where it was populated, so tables can grow in place.
pub(crate) const CAN_GROW: bool = true;

/// The file of the segment `name`.
///
/// The caller has validated the name; this is the last gate before the file
/// system, so that no mistake above can reach a file elsewhere.
fn path_of(name: &str) -> io::Result<String> {
    check_name(name.as_ref())?;
    Ok(format!("{DIRECTORY}/{PREFIX}{name}"))
}

/// Whether it is the file of the segment `name`.
fn is_path_of(path: &str, name: &str) -> bool {
    let file = path
        .strip_prefix(DIRECTORY)
        .and_then(|rest| rest.strip_prefix('/'));
    file.and_then(|file| file.strip_prefix(PREFIX)) == Some(name)
}

fn check_name(name: &OsStr) -> io::Result<()> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > MAX_NAME || bytes.iter().any(|b| b"/\0".contains(b)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a segment's name",
        ));
    }
    Ok(())
}

/// Removes the name of a segment. Processes that have it mapped keep it.
pub(crate) fn unlink(name: &OsStr) -> io::Result<()> {
    check_name(name)?;
    let mut path = OsString::from(format!("{DIRECTORY}/{PREFIX}"));
    path.push(name);
    match rustix::fs::unlink(path.as_os_str()) {
        Err(Errno::ISDIR) => {
            let folder = NotASegment("a folder");
            Err(io::Error::new(io::ErrorKind::IsADirectory, folder))
        }
        done => Ok(done?),
    }
}

/// Renames the segment `from` to `to`, in one step; [`io::ErrorKind::AlreadyExists`] if
/// that name is taken and `replace` is false.
pub(crate) fn rename(from: &str, to: &str, replace: bool) -> io::Result<()> {
    let (from, to) = (path_of(from)?, path_of(to)?);
    if replace {
        return Ok(rustix::fs::rename(from, to)?);
    }
    match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
        // A file system or a kernel without exclusive renaming: the segment has both names
        // for a moment, and always at least one.
        Err(Errno::INVAL | Errno::NOSYS) => {
            link(&from, &to)?;
            Ok(rustix::fs::unlink(&from)?)
        }
        renamed => Ok(renamed?),
    }
}

/// The names of all segments, sorted. A name may be invalid UTF-8.
pub(crate) fn list() -> io::Result<Vec<OsString>> {
    staging::sweep();
    names(b"")
}

/// The names of the segments that begin with `beginning`, sorted.
pub(crate) fn list_beginning(beginning: &str) -> io::Result<Vec<String>> {
    let names = names(beginning.as_bytes())?;
    Ok(names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect())
}

fn names(beginning: &[u8]) -> io::Result<Vec<OsString>> {
    let entries = match std::fs::read_dir(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name();
        let name = file.as_bytes().strip_prefix(PREFIX.as_bytes());
        // An entry that has vanished since is no longer a segment.
        let plain = || entry.file_type().is_ok_and(|kind| kind.is_file());
        if let Some(name) = name
            && !name.is_empty()
            && name.starts_with(beginning)
            && plain()
        {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether this process has the segment open, as far as one system call tells.
pub(crate) fn is_open_here(name: &str) -> bool {
    path_of(name).is_ok_and(|path| {
        lstat(path).is_ok_and(|stat| descriptors::is_open_here(FileId::of(&stat)))
    })
}

/// Whether the segment is this user's and none of its bytes is held, but for the one that those
/// hold who don't count as users.
pub(crate) fn is_idle(name: &str) -> bool {
    let idle = || -> io::Result<bool> {
        let path = path_of(name)?;
        // Without opening the file: another user with a lease on it would notice that.
        if lstat(&path)?.st_uid != current_user() {
            return Ok(false);
        }
        let open = || Ok(open_plain_at_once(&path, Access::ReadOnly)?.0);
        Ok(!is_any_held_but(
            &Descriptor::not_inherited(open)?,
            UNANNOUNCED_BYTE,
        )?)
    };
    idle().unwrap_or(false)
}

/// 64 random bits that can't be guessed.
pub(crate) fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    let mut filled = 0;
    while let Some(rest @ [_, ..]) = bytes.get_mut(filled..) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(u64::from_ne_bytes(bytes))
}

/// The user that owns the files that this process makes.
pub(crate) fn current_user() -> u32 {
    rustix::process::geteuid().as_raw()
}
