//! What a repair did about each fault.

use std::fmt;

use super::fault::FaultPlace;

/// Something that [`Table::repair`](crate::Table::repair) did, or had to leave.
///
/// `Display` gives a sentence for people, with all numbers; its wording may change.
///
/// ```
/// # fn main() -> shmtable::Result<()> {
/// use shmtable::RepairOutcome;
///
/// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
/// let done = table.repair()?;
/// let lost: u64 = done.iter().map(|one| one.entries_lost()).sum();
/// let left = done.iter().any(|one| one.outcome == RepairOutcome::Left);
/// assert!(lost == 0 && !left);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// The outcome: fixed, lost or left.
    pub outcome: RepairOutcome,
    /// The part of the segment that was wrong.
    pub place: FaultPlace,
    text: String,
}

/// The outcome of the repair of a fault: one variant for each decision that a caller can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RepairOutcome {
    /// The fault is gone, and nothing was lost.
    Fixed,
    /// Entries had to be removed. Restore them from elsewhere.
    Lost {
        /// How many were removed.
        entries: u64,
    },
    /// A stripe's count said that there were more entries than its slots show. Either the
    /// count was damaged, or entries were lost, and nothing tells which.
    MayHaveLost {
        /// The most entries that may be lost.
        entries: u64,
    },
    /// The fault is as it was, because a living participant has that part of the table. Repair
    /// again after that participant has closed the table.
    Left,
}

impl Repaired {
    pub(super) fn new(outcome: RepairOutcome, place: FaultPlace, text: impl Into<String>) -> Self {
        Self {
            outcome,
            place,
            text: text.into(),
        }
    }

    /// Returns how many entries were removed here: 1 or 0.
    ///
    /// [`RepairOutcome::MayHaveLost`] counts as 0, because nothing is certain about it.
    pub fn entries_lost(&self) -> u64 {
        match self.outcome {
            RepairOutcome::Lost { entries } => entries,
            _ => 0,
        }
    }
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
