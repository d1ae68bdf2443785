//! Reading one key.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::errors::{self, OrRaise};
use crate::handle::{SharedDictBase, seconds_of};

/// How long a wait goes on before it looks whether the handle was closed.
const LOOK: Duration = Duration::from_millis(200);

#[pymethods]
impl SharedDictBase {
    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.open(py)?.get(key)? {
            Some(value) => Ok(value),
            None => Err(errors::missing(key)),
        }
    }

    /// The value of a key, or the default.
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

    /// Waits until a key has a value, and returns it.
    ///
    /// Sleeps; the process that stores the value wakes it. Other threads run
    /// meanwhile, and Ctrl-C ends it. Raises `WaitTimeoutError`, a `TimeoutError`, after so
    /// many seconds; `None` waits for ever.
    ///
    /// >>> import threading
    /// >>> d = SharedDict()
    /// >>> threading.Timer(0.01, d.update, [{'answer': 42}]).start()
    /// >>> d.wait('answer', timeout=10)
    /// 42
    #[pyo3(signature = (key, timeout=None))]
    fn wait<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let patience = match timeout {
            Some(seconds) => seconds_of(py, "timeout", seconds)?,
            None => Duration::MAX,
        };
        let deadline = Instant::now().checked_add(patience);
        let encoded = self.open(py)?.key(key)?;
        loop {
            let open = self.open_long(py)?;
            let left = deadline.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()));
            let found = open.table.wait(&encoded, left.min(LOOK)).or_raise(py)?;
            if let Some(value) = found {
                return open.to_value(py, &encoded, &value);
            }
            if left.is_zero() {
                return Err(errors::wait_timeout(key, timeout.unwrap_or(f64::INFINITY)));
            }
        }
    }
}
