//! The errors that a damaged table may give. Any other error would be a defect.

use shmtable::Error;

/// Whether damage excuses this error of an operation on an open table.
pub fn is_by_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupted { .. }
            | Error::LockTimeout { .. }
            | Error::TableFull { .. }
            | Error::ValueSpaceFull { .. }
            | Error::KeyTooLarge { .. }
            | Error::ValueTooLarge { .. }
            | Error::NotACounter { .. }
            | Error::CounterOverflow { .. }
    )
}

/// Whether this error refuses to open a damaged table.
pub fn refuses_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupted { .. } | Error::IncompatibleFormat { .. }
    )
}
