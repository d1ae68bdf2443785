//! The two formats of dumps, each of which restores every byte. `docs/dump.md` specifies them.

mod binary;
mod jsonl;

use std::io::{BufRead, Write};

use xxhash_rust::xxh3::Xxh3;

use crate::args::Format;
use crate::codec::Codec;
use crate::failure::{Failure, Result};

/// The version of both formats, raised with every change of either.
const VERSION: u32 = 1;

/// What a dump says about its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) codec: u64,
    pub(crate) capacity: u64,
    pub(crate) value_space: u64,
    /// The number of entries when the dump began. Other processes may write during the dump.
    pub(crate) entries: u64,
}

type Entry = (Vec<u8>, Vec<u8>);

/// The checksum of all entries, in their order. It is the same in both formats: for each entry, the
/// lengths of key and value, 8 little-endian bytes each, then the key and the value.
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

    /// Compares what a dump says at its end with what was read.
    fn compare(&self, at: &str, entries: u64, checksum: u64) -> Result<()> {
        if entries != self.entries {
            let reason = format!("it says {entries} entries, but has {}", self.entries);
            return Err(damaged(at, reason));
        }
        if checksum != self.hash.digest() {
            return Err(damaged(at, "its checksum is wrong"));
        }
        Ok(())
    }
}

/// Writes a dump in either format.
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

    /// Writes the end, and returns the destination and the number of entries.
    pub(crate) fn end(self) -> std::io::Result<(W, u64)> {
        match self {
            Self::Jsonl(writer) => writer.end(),
            Self::Binary(writer) => writer.end(),
        }
    }
}

/// Reads a dump in either format. It only ends if the end of the dump is right.
pub(crate) enum Reader<R> {
    Jsonl(jsonl::Reader<R>),
    Binary(binary::Reader<R>),
}

impl<R: BufRead> Reader<R> {
    /// Recognizes the format. Bare lines of entries have no header.
    pub(crate) fn begin(mut from: R) -> Result<(Self, Option<Header>)> {
        let begin = from.fill_buf().map_err(Failure::Input)?;
        if begin.first() == binary::MAGIC.first() {
            let (reader, header) = binary::Reader::begin(from)?;
            return Ok((Self::Binary(reader), Some(header)));
        }
        let (reader, header) = jsonl::Reader::begin(from)?;
        Ok((Self::Jsonl(reader), header))
    }

    /// Reads the next entry. The codec is that of keys and values on bare lines.
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
