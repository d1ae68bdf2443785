//! Pickles whose large buffers are stored beside them: an extension type.
//!
//! Pickle's protocol 5 hands the buffers of arrays, frames and tables to whoever asks for them.
//! They are copied once, straight between their memory and the segment. docs/python/stored.md has
//! the bytes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{iter, mem};

use numpy::{PyArray1, PyArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList};
use smallvec::SmallVec;

use super::array::{self, Items};
use super::messagepack::{self, Arrays, Buffer, MessagePackReader};
use super::{LARGE, exact};
use crate::codec::Role;
use crate::errors;
use crate::imports::{DUMPS, FROM_BUFFER, LOADS};
use crate::unfilled::Kind;

/// The protocol that pickles are written in.
pub(super) const PROTOCOL: u8 = 5;

/// Each buffer begins at a multiple of this, counted from the beginning of the value.
const ALIGNMENT: usize = 8;
const PADDING: [u8; ALIGNMENT] = [0; ALIGNMENT];

/// Classes, by their addresses, of which an object had a large pickle. The others are pickled
/// without asking for buffers, which takes less time; one whose pickle then is large is pickled
/// once more. The same is stored in either case.
static WERE_LARGE: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];

/// The buffers that a pickle leaves out: what pickle calls with each of them.
#[pyclass(frozen, module = "shmtable._native")]
struct Collector(Mutex<Vec<LeftOut>>);

struct LeftOut {
    /// Bytes, or an array of bytes over the buffer's memory.
    memory: Py<PyAny>,
    is_writable: bool,
}

#[pymethods]
impl Collector {
    /// Takes a buffer, or returns `True`: then it becomes a part of the pickle.
    fn __call__(&self, buffer: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Some(left_out) = leave_out(buffer)? else {
            return Ok(true);
        };
        self.lock().push(left_out);
        Ok(false)
    }
}

impl Collector {
    fn lock(&self) -> MutexGuard<'_, Vec<LeftOut>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `pickle.dumps` takes besides the value.
struct Callback {
    collector: Py<Collector>,
    options: Py<PyDict>,
}

/// A callback that no call is using: making one takes longer than pickling a small value.
static SPARE: Mutex<Option<Callback>> = Mutex::new(None);

impl Callback {
    fn new(py: Python<'_>) -> PyResult<Self> {
        let collector = Bound::new(py, Collector(Mutex::default()))?;
        let options = PyDict::new(py);
        options.set_item(intern!(py, "buffer_callback"), &collector)?;
        Ok(Self {
            collector: collector.unbind(),
            options: options.unbind(),
        })
    }
}

/// The memory of a buffer, if it is so large that a copy takes longer than finding it.
fn leave_out(buffer: &Bound<'_, PyAny>) -> PyResult<Option<LeftOut>> {
    let py = buffer.py();
    // Of a buffer with gaps there is no raw form, and pickle says so.
    let Ok(raw) = buffer.call_method0(intern!(py, "raw")) else {
        return Ok(None);
    };
    let length: usize = raw.getattr(intern!(py, "nbytes"))?.extract()?;
    if length < LARGE {
        return Ok(None);
    }
    let is_writable = !raw.getattr(intern!(py, "readonly"))?.is_truthy()?;
    let object = raw.getattr(intern!(py, "obj"))?;
    if let Some(bytes) = exact::<PyBytes>(&object)
        && bytes.as_bytes().len() == length
    {
        return Ok(Some(LeftOut {
            memory: object.unbind(),
            is_writable,
        }));
    }
    let array = FROM_BUFFER.get(py)?.call1((&raw, intern!(py, "u1")))?;
    Ok(Some(LeftOut {
        memory: array.unbind(),
        is_writable,
    }))
}

/// A pickle on its way into a table.
pub(super) enum Pickle<'py> {
    Whole(Bound<'py, PyBytes>),
    WithBuffers(PickleWithBuffers<'py>),
}

/// A pickle, and the buffers that it left out.
pub(crate) struct PickleWithBuffers<'py> {
    pickle: Bound<'py, PyBytes>,
    buffers: Vec<(Items<'py>, bool)>,
}

/// Pickles a value.
pub(super) fn dump<'py>(value: &Bound<'py, PyAny>) -> PyResult<Pickle<'py>> {
    let py = value.py();
    // Only numpy shows memory as slices: the limited API of Python 3.10 has no buffers.
    if !array::is_imported(py)? {
        return dump_whole(value).map(Pickle::Whole);
    }
    let kind = value.get_type_ptr() as usize;
    let was_large = &WERE_LARGE[kind / size_of::<usize>() / 2 % WERE_LARGE.len()];
    if was_large.load(Ordering::Relaxed) != kind {
        let pickle = dump_whole(value)?;
        if pickle.as_bytes().len() < LARGE {
            // No large buffer is in it.
            return Ok(Pickle::Whole(pickle));
        }
        was_large.store(kind, Ordering::Relaxed);
    }
    dump_leaving_out(value)
}

fn dump_whole<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let pickle = DUMPS.get(value.py())?.call1((value, PROTOCOL))?;
    Ok(pickle.cast_into()?)
}

/// Pickles a value, and leaves out its large buffers.
fn dump_leaving_out<'py>(value: &Bound<'py, PyAny>) -> PyResult<Pickle<'py>> {
    let py = value.py();
    let spare = match SPARE.try_lock() {
        Ok(mut spare) => spare.take(),
        Err(_) => None,
    };
    let callback = match spare {
        Some(callback) => callback,
        None => Callback::new(py)?,
    };
    let pickle = DUMPS
        .get(py)?
        .call((value, PROTOCOL), Some(callback.options.bind(py)));
    let left_out = mem::take(&mut *callback.collector.get().lock());
    if let Ok(mut spare) = SPARE.try_lock() {
        *spare = Some(callback);
    }
    let pickle = pickle?.cast_into()?;
    if left_out.is_empty() {
        return Ok(Pickle::Whole(pickle));
    }
    let buffers = left_out.into_iter().map(|buffer| {
        let memory = buffer.memory.into_bound(py);
        Ok((items_of(memory)?, buffer.is_writable))
    });
    Ok(Pickle::WithBuffers(PickleWithBuffers {
        pickle,
        buffers: buffers.collect::<PyResult<_>>()?,
    }))
}

/// A buffer's memory as bytes that are stored from where they are.
fn items_of(memory: Bound<'_, PyAny>) -> PyResult<Items<'_>> {
    let array = match memory.cast_into_exact::<PyBytes>() {
        Ok(bytes) => return Ok(Items::Copied(bytes)),
        Err(other) => other.into_inner().cast_into::<PyArray1<u8>>()?,
    };
    if let Ok(items) = array.try_readonly() {
        return Ok(Items::Own(items));
    }
    // Code in another extension may be writing to it.
    let copy = array.call_method0(intern!(array.py(), "tobytes"))?;
    Ok(Items::Copied(copy.cast_into()?))
}

impl PickleWithBuffers<'_> {
    /// Writes all that is before the pickle.
    pub(super) fn write_head(&self, py: Python<'_>, out: &mut Buffer) -> PyResult<()> {
        let mut head = Buffer::new();
        messagepack::array(py, &mut head, Role::Value, 2)?;
        messagepack::unsigned(&mut head, self.pickle.as_bytes().len() as u64);
        messagepack::array(py, &mut head, Role::Value, self.buffers.len())?;
        for (items, is_writable) in &self.buffers {
            messagepack::array(py, &mut head, Role::Value, 2)?;
            messagepack::unsigned(&mut head, items.as_bytes()?.len() as u64);
            messagepack::boolean(&mut head, *is_writable);
        }
        let before = messagepack::LONG_HEAD + head.len();
        let after: usize = self.slices(before)?.iter().map(|slice| slice.len()).sum();
        let length = head.len() + after;
        messagepack::long_extension_head(py, out, Role::Value, messagepack::BUFFERS, length)?;
        out.extend_from_slice(&head);
        Ok(())
    }

    /// All that is behind the head, which has so many bytes.
    pub(super) fn slices(&self, head: usize) -> PyResult<SmallVec<[&[u8]; 4]>> {
        let pickle = self.pickle.as_bytes();
        let mut slices = SmallVec::from_slice(&[pickle]);
        let mut at = head + pickle.len();
        for (items, _) in &self.buffers {
            let items = items.as_bytes()?;
            let padding = padding(at);
            if padding > 0 {
                slices.push(&PADDING[..padding]);
            }
            slices.push(items);
            at += padding + items.len();
        }
        Ok(slices)
    }
}

/// The zeros between what ends at a position and the buffer that follows.
fn padding(at: usize) -> usize {
    at.next_multiple_of(ALIGNMENT) - at
}

/// What a pickle with buffers consists of, by what is written before the pickle.
pub(crate) struct BuffersHead {
    /// The bytes before the pickle.
    begin: usize,
    pickle: usize,
    buffers: Vec<(usize, bool)>,
}

impl BuffersHead {
    /// Reads the head of an extension whose content has `length` bytes, of which the first ones
    /// are known. `None` if its head is longer than that, or is none.
    pub(crate) fn read(py: Python<'_>, first: &[u8], length: usize) -> Option<Self> {
        let mut reader = MessagePackReader {
            bytes: first,
            arrays: Arrays::Tuples,
            pickles: false,
            what: Role::Value,
        };
        let parts = reader.value(py, 3).ok()?;
        let (pickle, buffers) = parts.extract::<(usize, Vec<(usize, bool)>)>().ok()?;
        let begin = first.len() - reader.bytes.len();
        let head = Self {
            begin,
            pickle,
            buffers,
        };
        (head.length()? == length).then_some(head)
    }

    /// The bytes that all its parts take; `None` if no memory has as many.
    fn length(&self) -> Option<usize> {
        let before = messagepack::LONG_HEAD + self.begin;
        let mut at = before.checked_add(self.pickle)?;
        for (length, _) in &self.buffers {
            at = at
                .checked_next_multiple_of(ALIGNMENT)?
                .checked_add(*length)?;
        }
        at.checked_sub(messagepack::LONG_HEAD)
    }

    /// The bytes before the pickle.
    pub(crate) fn begin(&self) -> usize {
        self.begin
    }

    /// What is behind the head: the pickle, and for each buffer zeros, which may be none, and the
    /// buffer.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Kind, usize)> {
        let mut at = messagepack::LONG_HEAD + self.begin + self.pickle;
        let buffers = self.buffers.iter().flat_map(move |(length, is_writable)| {
            let padding = padding(at);
            at += padding + length;
            let kind = if *is_writable {
                Kind::ByteArray
            } else {
                Kind::Bytes
            };
            [(Kind::Bytes, padding), (kind, *length)]
        });
        iter::once((Kind::Bytes, self.pickle)).chain(buffers)
    }
}

/// The value that consists of the parts that [`BuffersHead::parts`] names.
pub(crate) fn load_parts<'py>(
    py: Python<'py>,
    mut parts: impl Iterator<Item = Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let pickle = parts.next();
    let buffers = PyList::empty(py);
    // Of each two, the first one is zeros.
    for buffer in parts.skip(1).step_by(2) {
        buffers.append(buffer)?;
    }
    let options = PyDict::new(py);
    options.set_item(intern!(py, "buffers"), buffers)?;
    LOADS.get(py)?.call((pickle,), Some(&options))
}

/// The value that the content of an extension stands for.
pub(crate) fn load<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let Some(head) = BuffersHead::read(py, content, content.len()) else {
        return Err(errors::undecodable(
            py,
            Role::Value,
            "a pickle with buffers: its head does not say what is in it",
        ));
    };
    let mut rest = &content[head.begin..];
    let parts = head.parts().map(|(kind, length)| {
        let (part, after) = rest.split_at(length);
        rest = after;
        match kind {
            Kind::Bytes => PyBytes::new(py, part).into_any(),
            Kind::ByteArray => PyByteArray::new(py, part).into_any(),
        }
    });
    load_parts(py, parts)
}
