//! Writes values that `MessagePack` can represent.
//!
//! Types are compared by their addresses, and what is written goes into one buffer, so that a
//! list of numbers costs what its numbers cost.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::array::NumpyArray;
use super::exact;
use super::messagepack::{self, NESTING};
use crate::codec::Role;

/// Bytes that room is made for beforehand, whatever a container's length is.
const PROMISED: usize = 1 << 16;

/// Writes what `MessagePack` can represent.
pub(super) struct MessagePackWriter<'py> {
    pub(super) out: Vec<u8>,
    /// Whether each part must be read back as the same type: then tuples, subclasses, and
    /// one list in two places have no form.
    exact: bool,
    /// The lists and dicts on the way, by their addresses, if that is asked for.
    seen: HashSet<usize, BuildHasherDefault<AddressHasher>>,
    /// The part that has no form.
    pub(super) refused: Option<Bound<'py, PyAny>>,
}

impl<'py> MessagePackWriter<'py> {
    pub(super) fn new(exact: bool) -> Self {
        Self {
            out: Vec::new(),
            exact,
            seen: HashSet::default(),
            refused: None,
        }
    }

    /// Writes a value; `false` if it has no form, and a part of it may have been written.
    pub(super) fn write(&mut self, value: &Bound<'py, PyAny>) -> PyResult<bool> {
        self.value(value, NESTING)
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn value(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<bool> {
        if let Some(value) = exact::<PyInt>(value) {
            messagepack::integer(&mut self.out, Role::Value, value)?;
        } else if let Some(value) = exact::<PyString>(value) {
            messagepack::string(&mut self.out, Role::Value, value)?;
        } else if let Some(value) = exact::<PyFloat>(value) {
            messagepack::float(&mut self.out, value.value());
        } else {
            return self.rarer(value, depth);
        }
        Ok(true)
    }

    #[inline(never)]
    fn rarer(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<bool> {
        let py = value.py();
        if let Some(list) = exact::<PyList>(value) {
            return self.list(list, depth);
        } else if let Some(dict) = exact::<PyDict>(value) {
            return self.map(dict, depth);
        } else if let Some(value) = exact::<PyBool>(value) {
            messagepack::boolean(&mut self.out, value.is_true());
        } else if value.is_none() {
            messagepack::nil(&mut self.out);
        } else if let Some(value) = exact::<PyBytes>(value) {
            messagepack::bytes(py, &mut self.out, Role::Value, value.as_bytes())?;
        } else if self.exact {
            return Ok(self.refuse(value));
        } else {
            return self.subclass(value, depth);
        }
        Ok(true)
    }

    /// Writes a tuple as a list, and an object of a subclass as one of the class.
    #[inline(never)]
    fn subclass(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<bool> {
        let py = value.py();
        if let Ok(tuple) = value.cast::<PyTuple>() {
            return self.array(value, tuple, depth);
        } else if let Ok(value) = value.cast::<PyString>() {
            messagepack::string(&mut self.out, Role::Value, value)?;
        } else if let Ok(value) = value.cast::<PyInt>() {
            messagepack::integer(&mut self.out, Role::Value, value)?;
        } else if let Ok(value) = value.cast::<PyFloat>() {
            messagepack::float(&mut self.out, value.value());
        } else if let Ok(value) = value.cast::<PyBytes>() {
            messagepack::bytes(py, &mut self.out, Role::Value, value.as_bytes())?;
        } else if let Ok(list) = value.cast::<PyList>() {
            return self.list(list, depth);
        } else if let Ok(dict) = value.cast::<PyDict>() {
            return self.map(dict, depth);
        } else if let Some(array) = NumpyArray::of(value)? {
            array.write_head(py, &mut self.out)?;
            messagepack::append(py, &mut self.out, array.items.as_bytes()?)?;
        } else {
            return Ok(self.refuse(value));
        }
        Ok(true)
    }

    #[cold]
    fn refuse(&mut self, part: &Bound<'py, PyAny>) -> bool {
        self.refused = Some(part.clone());
        false
    }

    /// One level down, unless that is too deep or it was there before.
    fn enter(&mut self, container: &Bound<'_, PyAny>, depth: usize) -> Option<usize> {
        if self.exact && !self.seen.insert(container.as_ptr() as usize) {
            return None;
        }
        depth.checked_sub(1)
    }

    fn list(&mut self, list: &Bound<'py, PyList>, depth: usize) -> PyResult<bool> {
        // A copy, because another thread may change the list meanwhile.
        self.array(list.as_any(), &list.to_tuple(), depth)
    }

    fn array(
        &mut self,
        container: &Bound<'py, PyAny>,
        items: &Bound<'py, PyTuple>,
        depth: usize,
    ) -> PyResult<bool> {
        let Some(depth) = self.enter(container, depth) else {
            return Ok(self.refuse(container));
        };
        let length = items.len();
        self.reserve(length, 3);
        messagepack::array(container.py(), &mut self.out, Role::Value, length)?;
        for item in items.iter_borrowed() {
            if !self.value(&item, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn map(&mut self, map: &Bound<'py, PyDict>, depth: usize) -> PyResult<bool> {
        let Some(depth) = self.enter(map.as_any(), depth) else {
            return Ok(self.refuse(map.as_any()));
        };
        // A copy, because another thread may change the dict meanwhile.
        let entries = map.copy()?;
        self.reserve(entries.len(), 12);
        messagepack::map(map.py(), &mut self.out, entries.len())?;
        for (key, value) in entries.iter() {
            if !self.value(&key, depth)? || !self.value(&value, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes room for items of about so many bytes each, so that a short container needs one
    /// allocation.
    fn reserve(&mut self, items: usize, each: usize) {
        let bytes = items.saturating_mul(each).saturating_add(16);
        self.out.reserve(bytes.min(PROMISED));
    }
}

/// A hasher for addresses: of objects that live, so that no one chooses them.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    #[inline]
    fn write_usize(&mut self, address: usize) {
        // Fibonacci hashing: the high bits of the product are spread, and so are the low ones
        // after the rotation, for a table looks at both.
        let product = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product.rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
