//! Waiting for a key.

use std::time::{Duration, Instant};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use shmtable::{Table, Waker, wait_until};

use crate::encoding::messagepack::Buffer;
use crate::errors::{self, OrRaise};
use crate::handle::settings::seconds_of;
use crate::handle::{Open, SharedDictBase};
use crate::imports::{IS_ABANDONED, MISSING};
use crate::methods::atomic::Expected;
use crate::methods::writing::stored;
use crate::sleep::letting_greenlets_run;

/// How long a wait sleeps before it checks whether the handle was closed.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// Raises if the result of a wait is for an asyncio task that will never take it.
pub(crate) fn check_wanted(py: Python<'_>) -> PyResult<()> {
    if IS_ABANDONED.get(py)?.call0()?.is_truthy()? {
        return Err(errors::abandoned(py));
    }
    Ok(())
}

/// When a wait ends, whatever happens.
pub(crate) struct Deadline {
    /// What the caller asked for.
    pub(crate) seconds: f64,
    /// Beyond what a clock can say is never.
    at: Option<Instant>,
}

/// A timeout as callers give it. A bool, which other locks take for `blocking`, would be a second
/// or none.
pub(crate) fn timeout_of(given: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    if given.is_none() {
        return Ok(None);
    }
    if !given.is_instance_of::<PyBool>()
        && let Ok(seconds) = given.extract()
    {
        return Ok(Some(seconds));
    }
    Err(PyTypeError::new_err(format!(
        "timeout is {given:?}, and takes a number of seconds, or None to wait without a limit; with 0 \
         the call does not wait"
    )))
}

impl Deadline {
    /// After so many seconds; `None` is never.
    pub(crate) fn after(py: Python<'_>, timeout: Option<f64>) -> PyResult<Self> {
        let patience = match timeout {
            Some(seconds) => seconds_of(py, "timeout", seconds)?,
            None => Duration::MAX,
        };
        Ok(Self {
            seconds: timeout.unwrap_or(f64::INFINITY),
            at: Instant::now().checked_add(patience),
        })
    }

    /// How long to sleep at most before the next check, and whether that is the last one.
    pub(crate) fn slice(&self, most: Duration) -> (Duration, bool) {
        match self.at {
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                (left.min(most), left.is_zero())
            }
            None => (most, false),
        }
    }
}

/// Waits in slices until a function finds something, and returns it; `None` after the deadline.
///
/// Between two slices, a handle that was closed ends the wait, and so does a task that no longer
/// takes the result.
pub(crate) fn in_slices<T>(
    py: Python<'_>,
    dict: &SharedDictBase,
    deadline: &Deadline,
    mut wait: impl FnMut(&Open, Duration) -> PyResult<Option<T>>,
) -> PyResult<Option<T>> {
    loop {
        let open = dict.open_long(py)?;
        check_wanted(py)?;
        let (slice, last) = deadline.slice(LOOK);
        let found = wait(&open, slice)?;
        if found.is_some() || last {
            return Ok(found);
        }
    }
}

#[pymethods]
impl SharedDictBase {
    /// Waits until a key has a value, and returns the value.
    ///
    /// The wait sleeps until the process that stores the value wakes it. Other threads run
    /// during the wait, and Ctrl-C ends it. After `timeout` seconds the wait raises
    /// `WaitTimeoutError`, a `TimeoutError`; with `None` it has no limit.
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
        #[pyo3(from_py_with = timeout_of)] timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let deadline = Deadline::after(py, timeout)?;
        let open = self.open(py)?;
        let encoded = open.key(key)?;
        // Usually the value is there, and Python need not be asked how to wait.
        if let Some(value) = open.read(py, &encoded)? {
            return Ok(value);
        }
        drop(open);
        let found = in_slices(py, self, &deadline, |open, slice| {
            let found = letting_greenlets_run(py, || open.table.wait(&encoded, slice))?;
            let value = found.or_raise(py)?;
            value
                .map(|value| open.to_value(py, &encoded, &value))
                .transpose()
        })?;
        found.ok_or_else(|| errors::wait_timeout(key, deadline.seconds, "and it has no value yet"))
    }

    /// Waits until any of several keys has a value, and returns the key and the value.
    ///
    /// Of several that have a value, it is the first in the order of `keys`. Waits as `wait`
    /// does, with the same `timeout`. If the keys are in more than 127 parts of the table (it
    /// has 1024 if it grows, and otherwise one for about five hundred entries of its capacity,
    /// 16 at least), the table is read every 2 ms.
    ///
    /// >>> import threading
    /// >>> d = SharedDict()
    /// >>> threading.Timer(0.01, d.update, [{'right': 42}]).start()
    /// >>> d.wait_any(['left', 'right'], timeout=10)
    /// ('right', 42)
    #[pyo3(signature = (keys, timeout=None))]
    fn wait_any<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = timeout_of)] timeout: Option<f64>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let deadline = Deadline::after(py, timeout)?;
        let open = self.open_long(py)?;
        let keys: Vec<Bound<'py, PyAny>> = keys.try_iter()?.collect::<PyResult<_>>()?;
        let encoded: Vec<Buffer> = keys
            .iter()
            .map(|key| open.key(key))
            .collect::<PyResult<_>>()?;
        if encoded.is_empty() {
            let message = "wait_any() was given no keys, and would wait forever";
            return Err(errors::bad_option(py, message.to_owned()));
        }
        drop(open);
        let waker = Waker::new();
        let found = in_slices(py, self, &deadline, |open, slice| {
            let waited: Vec<(&Table, &[u8])> =
                encoded.iter().map(|key| (&open.table, &key[..])).collect();
            let found = letting_greenlets_run(py, || {
                wait_until(&waited, &waker, slice, || {
                    for (at, key) in encoded.iter().enumerate() {
                        if let Some(value) = open.table.get(key)? {
                            return Ok(Some((at, value)));
                        }
                    }
                    Ok(None)
                })
            })?;
            let Some((at, value)) = found.or_raise(py)? else {
                return Ok(None);
            };
            let value = open.to_value(py, &encoded[at], &value)?;
            Ok(Some((keys[at].clone(), value)))
        })?;
        found.ok_or_else(|| errors::none_of_many(&keys[0], deadline.seconds, keys.len()))
    }

    /// Waits until the value of a key differs from `seen`, and returns the new value.
    ///
    /// `MISSING` stands for no value on both sides: as `seen` it waits for a value, and it is
    /// returned if the key was removed.
    ///
    /// Waits as `wait` does, with the same `timeout`. A value that changes and changes back may
    /// go unnoticed.
    ///
    /// >>> import threading
    /// >>> d = SharedDict({'state': 'waiting'})
    /// >>> threading.Timer(0.01, d.update, [{'state': 'running'}]).start()
    /// >>> d.wait_change('state', 'waiting', timeout=10)
    /// 'running'
    #[pyo3(signature = (key, seen, timeout=None))]
    fn wait_change<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        seen: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = timeout_of)] timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let deadline = Deadline::after(py, timeout)?;
        let open = self.open_long(py)?;
        let encoded = open.key(key)?;
        let seen = Expected {
            value: seen,
            encoded: stored(py, &open, seen)?,
        };
        drop(open);
        // The bytes that were compared last, which are known to be what was seen.
        let mut same = seen.encoded.as_ref().map(|bytes| bytes.to_vec());
        let changed = in_slices(py, self, &deadline, |open, slice| {
            let changed = letting_greenlets_run(py, || {
                open.table.wait_change(&encoded, same.as_deref(), slice)
            })?;
            match changed.or_raise(py)? {
                Some(None) => Ok(Some(MISSING.get(py)?.clone())),
                // Equal values may have several forms: 1 and 1.0, sets.
                Some(Some(value)) if seen.equals(py, open, &encoded, &value)? => {
                    same = Some(value);
                    Ok(None)
                }
                Some(Some(value)) => open.to_value(py, &encoded, &value).map(Some),
                None => Ok(None),
            }
        })?;
        changed.ok_or_else(|| not_changed(key, &deadline))
    }
}

/// The error of a wait for a change that did not come.
pub(crate) fn not_changed(key: &Bound<'_, PyAny>, deadline: &Deadline) -> PyErr {
    errors::wait_timeout(key, deadline.seconds, "and its value has not changed")
}
