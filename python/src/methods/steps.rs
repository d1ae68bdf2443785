//! The steps of waits and computations, one by one, for `shmtable.aio`: what happens between
//! them is up to the event loop.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::OrRaise;
use crate::handle::SharedDictBase;
use crate::methods::waiting::{Deadline, timeout_of};

#[pymethods]
impl SharedDictBase {
    /// Returns the bytes that a key is found by, and refuses what is no timeout.
    #[pyo3(name = "_encode_key", signature = (key, timeout=None))]
    fn encode_key<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = timeout_of)] timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        Deadline::after(py, timeout)?;
        let encoded = self.open_long(py)?.key(key)?;
        Ok(PyBytes::new(py, &encoded))
    }

    /// Returns the stored bytes of an encoded key's value.
    #[pyo3(name = "_stored")]
    fn stored_bytes<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let stored = self.open_long(py)?.table.get(key).or_raise(py)?;
        Ok(stored.map(|stored| PyBytes::new(py, &stored)))
    }

    /// Returns the value that an encoded key's stored bytes stand for.
    #[pyo3(name = "_load")]
    fn load<'py>(&self, py: Python<'py>, key: &[u8], stored: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        self.open_long(py)?.to_value(py, key, stored)
    }
}
