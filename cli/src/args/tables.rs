//! The arguments of commands for whole tables.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::shape::{Details, Shape};
use crate::units::{parse_duration, parse_size};

#[derive(Debug, Args)]
pub(crate) struct OneTable {
    /// The table
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The table
    pub(crate) name: String,
    /// Leave out what all writers must wait for: how records lie in chunks
    #[arg(long)]
    pub(crate) stripes_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Stat {
    /// The table
    pub(crate) name: String,
    /// Print again every so often, with what happened in between; by default every second
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s", value_parser = parse_duration)]
    pub(crate) watch: Option<Duration>,
    /// End after this number of times
    #[arg(long, value_name = "N", requires = "watch")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// The table; by default all of them
    pub(crate) name: Option<String>,
    /// Time between two looks at the tables
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub(crate) interval: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// These tables alone; by default all that there are. If none of them is removed the
    /// exit status is 1
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// The tables
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The table's name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// How keys and values are encoded: `bytes`, `msgpack`, `pickle` or `json`, or a key/value
    /// pair such as `str/u64`
    #[arg(long, value_name = "CODEC", default_value = "bytes", value_parser = crate::codec::Codec::parse)]
    pub(crate) codec: crate::codec::Codec,
    #[command(flatten)]
    pub(crate) details: Details,
    /// Take the name away from the table that has it, in one step; processes that have
    /// that one open can go on using it
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The table
    pub(crate) from: String,
    /// The new table's name
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
    #[command(flatten)]
    pub(crate) details: Details,
    /// All entries of one moment; writers wait while they are copied
    #[arg(long)]
    pub(crate) snapshot: bool,
    /// Take the name away from the table that has it
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// The table
    pub(crate) from: String,
    /// Its new name
    pub(crate) to: String,
    /// Take the name away from the table that has it
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The first table
    pub(crate) first: String,
    /// The second table
    pub(crate) second: String,
    /// Print the stored bytes in hexadecimal
    #[arg(long)]
    pub(crate) hex: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Entries
    #[arg(long, value_name = "N", default_value = "200000", value_parser = crate::units::parse_some)]
    pub(crate) entries: usize,
    /// Bytes of a value
    #[arg(long, value_name = "SIZE", default_value = "16", value_parser = parse_size)]
    pub(crate) value_size: usize,
    /// Threads; by default as many as processors
    #[arg(long, value_name = "N", value_parser = crate::units::parse_some)]
    pub(crate) threads: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeMetrics {
    /// Address and port; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9184")]
    pub(crate) listen: std::net::SocketAddr,
    /// The tables; by default all that there are at each scrape
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}
