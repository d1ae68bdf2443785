//! Why a command failed.

mod wording;

use std::io;
use std::path::PathBuf;

use shmtable::Error;

use wording::{in_command, in_salvage};

/// How a command ends if it does not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Found,
    NotFound,
}

impl From<bool> for Outcome {
    fn from(found: bool) -> Self {
        if found { Self::Found } else { Self::NotFound }
    }
}

pub(crate) type Result<T = Outcome, E = Failure> = std::result::Result<T, E>;

/// Why a command failed. Each message gives the limit, what was asked for and the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{}", in_command(.0))]
    Table(#[from] Error),
    /// An error of `dump --salvage`, which must not recommend itself.
    #[error("{}", in_salvage(.0))]
    Salvage(Error),
    #[error("a table named {name:?} already exists; choose another name, or give --replace")]
    AlreadyExists { name: String },
    /// Wrong usage that clap doesn't detect.
    #[error("{0}; see `--help`")]
    Usage(String),
    /// A failed write to the standard output.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    #[error("cannot {action} {path:?}: {source}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot read the standard input: {0}")]
    Input(io::Error),
    #[error("not a valid {what} for table {table:?}, whose codec is {codec}: {reason}")]
    Notation {
        what: &'static str,
        table: String,
        codec: String,
        reason: String,
    },
    #[error("not a number: the value in table {table:?} is {value}; remove it first")]
    NotANumber { table: String, value: String },
    #[error("{value} + {amount} overflows {limit}; the value is unchanged")]
    Overflow {
        value: String,
        amount: String,
        limit: &'static str,
    },
    #[error(
        "the values of the table {table:?} are {form}, not numbers; `add`, `max` and `min` work on tables of numbers \
         (such as `create --codec str/u64`), of bytes and of MessagePack"
    )]
    NoNumbers { table: String, form: &'static str },
    #[error("there is no table named {name:?}; {remedy}")]
    NotFound { name: String, remedy: &'static str },
    #[error("{name:?} is already the table's name")]
    SameName { name: String },
    #[error("the input is not a dump or is damaged, at {at}: {reason}; {told}")]
    Dump {
        at: String,
        reason: String,
        told: String,
    },
    #[error(
        "the dump holds {entries} entries, and the table {table:?} was created for {capacity}; \
         load it into a table with a larger capacity (--create --capacity {entries})"
    )]
    DumpTooLarge {
        entries: u64,
        table: String,
        capacity: usize,
    },
    #[error(
        "the codec of the dump is {dump}, and that of the table {table:?} is {codec}; load the dump \
         into a table of its own codec (--create)"
    )]
    OtherCodec {
        dump: String,
        table: String,
        codec: String,
    },
    #[error(
        "the codec of {first:?} is {first_codec}, and that of {second:?} is {second_codec}: their \
         keys and values cannot be compared"
    )]
    TwoCodecs {
        first: String,
        first_codec: String,
        second: String,
        second_codec: String,
    },
    #[error("{}; {told}", in_command(.error))]
    Load { error: Error, told: String },
    #[error("{failed} of {asked} tables could not be removed:{reasons}")]
    Several {
        failed: usize,
        asked: usize,
        reasons: String,
    },
    #[error("there is no command {0:?}; `shmtable help` lists the commands")]
    NoCommand(String),
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        address: std::net::SocketAddr,
        source: io::Error,
    },
    #[error("`top` needs a terminal, and the output is not one; use `stat --watch`")]
    NoTerminal,
    #[error(
        "the table {name:?} was removed, renamed or replaced, and changes under that name can no \
         longer be seen; start again"
    )]
    Unlinked { name: String },
    #[error("interrupted{0}")]
    Interrupted(String),
}

impl Failure {
    /// Whether the reader of the output closed the pipe, which is not an error.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The kind of failure, as a word for scripts.
    pub(crate) fn kind(&self) -> String {
        let debug = match self {
            Self::Table(error) | Self::Salvage(error) | Self::Load { error, .. } => {
                format!("{error:?}")
            }
            other => format!("{other:?}"),
        };
        let end = debug.find(|c: char| !c.is_alphanumeric());
        debug[..end.unwrap_or(debug.len())].to_owned()
    }
}

/// The failure of an operation; if it was interrupted, so is the command.
pub(crate) fn interrupted(error: Error) -> Failure {
    match error {
        Error::Interrupted => Failure::Interrupted(String::new()),
        error => error.into(),
    }
}

/// The failure of an operation that `--replace` would have let succeed if the name is taken.
pub(crate) fn or_replace(error: Error) -> Failure {
    match error {
        Error::AlreadyExists { name, .. } => Failure::AlreadyExists { name },
        error => error.into(),
    }
}
