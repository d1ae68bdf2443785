//! The arguments of `dump` and `load`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shape::Shape;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line of JSON for each entry
    Jsonl,
    /// Compact; see docs/dump.md
    Binary,
}

#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// The table
    pub(crate) name: String,
    /// Write to this file, which appears under its name when it is complete
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// The format of the dump
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub(crate) format: Format,
    /// Dump the entries of one moment; writers wait while they are copied
    #[arg(long)]
    pub(crate) snapshot: bool,
    /// Read the entries of a table that can't be opened because its header is damaged. The damage
    /// is described on the standard error. The exit status is 1 if entries are lost
    #[arg(long, conflicts_with = "snapshot")]
    pub(crate) salvage: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The table
    pub(crate) name: String,
    /// The dump, in either format; by default, the standard input
    pub(crate) input: Option<PathBuf>,
    /// Create the table, by default with the size of the dumped one
    #[arg(long)]
    pub(crate) create: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Keep entries that exist already as they are
    #[arg(long)]
    pub(crate) keep: bool,
}
