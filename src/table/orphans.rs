//! Anonymous tables that outlived their creators: when they are found and removed.
//!
//! Each creation removes a few, so that they don't pile up. Three steps decide, and each of them
//! can only find a reason to leave the table alone:
//! 1. no process holds a lock on the segment (a few system calls, nothing is mapped);
//! 2. the table is anonymous, and none of its participants is alive;
//! 3. the kernel lets this process be alone with the file, and keeps all others from opening it,
//!    while the name is removed: [`Table::unlink_orphan`]. [`Table::is_orphan`] takes the same step
//!    and leaves the name.
//!
//! A creator holds its participant slot before the table has a name, so no new table passes the
//! first step.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::layout::anonymous_name;
use crate::sys;
use crate::table::Table;
use crate::table::options::Options;

/// Tables that a creation inspects.
const LOOKED_AT: usize = 32;
/// Attempts of a creation to be alone with an orphan, which another creation may be inspecting.
const ATTEMPTS: usize = 3;

/// The name at which the next creation of this process begins to search; 0: anywhere.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// An anonymous table that outlived its creator and that no process uses.
///
/// From [`Table::orphans`] and [`Table::remove_orphans`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orphan {
    /// The table's name.
    pub name: String,
    /// Bytes of memory that it holds, or held until it was removed.
    pub bytes: usize,
}

/// Tables that no process uses any more.
impl Table {
    /// Returns the anonymous tables of this user that outlived their creators and that no process
    /// uses.
    ///
    /// These are the tables that [`remove_orphans`](Self::remove_orphans) would remove now; see
    /// [`is_orphan`](Self::is_orphan). Takes no lock. Costs a few system calls for each table of
    /// this user on the machine.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let orphans = shmtable::Table::orphans()?;
    /// assert!(orphans.iter().all(|orphan| orphan.name != table.name()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `System` if the tables can't be listed.
    pub fn orphans() -> Result<Vec<Orphan>> {
        let mut found = Vec::new();
        visit(Self::list()?, |table, orphan| {
            if table.is_orphan().unwrap_or(false) {
                found.push(orphan);
            }
        });
        Ok(found)
    }

    /// Removes the orphans of this user, and returns what was removed.
    ///
    /// Orphans are anonymous tables that outlived their creators. One that a process has open is
    /// kept, even if that process only inspects it; so is a table of another user, or one that
    /// can't be opened. Each is removed as by [`unlink_orphan`](Self::unlink_orphan).
    /// [`Options::create_anonymous`] does the same with a few tables each time it is called, and
    /// every creation does it when it is refused memory.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// for orphan in shmtable::Table::remove_orphans()? {
    ///     println!("{}: {} bytes", orphan.name, orphan.bytes);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `System` if the tables can't be listed.
    pub fn remove_orphans() -> Result<Vec<Orphan>> {
        let mut removed = Vec::new();
        visit(Self::list()?, |table, orphan| {
            // What fails here, the next call may do.
            if table.unlink_orphan().unwrap_or(false) {
                removed.push(orphan);
            }
        });
        Ok(removed)
    }
}

/// Calls `act` for each table of these names that, as its locks show, is an orphan of this user.
fn visit(names: Vec<String>, mut act: impl FnMut(&Table, Orphan)) {
    for name in names {
        if !sys::is_idle(&name) {
            continue;
        }
        // A table that can't be opened is left alone; it may also be gone.
        let Ok(table) = Options::new().open_observer(&name) else {
            continue;
        };
        if !table.seems_orphaned().unwrap_or(false) {
            continue;
        }
        let bytes = table.segment().memory_bytes();
        act(&table, Orphan { name, bytes });
    }
}

/// Removes orphans among a few tables, before another table is created. What fails is left for the
/// next time.
pub(crate) fn sweep() {
    let Ok(mut names) = sys::list_beginning(anonymous_name::PREFIX) else {
        return;
    };
    if names.is_empty() {
        return;
    }
    let mut next = NEXT.load(Ordering::Relaxed);
    if next == 0 {
        next = sys::random().unwrap_or(1);
    }
    let first = anonymous_name::of_number(next);
    let start = names.partition_point(|name| *name < first);
    names.rotate_left(start);
    names.truncate(LOOKED_AT);
    let last = names
        .last()
        .and_then(|name| anonymous_name::number_of(name));
    NEXT.store(last.unwrap_or(0).wrapping_add(1), Ordering::Relaxed);
    // Finding those of this process this way costs a quarter of inspecting them.
    names.retain(|name| !sys::is_open_here(name));
    visit(names, |table, _| {
        let _ = table.remove_surely(ATTEMPTS);
    });
}

/// Removes all orphans of this user after memory was refused, and returns whether there were any.
pub(crate) fn make_room() -> bool {
    Table::remove_orphans().is_ok_and(|removed| !removed.is_empty())
}

/// Adds to the error of refused memory how much of it orphans hold.
#[cold]
pub(crate) fn counted(error: Error) -> Error {
    let Error::SharedMemoryFull { asked, .. } = error else {
        return error;
    };
    let orphans = Table::orphans().unwrap_or_default();
    Error::SharedMemoryFull {
        asked,
        orphans: orphans.len(),
        orphaned: orphans.iter().map(|orphan| orphan.bytes).sum(),
    }
}
