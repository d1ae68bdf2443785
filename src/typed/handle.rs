//! Methods that need no codec: the handle, its figures and its repair.

use super::TypedTable;
use super::codec::Codec;
use crate::{Fault, Participant, Repaired, Result, Stats, StripeStats};

/// The table as a whole: each method does what the method of the same name of
/// [`Table`](crate::Table) does.
impl<K: Codec + ?Sized, V: Codec + ?Sized> TypedTable<K, V> {
    /// Returns the name that the table was created or opened with.
    pub fn name(&self) -> &str {
        self.table.name()
    }

    /// Returns the number of entries that the table was created for.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Returns whether the handle was opened read-only.
    pub fn is_read_only(&self) -> bool {
        self.table.is_read_only()
    }

    /// Returns whether the table is removed with its creator.
    pub fn is_anonymous(&self) -> bool {
        self.table.is_anonymous()
    }

    /// Returns whether no other user may write to the segment; see
    /// [`Table::is_private`](crate::Table::is_private).
    ///
    /// # Errors
    /// Those of [`Table::is_private`](crate::Table::is_private).
    pub fn is_private(&self) -> Result<bool> {
        self.table.is_private()
    }

    /// Returns the id of the user who owns the segment. Costs a system call.
    ///
    /// # Errors
    /// Those of [`Table::owner`](crate::Table::owner).
    pub fn owner(&self) -> Result<u32> {
        self.table.owner()
    }

    /// Returns the number of entries, as [`Table::len`](crate::Table::len) counts them.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether there are no entries, by [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Removes all entries, as [`Table::clear`](crate::Table::clear) does. Nothing is decoded.
    ///
    /// # Errors
    /// Those of [`Table::clear`](crate::Table::clear).
    pub fn clear(&self) -> Result<()> {
        self.table.clear()
    }

    /// Moves values together, and gives all memory that they don't need back to the machine. Returns
    /// the bytes that were given back.
    ///
    /// See [`Table::shrink_to_fit`](crate::Table::shrink_to_fit).
    ///
    /// # Errors
    /// Those of [`Table::shrink_to_fit`](crate::Table::shrink_to_fit).
    pub fn shrink_to_fit(&self) -> Result<usize> {
        self.table.shrink_to_fit()
    }

    /// Returns the figures of the table: how full it is, how many use it, and what happened so far.
    ///
    /// See [`Table::stats`](crate::Table::stats).
    ///
    /// # Errors
    /// Those of [`Table::stats`](crate::Table::stats).
    pub fn stats(&self) -> Result<Stats> {
        self.table.stats()
    }

    /// Returns the figures of the table without the longest probe; see
    /// [`Table::quick_stats`](crate::Table::quick_stats).
    ///
    /// # Errors
    /// Those of [`Table::quick_stats`](crate::Table::quick_stats).
    pub fn quick_stats(&self) -> Result<Stats> {
        self.table.quick_stats()
    }

    /// Returns the figures of each stripe; see [`Table::stripe_stats`](crate::Table::stripe_stats).
    pub fn stripe_stats(&self) -> Vec<StripeStats> {
        self.table.stripe_stats()
    }

    /// Returns the handles that may write, of all processes; see
    /// [`Table::participants`](crate::Table::participants).
    ///
    /// # Errors
    /// Those of [`Table::participants`](crate::Table::participants).
    pub fn participants(&self) -> Result<Vec<Participant>> {
        self.table.participants()
    }

    /// Returns whether any process has a read-only handle open; see
    /// [`Table::has_readers`](crate::Table::has_readers).
    ///
    /// # Errors
    /// Those of [`Table::has_readers`](crate::Table::has_readers).
    pub fn has_readers(&self) -> Result<bool> {
        self.table.has_readers()
    }

    /// Returns whether the table's name is gone or leads to another table; see
    /// [`Table::is_unlinked`](crate::Table::is_unlinked).
    ///
    /// # Errors
    /// Those of [`Table::is_unlinked`](crate::Table::is_unlinked).
    pub fn is_unlinked(&self) -> Result<bool> {
        self.table.is_unlinked()
    }

    /// Returns whether the table outlived its creator and no process uses it; see
    /// [`Table::is_orphan`](crate::Table::is_orphan).
    ///
    /// # Errors
    /// Those of [`Table::is_orphan`](crate::Table::is_orphan).
    pub fn is_orphan(&self) -> Result<bool> {
        self.table.is_orphan()
    }

    /// Removes the table's name if the table is an orphan, and returns whether it did; see
    /// [`Table::unlink_orphan`](crate::Table::unlink_orphan).
    ///
    /// # Errors
    /// Those of [`Table::unlink_orphan`](crate::Table::unlink_orphan).
    pub fn unlink_orphan(&self) -> Result<bool> {
        self.table.unlink_orphan()
    }

    /// Removes the table's name unless another table has it now; see
    /// [`Table::unlink_own_name`](crate::Table::unlink_own_name).
    ///
    /// # Errors
    /// Those of [`Table::unlink_own_name`](crate::Table::unlink_own_name).
    pub fn unlink_own_name(&self) -> Result<()> {
        self.table.unlink_own_name()
    }

    /// Verifies every invariant of the table, and returns what is wrong; empty if all is well.
    ///
    /// Values are not decoded. Locks what [`Table::check`](crate::Table::check) locks.
    ///
    /// # Errors
    /// Those of [`Table::check`](crate::Table::check).
    pub fn check(&self) -> Result<Vec<Fault>> {
        self.table.check()
    }

    /// Verifies what [`check`](Self::check) does except the chunks, and never keeps more than one
    /// stripe locked.
    ///
    /// See [`Table::check_stripes`](crate::Table::check_stripes).
    ///
    /// # Errors
    /// Those of [`Table::check_stripes`](crate::Table::check_stripes).
    pub fn check_stripes(&self) -> Result<Vec<Fault>> {
        self.table.check_stripes()
    }

    /// Repairs a damaged table, and returns what was done.
    ///
    /// Values are not decoded. Locks what [`Table::repair`](crate::Table::repair) locks.
    ///
    /// # Errors
    /// Those of [`Table::repair`](crate::Table::repair).
    pub fn repair(&self) -> Result<Vec<Repaired>> {
        self.table.repair()
    }
}
