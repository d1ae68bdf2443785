//! Keys: Python's equality as equality of bytes.
//!
//! Keys that are equal in Python have one form: an integer in its shortest form (also for
//! booleans, and floats without a fraction), a float of 64 bits, a string, bytes, nil, or an
//! array of these for a tuple. Keys of other types are extensions, which
//! `shmtable/_keys.py` encodes.

use pyo3::exceptions::{PyArithmeticError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString, PyTuple};
use shmtable_numbers::FloatKey;

use super::exact;
use super::messagepack::{self, Arrays, Buffer, MessagePackReader, NESTING};
use crate::codec::{Codec, Role};
use crate::errors;
use crate::imports::{INTEGRAL, KEY_FORM, KEY_LOAD, REAL};

/// Writes the bytes that a key is found by.
#[inline]
pub(crate) fn encode(
    codec: Codec,
    pickles: bool,
    key: &Bound<'_, PyAny>,
    out: &mut Buffer,
) -> PyResult<()> {
    if codec == Codec::Raw {
        let Ok(bytes) = key.cast::<PyBytes>() else {
            return Err(not_bytes(key));
        };
        out.extend_from_slice(bytes.as_bytes());
        Ok(())
    } else {
        let imports = match codec {
            Codec::Pickle => Some(pickles),
            _ => None,
        };
        write(out, key, imports, NESTING)
    }
}

/// The bytes of a short key, which are found with fewer instructions.
pub(crate) type Short = [u8; 16];

/// What [`encode`] writes, if the key is a string of at most 15 bytes; returns its length. `None` for
/// other keys, and where keys are bytes.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn encode_short(codec: Codec, key: &Bound<'_, PyAny>, out: &mut Short) -> Option<usize> {
    if codec == Codec::Raw {
        return None;
    }
    let text = exact::<PyString>(key)?.to_str().ok()?.as_bytes();
    let last = text.len();
    if last >= out.len() {
        return None;
    }
    out[0] = messagepack::short_string_head(text);
    // In two pieces of a fixed length, which may overlap: a call that copies costs more.
    let mut piece = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    match last {
        0 => {}
        1..4 => {
            piece(1, &text[..1]);
            piece(last / 2 + 1, &text[last / 2..][..1]);
            piece(last, &text[last - 1..][..1]);
        }
        4..8 => {
            piece(1, &text[..4]);
            piece(last - 3, &text[last - 4..][..4]);
        }
        _ => {
            piece(1, &text[..8]);
            piece(last - 7, &text[last - 8..][..8]);
        }
    }
    Some(last + 1)
}

/// The key that bytes stand for.
pub(crate) fn decode<'py>(
    py: Python<'py>,
    codec: Codec,
    pickles: bool,
    bytes: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    if codec == Codec::Raw {
        return Ok(PyBytes::new(py, bytes).into_any());
    }
    let reader = MessagePackReader {
        bytes,
        arrays: Arrays::Tuples,
        pickles: pickles && codec == Codec::Pickle,
        what: Role::Key,
    };
    reader.whole(py)
}

/// Whether keys may be classes and enum members, whose loading imports a module: as pickles
/// are; `None` where the codec has no pickles.
type Imports = Option<bool>;

#[inline]
fn write(out: &mut Buffer, key: &Bound<'_, PyAny>, imports: Imports, depth: usize) -> PyResult<()> {
    if let Some(key) = exact::<PyString>(key) {
        messagepack::string(out, Role::Key, key)
    } else if let Some(key) = exact::<PyInt>(key) {
        messagepack::integer(out, Role::Key, key)
    } else {
        write_rarer(out, key, imports, depth)
    }
}

fn write_rarer(
    out: &mut Buffer,
    key: &Bound<'_, PyAny>,
    imports: Imports,
    depth: usize,
) -> PyResult<()> {
    if let Some(key) = exact::<PyBytes>(key) {
        messagepack::bytes(key.py(), out, Role::Key, key.as_bytes())?;
    } else if let Some(key) = exact::<PyFloat>(key) {
        float(out, key)?;
    } else if let Some(key) = exact::<PyBool>(key) {
        messagepack::signed(out, key.is_true().into());
    } else if key.is_none() {
        messagepack::nil(out);
    } else if let Some(key) = exact::<PyTuple>(key) {
        let depth = deeper(key.py(), depth)?;
        messagepack::array(key.py(), out, Role::Key, key.len())?;
        for item in key.iter_borrowed() {
            write(out, &item, imports, depth)?;
        }
    } else if let Some(plain) = plain(key)? {
        write(out, &plain, imports, depth)?;
    } else {
        write_other(out, key, imports, depth)?;
    }
    Ok(())
}

fn deeper(py: Python<'_>, depth: usize) -> PyResult<usize> {
    depth.checked_sub(1).ok_or_else(|| {
        let message = format!("a key's tuples and frozensets are nested more than {NESTING} deep");
        errors::bad_key(py, message)
    })
}

/// A key of another type: in the form of a plain one that it equals, or as an extension.
#[cold]
fn write_other(
    out: &mut Buffer,
    key: &Bound<'_, PyAny>,
    imports: Imports,
    depth: usize,
) -> PyResult<()> {
    let py = key.py();
    let form = KEY_FORM.get(py)?.call1((key, imports))?;
    let (code, content) = form.extract::<(i8, Bound<'_, PyAny>)>()?;
    if code == 0 {
        return write(out, &content, imports, depth);
    }
    if let Some(content) = exact::<PyBytes>(&content) {
        return messagepack::extension(py, out, Role::Key, code, content.as_bytes());
    }
    let depth = deeper(py, depth)?;
    let mut parts = Vec::new();
    for part in content.cast::<PyTuple>()?.iter_borrowed() {
        let mut bytes = Buffer::new();
        write(&mut bytes, &part, imports, depth)?;
        parts.push(bytes);
    }
    if code == messagepack::FROZENSET {
        // In one order, whatever the set's is.
        parts.sort_unstable();
    }
    messagepack::extension(py, out, Role::Key, code, &parts.concat())
}

/// Whether a code is that of an extension which holds bytes, not keys.
pub(super) fn holds_bytes(code: i8) -> bool {
    code == messagepack::TIMESTAMP || code == messagepack::UUID
}

/// The key that an extension type stands for, if it is one of a key.
#[cold]
pub(crate) fn extension<'py>(
    py: Python<'py>,
    code: i8,
    reader: MessagePackReader<'_>,
    depth: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if !messagepack::KEYS.contains(&code) {
        return Ok(None);
    }
    let imports = code == messagepack::CLASS || code == messagepack::ENUM;
    if imports && !reader.pickles {
        return Err(errors::import_refused(py));
    }
    let content = if holds_bytes(code) {
        PyBytes::new(py, reader.bytes).into_any()
    } else {
        reader.items(py, depth)?.into_any()
    };
    match KEY_LOAD.get(py)?.call1((code, content)) {
        Ok(key) => Ok(Some(key)),
        Err(error)
            if !imports
                && (error.is_instance_of::<PyValueError>(py)
                    || error.is_instance_of::<PyTypeError>(py)
                    || error.is_instance_of::<PyArithmeticError>(py)) =>
        {
            let reason = format!("extension type {code}: {}", error.value(py));
            Err(errors::undecodable(py, Role::Key, &reason))
        }
        Err(error) => Err(error),
    }
}

fn float(out: &mut Buffer, key: &Bound<'_, PyFloat>) -> PyResult<()> {
    match FloatKey::from(key.value()) {
        FloatKey::Float(value) => messagepack::float(out, value),
        FloatKey::NotANumber => {
            let message =
                "nan cannot be a key: it does not equal itself, so it could never be found again";
            return Err(errors::bad_key(key.py(), message.to_owned()));
        }
        FloatKey::Integer(value) if i64::try_from(value).is_ok() => {
            messagepack::signed(out, value as i64);
        }
        FloatKey::Integer(_) | FloatKey::Large => {
            let whole = key.py().get_type::<PyInt>().call1((key,))?;
            messagepack::integer(out, Role::Key, whole.cast::<PyInt>()?)?;
        }
    }
    Ok(())
}

/// The plain key that an object of another type equals, if there is one:
/// subclasses of the types of keys, and other numbers, such as those of numpy.
#[cold]
fn plain<'py>(key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = key.py();
    // As dict: what cannot be hashed is refused in its own words.
    let hash = key.hash()?;
    let plain = if let Ok(key) = key.cast::<PyString>() {
        // Its characters, whatever the subclass prints.
        Some(py.get_type::<PyString>().call_method1("__str__", (key,))?)
    } else if key.is_instance_of::<PyBytes>() {
        Some(PyBytes::new(py, key.cast::<PyBytes>()?.as_bytes()).into_any())
    } else if key.is_instance_of::<PyTuple>() {
        Some(PyTuple::new(py, key.cast::<PyTuple>()?.iter())?.into_any())
    } else if key.is_instance(INTEGRAL.get(py)?)? {
        py.get_type::<PyInt>().call1((key,)).ok()
    } else if key.is_instance(REAL.get(py)?)? {
        py.get_type::<PyFloat>().call1((key,)).ok()
    } else {
        None
    };
    if let Some(plain) = plain
        && plain.is_exact_type()
        && plain.hash()? == hash
        && plain.eq(key)?
    {
        return Ok(Some(plain));
    }
    Ok(None)
}

trait ExactType {
    /// Whether its type is one of those that [`write`] knows, and no subclass.
    fn is_exact_type(&self) -> bool;
}

impl ExactType for Bound<'_, PyAny> {
    fn is_exact_type(&self) -> bool {
        self.is_exact_instance_of::<PyString>()
            || self.is_exact_instance_of::<PyInt>()
            || self.is_exact_instance_of::<PyFloat>()
            || self.is_exact_instance_of::<PyBytes>()
            || self.is_exact_instance_of::<PyTuple>()
    }
}

#[cold]
fn not_bytes(key: &Bound<'_, PyAny>) -> PyErr {
    let message = match (key.hash(), errors::type_of(key)) {
        (Ok(_), Ok(kind)) => format!("a key of a table with codec=\"raw\" is bytes, not {kind}"),
        (Err(error), _) | (_, Err(error)) => return error,
    };
    errors::bad_key(key.py(), message)
}
