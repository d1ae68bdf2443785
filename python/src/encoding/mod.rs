//! Python objects to the bytes of a table, and back.

pub(crate) mod array;
pub(crate) mod buffers;
pub(crate) mod key;
pub(crate) mod messagepack;
pub(crate) mod number;
pub(crate) mod scan;
pub(crate) mod scratch;
pub(crate) mod value;
mod writer;

use pyo3::PyTypeInfo;
use pyo3::prelude::*;

/// Bytes from which on a part of a value stays where Python has it until it is in the table.
const LARGE: usize = 4096;

/// A value as one of this very type, if it is one. A cast that fails costs several times as
/// much, because it makes an error.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn exact<'a, 'py, T: PyTypeInfo>(
    value: &'a Bound<'py, PyAny>,
) -> Option<&'a Bound<'py, T>> {
    if value.is_exact_instance_of::<T>() {
        value.cast_exact().ok()
    } else {
        None
    }
}
