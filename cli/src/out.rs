//! The standard output: text for people, JSON for scripts.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Stdout, Write};

use serde_json::Value as Json;
use unicode_width::UnicodeWidthStr;

use crate::failure::{Outcome, Result};

/// The version of the fields of all objects. It is raised when a field is removed or changes its
/// meaning, but not for a new field.
const SCHEMA: u64 = 1;

/// An object with the version of its fields as the first field.
pub(crate) fn with_schema(mut json: Json) -> Json {
    if let Json::Object(object) = &mut json {
        object.shift_insert(0, "schema".to_owned(), SCHEMA.into());
    }
    json
}

/// The buffered output. A command that prints over time flushes it.
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

    /// Prints the object or the text, whichever was asked for.
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

    /// Prints an object on one line.
    pub(crate) fn object(&mut self, json: Json) -> Result<()> {
        self.line(&with_schema(json).to_string())
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.writer, "{line}")?)
    }

    /// Flushes the output and ends the command.
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

/// How the cells of a column are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// A table of columns with headings.
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

/// A name without control characters, which would steer a terminal.
pub(crate) fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A name, with bytes that aren't UTF-8 written as `\xe9`.
pub(crate) fn escaped(name: &OsStr) -> String {
    let chunks = name.as_encoded_bytes().utf8_chunks();
    chunks.fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
        text
    })
}
