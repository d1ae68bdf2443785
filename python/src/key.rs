//! Keys: Python's equality as equality of bytes.
//!
//! Keys that are equal in Python have one form: integers (and booleans, and
//! floats without a fraction) as the shortest integer, other floats in 64 bits,
//! strings, bytes, nil, and arrays of these for tuples.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString, PyTuple};

use crate::codec::Codec;
use crate::errors;
use crate::imports::{INTEGRAL, REAL};
use crate::pack::{self, Arrays, Buffer, NESTING, Reader, Role};

/// Writes the bytes that a key is found by.
#[inline]
pub(crate) fn encode(codec: Codec, key: &Bound<'_, PyAny>, out: &mut Buffer) -> PyResult<()> {
    if codec == Codec::Raw {
        let Ok(bytes) = key.cast::<PyBytes>() else {
            return Err(not_bytes(key));
        };
        out.extend_from_slice(bytes.as_bytes());
        Ok(())
    } else {
        write(out, key, NESTING)
    }
}

/// The key that bytes stand for.
pub(crate) fn decode<'py>(
    py: Python<'py>,
    codec: Codec,
    bytes: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    if codec == Codec::Raw {
        return Ok(PyBytes::new(py, bytes).into_any());
    }
    let reader = Reader {
        bytes,
        arrays: Arrays::Tuples,
        pickles: false,
        what: Role::Key,
    };
    reader.whole(py)
}

#[inline]
fn write(out: &mut Buffer, key: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
    if let Ok(key) = key.cast_exact::<PyString>() {
        pack::string(out, Role::Key, key)
    } else if let Ok(key) = key.cast_exact::<PyInt>() {
        pack::integer(out, Role::Key, key)
    } else {
        write_rarer(out, key, depth)
    }
}

fn write_rarer(out: &mut Buffer, key: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
    if let Ok(key) = key.cast_exact::<PyBytes>() {
        pack::bytes(key.py(), out, Role::Key, key.as_bytes())?;
    } else if let Ok(key) = key.cast_exact::<PyFloat>() {
        float(out, key)?;
    } else if let Ok(key) = key.cast_exact::<PyBool>() {
        pack::signed(out, key.is_true().into());
    } else if key.is_none() {
        pack::nil(out);
    } else if let Ok(key) = key.cast_exact::<PyTuple>() {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(errors::bad_key(
                key.py(),
                format!("a key's tuples are nested more than {NESTING} deep"),
            ));
        };
        pack::array(key.py(), out, Role::Key, key.len())?;
        for item in key.iter_borrowed() {
            write(out, &item, depth)?;
        }
    } else {
        write(out, &plain(key)?, depth)?;
    }
    Ok(())
}

fn float(out: &mut Buffer, key: &Bound<'_, PyFloat>) -> PyResult<()> {
    // Where every integer is exact in both.
    const EXACT: f64 = (1_u64 << 53) as f64;
    let value = key.value();
    if value.is_nan() {
        let message = "nan is no key: it does not equal itself, so it could never be found again";
        return Err(errors::bad_key(key.py(), message.to_owned()));
    }
    if value.fract() != 0.0 || value.is_infinite() {
        pack::float(out, value);
    } else if value.abs() <= EXACT {
        pack::signed(out, value as i64);
    } else {
        let whole = key.py().get_type::<PyInt>().call1((key,))?;
        pack::integer(out, Role::Key, whole.cast::<PyInt>()?)?;
    }
    Ok(())
}

/// The plain key that an object of another type equals, if there is one:
/// subclasses of the types of keys, and other numbers, such as those of numpy.
#[cold]
fn plain<'py>(key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
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
        Some(py.get_type::<PyInt>().call1((key,))?)
    } else if key.is_instance(REAL.get(py)?)? {
        Some(py.get_type::<PyFloat>().call1((key,))?)
    } else {
        None
    };
    if let Some(plain) = plain
        && plain.is_exact_type()
        && plain.hash()? == hash
        && plain.eq(key)?
    {
        return Ok(plain);
    }
    Err(errors::bad_key(
        py,
        format!(
            "a key is a str, bytes, int, float, bool, None or a tuple of these, not a {}; \
             use one of them that stands for it, such as str(key)",
            key.get_type().fully_qualified_name()?
        ),
    ))
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
    let message = match (key.hash(), key.get_type().fully_qualified_name()) {
        (Ok(_), Ok(name)) => format!("a key of a table with codec=\"raw\" is bytes, not a {name}"),
        (Err(error), _) | (_, Err(error)) => return error,
    };
    errors::bad_key(key.py(), message)
}
