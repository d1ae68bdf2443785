//! Keys and values for the output.

use serde_json::Value as Json;

use super::Codec;
use crate::units::hex;

/// How the keys and values of a command are shown.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) codec: &'a Codec,
    pub(crate) hex_keys: bool,
    pub(crate) hex_values: bool,
}

impl Shown<'_> {
    pub(crate) fn key_json(self, key: &[u8]) -> Json {
        if self.hex_keys {
            hex(key).into()
        } else {
            self.codec.key.to_json(key)
        }
    }

    pub(crate) fn value_json(self, value: &[u8]) -> Json {
        if self.hex_values {
            hex(value).into()
        } else {
            self.codec.value.to_json(value)
        }
    }

    pub(crate) fn key(self, key: &[u8]) -> String {
        if self.hex_keys {
            hex(key)
        } else {
            self.codec.key.to_line(key)
        }
    }

    pub(crate) fn value(self, value: &[u8]) -> String {
        if self.hex_values {
            hex(value)
        } else {
            self.codec.value.to_line(value)
        }
    }

    /// A key and a value on one line.
    pub(crate) fn line(self, key: &[u8], value: &[u8]) -> String {
        format!("{}\t{}", self.key(key), self.value(value))
    }
}
