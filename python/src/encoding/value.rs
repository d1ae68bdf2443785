//! Values: Python objects to a table's encoding and back.

use numpy::PyReadonlyArray1;
use pyo3::exceptions::{PyAttributeError, PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use smallvec::{SmallVec, smallvec};

use super::array::{self, Items, NumpyArray};
use super::buffers::{self, Pickle, PickleWithBuffers};
use super::messagepack::{self, Arrays, Body, Buffer, MessagePackReader, NESTING};
use super::writer::MessagePackWriter;
use super::{LARGE, exact};
use crate::codec::{Codec, Role};
use crate::errors;
use crate::imports::{FROM_JSON, IS_COROUTINE, LOADS, MISSING, PICKLING_ERROR, TO_JSON};

/// The last part of a value's bytes, where Python has it.
pub(crate) enum Tail<'py> {
    Bytes(Bound<'py, PyBytes>),
    Text(Bound<'py, PyString>),
    Items(PyReadonlyArray1<'py, u8>),
    Pickle(PickleWithBuffers<'py>),
}

impl<'py> Tail<'py> {
    /// Appends bytes, or leaves them where they are if they are many.
    #[inline]
    fn of(out: &mut Buffer, bytes: &Bound<'py, PyBytes>) -> Option<Self> {
        let content = bytes.as_bytes();
        if content.len() < LARGE {
            out.extend_from_slice(content);
            return None;
        }
        Some(Self::Bytes(bytes.clone()))
    }

    /// Its bytes, one slice behind the other, if so many are before them.
    pub(crate) fn slices(&self, head: usize) -> PyResult<SmallVec<[&[u8]; 4]>> {
        Ok(match self {
            Self::Bytes(bytes) => smallvec![bytes.as_bytes()],
            Self::Text(text) => smallvec![text.to_str()?.as_bytes()],
            Self::Items(items) => smallvec![items.as_slice()?],
            Self::Pickle(pickle) => pickle.slices(head)?,
        })
    }

    /// Whether Python code of another thread may change it.
    pub(crate) fn is_mutable(&self) -> bool {
        matches!(self, Self::Items(_) | Self::Pickle(_))
    }
}

/// The bytes of a value, in one piece.
#[inline]
pub(crate) fn encode(codec: Codec, pickles: bool, value: &Bound<'_, PyAny>) -> PyResult<Buffer> {
    let mut out = Buffer::new();
    if let Some(tail) = encode_into(codec, pickles, value, &mut out)? {
        for slice in tail.slices(out.len())? {
            messagepack::append(value.py(), &mut out, slice)?;
        }
    }
    Ok(out)
}

/// Writes the bytes of a value to an empty buffer, but for a long last part, which is returned.
#[inline]
pub(crate) fn encode_into<'py>(
    codec: Codec,
    pickles: bool,
    value: &Bound<'py, PyAny>,
    out: &mut Buffer,
) -> PyResult<Option<Tail<'py>>> {
    match codec {
        Codec::Pickle | Codec::MessagePack => {
            if let Some(text) = exact::<PyString>(value) {
                return string(out, text);
            } else if let Some(number) = exact::<PyInt>(value) {
                messagepack::integer(out, Role::Value, number)?;
            } else if let Some(bytes) = exact::<PyBytes>(value) {
                let length = bytes.as_bytes().len();
                messagepack::bytes_head(value.py(), out, Role::Value, length)?;
                return Ok(Tail::of(out, bytes));
            } else if let Some(number) = exact::<PyFloat>(value) {
                messagepack::float(out, number.value());
            } else if value.is_none() {
                messagepack::nil(out);
            } else if let Some(truth) = exact::<PyBool>(value) {
                messagepack::boolean(out, truth.is_true());
            } else {
                return encode_rarer(codec, pickles, value, out);
            }
            Ok(None)
        }
        Codec::Json => {
            let text = TO_JSON.get(value.py())?.call1((value,));
            let text = text.map_err(|error| wrapped(value, "JSON", error))?;
            Ok(Tail::of(out, text.cast::<PyBytes>()?))
        }
        Codec::Raw => match value.cast::<PyBytes>() {
            Ok(bytes) => Ok(Tail::of(out, bytes)),
            Err(_) => Err(unspeakable(
                value,
                "bytes",
                "",
                "encode it first: codec=\"raw\" takes bytes",
            )),
        },
    }
}

#[inline]
fn string<'py>(out: &mut Buffer, text: &Bound<'py, PyString>) -> PyResult<Option<Tail<'py>>> {
    if let Ok(content) = text.to_str()
        && content.len() >= LARGE
    {
        messagepack::string_head(text.py(), out, Role::Value, content.len())?;
        return Ok(Some(Tail::Text(text.clone())));
    }
    messagepack::string(out, Role::Value, text)?;
    Ok(None)
}

/// As [`encode_into`], for containers, and for what has to be pickled.
#[inline(never)]
fn encode_rarer<'py>(
    codec: Codec,
    pickles: bool,
    value: &Bound<'py, PyAny>,
    out: &mut Buffer,
) -> PyResult<Option<Tail<'py>>> {
    let is_container =
        value.is_exact_instance_of::<PyList>() || value.is_exact_instance_of::<PyDict>();
    if !is_container && let Some(array) = NumpyArray::of(value)? {
        array.write_head(value.py(), out)?;
        return Ok(match array.items {
            Items::Copied(items) => Tail::of(out, &items),
            Items::Own(items) => Some(Tail::Items(items)),
        });
    }
    let mut writer = MessagePackWriter::new(codec == Codec::Pickle);
    if writer.write(value)? {
        *out = Buffer::from_vec(writer.out);
        return Ok(None);
    }
    if codec == Codec::MessagePack {
        let part = writer.refused.as_ref().unwrap_or(value);
        return Err(not_messagepack(value, part));
    }
    pickle(out, pickles, value)
}

/// The value that bytes stand for.
#[inline]
pub(crate) fn decode<'py>(
    py: Python<'py>,
    codec: Codec,
    pickles: bool,
    bytes: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    match codec {
        Codec::Pickle | Codec::MessagePack => MessagePackReader {
            bytes,
            arrays: Arrays::Lists,
            pickles: pickles && codec == Codec::Pickle,
            what: Role::Value,
        }
        .whole(py),
        Codec::Json => json(py, PyBytes::new(py, bytes)),
        Codec::Raw => Ok(PyBytes::new(py, bytes).into_any()),
    }
}

/// What a long value consists of besides its last part, and where that begins. `None` if that
/// can't be said by the first bytes of a value, of which there are `length`.
pub(crate) fn body(codec: Codec, first: &[u8], length: usize) -> Option<(Body, usize)> {
    match codec {
        Codec::Pickle | Codec::MessagePack => messagepack::body(first, length),
        Codec::Json | Codec::Raw => Some((Body::Bytes, 0)),
    }
}

/// The value that consists of this body.
pub(crate) fn of_body(
    codec: Codec,
    pickles: bool,
    kind: Body,
    body: Bound<'_, PyBytes>,
) -> PyResult<Bound<'_, PyAny>> {
    let py = body.py();
    match (codec, kind) {
        (Codec::Json, _) => json(py, body),
        (_, Body::Bytes | Body::Array | Body::Buffers) => Ok(body.into_any()),
        (_, Body::Pickle) if pickles && codec == Codec::Pickle => LOADS.get(py)?.call1((body,)),
        (_, Body::Pickle) => Err(errors::pickle_refused(py, "load")),
    }
}

fn json<'py>(py: Python<'py>, text: Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    let value = FROM_JSON.get(py)?.call1((text,));
    value.map_err(|error| {
        let refused = error.is_instance_of::<PyValueError>(py)
            || error.is_instance_of::<PyRecursionError>(py);
        if refused {
            errors::undecodable(py, Role::Value, &error.value(py).to_string())
        } else {
            error
        }
    })
}

/// Whether a value comes back from its bytes as it is, type by type.
pub(crate) fn comes_back(codec: Codec, value: &Bound<'_, PyAny>, encoded: &[u8]) -> bool {
    match codec {
        // MessagePack represents values exactly here; a pickle's class decides what it loads.
        Codec::Pickle => !messagepack::is_pickle(encoded),
        Codec::MessagePack | Codec::Json => {
            value.is_none()
                || value.is_exact_instance_of::<PyString>()
                || value.is_exact_instance_of::<PyInt>()
                || value.is_exact_instance_of::<PyFloat>()
                || value.is_exact_instance_of::<PyBool>()
                || (codec == Codec::MessagePack && value.is_exact_instance_of::<PyBytes>())
        }
        Codec::Raw => value.is_exact_instance_of::<PyBytes>(),
    }
}

/// Loads a pickle.
#[cold]
pub(crate) fn loads<'py>(py: Python<'py>, pickle: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    LOADS.get(py)?.call1((PyBytes::new(py, pickle),))
}

fn pickle<'py>(
    out: &mut Buffer,
    allowed: bool,
    value: &Bound<'py, PyAny>,
) -> PyResult<Option<Tail<'py>>> {
    let py = value.py();
    if value.is(MISSING.get(py)?) {
        return Err(errors::missing_as_value(py));
    }
    if !allowed {
        return Err(errors::pickle_refused(py, "store"));
    }
    match buffers::dump(value).map_err(|error| wrapped(value, "a pickle", error))? {
        Pickle::Whole(pickle) => {
            let length = pickle.as_bytes().len();
            messagepack::extension_head(py, out, Role::Value, messagepack::PICKLE, length)?;
            Ok(Tail::of(out, &pickle))
        }
        Pickle::WithBuffers(pickle) => {
            pickle.write_head(py, out)?;
            Ok(Some(Tail::Pickle(pickle)))
        }
    }
}

/// A value that an encoding has no form for, with the reason and the remedy.
#[cold]
fn unspeakable(value: &Bound<'_, PyAny>, encoding: &str, reason: &str, remedy: &str) -> PyErr {
    match MISSING.get(value.py()) {
        Ok(missing) if value.is(missing) => return errors::missing_as_value(value.py()),
        Ok(_) => {}
        Err(error) => return error,
    }
    let is_coroutine = || IS_COROUTINE.get(value.py())?.call1((value,))?.is_truthy();
    let remedy = match is_coroutine() {
        Ok(true) => "await it, and store its result",
        Ok(false) => remedy,
        Err(error) => return error,
    };
    match value.get_type().fully_qualified_name() {
        Ok(name) => {
            let because = if reason.is_empty() { "" } else { ": " };
            let message = format!(
                "cannot store a value of type {name} as {encoding}{because}{reason}; {remedy}"
            );
            errors::bad_value(value.py(), message)
        }
        Err(error) => error,
    }
}

#[cold]
fn not_messagepack(value: &Bound<'_, PyAny>, part: &Bound<'_, PyAny>) -> PyErr {
    let kind = match errors::type_of(part) {
        Ok(kind) => kind,
        Err(error) => return error,
    };
    let nested = part.is_instance_of::<PyList>()
        || part.is_instance_of::<PyTuple>()
        || part.is_instance_of::<PyDict>();
    let reason = match array::dtype_of(part) {
        Ok(Some(dtype)) if part.is(value) => format!("its dtype is {dtype}"),
        Ok(Some(dtype)) => format!("it holds {kind} whose dtype is {dtype}"),
        Ok(None) if nested => format!("it is nested more than {NESTING} deep"),
        Ok(None) if part.is(value) => String::new(),
        Ok(None) => format!("it holds {kind}"),
        Err(error) => return error,
    };
    let remedy = "MessagePack takes None, bool, int, float, str, bytes, numpy arrays of numbers, times, \
                  str and bytes, and lists, tuples and dicts of these; convert it, or use \
                  codec=\"pickle\"";
    unspeakable(value, "MessagePack", &reason, remedy)
}

/// What to do about a value that an encoder refused.
fn remedy(value: &Bound<'_, PyAny>, encoding: &str) -> &'static str {
    if encoding == "JSON" {
        "JSON takes None, bool, int, finite float, str, and lists, tuples and dicts of these; convert \
         it, or use a table with codec=\"pickle\" or \"msgpack\""
    } else if value.hasattr("__await__").unwrap_or(false) {
        "await it, and store its result"
    } else if value.hasattr("__next__").unwrap_or(false) {
        "store a list of what it gives"
    } else {
        "store data: a pickle takes functions and classes that a module has by name, and no lambda, no \
         lock, no file"
    }
}

/// An encoder's refusal as our exception, caused by it; other errors as they are.
#[cold]
fn wrapped(value: &Bound<'_, PyAny>, encoding: &str, error: PyErr) -> PyErr {
    let py = value.py();
    let refused = error.is_instance_of::<PyTypeError>(py)
        || error.is_instance_of::<PyValueError>(py)
        || error.is_instance_of::<PyAttributeError>(py)
        || error.is_instance_of::<PyRecursionError>(py)
        || PICKLING_ERROR
            .get(py)
            .is_ok_and(|class| error.is_instance(py, class));
    if !refused {
        return error;
    }
    let ours = if error.is_instance_of::<PyRecursionError>(py) {
        let reason = format!("it is nested too deep: {}", error.value(py));
        unspeakable(value, encoding, &reason, "store it in a flatter form")
    } else {
        let reason = error.value(py).to_string();
        unspeakable(value, encoding, &reason, remedy(value, encoding))
    };
    ours.set_cause(py, Some(error));
    ours
}
