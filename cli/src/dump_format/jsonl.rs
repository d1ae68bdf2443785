//! JSON Lines: a header, a line for each entry, an end. Lines of entries alone, which people or
//! other programs write, are read too.

use std::io::{self, BufRead, Write};

use serde_json::{Map, Value as Json, json};
use shmtable_dump::{Checksum, VERSION, VERSION_WITHOUT_GROWTH};

use super::{Entry, Header, damaged};
use crate::codec::{Codec, notation};
use crate::failure::{Failure, Result};

pub(crate) struct JsonlWriter<W> {
    to: W,
    codec: Codec,
    checksum: Checksum,
}

impl<W: Write> JsonlWriter<W> {
    pub(super) fn begin(mut to: W, header: &Header) -> io::Result<Self> {
        let codec = Codec::of(header.codec);
        let line = json!({
            "shmtable": "dump",
            "version": VERSION,
            "codec": codec.name,
            // Many JSON parsers don't support integers of 64 bits.
            "codec_id": format!("{:016x}", header.codec),
            "capacity": header.capacity,
            "grows": header.grows,
            "value_space": header.value_space,
            "entries": header.entries,
        });
        writeln!(to, "{line}")?;
        Ok(Self {
            to,
            codec,
            checksum: Checksum::default(),
        })
    }

    pub(super) fn entry(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.checksum.add(key, value);
        let line = json!({
            "key": self.codec.key.to_exact_json(key, true),
            "value": self.codec.value.to_exact_json(value, false),
        });
        writeln!(self.to, "{line}")
    }

    pub(super) fn end(mut self) -> io::Result<(W, u64)> {
        let line = json!({
            "shmtable": "end",
            "entries": self.checksum.entries(),
            "xxh3": format!("{:016x}", self.checksum.digest()),
        });
        writeln!(self.to, "{line}")?;
        Ok((self.to, self.checksum.entries()))
    }
}

pub(crate) struct JsonlReader<R> {
    from: R,
    line: usize,
    /// A line that was read, but not used yet.
    pending: Option<Map<String, Json>>,
    /// Whether there was a header, so that there must be an end too.
    framed: bool,
    ended: bool,
    checksum: Checksum,
}

impl<R: BufRead> JsonlReader<R> {
    pub(super) fn begin(from: R) -> Result<(Self, Option<Header>)> {
        let mut reader = Self {
            from,
            line: 0,
            pending: None,
            framed: false,
            ended: false,
            checksum: Checksum::default(),
        };
        let first = reader.object()?;
        let Some(first) = first else {
            return Ok((reader, None));
        };
        if first.get("shmtable") != Some(&"dump".into()) {
            reader.pending = Some(first);
            return Ok((reader, None));
        }
        reader.framed = true;
        let number = |name: &str| {
            let number = first.get(name).and_then(Json::as_u64);
            number.ok_or_else(|| damaged("line 1", format!("{name} is missing")))
        };
        let version = number("version")?;
        if ![VERSION_WITHOUT_GROWTH, VERSION]
            .map(u64::from)
            .contains(&version)
        {
            let reason = format!("its version is not {VERSION} or an older one");
            return Err(damaged("line 1", reason));
        }
        let header = Header {
            codec: hexadecimal(&first, "codec_id", "line 1")?,
            capacity: number("capacity")?,
            value_space: number("value_space")?,
            entries: number("entries")?,
            grows: first.get("grows").and_then(Json::as_bool).unwrap_or(false),
        };
        Ok((reader, Some(header)))
    }

    fn at(&self) -> String {
        format!("line {}", self.line)
    }

    /// Reads the next line that is not empty.
    fn object(&mut self) -> Result<Option<Map<String, Json>>> {
        loop {
            let mut line = Vec::new();
            self.line += 1;
            let length = self
                .from
                .read_until(b'\n', &mut line)
                .map_err(Failure::Input)?;
            if length == 0 {
                return Ok(None);
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            return match notation::parse_json(&line) {
                Ok(Json::Object(object)) => Ok(Some(object)),
                Ok(_) => Err(damaged(self.at(), "it is not an object")),
                Err(error) => Err(damaged(self.at(), format!("it is not JSON: {error}"))),
            };
        }
    }

    pub(super) fn next(&mut self, codec: &Codec) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        let object = match self.pending.take() {
            Some(object) => Some(object),
            None => self.object()?,
        };
        let Some(object) = object else {
            if self.framed {
                return Err(damaged(self.at(), "it ends too early"));
            }
            self.ended = true;
            return Ok(None);
        };
        if self.framed && object.get("shmtable") == Some(&"end".into()) {
            let entries = object.get("entries").and_then(Json::as_u64).unwrap_or(0);
            let checksum = hexadecimal(&object, "xxh3", &self.at())?;
            self.checksum
                .compare(entries, checksum)
                .map_err(|fault| damaged(self.at(), fault.to_string()))?;
            if self.object()?.is_some() {
                return Err(damaged(self.at(), "there are lines after its end"));
            }
            self.ended = true;
            return Ok(None);
        }
        let part = |name: &str| {
            let part = object.get(name);
            part.ok_or_else(|| damaged(self.at(), format!("it has no {name:?}")))
        };
        let wrong = |reason| damaged(self.at(), reason);
        let key = codec.key.bytes_of(part("key")?, true).map_err(wrong)?;
        let value = codec.value.bytes_of(part("value")?, false).map_err(wrong)?;
        self.checksum.add(&key, &value);
        Ok(Some((key, value)))
    }
}

fn hexadecimal(object: &Map<String, Json>, name: &str, at: &str) -> Result<u64> {
    object
        .get(name)
        .and_then(Json::as_str)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| damaged(at, format!("{name} is missing")))
}
