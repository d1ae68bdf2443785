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
    /// The keys. Of several each is printed with its value, and the exit status is 1 if one of
    /// them is not there
    #[arg(required = true, allow_negative_numbers = true, value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) typed: Typed,
    /// Print the stored bytes of one key's value as they are, and nothing else
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
    /// The value; the standard input if neither this nor --file is given
    #[arg(allow_negative_numbers = true)]
    pub(crate) value: Option<String>,
    /// Take the value from a file
    #[arg(long, value_name = "PATH", conflicts_with = "value")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) typed: Typed,
    /// Store the value's bytes as they are, whatever the table is for
    #[arg(long)]
    pub(crate) raw: bool,
    /// Only if the key is not there; else the exit status is 1
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
    /// What to add
    #[arg(allow_negative_numbers = true, default_value = "1")]
    pub(crate) amount: String,
    #[command(flatten)]
    pub(crate) typed: Typed,
}

#[derive(Debug, Args)]
pub(crate) struct Del {
    /// The table
    pub(crate) name: String,
    /// The keys
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
    /// Print the stored bytes as they are, and nothing else
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
    /// The expected value; with --absent the new one
    #[arg(allow_negative_numbers = true)]
    pub(crate) expected: Option<String>,
    /// The new value
    #[arg(allow_negative_numbers = true)]
    pub(crate) new: Option<String>,
    /// Expect no value
    #[arg(long)]
    pub(crate) absent: bool,
    /// Remove the value
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
    /// Give up after this time (exit status 1); by default never
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
    /// The most entries to print
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Keys alone
    #[arg(long)]
    pub(crate) keys: bool,
    /// Print the stored bytes in hexadecimal
    #[arg(long)]
    pub(crate) hex: bool,
    /// Print the stored bytes of values in hexadecimal
    #[arg(long)]
    pub(crate) hex_value: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Count {
    /// The table
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) which: Which,
    /// The prefix is the stored bytes in hexadecimal
    #[arg(long, requires = "prefix")]
    pub(crate) hex: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The table
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) which: Which,
    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// End after this number of changes
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Time between two looks at the table
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = parse_duration)]
    pub(crate) interval: Duration,
    /// Print the stored bytes in hexadecimal
    #[arg(long)]
    pub(crate) hex: bool,
}
