//! Numbers that `add`, `max` and `min` compute with: from Python and `MessagePack`, and back.

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use rmp::Marker;
use shmtable_numbers::Number;

use super::exact;
use super::messagepack::{self, Buffer, Sink};

/// A Python number, if it is one.
pub(crate) fn of(value: &Bound<'_, PyAny>) -> Option<Number> {
    if let Some(value) = exact::<PyFloat>(value) {
        return Some(Number::Float(value.value()));
    }
    let value = value.cast::<PyInt>().ok()?;
    value
        .extract::<i64>()
        .ok()
        .map(|value| Number::Integer(value.into()))
}

/// A number in `MessagePack`, if it is one.
pub(crate) fn read(bytes: &[u8]) -> Option<Number> {
    /// The rest as a number of its own width; anything else is no number.
    macro_rules! rest {
        ($rest:expr, $kind:ty) => {
            <$kind>::from_be_bytes($rest.try_into().ok()?)
        };
    }
    let (marker, rest) = bytes.split_first()?;
    let integer = match Marker::from_u8(*marker) {
        Marker::F32 => return Some(Number::Float(rest!(rest, f32).into())),
        Marker::F64 => return Some(Number::Float(rest!(rest, f64))),
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
    Some(Number::Integer(integer))
}

/// Adds to an integer in `MessagePack`, if it is one whose sum takes as many bytes.
#[inline]
pub(crate) fn add(value: &mut [u8], n: i64) -> Option<i64> {
    let sum = integer(value)?.checked_add(n)?;
    let mut out = Short::default();
    messagepack::signed(&mut out, sum);
    if out.length != value.len() {
        return None;
    }
    // A loop of few rounds: a copy of variable length would be a call.
    for (byte, new) in value.iter_mut().zip(out.bytes) {
        *byte = new;
    }
    Some(sum)
}

/// An integer of at most 32 bits in `MessagePack`.
#[inline]
fn integer(value: &[u8]) -> Option<i64> {
    Some(match *value {
        [natural @ ..0x80] => natural.into(),
        [negative @ 0xe0..=0xff] => negative.cast_signed().into(),
        [0xcc, a] => a.into(),
        [0xcd, a, b] => u16::from_be_bytes([a, b]).into(),
        [0xce, a, b, c, d] => u32::from_be_bytes([a, b, c, d]).into(),
        [0xd0, a] => a.cast_signed().into(),
        [0xd1, a, b] => i16::from_be_bytes([a, b]).into(),
        [0xd2, a, b, c, d] => i32::from_be_bytes([a, b, c, d]).into(),
        _ => return None,
    })
}

/// An integer on the stack, with the longest marker and number.
#[derive(Default)]
struct Short {
    bytes: [u8; 9],
    length: usize,
}

impl Sink for Short {
    #[inline]
    fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }

    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn try_reserve(&mut self, bytes: usize) -> bool {
        bytes <= self.bytes.len() - self.length
    }
}

/// Writes a number as `MessagePack`.
pub(crate) fn write(number: Number, out: &mut Buffer) {
    match number {
        Number::Float(value) => messagepack::float(out, value),
        Number::Integer(value) => match i64::try_from(value) {
            Ok(value) => messagepack::signed(out, value),
            Err(_) => messagepack::unsigned(out, value as u64),
        },
    }
}

/// The Python object of a number.
pub(crate) fn into_object(number: Number, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(match number {
        Number::Float(value) => PyFloat::new(py, value).into_any(),
        Number::Integer(value) => match i64::try_from(value) {
            Ok(value) => value.into_pyobject(py)?.into_any(),
            Err(_) => (value as u64).into_pyobject(py)?.into_any(),
        },
    })
}
