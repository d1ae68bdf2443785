//! Being alone with a segment: a write lease on its file.
//!
//! The kernel grants a lease only if the file has no other open file description, in any
//! namespace; mappings and descriptors inherited by a fork count. While the lease lasts, an
//! attempt to open the file fails with `EAGAIN` (this crate always opens files without
//! blocking), and the process tries again. The kernel tells the holder of the lease by a
//! signal; we choose one that does nothing by default.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::mapping::Mapping;

/// Linux's `F_SETSIG`, for which `libc` has no name everywhere.
const SET_SIGNAL: libc::c_int = 10;

impl Mapping {
    /// Calls `act` while the segment isn't open anywhere else; see the contract in
    /// [`crate::sys`].
    pub(crate) fn while_alone<R>(&self, act: impl FnOnce() -> R) -> io::Result<Option<R>> {
        while_alone(self.descriptor.fd()?, act)
    }
}

/// Calls `act` while the file of `fd` isn't open anywhere else; `None` if it is.
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
    // Closing the descriptor would end the lease too. This can't fail while we hold it.
    let _ = fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK);
    Ok(Some(result))
}

/// Calls `fcntl` with a number as its argument.
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
