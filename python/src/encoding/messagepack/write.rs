//! Writes `MessagePack`, everything in its shortest form.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString};
use rmp::Marker;

use super::{Buffer, INTEGER, PICKLE, SURROGATES};
use crate::codec::Role;
use crate::errors;

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

pub(crate) fn unsigned(out: &mut Buffer, value: u64) {
    written(rmp::encode::write_uint(out, value));
}

pub(crate) fn float(out: &mut Buffer, value: f64) {
    written(rmp::encode::write_f64(out, value));
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
