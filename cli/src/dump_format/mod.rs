//! Dumps of a table: two formats, each of which gives every byte back. `docs/dump.md`
//! tells them.

mod binary;
mod jsonl;

use std::io::{BufRead, Write};

use xxhash_rust::xxh3::Xxh3;

use crate::args::Format;
use crate::codec::Codec;
use crate::failure::{Failure, Result};

/// Raised with every change of either format.
const VERSION: u32 = 1;

/// What a dump says of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) codec: u64,
    pub(crate) capacity: u64,
    pub(crate) value_space: u64,
    /// When the dump began; others may have written meanwhile.
    pub(crate) entries: u64,
}

type Entry = (Vec<u8>, Vec<u8>);

/// Of all entries in their order, whatever the format: each as the lengths of key and
/// value, 8 bytes little-endian each, the key and the value.
#[derive(Default)]
struct Sum {
    hash: Xxh3,
    entries: u64,
}

impl Sum {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.hash.update(&(key.len() as u64).to_le_bytes());
        self.hash.update(&(value.len() as u64).to_le_bytes());
        self.hash.update(key);
        self.hash.update(value);
        self.entries += 1;
    }

    /// Holds what a dump says at its end against what was read.
    fn compare(&self, at: &str, entries: u64, checksum: u64) -> Result<()> {
        if entries != self.entries {
            let reason = format!("it says {entries} entries, and has {}", self.entries);
            return Err(damaged(at, reason));
        }
        if checksum != self.hash.digest() {
            return Err(damaged(at, "its checksum is wrong"));
        }
        Ok(())
    }
}

/// What writes a dump, of whatever format.
pub(crate) enum Writer<W> {
    Jsonl(jsonl::Writer<W>),
    Binary(binary::Writer<W>),
}

impl<W: Write> Writer<W> {
    pub(crate) fn begin(format: Format, to: W, header: &Header) -> std::io::Result<Self> {
        Ok(match format {
            Format::Jsonl => Self::Jsonl(jsonl::Writer::begin(to, header)?),
            Format::Binary => Self::Binary(binary::Writer::begin(to, header)?),
        })
    }

    pub(crate) fn entry(&mut self, key: &[u8], value: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Jsonl(writer) => writer.entry(key, value),
            Self::Binary(writer) => writer.entry(key, value),
        }
    }

    /// Writes the end, and gives back where it was written and how many entries.
    pub(crate) fn end(self) -> std::io::Result<(W, u64)> {
        match self {
            Self::Jsonl(writer) => writer.end(),
            Self::Binary(writer) => writer.end(),
        }
    }
}

/// What reads a dump, of whatever format. The end is given only if it was as it must be.
pub(crate) enum Reader<R> {
    Jsonl(jsonl::Reader<R>),
    Binary(binary::Reader<R>),
}

impl<R: BufRead> Reader<R> {
    /// Recognizes the format. `None` for the header of bare lines of entries.
    pub(crate) fn begin(mut from: R) -> Result<(Self, Option<Header>)> {
        let begin = from.fill_buf().map_err(Failure::Input)?;
        if begin.first() == binary::MAGIC.first() {
            let (reader, header) = binary::Reader::begin(from)?;
            return Ok((Self::Binary(reader), Some(header)));
        }
        let (reader, header) = jsonl::Reader::begin(from)?;
        Ok((Self::Jsonl(reader), header))
    }

    /// The next entry; keys and values of bare lines are of this codec.
    pub(crate) fn next(&mut self, codec: &Codec) -> Result<Option<Entry>> {
        match self {
            Self::Jsonl(reader) => reader.next(codec),
            Self::Binary(reader) => reader.next(),
        }
    }
}

fn damaged(at: impl Into<String>, reason: impl Into<String>) -> Failure {
    Failure::Dump {
        at: at.into(),
        reason: reason.into(),
        told: String::new(),
    }
}
