//! The arguments of commands for entries.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::typed::{Typed, Which};
use crate::units::parse_duration;

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The table
    pub(crate) name: String,
    /// The keys. If there are several, each is printed with its value, and the exit status is 1 if
    /// one of them has no value
    #[arg(required = true, allow_negative_numbers = true, value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) typed: Typed,
    /// Print the stored bytes of one key's value, and nothing else
    #[arg(long, conflicts_with_all = ["json", "hex", "hex_value"])]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    /// The table
    pub(crate) name: String,
    /// The key
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
    /// The value; read from the standard input if neither this nor --file is given
    #[arg(allow_negative_numbers = true)]
    pub(crate) value: Option<String>,
    /// Read the value from this file
    #[arg(long, value_name = "PATH", conflicts_with = "value")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) typed: Typed,
    /// Store the bytes of the value as they are, whatever the table's codec
    #[arg(long)]
    pub(crate) raw: bool,
    /// Store only if the key has no value; otherwise, the exit status is 1
    #[arg(long)]
    pub(crate) if_absent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The table
    pub(crate) name: String,
    /// The key
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
    /// The number to add
    #[arg(allow_negative_numbers = true, default_value = "1")]
    pub(crate) amount: String,
    #[command(flatten)]
    pub(crate) typed: Typed,
}

#[derive(Debug, Args)]
pub(crate) struct Extreme {
    /// The table
    pub(crate) name: String,
    /// The key
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
    /// The number to compare with
    #[arg(allow_negative_numbers = true)]
    pub(crate) number: String,
    #[command(flatten)]
    pub(crate) typed: Typed,
}

#[derive(Debug, Args)]
pub(crate) struct Del {
    /// The table
    pub(crate) name: String,
    /// The keys, or `-` to read them from the standard input
    #[arg(allow_negative_numbers = true, conflicts_with_all = ["prefix", "glob"], value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) typed: Typed,
}

#[derive(Debug, Args)]
pub(crate) struct Take {
    /// The table
    pub(crate) name: String,
    /// The key
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) typed: Typed,
    /// Print the stored bytes of the value, and nothing else
    #[arg(long, conflicts_with_all = ["json", "hex", "hex_value"])]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "shmtable cas [OPTIONS] <NAME> <KEY> <EXPECTED> <NEW>\n       \
    shmtable cas [OPTIONS] <NAME> <KEY> --absent <NEW>\n       \
    shmtable cas [OPTIONS] <NAME> <KEY> <EXPECTED> --remove"
)]
pub(crate) struct Cas {
    /// The table
    pub(crate) name: String,
    /// The key
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
    /// The expected value; with --absent, the new value
    #[arg(allow_negative_numbers = true)]
    pub(crate) expected: Option<String>,
    /// The new value
    #[arg(allow_negative_numbers = true)]
    pub(crate) new: Option<String>,
    /// Expect that the key has no value
    #[arg(long)]
    pub(crate) absent: bool,
    /// Remove the key
    #[arg(long, conflicts_with = "absent")]
    pub(crate) remove: bool,
    #[command(flatten)]
    pub(crate) typed: Typed,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// The table
    pub(crate) name: String,
    /// The key
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
    /// Give up after this time, with exit status 1; by default, wait forever
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Wait until the value changes or is removed
    #[arg(long)]
    pub(crate) change: bool,
    #[command(flatten)]
    pub(crate) typed: Typed,
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// The table
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Maximum number of entries to print
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Print only the keys
    #[arg(long)]
    pub(crate) keys: bool,
    /// Print keys and values as stored bytes, in hexadecimal
    #[arg(long)]
    pub(crate) hex: bool,
    /// Print values as stored bytes, in hexadecimal
    #[arg(long)]
    pub(crate) hex_value: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Count {
    /// The table
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) which: Which,
    /// The prefix is stored bytes, in hexadecimal
    #[arg(long, requires = "prefix")]
    pub(crate) hex: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The table
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Stop after this many changes
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// How often the table is polled
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = parse_duration)]
    pub(crate) interval: Duration,
    /// Print keys and values as stored bytes, in hexadecimal
    #[arg(long)]
    pub(crate) hex: bool,
}
