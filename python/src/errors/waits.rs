//! Exceptions of waits, computations and changes that came to nothing.

use std::ffi::CString;

use pyo3::prelude::*;

use super::{bad_value, class, exception, shown, type_of};

#[cold]
pub(crate) fn wait_timeout(key: &Bound<'_, PyAny>, seconds: f64, state: &str) -> PyErr {
    let message = format!("waited {seconds} s for the key {}, {state}", shown(key));
    exception(key.py(), "WaitTimeoutError", (message,))
}

/// None of several keys has a value.
#[cold]
pub(crate) fn none_of_many(first: &Bound<'_, PyAny>, seconds: f64, count: usize) -> PyErr {
    let state = format!("and {} more, and none has a value yet", count - 1);
    wait_timeout(first, seconds, &state)
}

#[cold]
pub(crate) fn lock_not_free(name: &Bound<'_, PyAny>, seconds: f64) -> PyErr {
    let message = format!(
        "waited {seconds} s for the lock {}, which another caller holds; its process is alive, but \
         may be stuck: try again, or wait longer",
        shown(name)
    );
    exception(name.py(), "WaitTimeoutError", (message,))
}

#[cold]
pub(crate) fn claim_not_free(key: &Bound<'_, PyAny>, seconds: f64) -> PyErr {
    let message = format!(
        "waited {seconds} s for the claim of the key {}, which another caller has; wait longer by \
         timeout=, or await aio.claim() without a with, which then returns None",
        shown(key)
    );
    exception(key.py(), "WaitTimeoutError", (message,))
}

#[cold]
pub(crate) fn compute_timeout(key: &Bound<'_, PyAny>, seconds: f64) -> PyErr {
    let message = format!(
        "waited {seconds} s for the value of the key {}, which another caller computes; its process \
         is alive, but may be stuck: try again, wait longer, or store the value by d[key] = value",
        shown(key)
    );
    exception(key.py(), "ComputeTimeoutError", (message,))
}

/// The value of a key is no longer the one that `edit` loaded.
#[cold]
pub(crate) fn conflict(key: &Bound<'_, PyAny>) -> PyErr {
    let message = format!(
        "the value of the key {} was replaced or removed while edit() had it, and nothing was stored; \
         read it again by another edit(), or use update_value(), which calls its function again",
        shown(key)
    );
    exception(key.py(), "ConflictError", (message,))
}

/// `edit` of a value that can't be changed in place.
#[cold]
pub(crate) fn no_edit(key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyErr {
    let kind = type_of(value).unwrap_or_else(|_| "immutable".to_owned());
    let message = format!(
        "edit() changes values in place, and the value of the key {} is {kind}, which can't be \
         changed; use update_value(), whose function returns the new value",
        shown(key)
    );
    bad_value(key.py(), message)
}

/// A computation asks for the value that it computes.
#[cold]
pub(crate) fn own_computation(key: &Bound<'_, PyAny>) -> PyErr {
    let message = format!(
        "get_or_compute() was called for the key {} from inside its own computation, which it \
         would wait for; compute the value without asking for it",
        shown(key)
    );
    exception(key.py(), "DeadlockError", (message,))
}

/// A caller asks for a lock or a claim that it has.
#[cold]
pub(crate) fn own_claim(key: &Bound<'_, PyAny>, what: &str) -> PyErr {
    let message = format!(
        "this caller has the {what} {} already, and would wait for itself; take it once, around all \
         that needs it, or give it back first",
        shown(key)
    );
    exception(key.py(), "DeadlockError", (message,))
}

/// A plain wait for what another task of the same event loop has.
#[cold]
pub(crate) fn stops_its_loop(key: &Bound<'_, PyAny>, what: &str, instead: &str) -> PyErr {
    let message = format!(
        "the {what} {} is held by a task of this event loop, which can't give it back while this \
         call stops the loop; in a coroutine, use {instead}",
        shown(key)
    );
    exception(key.py(), "DeadlockError", (message,))
}

#[cold]
pub(crate) fn abandoned(py: Python<'_>) -> PyErr {
    let message = "no one waits for this any more: the asyncio task was cancelled, or its loop \
                   has ended; give the wait a timeout to end it sooner";
    exception(py, "WaitAbandonedError", (message,))
}

/// A function that returned a coroutine where a value is to be stored.
#[cold]
pub(crate) fn coroutine(returned: &Bound<'_, PyAny>) -> PyErr {
    // Otherwise Python warns that it was never awaited.
    if let Err(error) = returned.call_method0("close") {
        return error;
    }
    let message = "cannot store a coroutine: get_or_compute() takes a plain function, and this one \
                   is async; await shmtable.aio.get_or_compute(d, key, function), or compute the value \
                   first and store it by setdefault()";
    bad_value(returned.py(), message.to_owned())
}

/// Warns that a computed value is returned, and not stored.
#[cold]
pub(crate) fn warn_not_stored(key: &Bound<'_, PyAny>, reason: &PyErr) -> PyResult<()> {
    let py = key.py();
    let message = format!(
        "the value of the key {} was computed and is returned, but could not be stored: {}",
        shown(key),
        reason.value(py)
    );
    let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
    let category = class(py, "NotStoredWarning")?;
    PyErr::warn(py, category.as_any(), &message, 1)
}
