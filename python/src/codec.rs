//! The encoding of a table's values, which is chosen when the table is created and kept in its
//! segment.

use std::sync::LazyLock;

use shmtable::codec_id;

/// An encoding of values. Keys are canonical `MessagePack`, but for `Raw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// `MessagePack`, and pickles for what it cannot represent.
    Pickle,
    /// `MessagePack` alone.
    MessagePack,
    /// JSON text.
    Json,
    /// Keys and values are bytes, and stored as they are.
    Raw,
}

impl Codec {
    pub(crate) const ALL: [Self; 4] = [Self::Pickle, Self::MessagePack, Self::Json, Self::Raw];

    /// What it is called in Python.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pickle => "pickle",
            Self::MessagePack => "msgpack",
            Self::Json => "json",
            Self::Raw => "raw",
        }
    }

    /// The names of its keys' and its values' encodings, in all languages.
    fn encodings(self) -> (&'static str, &'static str) {
        match self {
            Self::Pickle => ("messagepack", "messagepack+pickle"),
            Self::MessagePack => ("messagepack", "messagepack"),
            Self::Json => ("messagepack", "json"),
            Self::Raw => ("bytes", "bytes"),
        }
    }

    /// What the segment says.
    pub(crate) fn id(self) -> u64 {
        // Each is a hash of names.
        static IDS: LazyLock<[u64; 4]> = LazyLock::new(|| {
            Codec::ALL.map(|codec| {
                let (key, value) = codec.encodings();
                codec_id(key, value)
            })
        });
        IDS[self as usize]
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    pub(crate) fn of_id(id: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.id() == id)
    }
}

/// What bytes are written for, or read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Key,
    Value,
}

impl Role {
    /// For messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
        }
    }
}
