//! The arguments of `dump` and `load`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shape::Shape;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line of JSON for each entry
    Jsonl,
    /// Compact; see docs/dump.md
    Binary,
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// The table
    pub(crate) name: String,
    /// Write to this file; it appears when it is complete
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// The format
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub(crate) format: Format,
    /// All entries of one moment; writers wait while they are copied
    #[arg(long)]
    pub(crate) snapshot: bool,
    /// Read the entries of a table whose header is damaged, which cannot be opened. What was
    /// wrong is told on the standard error. The exit status is 1 if entries are lost
    #[arg(long, conflicts_with = "snapshot")]
    pub(crate) salvage: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The table
    pub(crate) name: String,
    /// The dump; by default the standard input. The format is recognized
    pub(crate) input: Option<PathBuf>,
    /// Create the table, by default as large as the dumped one was
    #[arg(long)]
    pub(crate) create: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Leave entries that are there already as they are
    #[arg(long)]
    pub(crate) keep: bool,
}
