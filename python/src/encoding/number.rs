//! Numbers that `add`, `max` and `min` compute with: from `MessagePack`, and back.

use std::cmp::Ordering;

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use rmp::Marker;

use super::messagepack::{self, Buffer};

/// A number that Rust code adds and compares as Python does.
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

    /// How it compares with another one, exactly, as in Python; nothing for a NaN.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Integer(a), Self::Float(b)) => compare_exactly(a, b),
            (Self::Float(a), Self::Integer(b)) => compare_exactly(b, a).map(Ordering::reverse),
        }
    }

    pub(crate) fn write(self, out: &mut Buffer) {
        match self {
            Self::Float(value) => messagepack::float(out, value),
            Self::Integer(value) => match i64::try_from(value) {
                Ok(value) => messagepack::signed(out, value),
                Err(_) => messagepack::unsigned(out, value as u64),
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

/// An integer of at most 65 bits beside a float, which may have no such value.
fn compare_exactly(integer: i128, float: f64) -> Option<Ordering> {
    // Beyond 127 bits it becomes the greatest or least of an `i128`, which is on its side.
    let whole = float.trunc();
    let rest = whole.partial_cmp(&float)?;
    Some(integer.cmp(&(whole as i128)).then(rest))
}
