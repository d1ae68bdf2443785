//! The size of a new table, and its rarer options.

use clap::Args;
use shmtable::Options;

use crate::units::{parse_count, parse_mode, parse_size};

/// The size of a new table.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shape {
    /// Number of entries that have their place from the beginning; without --max-capacity, the table
    /// doesn't grow beyond it [default: none, the table grows, or that of the table that is copied
    /// or was dumped]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub(crate) capacity: Option<usize>,
    /// Number of entries that the table may grow to [default: 2^32, or that of the table that is
    /// copied or was dumped]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub(crate) max_capacity: Option<usize>,
    /// Size of the memory that the table may take, index and values together, such as 1GiB [default:
    /// no bound]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_bytes: Option<usize>,
    /// Total size of keys and values that always fits, such as 64MiB [default: 15GiB without a
    /// capacity, otherwise 64 bytes for each entry, and at least 64MiB, or that of the table that is
    /// copied or was dumped]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) value_space: Option<usize>,
}

/// The sizes of a table that a new one is made after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model {
    pub(crate) capacity: usize,
    pub(crate) value_space: usize,
    pub(crate) grows: bool,
}

impl Model {
    /// Whether its sizes are those of a table that was given none.
    fn is_default(self) -> bool {
        self.grows && (self.capacity, self.value_space) == Options::DEFAULT_SIZES
    }
}

impl Shape {
    /// Whether any size was given.
    pub(crate) fn is_given(&self) -> bool {
        self.capacity.is_some() || self.max_capacity.is_some() || self.value_space.is_some()
    }

    /// The options with the sizes of the command line, and with those of another table where none
    /// were given.
    pub(crate) fn applied_after(&self, model: Model, mut options: Options) -> Options {
        // Without sizes, less address space is reserved where it is short.
        if model.is_default() && self.capacity.is_none() && self.max_capacity.is_none() {
            return self.applied_to(options);
        }
        if self.capacity.is_none() && self.max_capacity.is_none() {
            options = if model.grows {
                options.max_capacity(model.capacity)
            } else {
                options.capacity(model.capacity)
            };
        }
        // A table that may grow further gets the space for it.
        let by_default = self.max_capacity.unwrap_or(0).saturating_mul(64);
        if model.value_space > by_default {
            options = options.value_space(model.value_space);
        }
        self.applied_to(options)
    }

    /// The options with those of the command line that were given.
    pub(crate) fn applied_to(&self, mut options: Options) -> Options {
        if let Some(capacity) = self.capacity {
            options = options.capacity(capacity);
        }
        if let Some(most) = self.max_capacity {
            options = options.max_capacity(most);
        }
        if let Some(bytes) = self.max_bytes {
            options = options.max_bytes(bytes);
        }
        if let Some(bytes) = self.value_space {
            options = options.value_space(bytes);
        }
        options
    }
}

/// The rarer options of a new table.
#[derive(Debug, Clone, Args)]
pub(crate) struct Details {
    /// Who may open the table, in octal [default: 600, or the mode of the table that is copied]
    #[arg(long, value_name = "BITS", value_parser = parse_mode)]
    pub(crate) mode: Option<u32>,
    /// Number of stripes, each with a lock; a power of two
    #[arg(long, value_name = "N")]
    pub(crate) stripes: Option<usize>,
    /// Size of a chunk of the value space; a power of two
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) chunk_size: Option<usize>,
    /// Maximum number of handles that are open for writing at once
    #[arg(long, value_name = "N")]
    pub(crate) max_participants: Option<usize>,
}

impl Details {
    /// The options with those of the command line that were given.
    pub(crate) fn applied_to(&self, mut options: Options) -> Options {
        if let Some(mode) = self.mode {
            options = options.mode(mode);
        }
        if let Some(stripes) = self.stripes {
            options = options.stripes(stripes);
        }
        if let Some(bytes) = self.chunk_size {
            options = options.chunk_size(bytes);
        }
        if let Some(handles) = self.max_participants {
            options = options.max_participants(handles);
        }
        options
    }
}
