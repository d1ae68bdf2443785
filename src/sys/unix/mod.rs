//! What the back ends of Unix systems share: files opened with care, and locks on
//! them.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use rustix::io::Errno;

use super::{Access, Owner};

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

/// Opens a regular file, and refuses to follow or to wait for anything else.
pub(super) fn open_plain(
    path: impl rustix::path::Arg,
    access: Access,
) -> io::Result<(OwnedFd, Stat)> {
    let path = path.into_c_str()?;
    let mut patience = 100;
    loop {
        match open_plain_at_once(&*path, access) {
            // Somebody is alone with it, for a few system calls.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && patience > 0 => {
                patience -= 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            opened => return opened,
        }
    }
}

/// The same without patience: `WouldBlock` if somebody is alone with it.
pub(super) fn open_plain_at_once(
    path: impl rustix::path::Arg,
    access: Access,
) -> io::Result<(OwnedFd, Stat)> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = match open(path, access_flags(access) | flags, Mode::empty()) {
        // A symbolic link, a directory, a socket.
        Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        fd => fd?,
    };
    let stat = fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        Ok((fd, stat))
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}
