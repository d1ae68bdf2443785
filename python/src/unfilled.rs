//! New `bytes` and `bytearray` objects, which are filled straight from a table.
//!
//! pyo3 clears the memory of such an object before it lends it, which takes half as long as the
//! copy that follows. This is the one file of the package with `unsafe`: it makes the objects as
//! Python's C API says, and hands none out before it is filled.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::slice;

use pyo3::exceptions::PyOverflowError;
use pyo3::ffi;
use pyo3::prelude::*;
use shmtable::Table;
use smallvec::SmallVec;

use crate::errors::OrRaise;
use crate::turns::{LONG, detached_if};

/// What a new object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bytes,
    ByteArray,
}

/// Objects that were filled, in the order in which they were asked for.
pub(crate) type Parts<'py> = SmallVec<[Bound<'py, PyAny>; 4]>;

/// A new object that no other code has seen, with memory that may not be initialized.
struct Unfilled<'py> {
    object: Bound<'py, PyAny>,
    memory: NonNull<u8>,
    length: usize,
}

impl<'py> Unfilled<'py> {
    fn new(py: Python<'py>, kind: Kind, length: usize) -> PyResult<Self> {
        let size = ffi::Py_ssize_t::try_from(length)
            .map_err(|_| PyOverflowError::new_err("no object is so long"))?;
        let object = match kind {
            // SAFETY: the interpreter is attached, as `py` shows. Without a source the new object
            // has room for `size` bytes, whose content is undefined.
            Kind::Bytes => unsafe { ffi::PyBytes_FromStringAndSize(ptr::null(), size) },
            // SAFETY: as above.
            Kind::ByteArray => unsafe { ffi::PyByteArray_FromStringAndSize(ptr::null(), size) },
        };
        // SAFETY: it is null, with an exception set, or a new reference.
        let object = unsafe { Bound::from_owned_ptr_or_err(py, object) }?;
        let memory = match kind {
            // SAFETY: it is a `bytes` object.
            Kind::Bytes => unsafe { ffi::PyBytes_AsString(object.as_ptr()) },
            // SAFETY: it is a `bytearray` object.
            Kind::ByteArray => unsafe { ffi::PyByteArray_AsString(object.as_ptr()) },
        };
        let memory = NonNull::new(memory.cast()).ok_or_else(|| PyErr::fetch(py))?;
        Ok(Self {
            object,
            memory,
            length,
        })
    }

    fn memory(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: `memory` is that of `object`, which `self` keeps and which has `length` bytes.
        // No other code has a reference to the object, and the garbage collector doesn't know
        // objects of these classes; so nothing reads, resizes or frees the memory meanwhile.
        // Python hands out one object for all empty ones: then the slice is empty too.
        unsafe { slice::from_raw_parts_mut(self.memory.as_ptr().cast(), self.length) }
    }
}

/// Reads the value of an encoded key in one lookup to new objects of these kinds and lengths, one
/// behind the other. `None` if the value hasn't as many bytes as they have together.
pub(crate) fn read<'py>(
    py: Python<'py>,
    table: &Table,
    key: &[u8],
    parts: impl IntoIterator<Item = (Kind, usize)>,
) -> PyResult<Option<Parts<'py>>> {
    let mut unfilled: SmallVec<[Unfilled<'py>; 4]> = SmallVec::new();
    let mut all: usize = 0;
    for (kind, length) in parts {
        unfilled.push(Unfilled::new(py, kind, length)?);
        // They all have memory, so there are fewer.
        all = all.saturating_add(length);
    }
    let mut buffers: SmallVec<[_; 4]> = unfilled.iter_mut().map(Unfilled::memory).collect();
    let read = || table.get_into_uninit(key, &mut buffers);
    let length = detached_if(py, all >= LONG, read).or_raise(py)?;
    drop(buffers);
    // Only then all bytes of all objects are initialized, as `get_into_uninit` says.
    let filled = length == Some(all);
    Ok(filled.then(|| unfilled.into_iter().map(|part| part.object).collect()))
}
