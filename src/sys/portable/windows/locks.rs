//! Byte-range locks. They belong to an open file, whichever process has a handle of it, and
//! the system releases them when the last handle is closed, at the latest when
//! the process is gone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::windows::io::AsRawHandle;

use windows_sys::Win32::Foundation::{ERROR_IO_PENDING, ERROR_LOCK_VIOLATION};
use windows_sys::Win32::Storage::FileSystem::{
    LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, UnlockFileEx,
};
use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0};

use crate::sync::Mutex;

/// The offset that is added to bytes below it. A lock keeps other processes from reading
/// the bytes that it covers, and they must be able to read the companion's text. No segment is
/// as long as this, and the bytes of claims begin far above.
const TEXT: u64 = 1 << 46;

/// The number of attempts to take a byte that another process may hold for a moment, while
/// it tests the byte.
const PATIENCE: u32 = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Shared,
    Alone,
}

/// The right to hold liveness bytes of a segment.
pub(crate) struct Liveness {
    file: File,
    /// The bytes that this holds: the system doesn't tell its locks from those of others.
    held: Mutex<BTreeMap<u64, Kind>>,
}

impl Liveness {
    /// Makes a `Liveness` without locks. `file` must have been opened for this alone.
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            held: Mutex::new(BTreeMap::new()),
        }
    }

    /// Holds the byte alone; `false` if another `Liveness` holds it.
    pub(crate) fn try_hold(&self, byte: u64) -> io::Result<bool> {
        self.set(byte, Kind::Alone)
    }

    /// Holds the byte together with other sharers; `false` if another `Liveness`
    /// holds it alone.
    pub(crate) fn try_share(&self, byte: u64) -> io::Result<bool> {
        self.set(byte, Kind::Shared)
    }

    fn set(&self, byte: u64, kind: Kind) -> io::Result<bool> {
        let mut held = self.held.lock();
        match held.get(&byte) {
            Some(Kind::Alone) => return Ok(true),
            Some(Kind::Shared) if kind == Kind::Shared => return Ok(true),
            // A lock can't change its kind.
            Some(Kind::Shared) => {
                unlock(&self.file, byte)?;
                held.remove(&byte);
                let alone = try_patiently(&self.file, byte, Kind::Alone)?;
                if alone || try_patiently(&self.file, byte, Kind::Shared)? {
                    held.insert(byte, if alone { kind } else { Kind::Shared });
                }
                return Ok(alone);
            }
            None => {}
        }
        let got = try_patiently(&self.file, byte, kind)?;
        if got {
            held.insert(byte, kind);
        }
        Ok(got)
    }

    /// Releases a byte.
    pub(crate) fn release(&self, byte: u64) {
        let mut held = self.held.lock();
        if held.remove(&byte).is_some() {
            let _ = unlock(&self.file, byte);
        }
    }

    /// Returns `None`: this system doesn't tell which byte of a range another `Liveness`
    /// holds.
    #[allow(clippy::unused_self)]
    pub(crate) fn first_held_by_others(&self, _bytes: Range<u64>) -> Option<u64> {
        None
    }

    /// Returns `true`: no other code has its handle.
    #[allow(clippy::unused_self)]
    pub(crate) fn is_open(&self) -> bool {
        true
    }

    /// Whether another `Liveness` holds the byte, alone or shared. `true` if that can't be
    /// found out, which is so if this one shares it.
    pub(crate) fn is_held_by_others(&self, byte: u64) -> bool {
        if let Some(kind) = self.held.lock().get(&byte) {
            return *kind == Kind::Shared;
        }
        // The only way to test a byte is to lock it. Shared first: that fails at once if
        // another process holds the byte alone, which is the usual case, and hinders no
        // process that tests it at the same time.
        let free = |kind| {
            let locked = try_lock(&self.file, byte, kind)?;
            if locked {
                unlock(&self.file, byte)?;
            }
            io::Result::Ok(locked)
        };
        let is_free =
            free(Kind::Shared).and_then(|free_to_share| Ok(free_to_share && free(Kind::Alone)?));
        !is_free.unwrap_or(false)
    }
}

/// Locks a byte like [`try_lock`], and tries again if another process may only be testing it.
pub(super) fn try_patiently(file: &File, byte: u64, kind: Kind) -> io::Result<bool> {
    for attempt in 0..PATIENCE {
        if try_lock(file, byte, kind)? {
            return Ok(true);
        }
        // A test holds the byte alone, for a moment, only after it shared it. So if a
        // process can't even share the byte in two turns, another process holds it.
        if kind == Kind::Alone && attempt >= 2 {
            return Ok(false);
        }
        std::thread::yield_now();
    }
    Ok(false)
}

/// Locks a byte if it is free for that kind of lock. A byte that this file has locked alone
/// isn't.
pub(super) fn try_lock(file: &File, byte: u64, kind: Kind) -> io::Result<bool> {
    let mut at = overlapped(byte)?;
    let alone = match kind {
        Kind::Alone => LOCKFILE_EXCLUSIVE_LOCK,
        Kind::Shared => 0,
    };
    // SAFETY: the handle is open for as long as `file` is borrowed. It was not
    // opened for overlapped use, so the operation is over when the call returns, and `at` is
    // writable until then.
    let locked = unsafe {
        LockFileEx(
            file.as_raw_handle(),
            LOCKFILE_FAIL_IMMEDIATELY | alone,
            0,
            1,
            0,
            &raw mut at,
        )
    };
    if locked != 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error().map(i32::cast_unsigned) {
        Some(ERROR_LOCK_VIOLATION | ERROR_IO_PENDING) => Ok(false),
        _ => Err(error),
    }
}

pub(super) fn unlock(file: &File, byte: u64) -> io::Result<()> {
    let mut at = overlapped(byte)?;
    // SAFETY: as in `try_lock`.
    match unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &raw mut at) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The position of a byte's lock in the file.
fn overlapped(byte: u64) -> io::Result<OVERLAPPED> {
    let at = if byte < TEXT { byte + TEXT } else { byte };
    if at >= i64::MAX as u64 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let offset = OVERLAPPED_0_0 {
        Offset: at as u32,
        OffsetHigh: (at >> 32) as u32,
    };
    Ok(OVERLAPPED {
        Anonymous: OVERLAPPED_0 { Anonymous: offset },
        ..OVERLAPPED::default()
    })
}
