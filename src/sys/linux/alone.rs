//! Being alone with a segment: a write lease on its file.
//!
//! The kernel grants one only to who has the one open file description there is of the
//! file, mappings and descriptors inherited by a fork included, in all namespaces. While
//! it lasts, whoever opens the file is turned away with `EAGAIN` (all of this crate's
//! openings are non-blocking) and tries again; the kernel tells the lease's holder by a
//! signal, for which one is chosen that does nothing by default.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::mapping::Mapping;

/// Linux's `F_SETSIG`, for which `libc` has no name everywhere.
const SET_SIGNAL: libc::c_int = 10;

impl Mapping {
    /// Calls `act` while nobody else has the segment open; see the contract in
    /// [`crate::sys`].
    pub(crate) fn while_alone<R>(&self, act: impl FnOnce() -> R) -> io::Result<Option<R>> {
        while_alone(self.descriptor.fd()?, act)
    }
}

/// The same of an open file.
pub(super) fn while_alone<R>(fd: BorrowedFd<'_>, act: impl FnOnce() -> R) -> io::Result<Option<R>> {
    fcntl(fd, SET_SIGNAL, libc::SIGURG)?;
    match fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return Ok(None),
        // Not this file system, or not this user's file.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EACCES)) => {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Err(error) => return Err(error),
    }
    let result = act();
    // Closing the descriptor would end it too; it cannot fail while we hold it.
    let _ = fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK);
    Ok(Some(result))
}

/// `fcntl` with a number.
fn fcntl(fd: BorrowedFd<'_>, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: `fd` is open while it is borrowed; the commands used here take a plain
    // number and touch no memory of this process.
    let status = unsafe { libc::fcntl(fd.as_raw_fd(), command, argument) };
    if status == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
