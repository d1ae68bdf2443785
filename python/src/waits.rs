//! Waits of many tasks in one thread, for `shmtable.aio`.
//!
//! An event loop has one `Waits`, and one thread that calls `wait` on it. A task adds what it
//! waits for; the thread tells the loop which waits have ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use shmtable::{Error, Table, Waker, wait_until};

use crate::errors::{self, OrRaise};
use crate::handle::settings::seconds_of;
use crate::handle::{Open, SharedDictBase};

/// The waits of an event loop's tasks.
#[pyclass(frozen, module = "shmtable._native")]
pub(crate) struct Waits {
    inner: Mutex<Inner>,
    /// Ends the sleep of the thread that is in `wait`.
    waker: Waker,
}

#[derive(Default)]
struct Inner {
    next: u64,
    waits: BTreeMap<u64, Arc<Wait>>,
    /// Whether the thread that is in `wait` is to return.
    woken: bool,
}

/// A task's wait for another value of a key.
struct Wait {
    number: u64,
    dict: Py<SharedDictBase>,
    open: Arc<Open>,
    key: Vec<u8>,
    /// The stored bytes that the task knows; none for a missing key.
    seen: Option<Vec<u8>>,
}

enum Ended {
    Changed(Option<Vec<u8>>),
    Closed,
    Failed(Error),
}

impl Wait {
    fn look(&self) -> Option<Ended> {
        if self.dict.get().closed() {
            return Some(Ended::Closed);
        }
        match self.open.table.get(&self.key) {
            Ok(now) if now == self.seen => None,
            Ok(now) => Some(Ended::Changed(now)),
            Err(error) => Some(Ended::Failed(error)),
        }
    }
}

/// A wait that has ended: its number, and the stored bytes or the error.
type Told<'py> = (
    u64,
    Option<Bound<'py, PyBytes>>,
    Option<Bound<'py, PyBaseException>>,
);

#[pymethods]
impl Waits {
    #[new]
    fn new() -> Self {
        Self {
            inner: Mutex::default(),
            waker: Waker::new(),
        }
    }

    /// Begins a wait for a key's stored bytes to differ from those seen, and returns its number.
    #[pyo3(signature = (dict, key, seen))]
    fn add(
        &self,
        dict: &Bound<'_, SharedDictBase>,
        key: &[u8],
        seen: Option<&[u8]>,
    ) -> PyResult<u64> {
        let open = dict.get().open_long(dict.py())?;
        let mut inner = self.inner();
        let number = inner.next;
        inner.next += 1;
        let wait = Wait {
            number,
            dict: dict.clone().unbind(),
            open,
            key: key.to_vec(),
            seen: seen.map(<[u8]>::to_vec),
        };
        inner.waits.insert(number, Arc::new(wait));
        inner.woken = true;
        drop(inner);
        self.waker.wake();
        Ok(number)
    }

    /// Ends a wait that its task gave up.
    fn remove(&self, number: u64) {
        let removed = self.inner().waits.remove(&number);
        drop(removed);
    }

    /// Makes `wait` return.
    fn wake(&self) {
        self.inner().woken = true;
        self.waker.wake();
    }

    /// Sleeps until waits end, others are added, or so many seconds are over, and returns the
    /// waits that have ended.
    fn wait<'py>(&self, py: Python<'py>, seconds: f64) -> PyResult<Vec<Told<'py>>> {
        let timeout = seconds_of(py, "seconds", seconds)?;
        let mut inner = self.inner();
        inner.woken = false;
        let all: Vec<Arc<Wait>> = inner.waits.values().cloned().collect();
        drop(inner);
        let mut ended = Vec::new();
        self.sleep(py, &all, timeout, |wait, how| ended.push((wait, how)))?;
        let mut told = Vec::with_capacity(ended.len());
        for (wait, how) in ended {
            // A task may have given it up since.
            if self.inner().waits.remove(&wait.number).is_some() {
                told.push(wait.told(py, how));
            }
        }
        Ok(told)
    }

    /// Whether there are waits.
    fn __bool__(&self) -> bool {
        !self.inner().waits.is_empty()
    }

    /// The exception of a wait, or of a wait for a computation, that took too long.
    #[staticmethod]
    fn timed_out<'py>(
        key: &Bound<'py, PyAny>,
        seconds: f64,
        what: &str,
    ) -> Bound<'py, PyBaseException> {
        let error = match what {
            "value" => errors::wait_timeout(key, seconds, "and it has no value yet"),
            "change" => errors::wait_timeout(key, seconds, "and its value has not changed"),
            _ => errors::compute_timeout(key, seconds),
        };
        error.into_value(key.py()).into_bound(key.py())
    }
}

impl Waits {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps; other threads run only during the sleeps themselves, as in the hook around them.
    fn sleep<'a>(
        &self,
        py: Python<'_>,
        all: &'a [Arc<Wait>],
        timeout: Duration,
        mut ended: impl FnMut(&'a Wait, Ended),
    ) -> PyResult<()> {
        let keys: Vec<(&Table, &[u8])> = all
            .iter()
            .map(|wait| (&wait.open.table, &wait.key[..]))
            .collect();
        let woken = || self.inner().woken.then_some(());
        if keys.is_empty() {
            // Without a table there is no hook.
            let slept = py.detach(|| wait_until(&keys, &self.waker, timeout, || Ok(woken())));
            return slept.or_raise(py).map(drop);
        }
        let slept = wait_until(&keys, &self.waker, timeout, || {
            let mut any = false;
            for wait in all {
                if let Some(how) = wait.look() {
                    any = true;
                    ended(wait, how);
                }
            }
            Ok(if any { Some(()) } else { woken() })
        });
        slept.or_raise(py).map(drop)
    }
}

impl Wait {
    fn told<'py>(&self, py: Python<'py>, how: Ended) -> Told<'py> {
        let error = match how {
            Ended::Changed(now) => {
                let now = now.map(|now| PyBytes::new(py, &now));
                return (self.number, now, None);
            }
            Ended::Closed => errors::closed(py),
            Ended::Failed(error) => errors::raised(py, error),
        };
        let error = error.into_value(py).into_bound(py);
        (self.number, None, Some(error))
    }
}
