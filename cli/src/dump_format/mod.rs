//! The two formats of dumps, each of which restores every byte. `docs/dump.md` specifies them. The
//! binary one is the crate `shmtable-dump`'s.

mod jsonl;

use std::io::{BufRead, Write};

use shmtable_dump as binary;

use crate::args::Format;
use crate::codec::Codec;
use crate::failure::{Failure, Result};

pub(crate) use binary::{Entry, Header};

/// Writes a dump in either format.
pub(crate) enum DumpWriter<W> {
    Jsonl(jsonl::JsonlWriter<W>),
    Binary(binary::Writer<W>),
}

impl<W: Write> DumpWriter<W> {
    pub(crate) fn begin(format: Format, to: W, header: &Header) -> std::io::Result<Self> {
        Ok(match format {
            Format::Jsonl => Self::Jsonl(jsonl::JsonlWriter::begin(to, header)?),
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
pub(crate) enum DumpReader<R> {
    Jsonl(jsonl::JsonlReader<R>),
    Binary(binary::Reader<R>),
}

impl<R: BufRead> DumpReader<R> {
    /// Recognizes the format. Bare lines of entries have no header.
    pub(crate) fn begin(mut from: R) -> Result<(Self, Option<Header>)> {
        let begin = from.fill_buf().map_err(Failure::Input)?;
        if begin.first() == binary::MAGIC.first() {
            let (reader, header) = binary::Reader::begin(from).map_err(unreadable)?;
            return Ok((Self::Binary(reader), Some(header)));
        }
        let (reader, header) = jsonl::JsonlReader::begin(from)?;
        Ok((Self::Jsonl(reader), header))
    }

    /// Reads the next entry. The codec is that of keys and values on bare lines.
    pub(crate) fn next(&mut self, codec: &Codec) -> Result<Option<Entry>> {
        match self {
            Self::Jsonl(reader) => reader.next(codec),
            Self::Binary(reader) => reader.entry().map_err(unreadable),
        }
    }
}

fn unreadable(error: binary::Error) -> Failure {
    match error {
        binary::Error::Io(error) => Failure::Input(error),
        binary::Error::Damaged(damage) => {
            damaged(damage.position.to_string(), damage.fault.to_string())
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
