//! numpy's arrays: an extension type that other languages read.
//!
//! Its content is an array of the dtype, the shape and the order, up to seven zeros, and the
//! items. docs/python/stored.md has the bytes.

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::{PyImportError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString, PyTuple, PyType};

use super::LARGE;
use super::messagepack::{self, Arrays, Buffer, MessagePackReader, Sink};
use crate::codec::Role;
use crate::errors;
use crate::imports::MODULES;

/// The head of the extension and of the array is a multiple of this long, so that the items
/// are aligned in the segment.
const ALIGNMENT: usize = 8;

/// The first number of dtypes that are not numpy's own.
const USER_DEFINED: u32 = 256;

/// `numpy.ndarray`, once numpy was seen.
static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// An array on its way into a table.
pub(super) struct NumpyArray<'py> {
    head: Buffer,
    pub(super) items: Items<'py>,
}

/// The items of an array, one behind the other.
pub(super) enum Items<'py> {
    /// A copy: of few items, or of items that have gaps or another order.
    Copied(Bound<'py, PyBytes>),
    /// The memory of the array itself.
    Own(PyReadonlyArray1<'py, u8>),
}

impl Items<'_> {
    pub(super) fn as_bytes(&self) -> PyResult<&[u8]> {
        match self {
            Self::Copied(items) => Ok(items.as_bytes()),
            Self::Own(items) => Ok(items.as_slice()?),
        }
    }
}

impl<'py> NumpyArray<'py> {
    /// The array that a value is; `None` if it is none, or one that this form does not hold.
    pub(super) fn of(value: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        if !is_array(value)? {
            return Ok(None);
        }
        let py = value.py();
        let dtype = value.getattr(intern!(py, "dtype"))?;
        // Neither a dtype of another package's nor one that says more than its name.
        let plain = dtype.getattr(intern!(py, "num"))?.extract::<u32>()? < USER_DEFINED
            && dtype.getattr(intern!(py, "metadata"))?.is_none();
        let name = dtype.getattr(intern!(py, "str"))?;
        let name = name.cast::<PyString>()?.to_str()?;
        if !plain || item_size(name).is_none() {
            return Ok(None);
        }
        let flags = value.getattr(intern!(py, "flags"))?;
        let is_c = flags.getattr(intern!(py, "c_contiguous"))?.is_truthy()?;
        let is_f = flags.getattr(intern!(py, "f_contiguous"))?.is_truthy()?;
        let order = if is_f && !is_c { "F" } else { "C" };
        let shape = value.getattr(intern!(py, "shape"))?;
        let shape = shape.cast::<PyTuple>()?;

        let mut head = Buffer::new();
        messagepack::array(py, &mut head, Role::Value, 3)?;
        text(py, &mut head, name)?;
        messagepack::array(py, &mut head, Role::Value, shape.len())?;
        for length in shape.iter_borrowed() {
            messagepack::unsigned(&mut head, length.extract()?);
        }
        text(py, &mut head, order)?;
        let length = messagepack::LONG_HEAD + head.len();
        let padding = length.next_multiple_of(ALIGNMENT) - length;
        head.extend_from_slice(&[0; ALIGNMENT][..padding]);
        let own = if is_c || is_f {
            own_items(value)?
        } else {
            None
        };
        let items = if let Some(items) = own {
            Items::Own(items)
        } else {
            let items = value.call_method1(intern!(py, "tobytes"), (order,))?;
            Items::Copied(items.cast_into()?)
        };
        Ok(Some(Self { head, items }))
    }

    /// Writes all that is before the items.
    pub(super) fn write_head(&self, py: Python<'py>, out: &mut impl Sink) -> PyResult<()> {
        let length = self.head.len() + self.items.as_bytes()?.len();
        messagepack::long_extension_head(py, out, Role::Value, messagepack::ARRAY, length)?;
        out.extend(&self.head);
        Ok(())
    }
}

/// The memory of an array whose items are one behind the other, if they are so many that a
/// copy takes longer than making views of them.
fn own_items<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<PyReadonlyArray1<'py, u8>>> {
    let py = value.py();
    let bytes: usize = value.getattr(intern!(py, "nbytes"))?.extract()?;
    if bytes < LARGE {
        return Ok(None);
    }
    let flat = value.call_method1(intern!(py, "ravel"), (intern!(py, "K"),))?;
    let bytes = flat.call_method1(intern!(py, "view"), (intern!(py, "u1"),))?;
    // Code in another extension may be writing to it.
    Ok(bytes.cast_into::<PyArray1<u8>>()?.try_readonly().ok())
}

/// The dtype of an array, for messages.
pub(super) fn dtype_of(value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    if !is_array(value)? {
        return Ok(None);
    }
    let dtype = value.getattr(intern!(value.py(), "dtype"))?;
    Ok(Some(dtype.str()?.to_string()))
}

fn text(py: Python<'_>, out: &mut Buffer, text: &str) -> PyResult<()> {
    messagepack::string_head(py, out, Role::Value, text.len())?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Whether a value is an array of numpy's: of the very class, because subclasses hold more.
pub(super) fn is_array(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = imported(value.py())?;
    Ok(class.is_some_and(|class| value.get_type().is(class)))
}

/// Whether the program has imported numpy.
pub(super) fn is_imported(py: Python<'_>) -> PyResult<bool> {
    Ok(imported(py)?.is_some())
}

/// `numpy.ndarray`, if the program has imported numpy.
fn imported(py: Python<'_>) -> PyResult<Option<&Bound<'_, PyType>>> {
    if let Some(class) = CLASS.get(py) {
        return Ok(Some(class.bind(py)));
    }
    let modules = MODULES.get(py)?.cast::<PyDict>()?;
    let Some(numpy) = modules.get_item(intern!(py, "numpy"))? else {
        return Ok(None);
    };
    // While it is being imported, it has none yet.
    match numpy.getattr_opt(intern!(py, "ndarray"))? {
        Some(class) => {
            let class = class.cast_into::<PyType>()?.unbind();
            Ok(Some(CLASS.get_or_init(py, || class).bind(py)))
        }
        None => Ok(None),
    }
}

/// The size of an item in bytes, if a dtype is one that the extension holds: numbers, truth
/// values, text, bytes and times of fixed sizes, which any machine reads alike.
fn item_size(dtype: &str) -> Option<usize> {
    let (order, rest) = dtype.split_at_checked(1)?;
    let (kind, rest) = rest.split_at_checked(1)?;
    let (digits, unit) = match rest.split_once('[') {
        Some((digits, unit)) => (digits, Some(unit.strip_suffix(']')?)),
        None => (rest, None),
    };
    let is_time = matches!(kind, "m" | "M");
    let is_unit = |unit: &str| unit.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !matches!(order, "<" | ">" | "|")
        || !digits.bytes().all(|byte| byte.is_ascii_digit())
        || !unit.is_none_or(|unit| is_time && is_unit(unit))
    {
        return None;
    }
    let number: usize = digits.parse().ok()?;
    let is_plain = match kind {
        "b" => number == 1,
        "i" | "u" => matches!(number, 1 | 2 | 4 | 8),
        "f" => matches!(number, 2 | 4 | 8),
        "c" => matches!(number, 8 | 16),
        "m" | "M" => number == 8,
        "S" | "U" => number > 0,
        _ => false,
    };
    // Of text, the number is that of characters, of which each has four bytes.
    let width = if kind == "U" { 4 } else { 1 };
    if is_plain {
        number.checked_mul(width)
    } else {
        None
    }
}

/// What an array is, besides its items.
pub(crate) struct ArrayHead<'py> {
    dtype: Bound<'py, PyString>,
    shape: Vec<usize>,
    order: Bound<'py, PyString>,
}

impl<'py> ArrayHead<'py> {
    /// Reads what is before the items of an extension whose content has `length` bytes, of
    /// which the first ones are known; and where the items begin.
    pub(crate) fn read(py: Python<'py>, first: &[u8], length: usize) -> PyResult<(Self, usize)> {
        let mut reader = MessagePackReader {
            bytes: first,
            arrays: Arrays::Tuples,
            pickles: false,
            what: Role::Value,
        };
        let parts = reader.value(py, 2)?;
        let parts = parts.extract::<(Bound<'py, PyString>, Vec<usize>, Bound<'py, PyString>)>();
        let Ok((dtype, shape, order)) = parts else {
            return Err(invalid(py, "its head is not a dtype, a shape and an order"));
        };
        let Some(size) = item_size(dtype.to_str()?) else {
            let dtype = dtype.repr()?;
            return Err(invalid(py, &format!("there is no dtype {dtype} in tables")));
        };
        if !matches!(order.to_str()?, "C" | "F") {
            return Err(invalid(py, "its order is neither C nor F"));
        }
        let items = shape.iter().try_fold(size, |all, n| all.checked_mul(*n));
        let begin = items.and_then(|items| length.checked_sub(items));
        let head = first.len() - reader.bytes.len();
        match begin {
            Some(begin) if begin <= first.len() && (head..head + ALIGNMENT).contains(&begin) => {
                let head = Self {
                    dtype,
                    shape,
                    order,
                };
                Ok((head, begin))
            }
            _ => Err(invalid(py, "its length is not that of its items")),
        }
    }

    /// The array of these items, which any object with a buffer holds.
    pub(crate) fn with(self, items: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = items.py();
        let class = import(py)?;
        let shape = PyTuple::new(py, self.shape)?;
        let made = class.call1((shape, self.dtype, items, 0, py.None(), self.order));
        made.map_err(|error| {
            let refused =
                error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyTypeError>(py);
            if refused {
                invalid(py, &error.value(py).to_string())
            } else {
                error
            }
        })
    }
}

/// `numpy.ndarray`, for a program that reads an array.
fn import(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    if imported(py)?.is_none() {
        py.import(intern!(py, "numpy"))
            .map_err(|error| lacking(py, error))?;
    }
    imported(py)?.ok_or_else(|| PyImportError::new_err("numpy has no ndarray"))
}

/// Memory for the items of an array, which `fill` fills. It is not cleared before.
pub(crate) fn filled(
    py: Python<'_>,
    bytes: usize,
    fill: impl FnOnce(&mut [u8]) -> PyResult<()>,
) -> PyResult<Bound<'_, PyAny>> {
    let items = import(py)?.call1(((bytes,), intern!(py, "u1")))?;
    let items = items.cast_into::<PyArray1<u8>>()?;
    fill(items.try_readwrite()?.as_slice_mut()?)?;
    Ok(items.into_any())
}

/// The array that the content of an extension stands for.
pub(super) fn load<'py>(py: Python<'py>, content: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let (head, begin) = ArrayHead::read(py, content, content.len())?;
    head.with(&PyByteArray::new(py, &content[begin..]))
}

#[cold]
fn invalid(py: Python<'_>, reason: &str) -> PyErr {
    errors::undecodable(py, Role::Value, &format!("an array of numpy's: {reason}"))
}

/// The error of a program that has no numpy and gets an array.
#[cold]
fn lacking(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyImportError>(py) {
        return error;
    }
    let message = format!(
        "the value is an array of numpy's, which cannot be imported: {}; install numpy where \
         arrays are read",
        error.value(py)
    );
    let ours = PyErr::from_type(error.get_type(py), message);
    ours.set_cause(py, Some(error));
    ours
}
