//! A segment in the making: a file without a name that gets one when it is
//! done.
//!
//! Where the kernel has them (any since 3.11, with `/proc`) it is an unnamed
//! file, which vanishes with the process. Elsewhere it is a file under a
//! random hidden name; a process that is killed while it fills that one leaves
//! it behind, under a name that is nobody's segment.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, fstat, link, linkat, open, renameat_with, stat, unlink,
};
use rustix::io::Errno;

use super::{DIRECTORY, PREFIX, random};
use crate::sys::fork::descriptors::FileId;

/// The name under which any process reaches its own descriptor's file.
pub(super) fn descriptor_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// The temporary name of a staged file; removes it when dropped, so that
/// neither an error nor a panic leaves it behind.
pub(super) struct Staging {
    /// `None`: an unnamed file.
    temporary: Option<String>,
}

impl Staging {
    /// A new file, of the best kind there is.
    pub(super) fn begin() -> io::Result<(Self, OwnedFd)> {
        match Self::begin_unnamed() {
            Ok(Some(fd)) => Ok((Self { temporary: None }, fd)),
            // Whatever keeps the machine from making unnamed files, if it is
            // not peculiar to them, meets the other kind too and is reported
            // there.
            Ok(None) | Err(_) => Self::begin_named(),
        }
    }

    /// A new unnamed file, unless it could not get a name later.
    fn begin_unnamed() -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let fd = open(DIRECTORY, flags, Mode::RUSR | Mode::WUSR)?;
        let by_number = stat(descriptor_path(fd.as_fd()))?;
        let same = FileId::of(&by_number) == FileId::of(&fstat(&fd)?);
        Ok(same.then_some(fd))
    }

    /// A new file under a hidden name.
    pub(super) fn begin_named() -> io::Result<(Self, OwnedFd)> {
        let path = format!("{DIRECTORY}/.{PREFIX}{:016x}", random()?);
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
        let fd = open(&path, flags, Mode::RUSR | Mode::WUSR)?;
        let temporary = Some(path);
        Ok((Self { temporary }, fd))
    }

    /// The path under which the file can be opened until it is published.
    pub(super) fn path(&self) -> Option<&str> {
        self.temporary.as_deref()
    }

    /// Gives the file its name; [`io::ErrorKind::AlreadyExists`] if that is
    /// taken.
    pub(super) fn publish(mut self, fd: BorrowedFd<'_>, path: &str) -> io::Result<()> {
        let Some(temporary) = &self.temporary else {
            let from = descriptor_path(fd);
            linkat(CWD, from, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
            return Ok(());
        };
        match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.temporary = None;
                Ok(())
            }
            // A file system or a kernel without exclusive renaming. The
            // temporary name goes when `self` is dropped.
            Err(Errno::INVAL | Errno::NOSYS) => Ok(link(temporary, path)?),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing better can be done about a name that will not go.
            let _ = unlink(temporary);
        }
    }
}
