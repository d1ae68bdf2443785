//! The claims that the running code holds: those of its computations and locks.
//!
//! A context variable has them. The thread would not do: greenlets and asyncio tasks have
//! contexts of their own, too. A waiter passes the claims to the crate, which finds holders
//! that wait for each other.

use std::mem;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shmtable::{Claim, ClaimAttempts, Claimed, Error, OtherClaim};

use crate::errors::{self, OrRaise};
use crate::handle::Open;
use crate::imports::{HELD_CLAIMS, RUNNING_TASK};
use crate::methods::of_loops;
use crate::sleep::letting_greenlets_run;

/// What the claims of locks begin with. No encoded key does, because MessagePack does not use
/// its first byte and JSON is UTF-8: a lock and a key of the same name have nothing to do with
/// each other.
pub(crate) const LOCK: &[u8] = b"\xc1lock:";

/// A claim in the context of the code that holds it. Contexts are copied, so code may find it
/// after it has ended.
#[pyclass(frozen, module = "shmtable._native")]
pub(crate) struct HeldClaim {
    table: String,
    key: Vec<u8>,
    /// The process that has it: a forked child does not.
    process: u32,
    /// The holder's own waits borrow the claim, for one wait each.
    claim: Mutex<Option<Arc<Claim>>>,
    /// A weak reference to the asyncio task that has the lock or the claim. Tasks that it starts
    /// copy its context, and don't have it.
    task: Mutex<Option<Py<PyAny>>>,
    /// The waits of tasks that have this claim.
    waits: Mutex<Vec<Weak<Claiming>>>,
    /// Whether it is among those of `of_loops`.
    of_loop: AtomicBool,
}

impl HeldClaim {
    pub(crate) fn new(open: &Open, claim: Claim) -> Self {
        Self {
            table: open.table.name().to_owned(),
            key: claim.key().to_vec(),
            process: process::id(),
            claim: Mutex::new(Some(Arc::new(claim))),
            task: Mutex::default(),
            waits: Mutex::default(),
            of_loop: AtomicBool::new(false),
        }
    }

    /// Makes it the claim of the running asyncio task alone, if there is one.
    pub(crate) fn belong_to_task(&self, py: Python<'_>) -> PyResult<()> {
        let task = RUNNING_TASK.get(py)?.call0()?;
        if !task.is_none() {
            *locked(&self.task) = Some(task.unbind());
            self.belong_to_loop();
        }
        Ok(())
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    fn claim(&self) -> Option<Arc<Claim>> {
        locked(&self.claim).clone()
    }

    pub(crate) fn is_held(&self) -> bool {
        locked(&self.claim).is_some() && self.process == process::id()
    }

    /// Ends the claim. Returns whether this process had it until now.
    pub(crate) fn end(&self) -> bool {
        let ended = locked(&self.claim).take();
        let ours = self.process == process::id();
        if ours {
            // Whoever has the claim next is not waiting for what these wait for.
            let waits = mem::take(&mut *locked(&self.waits));
            for wait in waits.iter().filter_map(Weak::upgrade) {
                drop(locked(&wait.attempts).take());
            }
            if self.of_loop.swap(false, Ordering::Relaxed) {
                of_loops::remove(&self.table, &self.key);
            }
        }
        ours && ended.is_some()
    }

    /// Whether it is the claim of this key.
    fn is_of(&self, open: &Open, key: &[u8]) -> bool {
        self.key == key && self.table == open.table.name()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl HeldClaim {
    /// Gives the claim back: another caller may have it.
    #[pyo3(name = "end")]
    fn end_from_python(&self, py: Python<'_>) {
        py.detach(|| self.end());
    }

    /// Says that a task of this thread's event loop has it.
    fn belong_to_loop(&self) {
        of_loops::add(&self.table, &self.key);
        self.of_loop.store(true, Ordering::Relaxed);
    }

    /// A weak reference to the asyncio task that alone has it, if any does.
    #[getter]
    fn task(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        locked(&self.task).as_ref().map(|task| task.clone_ref(py))
    }
}

/// The error of a caller that waits for a lock or a claim that it has itself.
#[cold]
pub(crate) fn own_claim(py: Python<'_>, open: &Open, claimed: &[u8]) -> PyErr {
    let (what, key) = match claimed.strip_prefix(LOCK) {
        Some(name) => ("lock", name),
        None => ("claim of the key", claimed),
    };
    match open.to_key(py, key) {
        Ok(key) => errors::own_claim(&key, what),
        Err(error) => error,
    }
}

/// Attempts of an asyncio task that waits for a claim, and may hold others.
pub(crate) struct Claiming {
    held: Vec<Py<HeldClaim>>,
    /// Made anew when a claim that the task holds has ended.
    attempts: Mutex<Option<ClaimAttempts>>,
}

impl Claiming {
    /// Makes an attempt to claim a key. It doesn't sleep.
    pub(crate) fn attempt<T>(
        &self,
        open: &Open,
        key: &[u8],
        attempt: impl FnOnce(&mut ClaimAttempts) -> shmtable::Result<T>,
    ) -> shmtable::Result<T> {
        let mut attempts = locked(&self.attempts);
        if let Some(attempts) = &mut *attempts {
            return attempt(attempts);
        }
        let held: Vec<Arc<Claim>> = self
            .held
            .iter()
            .filter_map(|held| held.get().claim())
            .collect();
        let held: Vec<&Claim> = held.iter().map(|claim| &**claim).collect();
        attempt(attempts.insert(open.table.claim_attempts(key, &held)?))
    }

    pub(crate) fn holds_nothing(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether the task holds the claim of this very key.
    pub(crate) fn holds(&self, open: &Open, key: &[u8]) -> bool {
        self.held.iter().any(|held| held.get().is_of(open, key))
    }
}

/// The claims that the running code holds, the outermost first.
pub(crate) struct Context<'py>(Vec<Bound<'py, HeldClaim>>);

impl<'py> Context<'py> {
    pub(crate) fn now(py: Python<'py>) -> PyResult<Self> {
        let all = HELD_CLAIMS.get(py)?.call_method0("get")?;
        Ok(Self::of(all.cast::<PyTuple>()?))
    }

    /// Those of a tuple of `HeldClaim`s that have not ended.
    pub(crate) fn of(all: &Bound<'py, PyTuple>) -> Self {
        let all = all.iter();
        let all = all.filter_map(|held| held.cast_into::<HeldClaim>().ok());
        Self(all.filter(|held| held.get().is_held()).collect())
    }

    /// Begins the wait of a task that holds these claims.
    pub(crate) fn claiming(&self) -> Arc<Claiming> {
        let claiming = Arc::new(Claiming {
            held: self.0.iter().map(|held| held.clone().unbind()).collect(),
            attempts: Mutex::default(),
        });
        for held in &self.0 {
            let mut waits = locked(&held.get().waits);
            waits.retain(|wait| wait.strong_count() > 0);
            waits.push(Arc::downgrade(&claiming));
        }
        claiming
    }

    fn claims(&self) -> Vec<Arc<Claim>> {
        let claims = self.0.iter().filter_map(|held| held.get().claim());
        claims.collect()
    }

    /// Whether one of them is of this very key.
    fn holds(&self, open: &Open, key: &[u8]) -> bool {
        self.0.iter().any(|held| held.get().is_of(open, key))
    }

    /// Raises if a task of the event loop that this code runs in has the claim of a key: a wait
    /// would stop the loop, and never end.
    pub(crate) fn check_loop(
        py: Python<'_>,
        open: &Open,
        key: &[u8],
        error: impl FnOnce() -> PyErr,
    ) -> PyResult<()> {
        if !of_loops::is_held_here(open.table.name(), key)
            || RUNNING_TASK.get(py)?.call0()?.is_none()
        {
            return Ok(());
        }
        Err(error())
    }

    /// Claims a key, waiting for so long at most, as the holder of these claims; `None` after it.
    pub(crate) fn claim_within(
        &self,
        py: Python<'_>,
        open: &Open,
        key: &[u8],
        slice: Duration,
    ) -> PyResult<Option<Claim>> {
        let held = self.claims();
        let held: Vec<&Claim> = held.iter().map(|claim| &**claim).collect();
        match letting_greenlets_run(py, || open.table.claim_within(key, slice, &held))? {
            Err(Error::Deadlock { .. }) if self.holds(open, key) => Err(own_claim(py, open, key)),
            claimed => claimed.or_raise(py),
        }
    }

    /// Waits for another caller's computation, as the holder of these claims.
    pub(crate) fn wait(
        &self,
        py: Python<'_>,
        open: &Open,
        key: &Bound<'_, PyAny>,
        encoded: &[u8],
        other: OtherClaim,
        slice: Duration,
    ) -> PyResult<Claimed> {
        let held = self.claims();
        let held: Vec<&Claim> = held.iter().map(|claim| &**claim).collect();
        match letting_greenlets_run(py, || other.wait_holding(slice, &held))? {
            Err(Error::Deadlock { .. }) if self.holds(open, encoded) => {
                Err(errors::own_computation(key))
            }
            waited => waited.or_raise(py),
        }
    }

    /// Makes one more claim part of the running code's context.
    pub(crate) fn enter(&self, held: &Bound<'py, HeldClaim>) -> PyResult<()> {
        let all: Vec<_> = self.0.iter().chain([held]).collect();
        let py = held.py();
        let all = PyTuple::new(py, all)?;
        HELD_CLAIMS.get(py)?.call_method1("set", (all,))?;
        Ok(())
    }

    /// Makes these claims the running code's context.
    pub(crate) fn restore(&self, py: Python<'py>) -> PyResult<()> {
        let all = PyTuple::new(py, &self.0)?;
        HELD_CLAIMS.get(py)?.call_method1("set", (all,))?;
        Ok(())
    }

    /// Calls a function that holds one more claim.
    pub(crate) fn call(
        &self,
        held: &Bound<'py, HeldClaim>,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.enter(held)?;
        let called = function.call0();
        self.restore(held.py())?;
        called
    }
}
