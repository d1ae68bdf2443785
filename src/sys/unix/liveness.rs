//! Liveness bytes: open-file-description locks.
//!
//! Such a lock belongs to the open file description, not to a process or a
//! thread. The kernel drops it when the last descriptor of the description is closed,
//! at the latest when the last process that has one is gone, zombie or not.
//! A stopped process keeps its locks. No process id is involved, so neither id
//! namespaces nor the reuse of ids matter.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::fork::descriptors::Descriptor;

// The constants' types differ between systems.
const READ: libc::c_short = libc::F_RDLCK as libc::c_short;
const WRITE: libc::c_short = libc::F_WRLCK as libc::c_short;
const UNLOCKED: libc::c_short = libc::F_UNLCK as libc::c_short;

/// The right to hold liveness bytes of a segment.
pub(crate) struct Liveness {
    descriptor: Descriptor,
}

impl Liveness {
    /// Makes a `Liveness` without locks. `descriptor` must be the only one of its open file
    /// description, and one that forked children close: the locks live as long as any copy.
    pub(in crate::sys) fn new(descriptor: Descriptor) -> Self {
        Self { descriptor }
    }

    /// Holds the byte alone; `false` if another `Liveness` holds it.
    pub(crate) fn try_hold(&self, byte: u64) -> io::Result<bool> {
        hold(&self.descriptor, byte)
    }

    /// Holds the byte together with other sharers; `false` if another `Liveness`
    /// holds it alone.
    pub(crate) fn try_share(&self, byte: u64) -> io::Result<bool> {
        share(&self.descriptor, byte)
    }

    /// Whether another `Liveness` holds the byte, alone or shared.
    /// `true` if that can't be found out.
    pub(crate) fn is_held_by_others(&self, byte: u64) -> bool {
        self.query(byte).unwrap_or(true)
    }

    /// Releases a byte.
    pub(crate) fn release(&self, byte: u64) {
        if let (Ok(fd), Ok(mut lock)) = (self.descriptor.fd(), lock_of(UNLOCKED, byte)) {
            let _ = fcntl(fd, libc::F_OFD_SETLK, &mut lock);
        }
    }

    /// A byte of the range that another `Liveness` holds, if the system tells.
    pub(crate) fn first_held_by_others(&self, bytes: Range<u64>) -> Option<u64> {
        let mut lock = libc::flock {
            l_len: i64::try_from(bytes.end - bytes.start).ok()?,
            ..lock_of(WRITE, bytes.start).ok()?
        };
        fcntl(self.descriptor.fd().ok()?, libc::F_OFD_GETLK, &mut lock).ok()?;
        self.descriptor.fd().ok()?;
        // The kernel merges adjacent locks into one.
        let held = u64::try_from(lock.l_start).ok()?.max(bytes.start);
        (lock.l_type != UNLOCKED).then_some(held)
    }

    /// Whether its descriptor is still open: other code may have closed it.
    pub(crate) fn is_open(&self) -> bool {
        self.descriptor.fd().is_ok()
    }

    fn query(&self, byte: u64) -> io::Result<bool> {
        is_held(&self.descriptor, lock_of(WRITE, byte)?)
    }
}

/// Whether any byte but one is held through another open file description.
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
pub(in crate::sys) fn is_any_held_but(descriptor: &Descriptor, byte: u64) -> io::Result<bool> {
    let before = libc::flock {
        l_len: lock_of(WRITE, byte)?.l_start,
        ..lock_from(WRITE, 0)
    };
    let behind = libc::flock {
        l_len: 0,
        ..lock_of(WRITE, byte + 1)?
    };
    // A length of 0 is for all bytes.
    Ok((byte > 0 && is_held(descriptor, before)?) || is_held(descriptor, behind)?)
}

/// Whether a lock of either kind would prevent this exclusive lock. The question itself
/// needs no permission to write.
fn is_held(descriptor: &Descriptor, mut lock: libc::flock) -> io::Result<bool> {
    fcntl(descriptor.fd()?, libc::F_OFD_GETLK, &mut lock)?;
    // The answer "unlocked" counts only if it was about the segment.
    descriptor.fd()?;
    Ok(lock.l_type != UNLOCKED)
}

/// Holds the byte alone, for all processes with a descriptor of this open file
/// description; `false` if another description holds it.
pub(in crate::sys) fn hold(descriptor: &Descriptor, byte: u64) -> io::Result<bool> {
    set(descriptor, WRITE, byte)
}

/// Holds the byte together with other sharers; `false` if another open file description
/// holds it alone.
pub(in crate::sys) fn share(descriptor: &Descriptor, byte: u64) -> io::Result<bool> {
    set(descriptor, READ, byte)
}

fn set(descriptor: &Descriptor, kind: libc::c_short, byte: u64) -> io::Result<bool> {
    let mut lock = lock_of(kind, byte)?;
    let set = fcntl(descriptor.fd()?, libc::F_OFD_SETLK, &mut lock);
    descriptor.fd()?;
    match set {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

impl Drop for Liveness {
    fn drop(&mut self) {
        // Closing the descriptor would do, but for a fork in another thread between
        // the moment when the registry forgets the descriptor and the moment when it is
        // closed: that child's copy would go on holding the locks. After unlocking, the
        // copy holds none.
        let mut lock = all(UNLOCKED);
        if let Ok(fd) = self.descriptor.fd() {
            let _ = fcntl(fd, libc::F_OFD_SETLK, &mut lock);
        }
    }
}

fn lock_of(kind: libc::c_short, byte: u64) -> io::Result<libc::flock> {
    // The kernel's limit is that of file offsets.
    match i64::try_from(byte) {
        Ok(start) if start < i64::MAX => Ok(lock_from(kind, start)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// A lock of all possible bytes.
fn all(kind: libc::c_short) -> libc::flock {
    libc::flock {
        l_len: 0,
        ..lock_from(kind, 0)
    }
}

/// A lock of one byte. The process id must be zero for locks of this kind.
fn lock_from(kind: libc::c_short, start: i64) -> libc::flock {
    libc::flock {
        l_type: kind,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: 1,
        l_pid: 0,
    }
}

/// Calls `fcntl` with a lock, again if a signal interrupted it.
fn fcntl(fd: BorrowedFd<'_>, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    loop {
        // SAFETY: `fd` is open while it is borrowed; both commands used here
        // (F_OFD_SETLK, F_OFD_GETLK) take a pointer to a `flock`, which `lock`
        // is for the time of the call, and keep none.
        let status = unsafe { libc::fcntl(fd.as_raw_fd(), command, &raw mut *lock) };
        if status != -1 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
