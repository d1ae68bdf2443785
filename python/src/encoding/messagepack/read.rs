//! Reads `MessagePack` without trusting it.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use rmp::Marker;

use super::{ARRAY, BUFFERS, INTEGER, NESTING, PICKLE, SURROGATES};
use crate::codec::Role;
use crate::encoding::{array, buffers, key, value};
use crate::errors;

/// Elements of a list that room is made for before they are seen.
const PROMISED: usize = 256;

/// What a reader makes of arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrays {
    /// Tuples, as in keys.
    Tuples,
    /// Lists, as in values.
    Lists,
}

/// What a value holds that is one run of bytes behind its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Bytes,
    Pickle,
    /// Its items are the end of the body.
    Array,
    /// A pickle, and buffers.
    Buffers,
}

/// The body of a value of `length` bytes, and where it begins, if the value's first bytes say
/// that it has one, of more than 255 bytes.
pub(crate) fn body(first: &[u8], length: usize) -> Option<(Body, usize)> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
    let (marker, rest) = first.split_first()?;
    let (body, begin, content) = match (Marker::from_u8(*marker), rest) {
        (Marker::Bin16, [a, b, ..]) => (Body::Bytes, 3, number(&[*a, *b])),
        (Marker::Bin32, [a, b, c, d, ..]) => (Body::Bytes, 5, number(&[*a, *b, *c, *d])),
        (Marker::Ext16, [a, b, kind, ..]) => (of_extension(*kind)?, 4, number(&[*a, *b])),
        (Marker::Ext32, [a, b, c, d, kind, ..]) => {
            (of_extension(*kind)?, 6, number(&[*a, *b, *c, *d]))
        }
        _ => return None,
    };
    (begin + content == length).then_some((body, begin))
}

fn of_extension(kind: u8) -> Option<Body> {
    match kind as i8 {
        PICKLE => Some(Body::Pickle),
        ARRAY => Some(Body::Array),
        BUFFERS => Some(Body::Buffers),
        _ => None,
    }
}

/// Reads one value; what is not consumed stays in `bytes`.
pub(crate) struct MessagePackReader<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) arrays: Arrays,
    /// Whether a pickle may be loaded.
    pub(crate) pickles: bool,
    /// For messages.
    pub(crate) what: Role,
}

impl<'a> MessagePackReader<'a> {
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
        errors::undecodable(py, self.what, "it is cut off, or is not MessagePack")
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
    pub(crate) fn value<'py>(
        &mut self,
        py: Python<'py>,
        depth: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
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

    /// The number that comes next, if it is a natural one of at most 32 bits. Short enough to be
    /// part of the loop over a list: a call for each item would cost as much as the item.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn natural<'py>(&mut self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        const U8: u8 = 0xcc;
        const U16: u8 = 0xcd;
        const U32: u8 = 0xce;
        let (number, rest) = match *self.bytes {
            [number @ ..0x80, ref rest @ ..] | [U8, number, ref rest @ ..] => (number.into(), rest),
            [U16, a, b, ref rest @ ..] => (u16::from_be_bytes([a, b]).into(), rest),
            [U32, a, b, c, d, ref rest @ ..] => (u32::from_be_bytes([a, b, c, d]), rest),
            _ => return None,
        };
        self.bytes = rest;
        Some(i64::from(number).into_pyobject(py).ok()?.into_any())
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
        // A length is only a promise of the writer: room is made as items are read.
        let mut items = Vec::with_capacity(length.min(PROMISED));
        for _ in 0..length {
            items.push(match self.natural(py) {
                Some(number) => number,
                None => self.value(py, depth)?,
            });
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
                "a map cannot be a key in Python",
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
            PICKLE | BUFFERS if self.arrays == Arrays::Lists => {
                if !self.pickles {
                    Err(errors::pickle_refused(py, "load"))
                } else if kind == BUFFERS {
                    buffers::load(py, content)
                } else {
                    value::loads(py, content)
                }
            }
            ARRAY if self.arrays == Arrays::Lists => array::load(py, content),
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
                    let reader = MessagePackReader {
                        bytes: content,
                        ..*self
                    };
                    if let Some(key) = key::extension(py, kind, reader, depth)? {
                        return Ok(key);
                    }
                }
                let reason = format!("Python does not know the extension type {kind}");
                Err(errors::undecodable(py, self.what, &reason))
            }
        }
    }
}
