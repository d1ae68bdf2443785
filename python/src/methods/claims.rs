//! `claim` and `lock`: rights that one caller at a time has, and that end with their holder.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};
use crate::methods::held_claims::{Context, HeldClaim, LOCK};
use crate::methods::waiting::{Deadline, LOOK, in_slices, timeout_of};

/// The right to a key, from `SharedDict.claim`.
///
/// One caller at a time has it, of all threads of all processes. It ends with `release`, at the
/// end of a `with` block, when the object goes, and with its process, however that ends. A
/// forked child doesn't have it.
#[pyclass(frozen, generic, module = "shmtable")]
pub(crate) struct Claim {
    key: Py<PyAny>,
    held: Py<HeldClaim>,
}

// The context of the code that held them may still know these claims.

impl Drop for Claim {
    fn drop(&mut self) {
        self.held.get().end();
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(held) = self.state().take() {
            held.get().end();
        }
    }
}

#[pymethods]
impl Claim {
    /// The claimed key.
    #[getter]
    fn key(&self, py: Python<'_>) -> Py<PyAny> {
        self.key.clone_ref(py)
    }

    /// Whether this process still has the claim.
    #[getter]
    fn held(&self) -> bool {
        self.held.get().is_held()
    }

    /// Gives the claim up; doing so again does nothing.
    fn release(&self, py: Python<'_>) {
        end(py, &self.held);
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let py = slf.py();
        let held = slf.get().held.bind(py);
        held.get().belong_to_task(py)?;
        Context::now(py)?.enter(held)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyAny>) -> PyResult<()> {
        end(py, &self.held);
        Context::now(py)?.restore(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let key = self.key.bind(py).repr()?;
        let state = if self.held() { "" } else { ", released" };
        Ok(format!("<Claim of {key}{state}>"))
    }
}

/// A lock for threads and processes, from `SharedDict.lock`.
///
/// It ends with its holder, however that ends: no dead process keeps it.
#[pyclass(frozen, module = "shmtable")]
pub(crate) struct Lock {
    dict: Py<SharedDictBase>,
    name: Py<PyAny>,
    encoded: Vec<u8>,
    timeout: Option<f64>,
    /// Locked for moments only.
    held: Mutex<Option<Py<HeldClaim>>>,
}

impl Lock {
    fn state(&self) -> MutexGuard<'_, Option<Py<HeldClaim>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let context = Context::now(py)?;
        let deadline = Deadline::after(py, timeout)?;
        let dict = self.dict.bind(py).get();
        let held = claim_within(py, dict, &self.encoded, &deadline, &context, || {
            errors::stops_its_loop(
                self.name.bind(py),
                "lock",
                "async with shmtable.aio.lock(d, name)",
            )
        })?;
        let Some(held) = held else {
            return Ok(false);
        };
        self.keep(held.into_bound(py), &context)?;
        Ok(true)
    }

    fn keep(&self, held: Bound<'_, HeldClaim>, context: &Context<'_>) -> PyResult<()> {
        held.get().belong_to_task(held.py())?;
        context.enter(&held)?;
        let before = self.state().replace(held.unbind());
        drop(before);
        Ok(())
    }

    /// Returns whether this process had the lock until now.
    fn give_up(&self, py: Python<'_>) -> PyResult<bool> {
        let held = self.state().take();
        let ended = held.is_some_and(|held| end(py, &held));
        Context::now(py)?.restore(py)?;
        Ok(ended)
    }
}

#[pymethods]
impl Lock {
    /// The name of the lock.
    #[getter]
    fn name(&self, py: Python<'_>) -> Py<PyAny> {
        self.name.clone_ref(py)
    }

    /// Whether this object holds the lock.
    #[getter]
    fn held(&self) -> bool {
        self.state()
            .as_ref()
            .is_some_and(|held| held.get().is_held())
    }

    /// Takes the lock, waiting while another caller holds it; `False` after the timeout.
    ///
    /// The timeout is in seconds; with `None` the wait has no limit, with 0 it does not wait.
    #[pyo3(signature = (timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = timeout_of)] timeout: Option<f64>,
    ) -> PyResult<bool> {
        self.take(py, timeout)
    }

    /// Gives the lock back. Raises a `RuntimeError` if this object does not hold it.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        if self.give_up(py)? {
            return Ok(());
        }
        let name = self.name.bind(py).repr()?;
        let message = format!("this Lock object does not hold the lock {name}");
        Err(PyRuntimeError::new_err(message))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let py = slf.py();
        let this = slf.get();
        if this.take(py, this.timeout)? {
            return Ok(slf);
        }
        let seconds = this.timeout.unwrap_or(f64::INFINITY);
        Err(errors::lock_not_free(this.name.bind(py), seconds))
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyAny>) -> PyResult<()> {
        // A child that was forked inside of the block never had the lock.
        self.give_up(py).map(drop)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = self.name.bind(py).repr()?;
        let state = if self.held() { "held" } else { "not held" };
        Ok(format!("<Lock {name}, {state} by this object>"))
    }
}

// For `shmtable.aio`, whose tasks wait in another way.
#[pymethods]
impl Lock {
    /// Returns what to claim, if the timeout is one.
    #[pyo3(name = "_key")]
    fn key_for_tasks(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = timeout_of)] timeout: Option<f64>,
    ) -> PyResult<&[u8]> {
        Deadline::after(py, timeout)?;
        Ok(&self.encoded)
    }

    /// Makes a claim of its key the lock of the running code.
    #[pyo3(name = "_keep")]
    fn keep_from_python(&self, held: Bound<'_, HeldClaim>) -> PyResult<()> {
        let context = Context::now(held.py())?;
        self.keep(held, &context)
    }
}

#[pymethods]
impl HeldClaim {
    /// Makes it a `Claim` of this key.
    fn as_claim(slf: Bound<'_, Self>, key: Py<PyAny>) -> PyResult<Claim> {
        slf.get().belong_to_task(slf.py())?;
        Ok(Claim {
            key,
            held: slf.unbind(),
        })
    }
}

#[pymethods]
impl SharedDictBase {
    /// Claims a key, whether it has a value or not; `None` if another caller has it.
    ///
    /// One caller at a time has a key's claim, of all threads of all processes, and loses it
    /// when its process ends, however that ends. So workers can share jobs that are entries of
    /// the table: a job that a killed worker leaves is free for the others. A claim keeps nobody
    /// from reading or writing the key; `get_or_compute` of the same key waits for it.
    ///
    /// Waits for at most `timeout` seconds while another caller has the claim; with `None`
    /// without a limit. Keep the returned `Claim` as long as you need it.
    ///
    /// >>> d = SharedDict({'job 1': 'sweep'})
    /// >>> with d.claim('job 1') as claim:
    /// ...     d.claim('job 1') is None, d.pop(claim.key)
    /// (True, 'sweep')
    #[pyo3(
        signature = (key, timeout=Some(0.0)),
        text_signature = "($self, key, timeout=0.0)"
    )]
    fn claim(
        &self,
        py: Python<'_>,
        key: Bound<'_, PyAny>,
        #[pyo3(from_py_with = timeout_of)] timeout: Option<f64>,
    ) -> PyResult<Option<Claim>> {
        let deadline = Deadline::after(py, timeout)?;
        let encoded = self.open(py)?.key(&key)?;
        let context = Context::now(py)?;
        let held = claim_within(py, self, &encoded, &deadline, &context, || {
            errors::stops_its_loop(&key, "claim of the key", "shmtable.aio.claim(d, key)")
        })?;
        let Some(held) = held else {
            return Ok(None);
        };
        held.get().belong_to_task(py)?;
        let key = key.unbind();
        Ok(Some(Claim { key, held }))
    }

    /// Returns a lock for threads and processes, for `with d.lock(name):`.
    ///
    /// It needs no entry of the table. A holder that is killed loses it, and one of those who
    /// wait gets it. With a `timeout` in seconds, the `with` raises a `WaitTimeoutError` if the
    /// lock is not free by then. A thread that takes a lock twice, and threads that wait for
    /// each other's locks or computations, get a `DeadlockError`.
    ///
    /// Equal names are the same lock, of whatever types keys may have; they have nothing to do
    /// with the keys of the table. Between one holder and the next, everything that the first
    /// wrote to the table is seen.
    ///
    /// >>> d = SharedDict({'balance': 100})
    /// >>> with d.lock('account', timeout=10):
    /// ...     d['balance'] -= 30
    /// >>> d['balance']
    /// 70
    #[pyo3(signature = (name, timeout=None))]
    fn lock(
        slf: Bound<'_, Self>,
        name: Bound<'_, PyAny>,
        #[pyo3(from_py_with = timeout_of)] timeout: Option<f64>,
    ) -> PyResult<Lock> {
        let py = slf.py();
        // An error about the timeout comes from here, not from the `with`.
        Deadline::after(py, timeout)?;
        let key = slf.get().open(py)?.key(&name)?;
        Ok(Lock {
            encoded: [LOCK, &key[..]].concat(),
            dict: slf.unbind(),
            name: name.unbind(),
            timeout,
            held: Mutex::new(None),
        })
    }
}

/// Claims a key of a table, waiting until the deadline; `None` after it.
fn claim_within(
    py: Python<'_>,
    dict: &SharedDictBase,
    key: &[u8],
    deadline: &Deadline,
    context: &Context<'_>,
    stops_its_loop: impl FnOnce() -> PyErr,
) -> PyResult<Option<Py<HeldClaim>>> {
    let held = |open: &Open, claim| Py::new(py, HeldClaim::new(open, claim));
    let open = dict.open_long(py)?;
    let free = py.detach(|| open.table.claim(key)).or_raise(py)?;
    if let Some(claim) = free {
        return held(&open, claim).map(Some);
    }
    if deadline.slice(LOOK).1 {
        return Ok(None);
    }
    Context::check_loop(py, &open, key, stops_its_loop)?;
    drop(open);
    in_slices(py, dict, deadline, |open, slice| {
        let claimed = context.claim_within(py, open, key, slice)?;
        claimed.map(|claim| held(open, claim)).transpose()
    })
}

/// Ends a claim; whether this process had it until now. Its end wakes waiters, by a system call.
fn end(py: Python<'_>, held: &Py<HeldClaim>) -> bool {
    let held = held.get();
    py.detach(|| held.end())
}
