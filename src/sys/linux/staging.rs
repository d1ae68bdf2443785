//! A segment in the making: a file without a name that gets one when it is
//! done.
//!
//! Where the kernel has them (any since 3.11, with `/proc`) it is an unnamed
//! file, which vanishes with the process. Elsewhere it is a file under a
//! random hidden name; a process that is killed while it fills that one leaves
//! it behind, under a name that is nobody's segment. So does a process that is killed
//! while it replaces a segment, between the two steps that this takes: an unnamed file
//! cannot be put in the place of another. [`sweep`] removes what was left in either way.

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

    /// Gives the file its name. If that is taken, [`io::ErrorKind::AlreadyExists`], or
    /// whatever had it loses it. `false`: unnamed files are given no names here.
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
                // A rule of the machine's, for system calls or for links.
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
                    // A file system, a kernel or a rule without exclusive renaming. The
                    // temporary name goes when `self` is dropped.
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

/// What becomes of another segment of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Refused,
    Replaced,
}

const HIDDEN: &str = ".shmtable.";

/// A path that is nobody's segment.
fn hidden_path() -> io::Result<String> {
    Ok(format!("{DIRECTORY}/{HIDDEN}{:016x}", random()?))
}

/// Removes files in the making of this user's whose makers died: those that nobody has
/// open, as the kernel says. What cannot be removed now stays for the next sweep.
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
            // Nothing better can be done about a name that will not go.
            let _ = unlink(temporary);
        }
    }
}
