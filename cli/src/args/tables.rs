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
    /// Don't verify the chunks, for which all writers have to wait
    #[arg(long)]
    pub(crate) stripes_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Stat {
    /// The table
    pub(crate) name: String,
    /// Print again after each interval, with rates per second; by default, every second
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s", value_parser = parse_duration)]
    pub(crate) watch: Option<Duration>,
    /// Stop after printing this many times
    #[arg(long, value_name = "N", requires = "watch")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// The table; by default, all tables
    pub(crate) name: Option<String>,
    /// How often the view is refreshed
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub(crate) interval: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Only these tables; by default, all tables. The exit status is 1 if none of those named is
    /// removed
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print what would be removed, and remove nothing
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
    /// The name of the new table
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// How keys and values are encoded: `bytes`, `msgpack`, `pickle` or `json`, or the types of
    /// keys and values, such as `str/u64`
    #[arg(long, value_name = "CODEC", default_value = "bytes", value_parser = crate::codec::Codec::parse)]
    pub(crate) codec: crate::codec::Codec,
    #[command(flatten)]
    pub(crate) details: Details,
    /// Take the name from the table that has it, in one step; processes that have that table open
    /// can keep using it
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The table
    pub(crate) from: String,
    /// The name of the new table
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
    #[command(flatten)]
    pub(crate) details: Details,
    /// Copy the entries of one moment; writers wait while they are copied
    #[arg(long)]
    pub(crate) snapshot: bool,
    /// Take the name from the table that has it
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// The table
    pub(crate) from: String,
    /// The new name
    pub(crate) to: String,
    /// Take the name from the table that has it
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The first table
    pub(crate) first: String,
    /// The second table
    pub(crate) second: String,
    /// Print keys and values as stored bytes, in hexadecimal
    #[arg(long)]
    pub(crate) hex: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Measure a table of fixed capacity, which has its memory from the beginning; by default, the
    /// table grows as it is filled
    #[arg(long)]
    pub(crate) fixed: bool,
    /// Number of entries
    #[arg(long, value_name = "N", default_value = "200000", value_parser = crate::units::parse_some)]
    pub(crate) entries: usize,
    /// Size of a value
    #[arg(long, value_name = "SIZE", default_value = "16", value_parser = parse_size)]
    pub(crate) value_size: usize,
    /// Number of threads; by default, one for each processor
    #[arg(long, value_name = "N", value_parser = crate::units::parse_some)]
    pub(crate) threads: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeMetrics {
    /// Address and port; with port 0, a free port is chosen and printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9184")]
    pub(crate) listen: std::net::SocketAddr,
    /// The tables; by default, all tables that exist at the time of a request
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}
