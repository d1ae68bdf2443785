//! Why a dump can't be read.

use std::fmt;
use std::io;

use crate::header::VERSION;

/// Why a dump can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input can't be read: the system's answer.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The input isn't a dump, or is damaged or cut.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// What is wrong with a dump, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at {position}: {fault}")]
pub struct Damage {
    /// Where it was found.
    pub position: Position,
    /// What is wrong there.
    pub fault: Fault,
}

/// A position in a dump in the binary format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The part of the dump.
    pub part: Part,
    /// The byte at which the part, or the entry, begins, or the dump is cut; the first is 0.
    pub byte: u64,
    /// The number of the first entry that could not be read; the first of all is 1.
    pub entry: u64,
}

/// A part of a dump in the binary format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What the dump begins with.
    Header,
    /// A block of entries; the first is 1.
    Block(u64),
    /// What comes after the last block.
    End,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, byte, entry } = self;
        match part {
            Part::Header => write!(f, "its header (byte {byte})"),
            Part::Block(number) => write!(f, "block {number} (byte {byte}, entry {entry})"),
            Part::End => write!(f, "its end (byte {byte})"),
        }
    }
}

/// What is wrong with a part of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It doesn't begin as a dump does.
    #[error("it does not begin like a dump")]
    Magic,
    /// It was written in a version of the format that this one doesn't read.
    #[error("its version is {found}, not {VERSION} or an older one")]
    Version {
        /// The version.
        found: u32,
    },
    /// Its bytes aren't those that were written.
    #[error("its checksum is wrong: {expected:016x} was expected, and its bytes have {found:016x}")]
    Checksum {
        /// The checksum that was written.
        expected: u64,
        /// That of the bytes.
        found: u64,
    },
    /// The rest is missing.
    #[error("it ends too early")]
    Cut,
    /// Entries are missing, or too many.
    #[error("it says {expected} entries, but has {found}")]
    Count {
        /// The number that was written.
        expected: u64,
        /// The number that was read.
        found: u64,
    },
    /// The length of a key or a value isn't a number.
    #[error("a length is not valid")]
    Length,
    /// A key or a value would end in another block.
    #[error("an entry reaches beyond it")]
    Beyond,
    /// Something follows that is no part of the dump.
    #[error("there are bytes after it")]
    BytesAfter,
}
