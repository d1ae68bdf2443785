//! Waits of many tasks in one thread, for `shmtable.aio`.
//!
//! An event loop has one `Waits`, and one thread that calls `wait` on it. A task adds what it
//! waits for; the thread tells the loop which waits have ended.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use shmtable::{Claim, ClaimAttempts, Claimed, Error, Table, Waker, wait_until};

use crate::errors::{self, OrRaise};
use crate::handle::settings::seconds_of;
use crate::handle::{Open, SharedDictBase};
use crate::methods::held_claims::{Claiming, Context, HeldClaim, own_claim};
use crate::sleep::{cooperative_sleep, letting_greenlets_run};

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

/// A task's wait.
struct Wait {
    number: u64,
    dict: Py<SharedDictBase>,
    open: Arc<Open>,
    keys: Vec<Vec<u8>>,
    wanted: Wanted,
}

/// What ends a wait.
enum Wanted {
    /// Other stored bytes of the key than these, which the task knows; none for a missing key.
    Change(Option<Vec<u8>>),
    /// A value of any of the keys.
    Any,
    /// The claim of the key.
    Claim(Arc<Claiming>),
    /// The value of the key, or the claim to compute it; the key as the task calls it.
    Computed(Arc<Claiming>, Py<PyAny>),
}

enum Ended {
    Changed(Option<Vec<u8>>),
    Found(usize, Vec<u8>),
    Claimed(Claim),
    Closed,
    Failed(Error),
}

/// The claims that one round of looks has tried to get, of open tables: only the first of the
/// tasks that want a claim can get it.
type Tried<'a> = HashSet<(*const Open, &'a [u8])>;

impl Wait {
    /// Looks whether the wait has ended. Claims nothing without a set of claims that were tried.
    fn look<'a>(&'a self, tried: Option<&mut Tried<'a>>) -> Option<Ended> {
        if self.dict.get().closed() {
            return Some(Ended::Closed);
        }
        let found = match &self.wanted {
            Wanted::Change(seen) => self.changed(seen.as_deref()),
            Wanted::Any => self.any(),
            Wanted::Claim(claiming) => self.attempt(claiming, tried, |attempts| {
                Ok(attempts.claim()?.map(Ended::Claimed))
            }),
            Wanted::Computed(claiming, _) => self.attempt(claiming, tried, |attempts| {
                Ok(attempts.get_or_claim()?.and_then(|found| match found {
                    Claimed::Present(value) => Some(Ended::Changed(Some(value))),
                    Claimed::Mine(claim) => Some(Ended::Claimed(claim)),
                    _ => None,
                }))
            }),
        };
        found.unwrap_or_else(|error| Some(Ended::Failed(error)))
    }

    fn changed(&self, seen: Option<&[u8]>) -> shmtable::Result<Option<Ended>> {
        let now = self.open.table.get(&self.keys[0])?;
        Ok((now.as_deref() != seen).then_some(Ended::Changed(now)))
    }

    fn any(&self) -> shmtable::Result<Option<Ended>> {
        for (at, key) in self.keys.iter().enumerate() {
            if let Some(value) = self.open.table.get(key)? {
                return Ok(Some(Ended::Found(at, value)));
            }
        }
        Ok(None)
    }

    fn attempt<'a>(
        &'a self,
        claiming: &Claiming,
        tried: Option<&mut Tried<'a>>,
        attempt: impl FnOnce(&mut ClaimAttempts) -> shmtable::Result<Option<Ended>>,
    ) -> shmtable::Result<Option<Ended>> {
        let Some(tried) = tried else {
            return Ok(None);
        };
        let key = &self.keys[0];
        let wanted = (Arc::as_ptr(&self.open), &key[..]);
        // A task that holds claims itself may wait in a circle, which its attempt finds.
        if tried.contains(&wanted) && claiming.holds_nothing() {
            return Ok(None);
        }
        let found = claiming.attempt(&self.open, key, attempt)?;
        if !matches!(found, Some(Ended::Changed(_))) {
            tried.insert(wanted);
        }
        Ok(found)
    }

    /// The error of a wait that can never end.
    fn deadlock(&self, py: Python<'_>, error: Error) -> PyErr {
        let (open, key) = (&self.open, &self.keys[0]);
        match &self.wanted {
            Wanted::Computed(claiming, shown) if claiming.holds(open, key) => {
                errors::own_computation(shown.bind(py))
            }
            Wanted::Claim(claiming) if claiming.holds(open, key) => own_claim(py, open, key),
            _ => errors::raised(py, error),
        }
    }

    fn claims(&self) -> bool {
        matches!(self.wanted, Wanted::Claim(_) | Wanted::Computed(..))
    }
}

/// A wait that has ended: its number, and what it found or the error. What was found is stored
/// bytes or `None`, the position of a key and its stored bytes, or a `HeldClaim`.
type Told<'py> = (
    u64,
    Option<Bound<'py, PyAny>>,
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
    fn add_change(
        &self,
        dict: &Bound<'_, SharedDictBase>,
        key: &[u8],
        seen: Option<&[u8]>,
    ) -> PyResult<u64> {
        let wanted = Wanted::Change(seen.map(<[u8]>::to_vec));
        self.add(dict, vec![key.to_vec()], wanted)
    }

    /// Begins a wait for a value of any of the keys.
    fn add_any(&self, dict: &Bound<'_, SharedDictBase>, keys: Vec<Vec<u8>>) -> PyResult<u64> {
        self.add(dict, keys, Wanted::Any)
    }

    /// Begins a wait for a claim, of a task that holds claims itself.
    fn add_claim(
        &self,
        dict: &Bound<'_, SharedDictBase>,
        key: &[u8],
        held: &Bound<'_, PyTuple>,
    ) -> PyResult<u64> {
        let wanted = Wanted::Claim(Context::of(held).claiming());
        self.add(dict, vec![key.to_vec()], wanted)
    }

    /// Begins a wait for a key's value or for the claim to compute it, of a task that holds claims
    /// itself.
    fn add_computed(
        &self,
        dict: &Bound<'_, SharedDictBase>,
        key: &[u8],
        shown: &Bound<'_, PyAny>,
        held: &Bound<'_, PyTuple>,
    ) -> PyResult<u64> {
        let claiming = Context::of(held).claiming();
        let wanted = Wanted::Computed(claiming, shown.clone().unbind());
        self.add(dict, vec![key.to_vec()], wanted)
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
    /// waits that have ended. Claims nothing unless the function says that the loop runs.
    fn wait<'py>(
        &self,
        py: Python<'py>,
        seconds: f64,
        runs: &Bound<'py, PyAny>,
    ) -> PyResult<Vec<Told<'py>>> {
        let timeout = seconds_of(py, "seconds", seconds)?;
        let mut inner = self.inner();
        inner.woken = false;
        let all: Vec<Arc<Wait>> = inner.waits.values().cloned().collect();
        drop(inner);
        let mut ended = Vec::new();
        // Where gevent or eventlet has replaced threads by greenlets, this is one of them.
        letting_greenlets_run(py, || {
            self.sleep(py, &all, timeout, runs, |wait, how| {
                ended.push((wait, how));
            })
        })??;
        let mut told = Vec::with_capacity(ended.len());
        for (wait, how) in ended {
            // A task may have given it up since.
            if self.inner().waits.remove(&wait.number).is_some() {
                told.push(wait.told(py, how)?);
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
    ) -> PyResult<Bound<'py, PyBaseException>> {
        let error = match what {
            "any" => errors::none_of_many(&key.get_item(0)?, seconds, key.len()?),
            "value" => errors::wait_timeout(key, seconds, "and it has no value yet"),
            "change" => errors::wait_timeout(key, seconds, "and its value has not changed"),
            "lock" => errors::lock_not_free(key, seconds),
            "claim" => errors::claim_not_free(key, seconds),
            _ => errors::compute_timeout(key, seconds),
        };
        Ok(error.into_value(key.py()).into_bound(key.py()))
    }
}

impl Waits {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(
        &self,
        dict: &Bound<'_, SharedDictBase>,
        keys: Vec<Vec<u8>>,
        wanted: Wanted,
    ) -> PyResult<u64> {
        let open = dict.get().open_long(dict.py())?;
        let mut inner = self.inner();
        let number = inner.next;
        inner.next += 1;
        let wait = Wait {
            number,
            dict: dict.clone().unbind(),
            open,
            keys,
            wanted,
        };
        inner.waits.insert(number, Arc::new(wait));
        inner.woken = true;
        drop(inner);
        self.waker.wake();
        Ok(number)
    }

    /// Sleeps; other threads run only during the sleeps themselves, as in the hook around them.
    fn sleep<'a>(
        &self,
        py: Python<'_>,
        all: &'a [Arc<Wait>],
        timeout: Duration,
        runs: &Bound<'_, PyAny>,
        mut ended: impl FnMut(&'a Wait, Ended),
    ) -> PyResult<()> {
        let keys: Vec<(&Table, &[u8])> = all
            .iter()
            .flat_map(|wait| {
                let keys = wait.keys.iter();
                keys.map(|key| (&wait.open.table, &key[..]))
            })
            .collect();
        let claims = all.iter().any(|wait| wait.claims());
        let woken = || self.inner().woken.then_some(());
        if keys.is_empty() {
            // Without a table there is no hook.
            if let Some(slept) = cooperative_sleep(py) {
                return slept;
            }
            let slept = py.detach(|| wait_until(&keys, &self.waker, timeout, || Ok(woken())));
            return slept.or_raise(py).map(drop);
        }
        let slept = wait_until(&keys, &self.waker, timeout, || {
            let mut any = false;
            // A loop that has stopped would keep what it was given for ever.
            let runs = claims
                && runs
                    .call0()
                    .is_ok_and(|runs| runs.is_truthy().unwrap_or(false));
            let mut tried = runs.then(HashSet::new);
            for wait in all {
                if let Some(how) = wait.look(tried.as_mut()) {
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
    fn told<'py>(&self, py: Python<'py>, how: Ended) -> PyResult<Told<'py>> {
        let error = match how {
            Ended::Changed(now) => {
                let now = now.map(|now| PyBytes::new(py, &now).into_any());
                return Ok((self.number, now, None));
            }
            Ended::Found(at, value) => {
                let found = (at, PyBytes::new(py, &value)).into_bound_py_any(py)?;
                return Ok((self.number, Some(found), None));
            }
            Ended::Claimed(claim) => {
                let held = Bound::new(py, HeldClaim::new(&self.open, claim))?;
                return Ok((self.number, Some(held.into_any()), None));
            }
            Ended::Closed => errors::closed(py),
            Ended::Failed(error @ Error::Deadlock { .. }) => self.deadlock(py, error),
            Ended::Failed(error) => errors::raised(py, error),
        };
        let error = error.into_value(py).into_bound(py);
        Ok((self.number, None, Some(error)))
    }
}
