//! `MessagePack`: writing it, and reading it without trusting it.
//!
//! Everything is written in the shortest form, so that equal values have equal
//! bytes. Three extension types are ours:
//!
//! | type | holds |
//! |---|---|
//! | `I` (73) | an integer beyond 64 bits: big-endian two's complement |
//! | `S` (83) | a string with lone surrogates: UTF-8 in which they pass |
//! | `P` (80) | a pickle |
//!
//! Keys have more of them: [`KEYS`].

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use rmp::Marker;
use smallvec::SmallVec;

use crate::errors;
use crate::{key, value};

/// Bytes of a key or a value on their way into a table: on the stack if there
/// are few.
pub(crate) type Buffer = SmallVec<[u8; 96]>;

pub(crate) const INTEGER: i8 = b'I' as i8;
pub(crate) const SURROGATES: i8 = b'S' as i8;
pub(crate) const PICKLE: i8 = b'P' as i8;

pub(crate) const TIMESTAMP: i8 = -1;
pub(crate) const CLASS: i8 = b'C' as i8;
pub(crate) const ENUM: i8 = b'E' as i8;
pub(crate) const FROZENSET: i8 = b'F' as i8;
pub(crate) const UUID: i8 = b'U' as i8;

/// The extension types of keys, as `shmtable/_keys.py` and docs/python/stored.md have them.
pub(crate) const KEYS: [i8; 13] = [
    TIMESTAMP, b'/' as i8, CLASS, b'D' as i8, ENUM, FROZENSET, b'H' as i8, b'J' as i8, b'L' as i8,
    b'N' as i8, b'Q' as i8, UUID, b'd' as i8,
];

/// How deep arrays and maps may be nested: as deep as Rust's `MessagePack<T>`
/// takes them.
pub(crate) const NESTING: usize = 128;

/// Elements of a list that room is made for before they are seen.
const PROMISED: usize = 256;

/// The result of writing to a [`Buffer`], which takes everything.
#[allow(clippy::needless_pass_by_value)]
fn written<T, E>(result: Result<T, E>) {
    debug_assert!(result.is_ok());
}

pub(crate) fn nil(out: &mut Buffer) {
    out.push(Marker::Null.to_u8());
}

pub(crate) fn boolean(out: &mut Buffer, value: bool) {
    written(rmp::encode::write_bool(out, value));
}

pub(crate) fn signed(out: &mut Buffer, value: i64) {
    written(rmp::encode::write_sint(out, value));
}

pub(crate) fn float(out: &mut Buffer, value: f64) {
    written(rmp::encode::write_f64(out, value));
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

/// Bytes from which on room is asked for in a way that may be refused.
const LARGE: usize = 1 << 16;

/// A length as `MessagePack` holds it, in 32 bits. Every length goes through here.
#[inline]
fn length(py: Python<'_>, role: Role, length: usize) -> PyResult<u32> {
    u32::try_from(length).map_err(|_| errors::too_long(py, role, length))
}

/// Appends a part, for which the process may have no memory.
#[inline]
pub(crate) fn append(py: Python<'_>, out: &mut Buffer, part: &[u8]) -> PyResult<()> {
    if part.len() >= LARGE && out.try_reserve(part.len()).is_err() {
        return Err(errors::no_memory(py, part.len()));
    }
    out.extend_from_slice(part);
    Ok(())
}

#[inline]
pub(crate) fn bytes(py: Python<'_>, out: &mut Buffer, role: Role, value: &[u8]) -> PyResult<()> {
    let length = length(py, role, value.len())?;
    written(rmp::encode::write_bin_len(out, length));
    append(py, out, value)
}

pub(crate) fn array(py: Python<'_>, out: &mut Buffer, role: Role, items: usize) -> PyResult<()> {
    let items = length(py, role, items)?;
    written(rmp::encode::write_array_len(out, items));
    Ok(())
}

pub(crate) fn map(py: Python<'_>, out: &mut Buffer, entries: usize) -> PyResult<()> {
    let entries = length(py, Role::Value, entries)?;
    written(rmp::encode::write_map_len(out, entries));
    Ok(())
}

pub(crate) fn extension(
    py: Python<'_>,
    out: &mut Buffer,
    role: Role,
    kind: i8,
    content: &[u8],
) -> PyResult<()> {
    let length = length(py, role, content.len())?;
    written(rmp::encode::write_ext_meta(out, length, kind));
    append(py, out, content)
}

/// Whether bytes of a value are a pickle's.
pub(crate) fn is_pickle(value: &[u8]) -> bool {
    // How many bytes the marker and the length take before the type.
    let head = match value.first().map(|marker| Marker::from_u8(*marker)) {
        Some(
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16,
        ) => 1,
        Some(Marker::Ext8) => 2,
        Some(Marker::Ext16) => 3,
        Some(Marker::Ext32) => 5,
        _ => return false,
    };
    value.get(head) == Some(&(PICKLE as u8))
}

/// A string, with lone surrogates or without.
#[inline]
pub(crate) fn string(out: &mut Buffer, role: Role, value: &Bound<'_, PyString>) -> PyResult<()> {
    match value.to_str() {
        // The shortest form, without the detours of a writer: most keys are short.
        Ok(text) if text.len() < 32 => {
            out.push(Marker::FixStr(text.len() as u8).to_u8());
            out.extend_from_slice(text.as_bytes());
        }
        Ok(text) => {
            let length = length(value.py(), role, text.len())?;
            written(rmp::encode::write_str_len(out, length));
            append(value.py(), out, text.as_bytes())?;
        }
        Err(_) => surrogates(out, role, value)?,
    }
    Ok(())
}

#[cold]
fn surrogates(out: &mut Buffer, role: Role, value: &Bound<'_, PyString>) -> PyResult<()> {
    let py = value.py();
    let encode = intern!(py, "encode");
    let encoded = value.call_method1(encode, ("utf-8", "surrogatepass"))?;
    let content = encoded.cast::<PyBytes>()?.as_bytes();
    extension(py, out, role, SURROGATES, content)
}

/// An integer of any size.
#[inline]
pub(crate) fn integer(out: &mut Buffer, role: Role, value: &Bound<'_, PyInt>) -> PyResult<()> {
    match value.extract::<i64>() {
        Ok(value) => signed(out, value),
        Err(_) => large_integer(out, role, value)?,
    }
    Ok(())
}

#[cold]
fn large_integer(out: &mut Buffer, role: Role, value: &Bound<'_, PyInt>) -> PyResult<()> {
    if let Ok(value) = value.extract::<u64>() {
        written(rmp::encode::write_uint(out, value));
        return Ok(());
    }
    let py = value.py();
    let bits: usize = value.call_method0(intern!(py, "bit_length"))?.extract()?;
    // Before as many bytes are made.
    length(py, role, bits / 8 + 1)?;
    let signed = PyDict::new(py);
    signed.set_item("signed", true)?;
    let encoded = value.call_method("to_bytes", (bits / 8 + 1, "big"), Some(&signed))?;
    let content = encoded.cast::<PyBytes>()?.as_bytes();
    extension(py, out, role, INTEGER, content)
}

/// What a reader makes of arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrays {
    /// Tuples, as in keys.
    Tuples,
    /// Lists, as in values.
    Lists,
}

/// Reads one value; what is not consumed stays in `bytes`.
pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) arrays: Arrays,
    /// Whether a pickle may be loaded.
    pub(crate) pickles: bool,
    /// For messages.
    pub(crate) what: Role,
}

impl<'a> Reader<'a> {
    /// The one value that all bytes make up.
    #[inline]
    pub(crate) fn whole(mut self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let value = self.value(py, NESTING)?;
        if self.bytes.is_empty() {
            Ok(value)
        } else {
            Err(errors::undecodable(
                py,
                self.what,
                "bytes are left over at its end",
            ))
        }
    }

    #[inline]
    fn take(&mut self, py: Python<'_>, length: usize) -> PyResult<&'a [u8]> {
        match self.bytes.split_at_checked(length) {
            Some((taken, rest)) => {
                self.bytes = rest;
                Ok(taken)
            }
            None => Err(self.cut_off(py)),
        }
    }

    #[cold]
    fn cut_off(&self, py: Python<'_>) -> PyErr {
        errors::undecodable(py, self.what, "it is cut off or no MessagePack")
    }

    /// A big-endian number of `N` bytes.
    #[inline]
    fn number<const N: usize>(&mut self, py: Python<'_>) -> PyResult<[u8; N]> {
        match self.bytes.split_first_chunk() {
            Some((number, rest)) => {
                self.bytes = rest;
                Ok(*number)
            }
            None => Err(self.cut_off(py)),
        }
    }

    fn length8(&mut self, py: Python<'_>) -> PyResult<usize> {
        Ok(usize::from(u8::from_be_bytes(self.number(py)?)))
    }

    fn length16(&mut self, py: Python<'_>) -> PyResult<usize> {
        Ok(usize::from(u16::from_be_bytes(self.number(py)?)))
    }

    fn length32(&mut self, py: Python<'_>) -> PyResult<usize> {
        Ok(u32::from_be_bytes(self.number(py)?) as usize)
    }

    /// A value nested at most `depth` deep.
    fn value<'py>(&mut self, py: Python<'py>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        let [marker] = self.number(py)?;
        let int = |value: i64| Ok(value.into_pyobject(py)?.into_any());
        match Marker::from_u8(marker) {
            Marker::FixStr(length) => self.text(py, length.into()),
            Marker::FixPos(value) => int(value.into()),
            Marker::FixNeg(value) => int(value.into()),
            Marker::Null => Ok(py.None().into_bound(py)),
            Marker::True => Ok(true.into_pyobject(py)?.to_owned().into_any()),
            Marker::False => Ok(false.into_pyobject(py)?.to_owned().into_any()),
            Marker::U8 => int(u8::from_be_bytes(self.number(py)?).into()),
            Marker::U16 => int(u16::from_be_bytes(self.number(py)?).into()),
            Marker::U32 => int(u32::from_be_bytes(self.number(py)?).into()),
            Marker::U64 => {
                let value = u64::from_be_bytes(self.number(py)?);
                Ok(value.into_pyobject(py)?.into_any())
            }
            Marker::I8 => int(i8::from_be_bytes(self.number(py)?).into()),
            Marker::I16 => int(i16::from_be_bytes(self.number(py)?).into()),
            Marker::I32 => int(i32::from_be_bytes(self.number(py)?).into()),
            Marker::I64 => int(i64::from_be_bytes(self.number(py)?)),
            Marker::F32 => {
                let value = f32::from_be_bytes(self.number(py)?);
                Ok(PyFloat::new(py, value.into()).into_any())
            }
            Marker::F64 => {
                let value = f64::from_be_bytes(self.number(py)?);
                Ok(PyFloat::new(py, value).into_any())
            }
            Marker::Str8 => self.length8(py).and_then(|length| self.text(py, length)),
            Marker::Str16 => self.length16(py).and_then(|length| self.text(py, length)),
            Marker::Str32 => self.length32(py).and_then(|length| self.text(py, length)),
            Marker::Bin8 => self.length8(py).and_then(|length| self.binary(py, length)),
            Marker::Bin16 => self.length16(py).and_then(|length| self.binary(py, length)),
            Marker::Bin32 => self.length32(py).and_then(|length| self.binary(py, length)),
            Marker::FixArray(length) => self.sequence(py, length.into(), depth),
            Marker::Array16 => {
                let length = self.length16(py)?;
                self.sequence(py, length, depth)
            }
            Marker::Array32 => {
                let length = self.length32(py)?;
                self.sequence(py, length, depth)
            }
            Marker::FixMap(length) => self.mapping(py, length.into(), depth),
            Marker::Map16 => {
                let length = self.length16(py)?;
                self.mapping(py, length, depth)
            }
            Marker::Map32 => {
                let length = self.length32(py)?;
                self.mapping(py, length, depth)
            }
            Marker::FixExt1 => self.extension(py, 1, depth),
            Marker::FixExt2 => self.extension(py, 2, depth),
            Marker::FixExt4 => self.extension(py, 4, depth),
            Marker::FixExt8 => self.extension(py, 8, depth),
            Marker::FixExt16 => self.extension(py, 16, depth),
            Marker::Ext8 => self
                .length8(py)
                .and_then(|length| self.extension(py, length, depth)),
            Marker::Ext16 => self
                .length16(py)
                .and_then(|length| self.extension(py, length, depth)),
            Marker::Ext32 => self
                .length32(py)
                .and_then(|length| self.extension(py, length, depth)),
            Marker::Reserved => Err(self.cut_off(py)),
        }
    }

    #[inline]
    fn text<'py>(&mut self, py: Python<'py>, length: usize) -> PyResult<Bound<'py, PyAny>> {
        let text = self.take(py, length)?;
        match PyString::from_bytes(py, text) {
            Ok(text) => Ok(text.into_any()),
            Err(_) => Err(errors::undecodable(py, self.what, "a string is not UTF-8")),
        }
    }

    fn binary<'py>(&mut self, py: Python<'py>, length: usize) -> PyResult<Bound<'py, PyAny>> {
        let binary = self.take(py, length)?;
        Ok(PyBytes::new(py, binary).into_any())
    }

    fn deeper(&self, py: Python<'_>, depth: usize) -> PyResult<usize> {
        depth
            .checked_sub(1)
            .ok_or_else(|| errors::undecodable(py, self.what, "it is nested too deeply"))
    }

    fn sequence<'py>(
        &mut self,
        py: Python<'py>,
        length: usize,
        depth: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let depth = self.deeper(py, depth)?;
        // A length is a promise of whoever wrote it: room is made as it is kept.
        let mut items = Vec::with_capacity(length.min(PROMISED));
        for _ in 0..length {
            items.push(self.value(py, depth)?);
        }
        Ok(match self.arrays {
            Arrays::Tuples => PyTuple::new(py, items)?.into_any(),
            Arrays::Lists => PyList::new(py, items)?.into_any(),
        })
    }

    fn mapping<'py>(
        &mut self,
        py: Python<'py>,
        length: usize,
        depth: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.arrays == Arrays::Tuples {
            return Err(errors::undecodable(
                py,
                self.what,
                "a map is no key in Python",
            ));
        }
        let depth = self.deeper(py, depth)?;
        let mapping = PyDict::new(py);
        for _ in 0..length {
            // Arrays in keys of maps are tuples too, so that they can be hashed.
            self.arrays = Arrays::Tuples;
            let key = self.value(py, depth);
            self.arrays = Arrays::Lists;
            let (key, value) = (key?, self.value(py, depth)?);
            mapping.set_item(key, value)?;
        }
        Ok(mapping.into_any())
    }

    /// All values up to the end of the bytes, one level down.
    pub(crate) fn items(mut self, py: Python<'_>, depth: usize) -> PyResult<Bound<'_, PyTuple>> {
        let depth = self.deeper(py, depth)?;
        let mut items = Vec::new();
        while !self.bytes.is_empty() {
            items.push(self.value(py, depth)?);
        }
        PyTuple::new(py, items)
    }

    fn extension<'py>(
        &mut self,
        py: Python<'py>,
        length: usize,
        depth: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let kind = i8::from_be_bytes(self.number(py)?);
        let content = self.take(py, length)?;
        match kind {
            PICKLE if self.arrays == Arrays::Lists => {
                if self.pickles {
                    value::loads(py, content)
                } else {
                    Err(errors::pickle_refused(py, "load"))
                }
            }
            INTEGER => {
                let signed = PyDict::new(py);
                signed.set_item("signed", true)?;
                py.get_type::<PyInt>()
                    .call_method("from_bytes", (content, "big"), Some(&signed))
            }
            SURROGATES => {
                let content = PyBytes::new(py, content);
                match content.call_method1("decode", ("utf-8", "surrogatepass")) {
                    Ok(text) => Ok(text),
                    Err(_) => Err(errors::undecodable(py, self.what, "a string is not UTF-8")),
                }
            }
            _ => {
                if self.what == Role::Key {
                    let reader = Reader {
                        bytes: content,
                        ..*self
                    };
                    if let Some(key) = key::extension(py, kind, reader, depth)? {
                        return Ok(key);
                    }
                }
                let reason = format!("Python knows no extension type {kind}");
                Err(errors::undecodable(py, self.what, &reason))
            }
        }
    }
}

/// A number that Rust code adds as Python does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    /// Of those that 64 bits hold, signed or unsigned.
    Integer(i128),
    Float(f64),
}

impl Number {
    /// A Python number, if it is one.
    pub(crate) fn of(value: &Bound<'_, PyAny>) -> Option<Self> {
        if let Ok(value) = value.cast_exact::<PyFloat>() {
            return Some(Self::Float(value.value()));
        }
        let value = value.cast::<PyInt>().ok()?;
        value
            .extract::<i64>()
            .ok()
            .map(|value| Self::Integer(value.into()))
    }

    /// A number in `MessagePack`, if it is one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        /// The rest as a number of its own width; anything else is no number.
        macro_rules! rest {
            ($rest:expr, $kind:ty) => {
                <$kind>::from_be_bytes($rest.try_into().ok()?)
            };
        }
        let (marker, rest) = bytes.split_first()?;
        let integer = match Marker::from_u8(*marker) {
            Marker::F32 => return Some(Self::Float(rest!(rest, f32).into())),
            Marker::F64 => return Some(Self::Float(rest!(rest, f64))),
            Marker::FixPos(value) if rest.is_empty() => value.into(),
            Marker::FixNeg(value) if rest.is_empty() => value.into(),
            Marker::True if rest.is_empty() => 1,
            Marker::False if rest.is_empty() => 0,
            Marker::U8 => rest!(rest, u8).into(),
            Marker::U16 => rest!(rest, u16).into(),
            Marker::U32 => rest!(rest, u32).into(),
            Marker::U64 => rest!(rest, u64).into(),
            Marker::I8 => rest!(rest, i8).into(),
            Marker::I16 => rest!(rest, i16).into(),
            Marker::I32 => rest!(rest, i32).into(),
            Marker::I64 => rest!(rest, i64).into(),
            _ => return None,
        };
        Some(Self::Integer(integer))
    }

    /// The sum, if it is a [`Number`] again.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let float = |number| match number {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        };
        if let (Self::Integer(a), Self::Integer(b)) = (self, other) {
            let sum = a + b;
            let fits = (i64::MIN.into()..=u64::MAX.into()).contains(&sum);
            return fits.then_some(Self::Integer(sum));
        }
        Some(Self::Float(float(self) + float(other)))
    }

    pub(crate) fn write(self, out: &mut Buffer) {
        match self {
            Self::Float(value) => self::float(out, value),
            Self::Integer(value) => match i64::try_from(value) {
                Ok(value) => signed(out, value),
                Err(_) => written(rmp::encode::write_uint(out, value as u64)),
            },
        }
    }

    pub(crate) fn into_object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        Ok(match self {
            Self::Float(value) => PyFloat::new(py, value).into_any(),
            Self::Integer(value) => match i64::try_from(value) {
                Ok(value) => value.into_pyobject(py)?.into_any(),
                Err(_) => (value as u64).into_pyobject(py)?.into_any(),
            },
        })
    }
}
