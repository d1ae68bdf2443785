//! Which keys a command applies to: `--prefix` and `--match`.

use shmtable::Table;

use crate::args::Which;
use crate::codec::{Codec, Form};
use crate::context::parsed;
use crate::failure::Result;
use crate::glob::Glob;
use crate::units::parse_hex;

/// The conditions that a key must meet.
pub(crate) struct Filter {
    form: Form,
    prefix: Option<String>,
    /// The prefix as stored bytes, if it was typed in hexadecimal.
    bytes: Option<Vec<u8>>,
    glob: Option<Glob>,
}

impl Filter {
    pub(crate) fn new(which: &Which, hex: bool, table: &Table, codec: &Codec) -> Result<Self> {
        let bytes = match &which.prefix {
            Some(prefix) if hex => Some(parsed("prefix", table, codec, parse_hex(prefix))?),
            _ => None,
        };
        Ok(Self {
            form: codec.key,
            prefix: which.prefix.clone(),
            bytes,
            glob: which.glob.clone(),
        })
    }

    /// Whether every key meets the conditions.
    pub(crate) fn is_all(&self) -> bool {
        self.prefix.is_none() && self.glob.is_none()
    }

    pub(crate) fn wants(&self, key: &[u8]) -> bool {
        let begins = match (&self.bytes, &self.prefix) {
            (Some(bytes), _) => key.starts_with(bytes),
            (None, Some(prefix)) => self.form.has_prefix(key, prefix),
            (None, None) => true,
        };
        begins
            && self.glob.as_ref().is_none_or(|glob| {
                let text = self.form.as_text(key);
                text.is_some_and(|text| glob.matches(&text))
            })
    }
}
