//! Writes `MessagePack`, everything in its shortest form.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString};
use rmp::Marker;

use super::{Buffer, INTEGER, LONG_HEAD, PICKLES, SURROGATES};
use crate::codec::Role;
use crate::errors;

/// What `MessagePack` is written to.
pub(crate) trait Sink {
    fn push(&mut self, byte: u8);
    fn extend(&mut self, bytes: &[u8]);
    /// Makes room for so many bytes; `false` if the process has no memory for them.
    fn try_reserve(&mut self, bytes: usize) -> bool;
}

impl Sink for Buffer {
    #[inline]
    fn push(&mut self, byte: u8) {
        Self::push(self, byte);
    }

    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn try_reserve(&mut self, bytes: usize) -> bool {
        Self::try_reserve(self, bytes).is_ok()
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn push(&mut self, byte: u8) {
        Self::push(self, byte);
    }

    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn try_reserve(&mut self, bytes: usize) -> bool {
        Self::try_reserve(self, bytes).is_ok()
    }
}

pub(crate) fn nil(out: &mut impl Sink) {
    out.push(Marker::Null.to_u8());
}

#[inline]
pub(crate) fn boolean(out: &mut impl Sink, value: bool) {
    let marker = if value { Marker::True } else { Marker::False };
    out.push(marker.to_u8());
}

#[inline]
pub(crate) fn signed(out: &mut impl Sink, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        unsigned(out, value);
    } else if value >= -32 {
        // The byte is its own marker.
        out.push(value as u8);
    } else if let Ok(value) = i8::try_from(value) {
        number(out, Marker::I8, value.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        number(out, Marker::I16, value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        number(out, Marker::I32, value.to_be_bytes());
    } else {
        number(out, Marker::I64, value.to_be_bytes());
    }
}

#[inline]
pub(crate) fn unsigned(out: &mut impl Sink, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else if let Ok(value) = u8::try_from(value) {
        number(out, Marker::U8, value.to_be_bytes());
    } else if let Ok(value) = u16::try_from(value) {
        number(out, Marker::U16, value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        number(out, Marker::U32, value.to_be_bytes());
    } else {
        number(out, Marker::U64, value.to_be_bytes());
    }
}

#[inline]
pub(crate) fn float(out: &mut impl Sink, value: f64) {
    number(out, Marker::F64, value.to_be_bytes());
}

/// Writes a marker and the number behind it, in one piece.
#[inline(always)]
#[allow(clippy::inline_always)]
fn number<const WIDTH: usize>(out: &mut impl Sink, marker: Marker, number: [u8; WIDTH]) {
    // No marker has more than eight bytes behind it.
    let mut bytes = [0; 1 + size_of::<u64>()];
    bytes[0] = marker.to_u8();
    bytes[1..=WIDTH].copy_from_slice(&number);
    out.extend(&bytes[..=WIDTH]);
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
pub(crate) fn append(py: Python<'_>, out: &mut impl Sink, part: &[u8]) -> PyResult<()> {
    if part.len() >= LARGE && !out.try_reserve(part.len()) {
        return Err(errors::no_memory(py, part.len()));
    }
    out.extend(part);
    Ok(())
}

/// A marker with a length of 16 or of 32 bits behind it.
#[inline]
fn long(out: &mut impl Sink, length: u32, short: Marker, long: Marker) {
    match u16::try_from(length) {
        Ok(length) => number(out, short, length.to_be_bytes()),
        Err(_) => number(out, long, length.to_be_bytes()),
    }
}

/// What is written before bytes.
#[inline]
pub(crate) fn bytes_head(
    py: Python<'_>,
    out: &mut impl Sink,
    role: Role,
    bytes: usize,
) -> PyResult<()> {
    let length = length(py, role, bytes)?;
    match u8::try_from(length) {
        Ok(length) => number(out, Marker::Bin8, [length]),
        Err(_) => long(out, length, Marker::Bin16, Marker::Bin32),
    }
    Ok(())
}

#[inline]
pub(crate) fn bytes(py: Python<'_>, out: &mut impl Sink, role: Role, value: &[u8]) -> PyResult<()> {
    bytes_head(py, out, role, value.len())?;
    append(py, out, value)
}

pub(crate) fn array(py: Python<'_>, out: &mut impl Sink, role: Role, items: usize) -> PyResult<()> {
    let items = length(py, role, items)?;
    if items < 16 {
        out.push(Marker::FixArray(items as u8).to_u8());
    } else {
        long(out, items, Marker::Array16, Marker::Array32);
    }
    Ok(())
}

pub(crate) fn map(py: Python<'_>, out: &mut impl Sink, entries: usize) -> PyResult<()> {
    let entries = length(py, Role::Value, entries)?;
    if entries < 16 {
        out.push(Marker::FixMap(entries as u8).to_u8());
    } else {
        long(out, entries, Marker::Map16, Marker::Map32);
    }
    Ok(())
}

/// What is written before the content of an extension.
pub(crate) fn extension_head(
    py: Python<'_>,
    out: &mut impl Sink,
    role: Role,
    kind: i8,
    content: usize,
) -> PyResult<()> {
    match length(py, role, content)? {
        1 => out.push(Marker::FixExt1.to_u8()),
        2 => out.push(Marker::FixExt2.to_u8()),
        4 => out.push(Marker::FixExt4.to_u8()),
        8 => out.push(Marker::FixExt8.to_u8()),
        16 => out.push(Marker::FixExt16.to_u8()),
        length => match u8::try_from(length) {
            Ok(length) => number(out, Marker::Ext8, [length]),
            Err(_) => long(out, length, Marker::Ext16, Marker::Ext32),
        },
    }
    out.push(kind as u8);
    Ok(())
}

/// As [`extension_head`], with a length of 32 bits whatever it is: so it has [`LONG_HEAD`] bytes.
pub(crate) fn long_extension_head(
    py: Python<'_>,
    out: &mut impl Sink,
    role: Role,
    kind: i8,
    content: usize,
) -> PyResult<()> {
    let [a, b, c, d] = length(py, role, content)?.to_be_bytes();
    let head: [u8; LONG_HEAD] = [Marker::Ext32.to_u8(), a, b, c, d, kind as u8];
    out.extend(&head);
    Ok(())
}

pub(crate) fn extension(
    py: Python<'_>,
    out: &mut impl Sink,
    role: Role,
    kind: i8,
    content: &[u8],
) -> PyResult<()> {
    extension_head(py, out, role, kind, content.len())?;
    append(py, out, content)
}

/// Whether bytes of a value are a pickle's, with buffers or without.
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
    let code = value.get(head).map(|code| code.cast_signed());
    code.is_some_and(|code| PICKLES.contains(&code))
}

/// What is written before a string of fewer than 32 bytes.
#[inline]
pub(crate) fn short_string_head(text: &[u8]) -> u8 {
    Marker::FixStr(text.len() as u8).to_u8()
}

/// What is written before a string of so many bytes.
#[inline]
pub(crate) fn string_head(
    py: Python<'_>,
    out: &mut impl Sink,
    role: Role,
    bytes: usize,
) -> PyResult<()> {
    if bytes < 32 {
        out.push(Marker::FixStr(bytes as u8).to_u8());
        return Ok(());
    }
    let length = length(py, role, bytes)?;
    match u8::try_from(length) {
        Ok(length) => number(out, Marker::Str8, [length]),
        Err(_) => long(out, length, Marker::Str16, Marker::Str32),
    }
    Ok(())
}

/// A string, with lone surrogates or without.
#[inline]
pub(crate) fn string(out: &mut impl Sink, role: Role, value: &Bound<'_, PyString>) -> PyResult<()> {
    match value.to_str() {
        Ok(text) => {
            string_head(value.py(), out, role, text.len())?;
            append(value.py(), out, text.as_bytes())
        }
        Err(_) => surrogates(out, role, value),
    }
}

#[cold]
fn surrogates(out: &mut impl Sink, role: Role, value: &Bound<'_, PyString>) -> PyResult<()> {
    let py = value.py();
    let encode = intern!(py, "encode");
    let encoded = value.call_method1(encode, ("utf-8", "surrogatepass"))?;
    let content = encoded.cast::<PyBytes>()?.as_bytes();
    extension(py, out, role, SURROGATES, content)
}

/// An integer of any size.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn integer(out: &mut impl Sink, role: Role, value: &Bound<'_, PyInt>) -> PyResult<()> {
    match value.extract::<i64>() {
        Ok(value) => signed(out, value),
        Err(_) => large_integer(out, role, value)?,
    }
    Ok(())
}

#[cold]
fn large_integer(out: &mut impl Sink, role: Role, value: &Bound<'_, PyInt>) -> PyResult<()> {
    if let Ok(value) = value.extract::<u64>() {
        unsigned(out, value);
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
