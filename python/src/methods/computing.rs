//! `get_or_compute`: one of all callers that want a value computes it.
//!
//! A computation is part of the [`Context`] of the code that it calls, so that the crate finds
//! computations that wait for each other.

use pyo3::exceptions::{PyMemoryError, PyRuntimeError};
use pyo3::prelude::*;
use shmtable::{Claim, Claimed};

use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};
use crate::imports::IS_COROUTINE;
use crate::methods::held_claims::{Context, HeldClaim};
use crate::methods::waiting::{Deadline, LOOK, check_wanted, timeout_of};

/// Ends a computation's claim however the call ends.
struct Ending<'a, 'py>(&'a Bound<'py, HeldClaim>);

impl Drop for Ending<'_, '_> {
    fn drop(&mut self) {
        self.0.get().end();
    }
}

#[pymethods]
impl SharedDictBase {
    /// Returns the value of a key, which a function computes if there is none.
    ///
    /// Of all processes, threads and greenlets that ask at the same time, one calls its
    /// function and stores what it returns; the others wait for that value. If the function
    /// raises, or its process dies, another one takes its place. If another value is stored
    /// while the function runs, that value stays and is returned.
    ///
    /// The timeout, in seconds, is for waiting only: if another caller's computation takes
    /// longer, a `ComputeTimeoutError` is raised. Computations that wait for each other, or
    /// for themselves, would never end: one of them gets a `DeadlockError`. If there is no
    /// room for the value, it is returned with a `NotStoredWarning`, and the next caller
    /// computes it again.
    ///
    /// >>> d = SharedDict()
    /// >>> d.get_or_compute('6 * 7', lambda: 6 * 7)
    /// 42
    /// >>> d.get_or_compute('6 * 7', lambda: 'not called')
    /// 42
    #[pyo3(signature = (key, function, timeout=None))]
    fn get_or_compute<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        function: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = timeout_of)] timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let deadline = Deadline::after(py, timeout)?;
        let open = self.open_long(py)?;
        let encoded = open.key(key)?;
        if let Some(value) = open.read(py, &encoded)? {
            return Ok(value);
        }
        let context = Context::now(py)?;
        let mut claimed = py
            .detach(|| open.table.get_or_claim(&encoded))
            .or_raise(py)?;
        drop(open);
        loop {
            // A handle that was closed ends the wait.
            let open = self.open_long(py)?;
            let other = match claimed {
                Claimed::Present(value) => return open.to_value(py, &encoded, &value),
                Claimed::Mine(claim) => {
                    return compute(py, &open, key, claim, &context, function);
                }
                Claimed::Others(other) => other,
                other => {
                    let message = format!("get_or_compute() met {other:?}");
                    return Err(PyRuntimeError::new_err(message));
                }
            };
            check_wanted(py)?;
            Context::check_loop(py, &open, &encoded, || {
                let instead = "await shmtable.aio.get_or_compute(d, key, function)";
                errors::stops_its_loop(key, "claim to compute the key", instead)
            })?;
            let (slice, last) = deadline.slice(LOOK);
            claimed = match context.wait(py, &open, key, &encoded, other, slice)? {
                Claimed::Others(_) if last => {
                    return Err(errors::compute_timeout(key, deadline.seconds));
                }
                claimed => claimed,
            };
        }
    }
}

/// What an attempt to get a value found, and the value or the computation.
type Attempt<'py> = (&'static str, Option<Bound<'py, PyAny>>);

// For `shmtable.aio`, whose computations are coroutines.
#[pymethods]
impl SharedDictBase {
    /// Returns "value" and a key's value; or "mine" and the computation, if this caller is to
    /// compute it; or "others".
    #[pyo3(name = "_claim")]
    fn claim_from_python<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Attempt<'py>> {
        let open = self.open_long(py)?;
        let encoded = open.key(key)?;
        if let Some(value) = open.read(py, &encoded)? {
            return Ok(("value", Some(value)));
        }
        match open.table.get_or_claim(&encoded).or_raise(py)? {
            Claimed::Present(value) => Ok(("value", Some(open.to_value(py, &encoded, &value)?))),
            Claimed::Mine(claim) => {
                let computation = Bound::new(py, HeldClaim::new(&open, claim))?;
                Ok(("mine", Some(computation.into_any())))
            }
            Claimed::Others(_) => Ok(("others", None)),
            other => {
                let message = format!("get_or_compute() met {other:?}");
                Err(PyRuntimeError::new_err(message))
            }
        }
    }

    /// Stores the value of a computation that this caller began, ends the computation, and
    /// returns the value as stored.
    #[pyo3(name = "_finish")]
    fn finish_from_python<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        computation: &Bound<'py, HeldClaim>,
        value: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let ending = Ending(computation);
        let open = self.open_long(py)?;
        finish(py, &open, key, &ending, value)
    }
}

/// Computes the value of a claimed key, and stores it unless there is one by then.
fn compute<'py>(
    py: Python<'py>,
    open: &Open,
    key: &Bound<'py, PyAny>,
    claim: Claim,
    context: &Context<'py>,
    function: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let computation = Bound::new(py, HeldClaim::new(open, claim))?;
    let ending = Ending(&computation);
    let value = context.call(&computation, function)?;
    finish(py, open, key, &ending, value)
}

/// Stores a computed value unless there is one by then, and ends its claim.
fn finish<'py>(
    py: Python<'py>,
    open: &Open,
    key: &Bound<'py, PyAny>,
    ending: &Ending<'_, 'py>,
    value: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let encoded = ending.0.get().key();
    let new = open.value(&value).map_err(|error| {
        match IS_COROUTINE
            .get(py)
            .and_then(|is| is.call1((&value,))?.extract())
        {
            Ok(true) => errors::coroutine(&value),
            Ok(false) => error,
            Err(error) => error,
        }
    })?;
    let stored = open.write(py, new.len(), |table| {
        table.compare_exchange(encoded, None, Some(&new))
    });
    ending.0.get().end();
    match stored {
        Ok(Err(Some(winner))) => open.to_value(py, encoded, &winner),
        Ok(_) => open.as_stored(py, encoded, value, &new),
        Err(error) if is_for_room(py, &error) => {
            errors::warn_not_stored(key, &error)?;
            open.as_stored(py, encoded, value, &new)
        }
        Err(error) => Err(error),
    }
}

/// Whether a value could not be stored because it has no room.
fn is_for_room(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyMemoryError>(py) || errors::is(py, error, "ValueTooLargeError")
}
