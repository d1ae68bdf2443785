//! What the back ends of Unix systems share: files opened with care, and locks on
//! them.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, lstat, open};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, getrlimit, test_kill_process};

use super::{Access, FileTooLong, NotASegment, Owner, TooManyFiles};

pub(super) mod liveness;
#[cfg(target_os = "linux")]
pub(super) mod pages;

// The fields' types differ between systems.
#[allow(clippy::useless_conversion)]
pub(super) fn owner_of(stat: &Stat) -> Owner {
    Owner {
        user: stat.st_uid,
        mode: u32::from(stat.st_mode) & 0o7777,
    }
}

pub(super) fn access_flags(access: Access) -> OFlags {
    match access {
        Access::ReadOnly => OFlags::RDONLY,
        Access::ReadWrite => OFlags::RDWR,
    }
}

/// Whether there is a process with this id, as far as this process can see. Zombies count.
pub(crate) fn process_exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Opens a regular file. It refuses everything else, and neither follows links nor waits.
pub(super) fn open_plain(
    path: impl rustix::path::Arg,
    access: Access,
) -> io::Result<(OwnedFd, Stat)> {
    let path = path.into_c_str()?;
    let mut patience = 100;
    loop {
        match open_plain_at_once(&*path, access) {
            // Another process is alone with the file, for a few system calls.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && patience > 0 => {
                patience -= 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            opened => return opened,
        }
    }
}

/// Opens a regular file, without trying again: `WouldBlock` if another process is alone
/// with it.
pub(super) fn open_plain_at_once(
    path: impl rustix::path::Arg,
    access: Access,
) -> io::Result<(OwnedFd, Stat)> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = path.into_c_str()?;
    let fd = match open(&*path, access_flags(access) | flags, Mode::empty()) {
        // A symbolic link, a directory, a socket.
        Err(error @ (Errno::LOOP | Errno::ISDIR | Errno::NXIO)) => {
            let stat = lstat(&*path)?;
            return Err(
                not_plain(&stat, io::ErrorKind::PermissionDenied).unwrap_or_else(|| error.into())
            );
        }
        fd => fd?,
    };
    let stat = fstat(&fd)?;
    match not_plain(&stat, io::ErrorKind::PermissionDenied) {
        None => Ok((fd, stat)),
        Some(error) => Err(error),
    }
}

/// The error for a file that isn't a regular file, as segments are.
pub(super) fn not_plain(stat: &Stat, kind: io::ErrorKind) -> Option<io::Error> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return None,
        FileType::Symlink => "a symbolic link",
        FileType::Directory => "a folder",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    };
    Some(io::Error::new(kind, NotASegment(what)))
}

/// Refuses a length beyond the process's limit: the system would send a deadly signal.
pub(super) fn check_length(bytes: usize) -> io::Result<()> {
    let limit = getrlimit(Resource::Fsize).current;
    if limit.is_some_and(|limit| limit < bytes as u64) {
        let reason = FileTooLong {
            asked: bytes,
            limit,
        };
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(())
}

/// Whether an error means that there are too many open files, and what the limit is.
pub(crate) fn too_many_files(error: &io::Error) -> Option<TooManyFiles> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some(TooManyFiles {
            limit: getrlimit(Resource::Nofile).current,
        }),
        Errno::NFILE => Some(TooManyFiles { limit: None }),
        _ => None,
    }
}
