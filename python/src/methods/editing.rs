//! `edit`: a value that is changed in place, and stored if no one else stored one meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyComplex, PyFloat, PyInt, PyString};
use pyo3::{PyTraverseError, PyVisit};
use shmtable::Error;

use crate::encoding::messagepack::Buffer;
use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};
use crate::imports::MISSING;
use crate::methods::writing::{Given, exchange};

/// What `edit` returns: the context manager of one key.
#[pyclass(frozen, module = "shmtable._native")]
pub(crate) struct Edit {
    dict: Py<SharedDictBase>,
    key: Py<PyAny>,
    encoded: Buffer,
    /// What a missing key has; without one it raises.
    default: Option<Py<PyAny>>,
    /// What was read at the beginning of each block, the innermost last. Locked only briefly.
    begun: Mutex<Vec<Begun>>,
}

/// A block that is under way.
struct Begun {
    value: Py<PyAny>,
    /// The stored bytes from which the value was loaded; none of a missing key.
    read: Option<Vec<u8>>,
}

#[pymethods]
impl Edit {
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let open = self.dict.get().open_long(py)?;
        let read = open.table.get(&self.encoded).or_raise(py)?;
        let value = match (&read, &self.default) {
            (Some(read), _) => open.to_value(py, &self.encoded, read)?,
            // A copy: the block changes it, and a default serves again.
            (None, Some(default)) => {
                let default = open.value(default.bind(py))?;
                open.to_value(py, &self.encoded, &default)?
            }
            (None, None) => return Err(errors::missing(self.key.bind(py))),
        };
        if never_changes(&value) {
            return Err(errors::no_edit(self.key.bind(py), &value));
        }
        let begun = Begun {
            value: value.clone().unbind(),
            read,
        };
        self.begun().push(begun);
        Ok(value)
    }

    #[pyo3(signature = (kind, raised, traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        raised: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let _ = (raised, traceback);
        let begun = self.begun().pop();
        if let Some(begun) = begun
            && kind.is_none()
        {
            self.store(py, &begun)?;
        }
        Ok(false)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.dict)?;
        visit.call(&self.key)?;
        visit.call(&self.default)
    }
}

impl Edit {
    fn store(&self, py: Python<'_>, begun: &Begun) -> PyResult<()> {
        let open: &Open = &*self.dict.get().open_long(py)?;
        let new = open.value(begun.value.bind(py))?;
        if exchange(py, open, &self.encoded, begun.read.as_deref(), Some(&new))? {
            Ok(())
        } else {
            Err(errors::conflict(self.key.bind(py)))
        }
    }

    fn begun(&self) -> MutexGuard<'_, Vec<Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a value can't be changed in place, whatever is done to it.
fn never_changes(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyBytes>()
        || value.is_exact_instance_of::<PyBool>()
        || value.is_exact_instance_of::<PyComplex>()
}

#[pymethods]
impl SharedDictBase {
    /// Returns a context manager that loads a value to change it in place, and then stores it.
    ///
    /// The value is stored when the block ends, if the key still has the stored bytes that it
    /// was loaded from; otherwise a `ConflictError` is raised, and nothing is stored. Then
    /// run the block again, or use `update_value`, which calls its function again. If the
    /// block raises, nothing is stored.
    ///
    /// The value of a missing key is a copy of the default; without a default, a missing key
    /// raises `KeyError`. No lock is held while the block runs. An int, a float, a str, bytes
    /// or `None` can't be changed in place and raises `ValueTypeError`, a `TypeError`: use
    /// `update_value`.
    ///
    /// >>> d = SharedDict({'ann': {'visits': 1, 'seen': ['a']}})
    /// >>> with d.edit('ann') as value:
    /// ...     value['visits'] += 1
    /// ...     value['seen'].append('b')
    /// >>> d['ann']
    /// {'visits': 2, 'seen': ['a', 'b']}
    #[pyo3(
        signature = (key, default=Given(None)),
        text_signature = "($self, /, key, default=shmtable._missing.SHOWN)"
    )]
    fn edit(this: &Bound<'_, Self>, key: &Bound<'_, PyAny>, default: Given<'_>) -> PyResult<Edit> {
        let py = this.py();
        let open = this.get().open_long(py)?;
        if open.table.is_read_only() {
            return Err(errors::raised(py, Error::ReadOnly));
        }
        let missing = MISSING.get(py)?;
        let default = default.0.filter(|default| !default.is(missing));
        Ok(Edit {
            encoded: open.key(key)?,
            dict: this.clone().unbind(),
            key: key.clone().unbind(),
            default: default.map(Bound::unbind),
            begun: Mutex::new(Vec::new()),
        })
    }
}
