//! What needs no codec: the handle, its figures and its repair.

use super::TypedTable;
use super::codec::Codec;
use crate::{Fault, Participant, Repaired, Result, Stats, StripeStats};

/// The table as a whole: as the methods of the same names of [`Table`](crate::Table).
impl<K: Codec + ?Sized, V: Codec + ?Sized> TypedTable<K, V> {
    /// The name the table was created or opened with.
    pub fn name(&self) -> &str {
        self.table.name()
    }

    /// The number of entries the table was created for.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Whether the handle was opened read-only.
    pub fn is_read_only(&self) -> bool {
        self.table.is_read_only()
    }

    /// Whether the table is removed with its creator.
    pub fn is_anonymous(&self) -> bool {
        self.table.is_anonymous()
    }

    /// Whether no other user may write to the segment; see
    /// [`Table::is_private`](crate::Table::is_private).
    ///
    /// # Errors
    /// Those of [`Table::is_private`](crate::Table::is_private).
    pub fn is_private(&self) -> Result<bool> {
        self.table.is_private()
    }

    /// The id of the user whom the segment belongs to. Costs a system call.
    ///
    /// # Errors
    /// Those of [`Table::owner`](crate::Table::owner).
    pub fn owner(&self) -> Result<u32> {
        self.table.owner()
    }

    /// The number of entries, as [`Table::len`](crate::Table::len) counts them.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether the table holds no entry, by [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Removes all entries, as [`Table::clear`](crate::Table::clear) does. Nothing is
    /// decoded.
    ///
    /// # Errors
    /// Those of [`Table::clear`](crate::Table::clear).
    pub fn clear(&self) -> Result<()> {
        self.table.clear()
    }

    /// What fills the table and what it has been through; see
    /// [`Table::stats`](crate::Table::stats).
    ///
    /// # Errors
    /// Those of [`Table::stats`](crate::Table::stats).
    pub fn stats(&self) -> Result<Stats> {
        self.table.stats()
    }

    /// [`stats`](Self::stats) without the longest probe; see
    /// [`Table::quick_stats`](crate::Table::quick_stats).
    ///
    /// # Errors
    /// Those of [`Table::quick_stats`](crate::Table::quick_stats).
    pub fn quick_stats(&self) -> Result<Stats> {
        self.table.quick_stats()
    }

    /// Figures of each stripe; see [`Table::stripe_stats`](crate::Table::stripe_stats).
    pub fn stripe_stats(&self) -> Vec<StripeStats> {
        self.table.stripe_stats()
    }

    /// Which processes have the table open for writing; see
    /// [`Table::participants`](crate::Table::participants).
    ///
    /// # Errors
    /// Those of [`Table::participants`](crate::Table::participants).
    pub fn participants(&self) -> Result<Vec<Participant>> {
        self.table.participants()
    }

    /// Whether any read-only handle is open in any process; see
    /// [`Table::has_readers`](crate::Table::has_readers).
    ///
    /// # Errors
    /// Those of [`Table::has_readers`](crate::Table::has_readers).
    pub fn has_readers(&self) -> Result<bool> {
        self.table.has_readers()
    }

    /// Whether the table's name is gone, or another table has it; see
    /// [`Table::is_unlinked`](crate::Table::is_unlinked).
    ///
    /// # Errors
    /// Those of [`Table::is_unlinked`](crate::Table::is_unlinked).
    pub fn is_unlinked(&self) -> Result<bool> {
        self.table.is_unlinked()
    }

    /// Whether the table outlived its creator and nobody uses it; see
    /// [`Table::is_orphan`](crate::Table::is_orphan).
    ///
    /// # Errors
    /// Those of [`Table::is_orphan`](crate::Table::is_orphan).
    pub fn is_orphan(&self) -> Result<bool> {
        self.table.is_orphan()
    }

    /// Removes the table's name if it is an orphan; see
    /// [`Table::unlink_orphan`](crate::Table::unlink_orphan).
    ///
    /// # Errors
    /// Those of [`Table::unlink_orphan`](crate::Table::unlink_orphan).
    pub fn unlink_orphan(&self) -> Result<bool> {
        self.table.unlink_orphan()
    }

    /// Removes the table's name while it still leads to this table; see
    /// [`Table::unlink_own_name`](crate::Table::unlink_own_name).
    ///
    /// # Errors
    /// Those of [`Table::unlink_own_name`](crate::Table::unlink_own_name).
    pub fn unlink_own_name(&self) -> Result<()> {
        self.table.unlink_own_name()
    }

    /// Verifies every invariant of the table; empty if all is well. Values are not
    /// decoded. It locks what [`Table::check`](crate::Table::check) locks.
    ///
    /// # Errors
    /// Those of [`Table::check`](crate::Table::check).
    pub fn check(&self) -> Result<Vec<Fault>> {
        self.table.check()
    }

    /// The part of [`check`](Self::check) that stops writers for a stripe at most; see
    /// [`Table::check_stripes`](crate::Table::check_stripes).
    ///
    /// # Errors
    /// Those of [`Table::check_stripes`](crate::Table::check_stripes).
    pub fn check_stripes(&self) -> Result<Vec<Fault>> {
        self.table.check_stripes()
    }

    /// Repairs a damaged table, and returns what was done. Values are not decoded. It
    /// locks what [`Table::repair`](crate::Table::repair) locks.
    ///
    /// # Errors
    /// Those of [`Table::repair`](crate::Table::repair).
    pub fn repair(&self) -> Result<Vec<Repaired>> {
        self.table.repair()
    }
}
