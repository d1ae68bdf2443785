//! `watch`: the values that a key has, one after another.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::encoding::messagepack::Buffer;
use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};
use crate::imports::MISSING;
use crate::methods::waiting::{Deadline, in_slices, not_changed, timeout_of};
use crate::sleep::letting_greenlets_run;

/// What `watch` returns: an iterator over the values of one key.
#[pyclass(frozen, module = "shmtable._native")]
pub(crate) struct Watch {
    dict: Py<SharedDictBase>,
    key: Py<PyAny>,
    encoded: Buffer,
    timeout: Option<f64>,
    /// The stored bytes of the last value that was returned. Locked only briefly.
    seen: Mutex<Seen>,
}

#[derive(Clone)]
enum Seen {
    Nothing,
    Absent,
    Value(Vec<u8>),
}

#[pymethods]
impl Watch {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let before = self.seen().clone();
        let now = match &before {
            Seen::Nothing => {
                let open = self.dict.get().open(py)?;
                open.table.get(&self.encoded).or_raise(py)?
            }
            Seen::Absent => self.change(py, None)?,
            Seen::Value(value) => self.change(py, Some(value))?,
        };
        // Whatever loading it raises, the next call goes on behind it.
        *self.seen() = match &now {
            Some(value) => Seen::Value(value.clone()),
            None => Seen::Absent,
        };
        let Some(now) = now else {
            return Ok(MISSING.get(py)?.clone());
        };
        let open: &Open = &*self.dict.get().open_long(py)?;
        open.to_value(py, &self.encoded, &now)
            .map_err(|error| errors::not_the_end(py, error))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.dict)?;
        visit.call(&self.key)
    }
}

impl Watch {
    /// Waits until the stored bytes are others.
    fn change(&self, py: Python<'_>, seen: Option<&[u8]>) -> PyResult<Option<Vec<u8>>> {
        let deadline = Deadline::after(py, self.timeout)?;
        let changed = in_slices(py, self.dict.get(), &deadline, |open, slice| {
            letting_greenlets_run(py, || open.table.wait_change(&self.encoded, seen, slice))?
                .or_raise(py)
        })?;
        changed.ok_or_else(|| not_changed(self.key.bind(py), &deadline))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl SharedDictBase {
    /// Returns an iterator over the values of a key: the present one, then each change.
    ///
    /// `MISSING` stands for no value. Each step waits as `wait_change` does, until the stored
    /// bytes are others. A value that is replaced before this iterator sees it is skipped, as
    /// is one that changes and changes back; the latest one never is.
    ///
    /// The iterator has no end. If there is no change for `timeout` seconds, a step raises
    /// `WaitTimeoutError`, a `TimeoutError`; the next step waits again. After `close` in
    /// another thread it raises `ClosedError`.
    ///
    /// >>> import threading
    /// >>> d = SharedDict({'state': 'waiting'})
    /// >>> for state in d.watch('state', timeout=10):
    /// ...     print(state)
    /// ...     if state == 'done':
    /// ...         break
    /// ...     threading.Timer(0.01, d.update, [{'state': 'done'}]).start()
    /// waiting
    /// done
    #[pyo3(signature = (key, timeout=None))]
    fn watch(
        this: &Bound<'_, Self>,
        key: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = timeout_of)] timeout: Option<f64>,
    ) -> PyResult<Watch> {
        let py = this.py();
        let open = this.get().open_long(py)?;
        Deadline::after(py, timeout)?;
        Ok(Watch {
            dict: this.clone().unbind(),
            key: key.clone().unbind(),
            encoded: open.key(key)?,
            timeout,
            seen: Mutex::new(Seen::Nothing),
        })
    }
}
