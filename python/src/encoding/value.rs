//! Values: Python objects to a table's encoding and back.

use std::collections::HashSet;

use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyAttributeError, PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::messagepack::{self, Arrays, Buffer, MessagePackReader, NESTING};
use crate::codec::{Codec, Role};
use crate::errors;
use crate::imports::{DUMPS, FROM_JSON, IS_COROUTINE, LOADS, MISSING, PICKLING_ERROR, TO_JSON};

/// The protocol that pickles are written in.
const PROTOCOL: u8 = 5;

/// The bytes of a value.
#[inline]
pub(crate) fn encode(codec: Codec, pickles: bool, value: &Bound<'_, PyAny>) -> PyResult<Buffer> {
    let mut out = Buffer::new();
    match codec {
        Codec::Pickle | Codec::MessagePack => {
            let mut writer = Writer {
                out: &mut out,
                exact: codec == Codec::Pickle,
                seen: HashSet::new(),
                refused: None,
            };
            if !writer.value(value, NESTING)? {
                if codec == Codec::MessagePack {
                    let part = writer.refused.as_ref().unwrap_or(value);
                    return Err(not_messagepack(value, part));
                }
                out.clear();
                pickle(&mut out, pickles, value)?;
            }
        }
        Codec::Json => {
            let text = TO_JSON.get(value.py())?.call1((value,));
            let text = text.map_err(|error| wrapped(value, "JSON", error))?;
            messagepack::append(value.py(), &mut out, text.cast::<PyBytes>()?.as_bytes())?;
        }
        Codec::Raw => match value.cast::<PyBytes>() {
            Ok(bytes) => messagepack::append(value.py(), &mut out, bytes.as_bytes())?,
            Err(_) => {
                return Err(unspeakable(
                    value,
                    "bytes",
                    "",
                    "encode it first: codec=\"raw\" takes bytes",
                ));
            }
        },
    }
    Ok(out)
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
        Codec::Json => {
            let value = FROM_JSON.get(py)?.call1((PyBytes::new(py, bytes),));
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
        Codec::Raw => Ok(PyBytes::new(py, bytes).into_any()),
    }
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

fn pickle(out: &mut Buffer, allowed: bool, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    if value.is(MISSING.get(py)?) {
        return Err(errors::missing_as_value(py));
    }
    if !allowed {
        return Err(errors::pickle_refused(py, "store"));
    }
    let pickle = DUMPS.get(py)?.call1((value, PROTOCOL));
    let pickle = pickle.map_err(|error| wrapped(value, "a pickle", error))?;
    let content = pickle.cast::<PyBytes>()?.as_bytes();
    messagepack::extension(py, out, Role::Value, messagepack::PICKLE, content)
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
    let reason = if nested {
        format!("it is nested more than {NESTING} deep")
    } else if part.is(value) {
        String::new()
    } else {
        format!("it holds {kind}")
    };
    let remedy = "MessagePack takes None, bool, int, float, str, bytes, and lists, tuples and dicts of \
                  these; convert it, or use codec=\"pickle\"";
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

/// Writes what `MessagePack` can represent.
struct Writer<'o, 'py> {
    out: &'o mut Buffer,
    /// Whether each part must be read back as the same type: then tuples, subclasses, and
    /// one list in two places have no form.
    exact: bool,
    /// The lists and dicts on the way, by their addresses.
    seen: HashSet<usize>,
    /// The part that has no form.
    refused: Option<Bound<'py, PyAny>>,
}

impl<'py> Writer<'_, 'py> {
    /// A value as one of a type: the very type, or a subclass too.
    #[inline]
    fn is<'a, T: PyTypeInfo>(&self, value: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, T>> {
        if self.exact {
            value.cast_exact().ok()
        } else {
            value.cast().ok()
        }
    }

    /// Writes a value; `false` if it has no form, and a part of it may have been written.
    #[inline]
    fn value(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<bool> {
        let py = value.py();
        if let Some(value) = self.is::<PyString>(value) {
            messagepack::string(self.out, Role::Value, value)?;
        } else if let Ok(value) = value.cast_exact::<PyBool>() {
            // Before integers, of which it is a subclass.
            messagepack::boolean(self.out, value.is_true());
        } else if let Some(value) = self.is::<PyInt>(value) {
            messagepack::integer(self.out, Role::Value, value)?;
        } else if let Some(value) = self.is::<PyFloat>(value) {
            messagepack::float(self.out, value.value());
        } else if let Some(value) = self.is::<PyBytes>(value) {
            messagepack::bytes(py, self.out, Role::Value, value.as_bytes())?;
        } else if value.is_none() {
            messagepack::nil(self.out);
        } else if let Some(list) = self.is::<PyList>(value) {
            return self.array(value, || list.iter().collect(), depth);
        } else if let Some(dict) = self.is::<PyDict>(value) {
            return self.map(dict, depth);
        } else if let Ok(tuple) = value.cast::<PyTuple>()
            && !self.exact
        {
            return self.array(value, || tuple.iter().collect(), depth);
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
        let first = self.seen.insert(container.as_ptr() as usize);
        (first || !self.exact).then(|| depth.checked_sub(1))?
    }

    fn array(
        &mut self,
        container: &Bound<'py, PyAny>,
        items: impl FnOnce() -> Vec<Bound<'py, PyAny>>,
        depth: usize,
    ) -> PyResult<bool> {
        let Some(depth) = self.enter(container, depth) else {
            return Ok(self.refuse(container));
        };
        // Collected first: another thread may change the list meanwhile.
        let items = items();
        messagepack::array(container.py(), self.out, Role::Value, items.len())?;
        for item in items {
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
        let items = map.items();
        messagepack::map(map.py(), self.out, items.len())?;
        for item in items.iter() {
            let (key, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            if !self.value(&key, depth)? || !self.value(&value, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
