//! Errors: one variant for each decision a caller can make.

mod kind;
mod words;

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use crate::sys;
use words::{
    entry_of, found_for_expected, holdings, orphans_hold, remedy_for_format, remedy_for_missing,
};

/// What [`Error::IncompatibleFormat`] says of a segment that is too short for a header.
pub(crate) const LENGTH: &str = "the length in bytes";
/// What it says of a segment of another version of the format.
pub(crate) const VERSION: &str = "the format version";

/// The result of every call of this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a codec refused: any error, or a text that `into` turned into one.
///
/// The typed table makes an [`Error::Codec`] of it that names the codec.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Everything that a call can fail with.
///
/// Each message names the limit, what was asked for and the remedy. Unless a method says otherwise,
/// a call that returns an error has not changed the table.
///
/// A message doesn't repeat what [`source`](std::error::Error::source) returns: the system's
/// answer, or a codec's reason. Print the whole chain to see both, as `{:#}` of `anyhow` does. An
/// `Error` converts to a [`std::io::Error`] of a fitting kind, so `?` works where one is expected.
///
/// Any version may add variants, and fields to the variants that have some.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table is full: the stripe of a new key has no free slot left.
    #[error(
        "the table is full: no slot is left in the stripe that this key belongs to; it {} \
         {capacity} entries, which always fit, and holds {entries} (more fit only by chance); \
         remove entries, or create a table with a larger {}",
        if *grows { "grows to" } else { "was created for" },
        if *grows { "max_capacity" } else { "capacity" }
    )]
    #[non_exhaustive]
    TableFull {
        /// Entries the table was created for: the most, if it grows.
        capacity: usize,
        /// Entries it holds now.
        entries: usize,
        /// Whether the table grows. It has grown to its largest then.
        grows: bool,
    },

    /// The value space is full: no chunk, or no row of chunks, is left for a record, and cleaning
    /// gains none.
    #[error(
        "the value space is full: no room for a record of {asked} bytes{}; live records take \
         {live} of the {room} bytes of all chunks, and what is left {} (value_space, which counts \
         keys and values alone, is {limit}); remove entries, or create a table with a larger \
         value_space",
        match neighbors {
            0 | 1 => String::new(),
            chunks => format!(", which takes {chunks} neighboring chunks"),
        },
        match neighbors {
            0 | 1 => "is too small, being filled by others, or kept for cleaning",
            _ => "has no such row of chunks",
        }
    )]
    #[non_exhaustive]
    ValueSpaceFull {
        /// Bytes the record needs, header and padding included.
        asked: usize,
        /// The value space the table was created with, in bytes.
        limit: usize,
        /// Bytes of live records, headers and padding included.
        live: usize,
        /// Bytes of all chunks: what `live` can be at the very most, if the records fill
        /// each chunk to its end and no participant keeps one to itself.
        room: usize,
        /// The number of neighboring chunks that the record takes.
        neighbors: usize,
    },

    /// The table may not take more memory: see [`Options::max_bytes`](crate::Options::max_bytes).
    #[error(
        "the table may take {limit} bytes of memory (max_bytes): it takes {used}, and {asked} more \
         would be needed; remove entries, or create a table with a larger max_bytes"
    )]
    #[non_exhaustive]
    MaxBytesReached {
        /// The most bytes that the table may take.
        limit: usize,
        /// Bytes that it takes.
        used: usize,
        /// Bytes that were asked for.
        asked: usize,
    },

    /// The machine has no memory, or the shared-memory file system no room, for more pages.
    #[error(
        "the machine's shared memory is full: {asked} more bytes were refused; free some of it \
         (on Linux: files in /dev/shm, its size limit, the container's memory limit){}",
        orphans_hold(*.orphans, *.orphaned)
    )]
    #[non_exhaustive]
    SharedMemoryFull {
        /// Bytes that were asked for.
        asked: usize,
        /// The number of this user's orphans: anonymous tables that outlived their creators and
        /// that no process uses. [`Table::remove_orphans`](crate::Table::remove_orphans)
        /// removes them. (A creation has tried that already.)
        orphans: usize,
        /// Bytes of memory that these hold.
        orphaned: usize,
    },

    /// This process's address space has no room to map the segment, whether or not the machine has
    /// memory for it.
    #[error(
        "this process's address space has no room for the {asked} bytes of the segment, and its \
         limit is {}; raise it (on Linux: ulimit -v, RLIMIT_AS), close other tables, or create \
         this one with a smaller max_capacity and value_space, or fewer max_participants",
        limit.map_or_else(|| "the machine's".to_owned(), |limit| format!("{limit} bytes"))
    )]
    #[non_exhaustive]
    AddressSpaceFull {
        /// Length of the segment, in bytes.
        asked: usize,
        /// The limit for all mappings of this process together, in bytes; `None`: the
        /// machine's.
        limit: Option<u64>,
    },

    /// The segment would be longer than any file this process may write.
    #[error(
        "the segment would have {asked} bytes, and no file that this process writes may have more \
         than {}; raise the limit (on Linux: ulimit -f, RLIMIT_FSIZE), or create the table with a \
         smaller capacity and value_space",
        limit.map_or_else(|| "the file system allows".to_owned(), |limit| format!("{limit} bytes"))
    )]
    #[non_exhaustive]
    FileTooLarge {
        /// Length of the segment, in bytes.
        asked: usize,
        /// The longest file of this process, in bytes; `None`: the file system's limit.
        limit: Option<u64>,
    },

    /// This process, or the machine, has as many files open as it may.
    #[error(
        "{}: a handle needs two; close other handles or files, or raise the limit (on Linux: \
         ulimit -n, RLIMIT_NOFILE)",
        limit.map_or_else(
            || "the machine has as many files open as it can".to_owned(),
            |limit| format!("this process has as many files open as it may ({limit})"),
        )
    )]
    #[non_exhaustive]
    TooManyFiles {
        /// The number of files that this process may have open; `None`: the machine's limit is
        /// reached.
        limit: Option<u64>,
    },

    /// The key is longer than the table takes.
    #[error("the key is too large: {size} bytes, the limit is {limit}; store a digest of it")]
    #[non_exhaustive]
    KeyTooLarge {
        /// Longest key, in bytes.
        limit: usize,
        /// Length of the key, in bytes.
        size: usize,
    },

    /// The value could never fit this table, even if the table were empty.
    #[error(
        "the value is too large: {size} bytes, the limit of this table is {limit}; \
         split it, or create a table with a larger value_space"
    )]
    #[non_exhaustive]
    ValueTooLarge {
        /// Length of the longest value for this key, in bytes.
        limit: usize,
        /// Length of the value, in bytes.
        size: usize,
    },

    /// No table can have this name.
    #[error(
        "{name:?} cannot name a table: {reason}; use 1 to {limit} bytes without '/' or NUL, \
         not beginning with '.'"
    )]
    #[non_exhaustive]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
        /// Longest name, in bytes.
        limit: usize,
    },

    /// There is no table of this name.
    #[error("there is no table named {name:?}{}", remedy_for_missing(name))]
    #[non_exhaustive]
    NotFound {
        /// The name.
        name: String,
    },

    /// Something that isn't a table has this name: a symbolic link, a folder, a pipe.
    #[error(
        "{name:?} is the name of {what}, not of a table; remove it (on Linux from /dev/shm), or \
         choose another name"
    )]
    #[non_exhaustive]
    NotATable {
        /// The name.
        name: String,
        /// What it is instead, such as "a symbolic link".
        what: &'static str,
    },

    /// The table of this name is smaller than what was asked for.
    #[error(
        "the table {name:?} exists with a {option} of {found}, and {asked} was asked for; leave \
         {option} out to open it as it is, replace it by a new one with create_or_replace, or \
         unlink it first"
    )]
    #[non_exhaustive]
    TooSmall {
        /// The name.
        name: String,
        /// The option: `capacity`, `max_capacity`, `value_space` or `max_participants`.
        option: &'static str,
        /// What was asked for.
        asked: usize,
        /// What the table was created with.
        found: usize,
    },

    /// There is a table of this name already.
    #[error("a table named {name:?} exists already; open it, unlink it, or use open_or_create")]
    #[non_exhaustive]
    AlreadyExists {
        /// The name.
        name: String,
    },

    /// The segment belongs to a user that the options don't trust.
    #[error(
        "the segment {name:?} belongs to user {owner}, and user {user} does not trust it: \
         its owner could change it while it is in use; name the owner in Options::trust if you \
         trust that user"
    )]
    #[non_exhaustive]
    WrongOwner {
        /// The name.
        name: String,
        /// The id of the user that owns the segment.
        owner: u32,
        /// The id of this process's user.
        user: u32,
    },

    /// The system refuses access to the segment.
    #[error(
        "no permission to {action} the segment {name:?}; see Options::mode, and how /dev/shm is \
         mounted; open_read_only asks for less"
    )]
    #[non_exhaustive]
    PermissionDenied {
        /// The name.
        name: String,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },

    /// The segment was not created by a compatible version of this crate.
    #[error(
        "the segment {name:?} is not a table this version can use: {what} is {}; {}",
        found_for_expected(what, *found, *expected),
        remedy_for_format(what, *found, *expected)
    )]
    #[non_exhaustive]
    IncompatibleFormat {
        /// The name.
        name: String,
        /// The header field that is wrong.
        what: &'static str,
        /// What the segment says.
        found: u64,
        /// What this version expects there.
        expected: u64,
    },

    /// The segment is damaged: its bytes say something that no writer of this crate wrote.
    #[error(
        "the segment is damaged: {what} at byte {offset}; repair it with Table::repair; where that \
         does not help, save what can be read (the command `shmtable dump --salvage` does, past a \
         damaged header too), unlink the table and create it again"
    )]
    #[non_exhaustive]
    Corrupted {
        /// What was found wrong.
        what: &'static str,
        /// Where it is, in bytes from the segment's start.
        offset: usize,
    },

    /// A living process held a lock for longer than
    /// [`Options::lock_timeout`](crate::Options::lock_timeout).
    #[error(
        "waited {timeout:?} for a lock held by participant {participant}, which is alive; \
         it may be stopped or very slow: try again, or raise Options::lock_timeout"
    )]
    #[non_exhaustive]
    LockTimeout {
        /// How long the call waited.
        timeout: Duration,
        /// The participant slot of the lock owner.
        participant: usize,
    },

    /// The closure of [`Options::around_sleep`](crate::Options::around_sleep) ended a wait.
    #[error("the wait was interrupted; nothing has changed, try again if you like")]
    Interrupted,

    /// A closure that runs under a lock of a table called a method that writes to it.
    #[error(
        "the table was written to from inside a closure that runs under its lock; \
         do it before or after the call that takes the closure"
    )]
    Reentrant,

    /// Holders of claims wait for each other, as computations do that ask for each other's values.
    #[error(
        "a deadlock: this wait can never end, because the caller that has this claim (it computes \
         the value, or holds the lock) is itself waiting for one that this caller has; do one \
         without the other, or ask for keys in one order everywhere"
    )]
    #[non_exhaustive]
    Deadlock,

    /// Another caller computes the value, and has not finished in time.
    #[error(
        "waited {timeout:?} for a value that another caller computes; its process is alive, but may \
         be stuck: try again, wait longer, or store the value with insert, which needs no claim"
    )]
    #[non_exhaustive]
    ClaimTimeout {
        /// How long the call waited.
        timeout: Duration,
    },

    /// Other code in this process closed the descriptor that shows that this handle is in use.
    ///
    /// Other processes therefore take the handle for dead.
    #[error(
        "other code in this process closed this handle's descriptor (a daemon that closes all of \
         them, for instance), so others take the handle for dead; nothing has changed; open the \
         table again, after the code that closes descriptors"
    )]
    #[non_exhaustive]
    DescriptorClosed {},

    /// All participant slots are taken by living handles.
    #[error(
        "all {limit} participant slots are taken by living handles; close some, open read-only, \
         or create the table with more max_participants"
    )]
    #[non_exhaustive]
    TooManyParticipants {
        /// The number of participant slots.
        limit: usize,
    },

    /// The handle was opened read-only.
    #[error("this handle is read-only; open the table with Table::open to write to it")]
    ReadOnly,

    /// The table was created for other types.
    #[error(
        "the table holds {}, this view is {}; open it with the types it was created with",
        holdings(*found, None), holdings(*expected, *view)
    )]
    #[non_exhaustive]
    CodecMismatch {
        /// The codec id in the segment; 0 is plain bytes. See
        /// [`codec_names`](crate::codec_names).
        found: u64,
        /// The codec id that was expected.
        expected: u64,
        /// The names of a [`TypedTable`](crate::TypedTable)'s two codecs; `None` if the
        /// id was given by number.
        view: Option<(&'static str, &'static str)>,
    },

    /// The value doesn't have the length of a counter.
    #[error("not a counter: the value has {length} bytes, a counter has {size}; remove it first")]
    #[non_exhaustive]
    NotACounter {
        /// Length of the value, in bytes.
        length: usize,
        /// Length of a counter: 8, or less for a [`TypedTable`](crate::TypedTable) of shorter
        /// numbers.
        size: usize,
    },

    /// The sum or difference would be outside the range of the counter's type.
    #[error(
        "the counter would overflow: {value} + {add} does not fit {number}; the counter is unchanged"
    )]
    #[non_exhaustive]
    CounterOverflow {
        /// The counter's value.
        value: i128,
        /// The number to be added; negative if it was to be subtracted.
        add: i128,
        /// The type of the counter: `i64`, or that of a [`TypedTable`](crate::TypedTable) of
        /// other numbers.
        number: &'static str,
    },

    /// An option is outside its range.
    #[error("the option {option} is {given}, allowed is {allowed}")]
    #[non_exhaustive]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What was given.
        given: u128,
        /// What is allowed.
        allowed: Cow<'static, str>,
    },

    /// A key or a value could not be encoded or decoded.
    #[error("cannot {action} a {codec}{}", entry_of(key.as_deref()))]
    #[non_exhaustive]
    Codec {
        /// "encode" or "decode".
        action: &'static str,
        /// The codec's name.
        codec: &'static str,
        /// The bytes of the entry's key; `None` if it is the key that could not be encoded.
        key: Option<Box<[u8]>>,
        /// The codec's reason.
        source: BoxedError,
    },

    /// The system refused something else.
    #[error("cannot {action}")]
    #[non_exhaustive]
    System {
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// Returns the error for a system's answer that is not about a segment's name.
    pub(crate) fn system(action: &'static str, source: io::Error) -> Self {
        match sys::too_many_files(&source) {
            Some(sys::TooManyFiles { limit }) => Self::TooManyFiles { limit },
            None => Self::System { action, source },
        }
    }
}
