//! `MessagePack`: writing it, and reading it without trusting it.
//!
//! Everything is written in the shortest form, so that equal values have equal
//! bytes. Five extension types are ours:
//!
//! | type | holds |
//! |---|---|
//! | `I` (73) | an integer beyond 64 bits: big-endian two's complement |
//! | `S` (83) | a string with lone surrogates: UTF-8 in which they pass |
//! | `P` (80) | a pickle |
//! | `B` (66) | a pickle with buffers: see `encoding::buffers` |
//! | `A` (65) | an array of numpy's: see `encoding::array` |
//!
//! Keys have more of them: [`KEYS`].

mod read;
mod write;

use smallvec::SmallVec;

pub(crate) use read::{Arrays, Body, MessagePackReader, body};
pub(crate) use write::{
    Sink, append, array, boolean, bytes, bytes_head, extension, extension_head, float, integer,
    is_pickle, long_extension_head, map, nil, short_string_head, signed, string, string_head,
    unsigned,
};

/// Bytes of a key or a value on their way into a table: on the stack if there
/// are few.
pub(crate) type Buffer = SmallVec<[u8; 96]>;

pub(crate) const INTEGER: i8 = b'I' as i8;
pub(crate) const SURROGATES: i8 = b'S' as i8;
pub(crate) const PICKLE: i8 = b'P' as i8;
pub(crate) const BUFFERS: i8 = b'B' as i8;
pub(crate) const ARRAY: i8 = b'A' as i8;

/// The extension types that run code when they are read.
pub(crate) const PICKLES: [i8; 2] = [PICKLE, BUFFERS];

/// The length of the head of an extension whose length has 32 bits.
pub(crate) const LONG_HEAD: usize = 6;

pub(crate) const TIMESTAMP: i8 = -1;
pub(crate) const CLASS: i8 = b'C' as i8;
pub(crate) const ENUM: i8 = b'E' as i8;
pub(crate) const FROZENSET: i8 = b'F' as i8;
pub(crate) const UUID: i8 = b'U' as i8;

/// The extension types of keys, as `shmtable/_keys.py` and docs/python/stored.md have them.
pub(crate) const KEYS: [i8; 13] = [
    TIMESTAMP, b'/' as i8, CLASS, b'D' as i8, ENUM, FROZENSET, b'H' as i8, b'J' as i8, b'L' as i8,
    b'N' as i8, b'Q' as i8, UUID, b'd' as i8,
];

/// How deep arrays and maps may be nested: as deep as Rust's `MessagePack<T>`
/// takes them.
pub(crate) const NESTING: usize = 128;
