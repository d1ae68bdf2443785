//! How options become a segment, and what it is when they do not.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use super::{Options, Trust};
use crate::error::{Error, LENGTH, Result};
use crate::layout::{HEADER_WORDS, READERS_BYTE, WORD};
use crate::locking::participants::{self, Attachment};
use crate::segment::geometry::{Geometry, Request};
use crate::segment::{Segment, no_memory};
use crate::sys::{
    self, Access, FileTooLong, MAX_NAME, Mapping, NoAddressSpace, NotASegment, Owner, TooShort,
};
use crate::table::Table;
use crate::table::orphans;

impl Options {
    /// Creates a table; if memory is refused, once more without the orphans of this user.
    pub(super) fn create_flagged(&self, name: &str, flags: u64, taken: Taken) -> Result<Table> {
        match self.create_at_once(name, flags, taken) {
            Err(Error::SharedMemoryFull { .. }) if orphans::make_room() => {
                self.create_at_once(name, flags, taken)
            }
            created => created,
        }
        .map_err(orphans::counted)
    }

    fn create_at_once(&self, name: &str, flags: u64, taken: Taken) -> Result<Table> {
        check_name(name)?;
        check_mode(self.mode)?;
        let geometry = Geometry::plan(&Request {
            capacity: self.capacity,
            value_space: self.value_space,
            stripes: self.stripes,
            chunk_bytes: self.chunk_bytes,
            participants: self.participants,
        })?;
        #[cfg(shmtable_crash_points)]
        let seed = crate::sync::crash::SEED;
        #[cfg(not(shmtable_crash_points))]
        let seed =
            sys::random().map_err(|source| Error::system("get a random hash seed", source))?;
        let codec = self.codecs.first().copied().unwrap_or(0);
        // Attached before it has a name: there can be no rival for the slot, and
        // nothing fails once the table can be seen.
        let mut creator = None;
        let fill = |map: &Mapping| -> Result<(), Refusal> {
            let index = 0..geometry.arena_at;
            let asked = index.len() * WORD;
            map.populate(index)
                .map_err(|source| no_memory(source, asked))?;
            geometry.write(map.words(), seed, codec, participants::now(), flags);
            creator = Some(Attachment::attach(map, &geometry)?);
            Ok(())
        };
        let map = match taken {
            Taken::Refused => Mapping::create(name, geometry.words, self.mode, fill),
            Taken::Replaced => Mapping::replace(name, geometry.words, self.mode, fill),
        };
        let map = map.map_err(|refusal| match refusal {
            // No room for its name.
            Refusal::System(source) if is_no_memory(&source) => Error::SharedMemoryFull {
                asked: geometry.words * WORD,
                orphans: 0,
                orphaned: 0,
            },
            // No name of a table was looked for.
            Refusal::System(source) if source.kind() == io::ErrorKind::NotFound => Error::system(
                "create a segment where there is no shared-memory file \
                         system (on Linux: mount a tmpfs at /dev/shm)",
                source,
            ),
            other => other.into_error(name, "create"),
        })?;
        let segment = Segment::new(map, geometry, self.lock_timeout, self.hooks.clone());
        Table::attach(name, Arc::new(segment), creator)
    }

    /// Calls `new`, which is `AlreadyExists` if the name is taken; then `over`, if a table of
    /// a user whom these options trust has it.
    pub(super) fn take_name<R>(
        &self,
        name: &str,
        new: impl Fn() -> Result<R>,
        over: impl Fn() -> Result<R>,
    ) -> Result<R> {
        loop {
            match new() {
                Err(Error::AlreadyExists { .. }) => {}
                other => return other,
            }
            let taken = self
                .map_admitted(name, Access::ReadOnly, "replace")
                .and_then(|map| Geometry::check_magic(name, map.words()));
            match taken {
                Ok(()) => return over(),
                // Unlinked meanwhile.
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn open_with(&self, name: &str, access: Access, sizes: Sizes) -> Result<Table> {
        let segment = self.map(name, access)?;
        if sizes == Sizes::Asked {
            self.check_sizes(name, &segment.geometry)?;
        }
        match access {
            Access::ReadWrite => Table::attach(name, Arc::new(segment), None),
            Access::ReadOnly => {
                let presence = segment.map.liveness().ok();
                if let Some(presence) = &presence {
                    // For those who ask whether anybody uses the segment; reading
                    // does not depend on it.
                    let _ = presence.try_share(READERS_BYTE);
                }
                Ok(Table::read_only(name, Arc::new(segment), presence))
            }
        }
    }

    /// Maps a segment of an owner whom these options trust, whatever is in it.
    fn map_admitted(&self, name: &str, access: Access, action: &'static str) -> Result<Mapping> {
        check_name(name)?;
        let admit = |owner: Owner| self.admit(name, owner).map_err(Refusal::Reason);
        Mapping::open(name, access, admit).map_err(|refusal| refusal.into_error(name, action))
    }

    /// Maps a segment that these options admit.
    pub(super) fn map(&self, name: &str, access: Access) -> Result<Segment> {
        let map = self.map_admitted(name, access, "open")?;
        let geometry = Geometry::read(name, map.words())?;
        let segment = Segment::new(map, geometry, self.lock_timeout, self.hooks.clone());
        if let Some(&expected) = self.codecs.first()
            && !self.opens_any_codec
            && !self.codecs.contains(&segment.codec)
        {
            return Err(Error::CodecMismatch {
                found: segment.codec,
                expected,
                view: self.view,
            });
        }
        Ok(segment)
    }

    /// Maps a segment of an owner whom these options trust, whatever its header says, and
    /// tells which codecs are expected.
    #[cfg(not(loom))]
    pub(crate) fn map_damaged(&self, name: &str) -> Result<(Mapping, &[u64])> {
        let map = self.map_admitted(name, Access::ReadOnly, "open")?;
        Ok((map, &self.codecs))
    }

    /// Whether a table has the sizes that were asked for.
    fn check_sizes(&self, name: &str, geometry: &Geometry) -> Result<()> {
        for (option, asked, found) in [
            ("capacity", self.capacity, geometry.capacity),
            ("value_space", self.value_space, geometry.value_space),
            ("max_participants", self.participants, geometry.participants),
        ] {
            if let Some(asked) = asked
                && asked > found
            {
                return Err(Error::TooSmall {
                    name: name.to_owned(),
                    option,
                    asked,
                    found,
                });
            }
        }
        Ok(())
    }

    fn admit(&self, name: &str, owner: Owner) -> Result<()> {
        let user = sys::current_user();
        let trusted = owner.user == user
            || match &self.trust {
                Trust::SameUser => false,
                Trust::Users(users) => users.contains(&owner.user),
                Trust::Anyone => true,
            };
        if trusted {
            Ok(())
        } else {
            Err(Error::WrongOwner {
                name: name.to_owned(),
                owner: owner.user,
                user,
            })
        }
    }
}

/// What becomes of another table of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Refused,
    Replaced,
}

/// Which sizes a table must have that is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sizes {
    Any,
    /// Those that were set.
    Asked,
}

/// Why `sys` did not create or open a segment.
enum Refusal {
    System(io::Error),
    Reason(Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Reason(error)
    }
}

impl Refusal {
    fn into_error(self, name: &str, action: &'static str) -> Error {
        match self {
            Self::Reason(error) => error,
            Self::System(source) => system_error(source, name, action),
        }
    }
}

fn is_no_memory(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::OutOfMemory
    ) && inside::<NoAddressSpace>(error).is_none()
}

/// What a back end has to say besides the kind.
fn inside<T: std::error::Error + Copy + 'static>(error: &io::Error) -> Option<T> {
    error.get_ref()?.downcast_ref().copied()
}

/// The crate's error for what the system answered about a segment.
pub(crate) fn system_error(source: io::Error, name: &str, action: &'static str) -> Error {
    let name = name.to_owned();
    if let Some(NoAddressSpace { asked, limit }) = inside(&source) {
        return Error::AddressSpaceFull { asked, limit };
    }
    if let Some(FileTooLong { asked, limit }) = inside(&source) {
        return Error::FileTooLarge { asked, limit };
    }
    if let Some(NotASegment(what)) = inside(&source) {
        return Error::NotATable { name, what };
    }
    match source.kind() {
        io::ErrorKind::NotFound => Error::NotFound { name },
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { name },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::PermissionDenied {
                name,
                action,
                source,
            }
        }
        io::ErrorKind::UnexpectedEof => Error::IncompatibleFormat {
            name,
            what: LENGTH,
            found: inside::<TooShort>(&source).map_or(0, |short| short.0),
            expected: (HEADER_WORDS * WORD) as u64,
        },
        _ => Error::system(action, source),
    }
}

/// Refuses modes that nobody means: a table is read and written, and not executed, and
/// its owner does both.
fn check_mode(mode: u32) -> Result<()> {
    let is_meant = |mode: u32| mode & !0o666 == 0 && mode & 0o600 == 0o600;
    if is_meant(mode) {
        return Ok(());
    }
    // Somebody wrote the octal digits as a decimal number.
    let octal = u32::from_str_radix(&mode.to_string(), 8);
    let hint = match octal.ok().filter(|octal| is_meant(*octal)) {
        Some(octal) => format!("; {mode} is {mode:#o}: did you mean {octal:#o}?"),
        None => format!("; {mode} is {mode:#o}"),
    };
    let allowed = "0o600 with any of 0o040, 0o020, 0o004 and 0o002 added, such as 0o660";
    Err(Error::InvalidOption {
        option: "mode",
        given: mode.into(),
        allowed: format!("{allowed}{hint}").into(),
    })
}

/// Refuses names that no segment can have.
pub(crate) fn check_name(name: &str) -> Result<()> {
    check_os_name(name.as_ref())
}

/// The same of a name that may be no UTF-8.
pub(crate) fn check_os_name(name: &OsStr) -> Result<()> {
    let bytes = name.as_encoded_bytes();
    let reason = if bytes.is_empty() {
        "it is empty"
    } else if bytes.len() > MAX_NAME {
        "it is too long"
    } else if bytes.iter().any(|byte| b"/\0".contains(byte)) {
        "it contains '/' or NUL"
    } else if bytes.starts_with(b".") {
        "it begins with '.'"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName {
        name: name.to_string_lossy().into_owned(),
        reason,
        limit: MAX_NAME,
    })
}
