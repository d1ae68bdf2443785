//! Reading one key.

use pyo3::prelude::*;

use crate::errors::{self, OrRaise};
use crate::handle::SharedDictBase;

#[pymethods]
impl SharedDictBase {
    fn __getitem__<'py>(
        this: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match this.get().open(this.py())?.get(key)? {
            Some(value) => Ok(value),
            None => missing(this, key),
        }
    }

    /// Returns the value of a key, or the default.
    ///
    /// >>> d = SharedDict({'a': 1})
    /// >>> d.get('a'), d.get('b'), d.get('b', 0)
    /// (1, None, 0)
    #[pyo3(signature = (key, default=None, /))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.open(py)?.get(key)?.or(default))
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let open = self.open(py)?;
        let encoded = open.key(key)?;
        open.table.contains_key(&encoded).or_raise(py)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.open(py)?.table.len())
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!self.open(py)?.table.is_empty())
    }
}

/// What a subclass has for a missing key, as those of dict may.
#[cold]
fn missing<'py>(
    this: &Bound<'py, SharedDictBase>,
    key: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    match this.get_type().getattr_opt("__missing__")? {
        Some(missing) => missing.call1((this, key)),
        None => Err(errors::missing(key)),
    }
}
