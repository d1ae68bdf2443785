//! Byte-range locks. They belong to an open file, whoever has a handle of it, and
//! the system lets go of them when the last handle is closed, at the latest when
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

/// Bytes below this are moved up by as much: a lock keeps others from reading what
/// it covers, and the companion's text must be read. No segment is so long, and the
/// bytes of claims begin far above.
const TEXT: u64 = 1 << 46;

/// Attempts to take a byte that another process may hold for the moment of a look.
const PATIENCE: u32 = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Shared,
    Alone,
}

/// The right to hold liveness bytes of a segment.
pub(crate) struct Liveness {
    file: File,
    /// What this holds: the system does not tell its own locks from others'.
    held: Mutex<BTreeMap<u64, Kind>>,
}

impl Liveness {
    /// `file` must have been opened for this alone.
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            held: Mutex::new(BTreeMap::new()),
        }
    }

    /// Holds the byte alone; `false` if anybody else holds it.
    pub(crate) fn try_hold(&self, byte: u64) -> io::Result<bool> {
        self.set(byte, Kind::Alone)
    }

    /// Holds the byte together with other sharers; `false` if anybody else
    /// holds it alone.
    pub(crate) fn try_share(&self, byte: u64) -> io::Result<bool> {
        self.set(byte, Kind::Shared)
    }

    fn set(&self, byte: u64, kind: Kind) -> io::Result<bool> {
        let mut held = self.held.lock();
        match held.get(&byte) {
            Some(Kind::Alone) => return Ok(true),
            Some(Kind::Shared) if kind == Kind::Shared => return Ok(true),
            // A lock does not change its kind.
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

    /// Lets go of a byte.
    pub(crate) fn release(&self, byte: u64) {
        let mut held = self.held.lock();
        if held.remove(&byte).is_some() {
            let _ = unlock(&self.file, byte);
        }
    }

    /// A byte of the range that anybody but this `Liveness` holds: this system does not
    /// tell.
    #[allow(clippy::unused_self)]
    pub(crate) fn first_held_by_others(&self, _bytes: Range<u64>) -> Option<u64> {
        None
    }

    /// It is: nobody else has its handle.
    #[allow(clippy::unused_self)]
    pub(crate) fn is_open(&self) -> bool {
        true
    }

    /// Whether anybody but this `Liveness` holds the byte in either way.
    /// `true` if that cannot be found out: if this one shares it.
    pub(crate) fn is_held_by_others(&self, byte: u64) -> bool {
        if let Some(kind) = self.held.lock().get(&byte) {
            return *kind == Kind::Shared;
        }
        // There is no way to look but to lock. Shared first: it fails at once if
        // somebody holds the byte alone, which is the usual case, and hinders
        // nobody who looks at the same time.
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

/// As [`try_lock`], and again if it may have met somebody's look.
pub(super) fn try_patiently(file: &File, byte: u64, kind: Kind) -> io::Result<bool> {
    for attempt in 0..PATIENCE {
        if try_lock(file, byte, kind)? {
            return Ok(true);
        }
        // A look holds the byte alone for a moment only after it shared it: whoever
        // cannot even share it for two turns meets a holder.
        if kind == Kind::Alone && attempt >= 2 {
            return Ok(false);
        }
        std::thread::yield_now();
    }
    Ok(false)
}

/// Locks a byte if it is free for that; a byte that this file has locked alone is
/// not.
pub(super) fn try_lock(file: &File, byte: u64, kind: Kind) -> io::Result<bool> {
    let mut at = overlapped(byte)?;
    let alone = match kind {
        Kind::Alone => LOCKFILE_EXCLUSIVE_LOCK,
        Kind::Shared => 0,
    };
    // SAFETY: the handle is open for as long as `file` is borrowed, and was not
    // opened for overlapped use, so that the call is over when it returns; `at` is
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

/// Where a byte's lock is.
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
