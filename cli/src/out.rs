//! The standard output: for people or for scripts.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Stdout, Write};

use serde_json::Value as Json;
use unicode_width::UnicodeWidthStr;

use crate::failure::{Outcome, Result};

/// Raised if a field of any object goes or changes its meaning; new ones leave it as it is.
const SCHEMA: u64 = 1;

/// An object with the version of its fields, which it begins with.
pub(crate) fn with_schema(mut json: Json) -> Json {
    if let Json::Object(object) = &mut json {
        object.shift_insert(0, "schema".to_owned(), SCHEMA.into());
    }
    json
}

/// Buffered; whoever streams flushes.
pub(crate) struct Out {
    writer: BufWriter<Stdout>,
    pub(crate) json: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            writer: BufWriter::new(io::stdout()),
            json,
        }
    }

    /// Prints one of the two.
    pub(crate) fn either(
        &mut self,
        json: impl FnOnce() -> Json,
        text: impl FnOnce() -> String,
    ) -> Result<()> {
        if self.json {
            return self.object(json());
        }
        let line = text();
        if !line.is_empty() {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Prints an object on a line.
    pub(crate) fn object(&mut self, json: Json) -> Result<()> {
        self.line(&with_schema(json).to_string())
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.writer, "{line}")?)
    }

    /// Ends a command well.
    pub(crate) fn done(mut self, found: impl Into<Outcome>) -> Result {
        self.flush()?;
        Ok(found.into())
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Where a column's texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Lines of columns below their heads.
pub(crate) fn columns(heads: &[(&str, Side)], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(at, (head, _))| {
            let cells = rows.iter().map(|row| row[at].width());
            cells.chain([head.width()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, width), (_, side)) in cells.zip(&widths).zip(heads) {
            let padding = " ".repeat(width - cell.width());
            match side {
                Side::Left => line.extend([cell, &padding, "  "]),
                Side::Right => line.extend([&padding, cell, "  "]),
            }
        }
        line.trim_end().to_owned()
    };
    let head = line(&mut heads.iter().map(|(head, _)| *head));
    let rows = rows
        .iter()
        .map(|row| line(&mut row.iter().map(String::as_str)));
    std::iter::once(head)
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A name without what would steer a terminal, as it is shown to people.
pub(crate) fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A name, with bytes that are not UTF-8 as `\xe9`.
pub(crate) fn escaped(name: &OsStr) -> String {
    let chunks = name.as_encoded_bytes().utf8_chunks();
    chunks.fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
        text
    })
}
