//! How large a table is made, and what most tables leave as it is.

use clap::Args;
use shmtable::Options;

use crate::units::{parse_count, parse_mode, parse_size};

/// How large a table is made.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shape {
    /// How many entries the table is guaranteed to hold; a small table may hold more
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub(crate) capacity: Option<usize>,
    /// The most bytes of all keys and values together, such as 64MiB; by default 64 for
    /// each entry, and at least 64MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) value_space: Option<usize>,
}

impl Shape {
    /// The options with what was asked for.
    pub(crate) fn applied_to(&self, mut options: Options) -> Options {
        if let Some(capacity) = self.capacity {
            options = options.capacity(capacity);
        }
        if let Some(bytes) = self.value_space {
            options = options.value_space(bytes);
        }
        options
    }
}

/// What most tables leave as it is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Details {
    /// Who may open it, in octal [default: 600, or as a copied table has it]
    #[arg(long, value_name = "BITS", value_parser = parse_mode)]
    pub(crate) mode: Option<u32>,
    /// Number of lock stripes; a power of two
    #[arg(long, value_name = "N")]
    pub(crate) stripes: Option<usize>,
    /// Bytes of a chunk of the value space; a power of two
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) chunk_size: Option<usize>,
    /// The most handles open for writing at a time
    #[arg(long, value_name = "N")]
    pub(crate) max_participants: Option<usize>,
}

impl Details {
    /// The options with what was asked for.
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
