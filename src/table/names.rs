//! Names of tables: removing, changing and listing them.

use std::ffi::{OsStr, OsString};
use std::io;

use crate::error::{Error, Result};
use crate::sys;
use crate::table::Table;
use crate::table::options::{Options, check_name, check_os_name, system_error};

/// Names of tables.
impl Table {
    /// Removes a table's name.
    ///
    /// Processes that have the table open can go on using it. Its memory is freed when the last of
    /// them closes it.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Error, Options, Table};
    ///
    /// # let name = &format!("doc-unlink-{}", std::process::id());
    /// let table = Options::new().capacity(100).create(name)?;
    /// Table::unlink(name)?;
    /// assert!(matches!(Table::open(name), Err(Error::NotFound { .. })));
    /// table.insert(b"still", b"usable")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `InvalidName`, `System`.
    pub fn unlink(name: &str) -> Result<()> {
        check_name(name)?;
        sys::unlink(name.as_ref()).map_err(|source| system_error(source, name, "unlink"))
    }

    /// Removes the name of this handle's table, unless another table has that name now.
    ///
    /// [`unlink`](Self::unlink) removes whatever table has a name. After
    /// [`create_or_replace`](crate::Options::create_or_replace), a handle of the replaced table
    /// can't remove its successor with this method.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Error, Options, Table};
    ///
    /// # let name = &format!("doc-own-name-{}", std::process::id());
    /// let old = Options::new().capacity(100).create(name)?;
    /// let new = Options::new().capacity(100).create_or_replace(name)?;
    /// assert!(matches!(old.unlink_own_name(), Err(Error::NotFound { .. })));
    /// new.unlink_own_name()?;
    /// assert!(matches!(Table::open(name), Err(Error::NotFound { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotFound` if the name is gone or leads to another table; `ReadOnly` on a handle opened
    /// read-only; `PermissionDenied`, `System`.
    pub fn unlink_own_name(&self) -> Result<()> {
        if self.is_read_only() {
            return Err(Error::ReadOnly);
        }
        match self.segment().map.unlink_if_same(self.name()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::NotFound {
                name: self.name().to_owned(),
            }),
            Err(source) => Err(system_error(source, self.name(), "unlink")),
        }
    }

    /// Gives a table another name, in one step.
    ///
    /// At every moment exactly one of the two names leads to the table. Open handles go on using
    /// it, and their [`name`](Self::name) stays what it was. An anonymous table that was renamed is
    /// no longer removed by its creator, nor as an [orphan](Self::is_orphan).
    ///
    /// ```
    /// # #[cfg(target_os = "linux")]
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Error, Options, Table};
    ///
    /// # let (old, new) = (&format!("doc-old-{}", std::process::id()), &format!("doc-new-{}", std::process::id()));
    /// Options::new().capacity(100).create(old)?.insert(b"k", b"1")?;
    /// Table::rename(old, new)?;
    /// assert_eq!(Table::open(new)?.get(b"k")?, Some(b"1".to_vec()));
    /// assert!(matches!(Table::open(old), Err(Error::NotFound { .. })));
    /// # Table::unlink(new)?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(target_os = "linux"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` if there is a table of the new name, see
    /// [`rename_or_replace`](Self::rename_or_replace); `PermissionDenied`, `InvalidName`; `System`,
    /// of kind [`Unsupported`](std::io::ErrorKind::Unsupported), on Windows and macOS.
    pub fn rename(from: &str, to: &str) -> Result<()> {
        Self::rename_with(from, to, false)
    }

    /// Gives a table another name, in place of the table that has that name, if there is one.
    ///
    /// Fill a table under a name of its own, then replace another one with it: a process that opens
    /// the name finds the one or the other. Processes that have the replaced table open can go on
    /// using it, as after [`unlink`](Self::unlink).
    ///
    /// Only a table is replaced, and only one of this process's user: for others see
    /// [`Options::rename_or_replace`]. A damaged table still counts as one, as long as its first
    /// bytes say so.
    ///
    /// # Errors
    /// As [`rename`](Self::rename), without `AlreadyExists`; `WrongOwner`; `IncompatibleFormat` or
    /// `NotATable` if something that isn't a table has the new name. Then nothing has changed.
    pub fn rename_or_replace(from: &str, to: &str) -> Result<()> {
        Options::new().rename_or_replace(from, to)
    }

    /// Gives a table another name, in place of whatever has that name.
    pub(crate) fn rename_over(from: &str, to: &str) -> Result<()> {
        Self::rename_with(from, to, true)
    }

    fn rename_with(from: &str, to: &str, replace: bool) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        sys::rename(from, to, replace).map_err(|source| {
            let taken = source.kind() == io::ErrorKind::AlreadyExists;
            system_error(source, if taken { to } else { from }, "rename")
        })
    }

    /// Removes a table's name, as [`unlink`](Self::unlink) does, even if it isn't valid UTF-8.
    ///
    /// [`list_os`](Self::list_os) returns such names.
    ///
    /// # Errors
    /// As [`unlink`](Self::unlink).
    pub fn unlink_os(name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        check_os_name(name)?;
        let shown = name.to_string_lossy();
        sys::unlink(name).map_err(|source| system_error(source, &shown, "unlink"))
    }

    /// Returns the names of all tables on this machine, in no particular order.
    ///
    /// Names that aren't valid UTF-8 are left out; see [`list_os`](Self::list_os).
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert!(shmtable::Table::list()?.iter().any(|name| name == table.name()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `System` if they can't be listed.
    pub fn list() -> Result<Vec<String>> {
        let names = Self::list_os()?;
        Ok(names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .collect())
    }

    /// Returns the names of all tables on this machine, including those that aren't valid UTF-8.
    ///
    /// No table is created or opened under such a name, but a file may have one.
    /// [`unlink_os`](Self::unlink_os) removes it.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert!(shmtable::Table::list_os()?.iter().any(|name| name == table.name()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn list_os() -> Result<Vec<OsString>> {
        sys::list().map_err(|source| Error::system("list the segments", source))
    }
}
