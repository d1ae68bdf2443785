//! How a table is created.

use std::io;
use std::sync::Arc;

use super::Options;
use super::opening::{Refusal, check_name, inside};
use crate::error::{Error, Result};
use crate::layout::{FLAG_ANONYMOUS, WORD, anonymous_name};
use crate::locking::participants::{self, Attachment};
use crate::segment::directory::{DirectoryWord, Phase};
use crate::segment::geometry::Geometry;
use crate::segment::sizes::Request;
use crate::segment::{Segment, no_memory};
use crate::sync::Ordering;
use crate::sys::{self, Access, Mapping, NoAddressSpace, process_crash_point};
use crate::table::Table;
use crate::table::orphans;

/// Creating tables.
impl Options {
    /// Creates a table of this name.
    ///
    /// It appears under its name at once and complete. If this process dies on the way, nothing is
    /// left. If the machine refuses the memory, orphans of this user are removed
    /// ([`Table::remove_orphans`]) and the creation is tried once more.
    ///
    /// # Errors
    /// `AlreadyExists`, `InvalidName`, `InvalidOption`, `SharedMemoryFull`, `AddressSpaceFull`,
    /// `PermissionDenied`, `System`. Then nothing was created.
    pub fn create(&self, name: &str) -> Result<Table> {
        self.create_flagged(name, 0, Taken::Refused)
    }

    /// Creates a table of this name, in place of the one that has it, if there is one.
    ///
    /// The name changes from the old table to the new one in one step: a process that opens it gets
    /// the one or the other. Handles of the old table stay open and go on using it, among
    /// themselves; its memory is freed with the last of them. If this process dies on the way, the
    /// name is the old table's or the new one's; anything else that it leaves is removed by the
    /// next call of this method or of [`Table::list`]. (On Windows there is a moment in which
    /// neither table has the name.)
    ///
    /// Only a table is replaced, and only one of a user that [`trust`](Self::trust) admits. A
    /// damaged table still counts as one, as long as its first bytes say so.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Options, Table};
    ///
    /// # let name = &format!("doc-replace-{}", std::process::id());
    /// let old = Options::new().capacity(100).create(name)?;
    /// old.insert(b"run", b"1")?;
    /// let new = Options::new().capacity(5000).create_or_replace(name)?;
    /// assert_eq!(new.get(b"run")?, None);
    /// assert_eq!(old.get(b"run")?, Some(b"1".to_vec()));
    /// assert_eq!(Table::open(name)?.capacity(), 5000);
    /// # Table::unlink(name)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create), without `AlreadyExists`; `WrongOwner`; `IncompatibleFormat` or
    /// `NotATable` if something that isn't a table has the name. Then the old table is as it was.
    pub fn create_or_replace(&self, name: &str) -> Result<Table> {
        self.take_name(
            name,
            || self.create(name),
            || self.create_flagged(name, 0, Taken::Replaced),
        )
    }

    /// Gives a table another name, in place of the table that has that name, if there is one.
    ///
    /// Works as [`Table::rename_or_replace`], but replaces a table of any user that
    /// [`trust`](Self::trust) admits.
    ///
    /// ```
    /// # #[cfg(target_os = "linux")]
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Options, Table, Trust};
    ///
    /// # let (new, name) = (&format!("doc-next-{}", std::process::id()), &format!("doc-current-{}", std::process::id()));
    /// Options::new().capacity(100).create(name)?;
    /// Options::new().capacity(200).create(new)?;
    /// Options::new().trust(Trust::Anyone).rename_or_replace(new, name)?;
    /// assert_eq!(Table::open(name)?.capacity(), 200);
    /// # Table::unlink(name)?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(target_os = "linux"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// As [`Table::rename_or_replace`].
    pub fn rename_or_replace(&self, from: &str, to: &str) -> Result<()> {
        self.take_name(
            to,
            || Table::rename(from, to),
            || Table::rename_over(from, to),
        )
    }

    /// Creates a table with a generated name, which is removed with its creator.
    ///
    /// [`Table::name`] is the name. The table is removed when the creating handle, with all its
    /// clones, is dropped in the process that created it. Until then others may open it by name,
    /// and may go on using it after that.
    ///
    /// A creator that is killed leaves its table behind, and so does one whose handle is never
    /// dropped: a handle in a `static`, in a thread that still runs when `main` returns, or
    /// anywhere when [`std::process::exit`] is called. A later creation removes such an orphan:
    /// each call of this method first inspects up to 32 anonymous tables, different ones each time,
    /// and removes those of its own user whose creators are gone and that no process has open. That
    /// costs a few microseconds for each table. [`Table::remove_orphans`] inspects all of them.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Error, Options, Table};
    ///
    /// let table = Options::new().capacity(100).create_anonymous()?;
    /// let name = table.name().to_owned();
    /// drop(table);
    /// assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_anonymous(&self) -> Result<Table> {
        orphans::sweep();
        loop {
            let random = sys::random()
                .map_err(|source| Error::system("get random bits for a name", source))?;
            match self.create_flagged(
                &anonymous_name::of_number(random),
                FLAG_ANONYMOUS,
                Taken::Refused,
            ) {
                Err(Error::AlreadyExists { .. }) => {}
                other => return other,
            }
        }
    }

    /// Creates a table; if memory is refused, tries once more without the orphans of this user.
    fn create_flagged(&self, name: &str, flags: u64, taken: Taken) -> Result<Table> {
        match self.create_at_once(name, flags, taken) {
            Err(Error::SharedMemoryFull { .. }) if orphans::make_room() => {
                self.create_at_once(name, flags, taken)
            }
            created => created,
        }
        .map_err(orphans::counted)
    }

    /// Creates a table; one without bounds reserves less address space where what it reserves by
    /// default is refused.
    fn create_at_once(&self, name: &str, flags: u64, taken: Taken) -> Result<Table> {
        check_name(name)?;
        check_mode(self.mode)?;
        let mut request = Request {
            capacity: self.capacity,
            max_capacity: self.max_capacity,
            value_space: self.value_space,
            stripes: self.stripes,
            chunk_bytes: self.chunk_bytes,
            participants: self.participants,
            max_bytes: self.max_bytes,
            modesty: 0,
        };
        loop {
            match self.create_as(name, flags, taken, Geometry::plan(&request)?) {
                Err(Error::AddressSpaceFull { .. } | Error::FileTooLarge { .. })
                    if request.may_be_more_modest() =>
                {
                    request.modesty += 1;
                }
                created => return created,
            }
        }
    }

    fn create_as(&self, name: &str, flags: u64, taken: Taken, geometry: Geometry) -> Result<Table> {
        #[cfg(shmtable_crash_points)]
        let seed = crate::sync::crash::SEED;
        #[cfg(not(shmtable_crash_points))]
        let seed =
            sys::random().map_err(|source| Error::system("get a random hash seed", source))?;
        let codec = self.codecs.first().copied().unwrap_or(0);
        // Attached before the table has a name: there is no rival for the slot yet, and
        // nothing can fail once the table is visible.
        let mut creator = None;
        let fill = |map: &Mapping| -> Result<(), Refusal> {
            let index = 0..geometry.first_words();
            let asked = index.len() * WORD;
            map.populate(index)
                .map_err(|source| no_memory(source, asked))?;
            geometry.write(map.words(), seed, codec, participants::now(), flags);
            write_directory(map, &geometry);
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
            // Not a table that is missing: a creation looks for none.
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

    /// Calls `new`, which is `AlreadyExists` if the name is taken; then `over`, if the table that
    /// has the name belongs to a user whom these options trust.
    fn take_name<R>(
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
                // It was unlinked in between.
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Stores the directory of a new table, if it grows.
fn write_directory(map: &Mapping, geometry: &Geometry) {
    if geometry.grows() {
        let word = DirectoryWord::new(*geometry.levels().start(), Phase::AtRest);
        for stripe in 0..geometry.stripes {
            map.words()[geometry.directory(stripe)].store(word.0, Ordering::Relaxed);
            process_crash_point!("create: directory word written");
        }
    }
}

/// What to do with a table that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Refused,
    Replaced,
}

fn is_no_memory(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::OutOfMemory
    ) && inside::<NoAddressSpace>(error).is_none()
}

/// Refuses modes that make no sense: a table is read and written, never executed, and its owner may
/// do both.
fn check_mode(mode: u32) -> Result<()> {
    let is_meant = |mode: u32| mode & !0o666 == 0 && mode & 0o600 == 0o600;
    if is_meant(mode) {
        return Ok(());
    }
    // Octal digits, written as a decimal number.
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
