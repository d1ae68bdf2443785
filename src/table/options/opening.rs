//! How a table is opened, and the errors of segments that can't be.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use super::{Options, Trust};
use crate::error::{Error, LENGTH, Result};
use crate::layout::{HEADER_WORDS, READERS_BYTE, WORD};
use crate::segment::Segment;
use crate::segment::geometry::Geometry;
use crate::sys::{
    self, Access, FileTooLong, MAX_NAME, Mapping, NoAddressSpace, NotASegment, Owner, TooShort,
};
use crate::table::Table;

impl Options {
    /// Opens a table for reading and writing.
    ///
    /// Takes one of the table's participant slots.
    ///
    /// # Errors
    /// `NotFound`, `WrongOwner`, `PermissionDenied`, `IncompatibleFormat`,
    /// `Corrupted`, `TooManyParticipants`, `AddressSpaceFull`, `InvalidName`, `System`.
    pub fn open(&self, name: &str) -> Result<Table> {
        self.open_with(name, Access::ReadWrite, Sizes::Any)
    }

    /// Opens a table for reading only.
    ///
    /// Nothing is written to the segment, and methods that write fail with `ReadOnly`.
    ///
    /// # Errors
    /// As [`open`](Self::open), without `TooManyParticipants`.
    pub fn open_read_only(&self, name: &str) -> Result<Table> {
        self.open_with(name, Access::ReadOnly, Sizes::Any)
    }

    /// Opens a table for reading only, without counting as a user of it.
    ///
    /// Works as [`open_read_only`](Self::open_read_only), but [`has_readers`](Table::has_readers)
    /// and [`is_orphan`](Table::is_orphan) don't see this handle. It is for programs that inspect
    /// tables of others and must not keep them alive. Its mapping stays whole while it is open,
    /// whatever happens to the name.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::Options;
    ///
    /// # let created = Options::new().capacity(100).create_anonymous()?;
    /// # let name = created.name();
    /// let observer = Options::new().open_observer(name)?;
    /// assert!(!observer.has_readers()?);
    /// let reader = Options::new().open_read_only(name)?;
    /// assert!(observer.has_readers()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`open_read_only`](Self::open_read_only).
    pub fn open_observer(&self, name: &str) -> Result<Table> {
        let segment = self.map(name, Access::ReadOnly)?;
        Ok(Table::read_only(name, Arc::new(segment), None))
    }

    /// Opens the table of this name, or creates it if there is none.
    ///
    /// If several processes do this at once, one creates the table and the others open it.
    ///
    /// The table has at least the sizes that you ask for: if you set `capacity`, `max_capacity`,
    /// `value_space` or `max_participants`, and the existing table was created with less, you get
    /// `TooSmall`. A table that grows to the capacity that you ask for has it. A size that you don't
    /// set may be anything.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Options, Table};
    ///
    /// # let name = &format!("doc-open-or-create-{}", std::process::id());
    /// let first = Options::new().capacity(100).open_or_create(name)?;
    /// let second = Options::new().capacity(100).open_or_create(name)?;
    /// first.insert(b"k", b"1")?;
    /// assert_eq!(second.get(b"k")?, Some(b"1".to_vec()));
    /// Table::unlink(name)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`open`](Self::open); `TooSmall`.
    pub fn open_or_create(&self, name: &str) -> Result<Table> {
        loop {
            match self.open_with(name, Access::ReadWrite, Sizes::Asked) {
                Err(Error::NotFound { .. }) => {}
                other => return other,
            }
            match self.create(name) {
                Err(Error::AlreadyExists { .. }) => {}
                other => return other,
            }
        }
    }

    /// Returns whether [`open`](Self::open), with the name of this handle, could return a clone of
    /// it instead.
    ///
    /// A program whose parts open tables by their names, each without knowing of the others, can
    /// keep the handles that it has and ask this first: a clone has the same mapping and the same
    /// participant slot. `false` means that you have to open the name: it was removed, or leads to
    /// another table now; or this handle is read-only, has another
    /// [`lock_timeout`](Self::lock_timeout), or no longer works because its descriptors were closed.
    /// [`around_sleep`](Self::around_sleep) isn't compared.
    ///
    /// Costs a few system calls. A forked child that hasn't written with the handle gets its
    /// participant slot, as it would from `open`.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Options, Table};
    ///
    /// # let name = &format!("doc-would-open-{}", std::process::id());
    /// let first = Options::new().capacity(100).create(name)?;
    /// let second = if Options::new().would_open(&first)? {
    ///     first.clone()
    /// } else {
    ///     Table::open(name)?
    /// };
    /// assert_eq!(second.participants()?.len(), 1);
    /// Table::unlink(name)?;
    /// assert!(!Options::new().would_open(&first)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `WrongOwner`, `CodecMismatch` and `TooManyParticipants`, as `open`; `PermissionDenied` and
    /// `System` if the system doesn't say where the name leads.
    pub fn would_open(&self, table: &Table) -> Result<bool> {
        Ok(self.leads_to(table, Sizes::Any)?.is_some() && table.may_write()?)
    }

    /// If [`would_open`](Self::would_open), or [`would_open_read_only`](Self::would_open_read_only),
    /// returns what [`Table::is_private`] does, without asking the system again. For the Python
    /// package.
    #[doc(hidden)]
    pub fn would_open_private(&self, table: &Table, read_only: bool) -> Result<Option<bool>> {
        let private = self.leads_to(table, Sizes::Any)?;
        let usable = private.is_some() && (read_only || table.may_write()?);
        Ok(private.filter(|_| usable))
    }

    /// Returns whether [`open_or_create`](Self::open_or_create), with the name of this handle,
    /// could return a clone of it instead.
    ///
    /// As [`would_open`](Self::would_open), but the table must have the sizes that you ask for.
    ///
    /// # Errors
    /// As [`would_open`](Self::would_open); `TooSmall`.
    pub fn would_open_or_create(&self, table: &Table) -> Result<bool> {
        Ok(self.leads_to(table, Sizes::Asked)?.is_some() && table.may_write()?)
    }

    /// Returns whether [`Table::as_read_only`] of this handle does what
    /// [`open_read_only`](Self::open_read_only), with its name, would do.
    ///
    /// As [`would_open`](Self::would_open), but for handles that are read-only too. It takes no
    /// participant slot.
    ///
    /// # Errors
    /// As [`would_open`](Self::would_open), without `TooManyParticipants`.
    pub fn would_open_read_only(&self, table: &Table) -> Result<bool> {
        Ok(self.leads_to(table, Sizes::Any)?.is_some())
    }

    /// Whether a table to which the handle's name leads, and which these options admit, is private;
    /// `None` if the name leads elsewhere, or if the handle can't be used.
    fn leads_to(&self, table: &Table, sizes: Sizes) -> Result<Option<bool>> {
        let segment = table.segment();
        if segment.lock_timeout != self.lock_timeout {
            return Ok(None);
        }
        let owner = segment.map.owner_if_named(table.name());
        let owner = owner.map_err(|source| system_error(source, table.name(), "look for"))?;
        let Some(owner) = owner else {
            return Ok(None);
        };
        let user = self.admit(table.name(), owner)?;
        self.check_codec(segment.codec)?;
        if sizes == Sizes::Asked {
            self.check_sizes(table.name(), &segment.geometry)?;
        }
        Ok(Some(owner.is_private_to(user)))
    }

    fn open_with(&self, name: &str, access: Access, sizes: Sizes) -> Result<Table> {
        let segment = self.map(name, access)?;
        if sizes == Sizes::Asked {
            self.check_sizes(name, &segment.geometry)?;
        }
        match access {
            Access::ReadWrite => Table::attach(name, Arc::new(segment), None),
            Access::ReadOnly => {
                let presence = segment.map.liveness().ok();
                if let Some(presence) = &presence {
                    // Shows others that the segment is in use; reading doesn't depend on it.
                    let _ = presence.try_share(READERS_BYTE);
                }
                Ok(Table::read_only(name, Arc::new(segment), presence))
            }
        }
    }

    /// Maps a segment whose owner these options trust, whatever is in it.
    pub(super) fn map_admitted(
        &self,
        name: &str,
        access: Access,
        action: &'static str,
    ) -> Result<Mapping> {
        check_name(name)?;
        let admit = |owner: Owner| self.admit(name, owner).map(drop).map_err(Refusal::Reason);
        Mapping::open(name, access, admit).map_err(|refusal| refusal.into_error(name, action))
    }

    /// Maps a segment that these options admit.
    fn map(&self, name: &str, access: Access) -> Result<Segment> {
        let map = self.map_admitted(name, access, "open")?;
        let geometry = Geometry::read(name, map.words())?;
        let segment = Segment::new(map, geometry, self.lock_timeout, self.hooks.clone());
        self.check_codec(segment.codec)?;
        Ok(segment)
    }

    /// Maps a segment whose owner these options trust, whatever its header says, and returns which
    /// codecs are expected.
    #[cfg(not(loom))]
    pub(crate) fn map_damaged(&self, name: &str) -> Result<(Mapping, &[u64])> {
        let map = self.map_admitted(name, Access::ReadOnly, "open")?;
        Ok((map, &self.codecs))
    }

    /// Refuses a table that was created with codecs which these options don't have.
    fn check_codec(&self, found: u64) -> Result<()> {
        match self.codecs.first() {
            Some(&expected) if !self.opens_any_codec && !self.codecs.contains(&found) => {
                Err(Error::CodecMismatch {
                    found,
                    expected,
                    view: self.view,
                })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a table that is smaller than the sizes that were asked for.
    fn check_sizes(&self, name: &str, geometry: &Geometry) -> Result<()> {
        for (option, asked, found) in [
            ("capacity", self.capacity, geometry.capacity),
            ("max_capacity", self.max_capacity, geometry.capacity),
            ("value_space", self.value_space, geometry.value_space),
            ("max_participants", self.participants, geometry.participants),
            (
                "max_bytes",
                self.max_bytes,
                geometry.max_bytes.unwrap_or(usize::MAX),
            ),
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

    /// Returns the user of this process, if these options admit the owner.
    fn admit(&self, name: &str, owner: Owner) -> Result<u32> {
        let user = sys::current_user();
        let trusted = owner.user == user
            || match &self.trust {
                Trust::SameUser => false,
                Trust::Users(users) => users.contains(&owner.user),
                Trust::Anyone => true,
            };
        if trusted {
            Ok(user)
        } else {
            Err(Error::WrongOwner {
                name: name.to_owned(),
                owner: owner.user,
                user,
            })
        }
    }
}

/// Which sizes an opened table must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sizes {
    Any,
    /// Those that were set.
    Asked,
}

/// Why `sys` did not create or open a segment.
pub(super) enum Refusal {
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
    pub(super) fn into_error(self, name: &str, action: &'static str) -> Error {
        match self {
            Self::Reason(error) => error,
            Self::System(source) => system_error(source, name, action),
        }
    }
}

/// What a back end says besides the kind of error.
pub(super) fn inside<T: std::error::Error + Copy + 'static>(error: &io::Error) -> Option<T> {
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

/// Refuses names that no segment can have.
pub(crate) fn check_name(name: &str) -> Result<()> {
    check_os_name(name.as_ref())
}

/// Refuses names that no segment can have, of a name that may not be valid UTF-8.
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
