//! How keys and values are typed, and which keys a command applies to.

use clap::Args;

use crate::codec::Codec;
use crate::glob::Glob;
use crate::units::parse_hex;

/// How keys and values are typed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Typed {
    /// Keys and values are stored bytes, in hexadecimal
    #[arg(long, conflicts_with = "text")]
    pub(crate) hex: bool,
    /// Values are stored bytes, in hexadecimal; keys are typed as the table's codec says
    #[arg(long)]
    pub(crate) hex_value: bool,
    /// Keys and values are strings, even if they look like JSON
    #[arg(long)]
    pub(crate) text: bool,
}

impl Typed {
    /// Whether values are typed and shown in hexadecimal.
    pub(crate) fn hex_values(self) -> bool {
        self.hex || self.hex_value
    }

    /// The bytes of a key as it was typed.
    pub(crate) fn key(self, codec: &Codec, text: &str) -> Result<Vec<u8>, String> {
        if self.hex {
            return parse_hex(text);
        }
        codec.key.parse(text, self.text, true)
    }

    /// The bytes of a value as it was typed.
    pub(crate) fn value(self, codec: &Codec, text: &str) -> Result<Vec<u8>, String> {
        if self.hex_values() {
            return parse_hex(text);
        }
        codec.value.parse(text, self.text, false)
    }
}

/// Which entries a command applies to.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Which {
    /// Only keys that begin with this. In MessagePack tables, only string keys can match; with
    /// --hex, the prefix is stored bytes
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Only keys that match: `*` is any text, `?` any character, `[a-z]` one of these, `[!a-z]`
    /// one of the others. In MessagePack tables, only string keys can match
    #[arg(long = "match", value_name = "GLOB", value_parser = Glob::parse)]
    pub(crate) glob: Option<Glob>,
}
