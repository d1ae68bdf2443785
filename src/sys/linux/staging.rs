//! A segment in the making: a file that gets its name when it is complete.
//!
//! Where the kernel has unnamed files (any since 3.11, with `/proc`), it is one of them,
//! and vanishes with the process. Elsewhere it is a file with a random hidden name. A
//! process that is killed while it fills such a file leaves it behind, under a name that
//! no segment has. So does a process that is killed while it replaces a segment, between
//! the two steps that this takes: an unnamed file can't be put in the place of another.
//! [`sweep`] removes the files that were left in either way.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, fstat, link, linkat, open, rename, renameat_with,
    stat, unlink,
};
use rustix::io::Errno;

use super::alone::while_alone;
use super::{DIRECTORY, current_user, random};
use crate::sys::Access;
use crate::sys::fork::descriptors::FileId;
use crate::sys::process_crash_point;
use crate::sys::unix::{open_plain, owner_of};

/// The path by which a process reaches the file of one of its own descriptors.
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
    /// Makes a new file: unnamed if possible, else with a hidden name.
    pub(super) fn begin() -> io::Result<(Self, OwnedFd)> {
        match Self::begin_unnamed() {
            Ok(Some(fd)) => Ok((Self { temporary: None }, fd)),
            // If the error isn't peculiar to unnamed files, a named one fails as well,
            // and reports it.
            Ok(None) | Err(_) => Self::begin_named(),
        }
    }

    /// Makes a new unnamed file; `None` if it couldn't get a name later.
    fn begin_unnamed() -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let fd = open(DIRECTORY, flags, Mode::RUSR | Mode::WUSR)?;
        let by_number = stat(descriptor_path(fd.as_fd()))?;
        let same = FileId::of(&by_number) == FileId::of(&fstat(&fd)?);
        Ok(same.then_some(fd))
    }

    /// Makes a new file with a hidden name.
    pub(super) fn begin_named() -> io::Result<(Self, OwnedFd)> {
        let path = hidden_path()?;
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

    /// Gives the file its name, and returns `false` if this machine gives no names to unnamed
    /// files. If the name is taken, `taken` says whether the call fails with
    /// [`io::ErrorKind::AlreadyExists`], or the other file loses the name.
    pub(super) fn publish(
        mut self,
        fd: BorrowedFd<'_>,
        path: &str,
        taken: Taken,
    ) -> io::Result<bool> {
        if self.temporary.is_none() {
            let target = match taken {
                Taken::Refused => path.to_owned(),
                Taken::Replaced => hidden_path()?,
            };
            let from = descriptor_path(fd);
            match linkat(CWD, from, CWD, &target, AtFlags::SYMLINK_FOLLOW) {
                Ok(()) => {}
                // The machine forbids it, by a rule for system calls or for links.
                Err(Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
            if taken == Taken::Refused {
                return Ok(true);
            }
            self.temporary = Some(target);
            process_crash_point!("replace: half done");
        }
        let Some(temporary) = &self.temporary else {
            return Ok(false);
        };
        match taken {
            Taken::Replaced => rename(temporary, path)?,
            Taken::Refused => {
                match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
                    Ok(()) => {}
                    // A file system or a kernel without exclusive renaming, or a rule that
                    // forbids it. The temporary name goes when `self` is dropped.
                    Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => {
                        link(temporary, path)?;
                        return Ok(true);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.temporary = None;
        Ok(true)
    }
}

/// What happens if another segment has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Refused,
    Replaced,
}

const HIDDEN: &str = ".shmtable.";

/// A new path under which there is no segment.
fn hidden_path() -> io::Result<String> {
    Ok(format!("{DIRECTORY}/{HIDDEN}{:016x}", random()?))
}

/// Removes this user's unfinished files whose creators died: those that no process has
/// open, according to the kernel. A file that can't be removed now stays for the next sweep.
pub(super) fn sweep() {
    let Ok(entries) = std::fs::read_dir(DIRECTORY) else {
        return;
    };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let number = file.to_str().and_then(|file| file.strip_prefix(HIDDEN));
        if number.is_some_and(|number| number.len() == 16)
            && let Ok((fd, stat)) = open_plain(entry.path(), Access::ReadOnly)
            && owner_of(&stat).user == current_user()
        {
            let _ = while_alone(fd.as_fd(), || unlink(entry.path()));
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // If the name can't be removed, the next sweep tries again.
            let _ = unlink(temporary);
        }
    }
}
