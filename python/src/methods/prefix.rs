//! Keys that begin alike: iteration over them, and their removal.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use rmp::Marker;

use crate::codec::Codec;
use crate::encoding::messagepack::{Buffer, SURROGATES};
use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};
use crate::methods::iterators::{SharedDictIterator, Source};
use crate::turns::TURN;

/// What keys begin with.
pub(crate) enum Prefix {
    /// The bytes of a key of a table with `codec="raw"`.
    Bytes(Buffer),
    /// The content of a key in `MessagePack`.
    Content(Kind, Buffer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
    /// A tuple of this many items, one after another.
    Tuple(usize),
}

impl Prefix {
    fn of(open: &Open, prefix: &Bound<'_, PyAny>) -> PyResult<Self> {
        let whole = open.key(prefix)?;
        if open.codec == Codec::Raw {
            return Ok(Self::Bytes(whole));
        }
        let is_sequence = prefix.is_instance_of::<PyString>()
            || prefix.is_instance_of::<PyBytes>()
            || prefix.is_instance_of::<PyTuple>();
        match content(&whole) {
            Some((kind, content)) if is_sequence => Ok(Self::Content(kind, content.into())),
            _ => Err(errors::bad_key(
                prefix.py(),
                format!(
                    "a prefix is a str, bytes or a tuple, not {}",
                    errors::type_of(prefix)?
                ),
            )),
        }
    }

    /// Whether a key begins with it.
    pub(crate) fn begins(&self, key: &[u8]) -> bool {
        match self {
            Self::Bytes(prefix) => key.starts_with(prefix),
            Self::Content(kind, prefix) => {
                let Some((of, content)) = content(key) else {
                    return false;
                };
                let alike = match (kind, of) {
                    // Items say where they end: equal bytes are equal items.
                    (Kind::Tuple(fewer), Kind::Tuple(items)) => *fewer <= items,
                    (kind, of) => *kind == of,
                };
                alike && content.starts_with(prefix)
            }
        }
    }
}

/// What a key in `MessagePack` consists of, if a part of it can be its beginning.
fn content(key: &[u8]) -> Option<(Kind, &[u8])> {
    let (&marker, rest) = key.split_first()?;
    // The bytes of a length, or of a length and an extension's type.
    let after = |bytes: usize| rest.get(bytes..);
    let length = |bytes: usize| {
        let length = rest.get(..bytes)?;
        Some(
            length
                .iter()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte)),
        )
    };
    let surrogates = |bytes: usize| {
        let is_text = *rest.get(bytes)? == SURROGATES as u8;
        is_text.then(|| Some((Kind::Text, after(bytes + 1)?)))?
    };
    match Marker::from_u8(marker) {
        Marker::FixStr(_) => Some((Kind::Text, rest)),
        Marker::Str8 => Some((Kind::Text, after(1)?)),
        Marker::Str16 => Some((Kind::Text, after(2)?)),
        Marker::Str32 => Some((Kind::Text, after(4)?)),
        Marker::FixExt1
        | Marker::FixExt2
        | Marker::FixExt4
        | Marker::FixExt8
        | Marker::FixExt16 => surrogates(0),
        Marker::Ext8 => surrogates(1),
        Marker::Ext16 => surrogates(2),
        Marker::Ext32 => surrogates(4),
        Marker::Bin8 => Some((Kind::Binary, after(1)?)),
        Marker::Bin16 => Some((Kind::Binary, after(2)?)),
        Marker::Bin32 => Some((Kind::Binary, after(4)?)),
        Marker::FixArray(items) => Some((Kind::Tuple(items.into()), rest)),
        Marker::Array16 => Some((Kind::Tuple(length(2)?), after(2)?)),
        Marker::Array32 => Some((Kind::Tuple(length(4)?), after(4)?)),
        _ => None,
    }
}

#[pymethods]
impl SharedDictBase {
    /// Iterates over the entries whose keys begin with a prefix, as pairs of key and value.
    ///
    /// A str finds keys that are str, bytes find bytes, and a tuple finds the tuples that begin
    /// with its items. The scan reads every key of the table, and only the values of keys that
    /// match. An entry that is there throughout is returned exactly once.
    ///
    /// >>> d = SharedDict({'user:1': 'a', 'user:2': 'b', 'page:1': 'c', ('user', 3): 'd'})
    /// >>> sorted(d.scan('user:'))
    /// [('user:1', 'a'), ('user:2', 'b')]
    /// >>> list(d.scan(('user',)))
    /// [(('user', 3), 'd')]
    fn scan(this: &Bound<'_, Self>, prefix: &Bound<'_, PyAny>) -> PyResult<SharedDictIterator> {
        let prefix = Prefix::of(&*this.get().open(this.py())?, prefix)?;
        SharedDictIterator::new(this, |open| Source::Scan(open.table.keys(), prefix, 0))
    }

    /// Removes the entries whose keys begin with a prefix, and returns how many.
    ///
    /// The entries are those that `scan` finds. Each removal is atomic by itself.
    ///
    /// >>> d = SharedDict({'user:1': 'a', 'user:2': 'b', 'page:1': 'c'})
    /// >>> d.remove_prefix('user:'), list(d)
    /// (2, ['page:1'])
    fn remove_prefix(&self, py: Python<'_>, prefix: &Bound<'_, PyAny>) -> PyResult<usize> {
        let open = self.open_long(py)?;
        let prefix = Prefix::of(&open, prefix)?;
        let mut keys = open.table.keys();
        let mut removed = 0;
        loop {
            let turn = py.detach(|| {
                let mut seen = 0;
                for key in keys.by_ref().take(TURN) {
                    let key = key?;
                    seen += 1;
                    if prefix.begins(&key) && open.table.remove(&key)? {
                        removed += 1;
                    }
                }
                Ok(seen)
            });
            if turn.or_raise(py)? == 0 {
                return Ok(removed);
            }
            py.check_signals()?;
        }
    }
}
