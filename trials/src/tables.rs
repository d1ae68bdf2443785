//! On which tables a trial runs.

use clap::ValueEnum;

/// Whether a table's index grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A table of fixed capacity
    Fixed,
    /// A table that begins small, and of which stripes are doubled while the trial runs
    Growing,
}

impl Kind {
    /// The name by which a process is told.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Growing => "growing",
        }
    }
}

/// Whether tables can grow. They can't on the back end for Windows and macOS.
pub(crate) const CAN_GROW: bool = !cfg!(shmtable_portable);

/// The kinds of tables among which a trial's time is divided: one, or both.
pub(crate) fn kinds(only: Option<Kind>) -> Vec<Kind> {
    match only {
        Some(kind) => vec![kind],
        None => vec![Kind::Fixed, Kind::Growing],
    }
}
