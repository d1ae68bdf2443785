//! Which kind of `std::io::Error` an error becomes.

use std::io::{self, ErrorKind};

use super::Error;

impl Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::WrongOwner { .. } | Self::ReadOnly => ErrorKind::PermissionDenied,
            Self::TableFull { .. } | Self::ValueSpaceFull { .. } | Self::MaxBytesReached { .. } => {
                ErrorKind::StorageFull
            }
            Self::SharedMemoryFull { .. } | Self::AddressSpaceFull { .. } => ErrorKind::OutOfMemory,
            Self::KeyTooLarge { .. }
            | Self::ValueTooLarge { .. }
            | Self::InvalidName { .. }
            | Self::NotATable { .. }
            | Self::TooSmall { .. }
            | Self::InvalidOption { .. }
            | Self::CounterOverflow { .. } => ErrorKind::InvalidInput,
            Self::Codec { action, .. } if *action == "encode" => ErrorKind::InvalidInput,
            Self::Codec { .. }
            | Self::IncompatibleFormat { .. }
            | Self::Corrupted { .. }
            | Self::CodecMismatch { .. }
            | Self::NotACounter { .. } => ErrorKind::InvalidData,
            Self::LockTimeout { .. } | Self::ClaimTimeout { .. } => ErrorKind::TimedOut,
            Self::Interrupted => ErrorKind::Interrupted,
            Self::Reentrant | Self::Deadlock => ErrorKind::Deadlock,
            Self::FileTooLarge { .. } => ErrorKind::FileTooLarge,
            Self::DescriptorClosed { .. } => ErrorKind::NotConnected,
            Self::TooManyParticipants { .. } | Self::TooManyFiles { .. } => ErrorKind::ResourceBusy,
            Self::PermissionDenied { source, .. } | Self::System { source, .. } => source.kind(),
        }
    }
}

/// Converts to an `io::Error` of a fitting kind; [`io::Error::downcast`] gives the original back.
///
/// | kind | variants |
/// |---|---|
/// | `NotFound`, `AlreadyExists` | those of the same names |
/// | `PermissionDenied` | `WrongOwner`, `ReadOnly` |
/// | `StorageFull` | `TableFull`, `ValueSpaceFull`, `MaxBytesReached` |
/// | `OutOfMemory` | `SharedMemoryFull`, `AddressSpaceFull` |
/// | `InvalidInput` | `KeyTooLarge`, `ValueTooLarge`, `InvalidName`, `NotATable`, `TooSmall`, `InvalidOption`, `CounterOverflow`, `Codec` while encoding |
/// | `InvalidData` | `IncompatibleFormat`, `Corrupted`, `CodecMismatch`, `NotACounter`, `Codec` while decoding |
/// | `TimedOut` | `LockTimeout`, `ClaimTimeout` |
/// | `Interrupted` | `Interrupted` |
/// | `Deadlock` | `Reentrant`, `Deadlock` |
/// | `FileTooLarge` | `FileTooLarge` |
/// | `NotConnected` | `DescriptorClosed` |
/// | `ResourceBusy` | `TooManyParticipants`, `TooManyFiles` |
/// | the kind of its source | `PermissionDenied`, `System` |
///
/// ```
/// use std::io;
///
/// fn count(name: &str) -> io::Result<i64> {
///     let table = shmtable::Table::open(name)?;
///     Ok(table.fetch_add("runs", 1)?)
/// }
///
/// let error = count("there-is-no-such-table").unwrap_err();
/// assert_eq!(error.kind(), io::ErrorKind::NotFound);
/// let error = error.downcast::<shmtable::Error>().unwrap();
/// assert!(matches!(error, shmtable::Error::NotFound { .. }));
/// ```
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}
