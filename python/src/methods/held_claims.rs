//! The claims that the running code holds: those of its computations and locks.
//!
//! A context variable has them. The thread would not do: greenlets and asyncio tasks have
//! contexts of their own, too. A waiter passes the claims to the crate, which finds holders
//! that wait for each other.

use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shmtable::{Claim, Claimed, Error, OtherClaim};

use crate::errors::{self, OrRaise};
use crate::handle::Open;
use crate::imports::HELD_CLAIMS;
use crate::sleep::letting_greenlets_run;

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
}

impl HeldClaim {
    pub(crate) fn new(open: &Open, claim: Claim) -> Self {
        Self {
            table: open.table.name().to_owned(),
            key: claim.key().to_vec(),
            process: process::id(),
            claim: Mutex::new(Some(Arc::new(claim))),
        }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    fn locked(&self) -> MutexGuard<'_, Option<Arc<Claim>>> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self) -> Option<Arc<Claim>> {
        self.locked().clone()
    }

    pub(crate) fn is_held(&self) -> bool {
        self.process == process::id() && self.locked().is_some()
    }

    /// Ends the claim. Returns whether this process had it until now.
    pub(crate) fn end(&self) -> bool {
        let ended = self.locked().take();
        self.process == process::id() && ended.is_some()
    }
}

#[pymethods]
impl HeldClaim {
    /// Gives the claim back: another caller may have it.
    #[pyo3(name = "end")]
    fn end_from_python(&self) {
        self.end();
    }
}

/// The claims that the running code holds, the outermost first.
pub(crate) struct Context<'py>(Vec<Bound<'py, HeldClaim>>);

impl<'py> Context<'py> {
    pub(crate) fn now(py: Python<'py>) -> PyResult<Self> {
        let all = HELD_CLAIMS.get(py)?.call_method0("get")?;
        let all = all.cast::<PyTuple>()?.iter();
        let all = all.filter_map(|held| held.cast_into::<HeldClaim>().ok());
        Ok(Self(all.filter(|held| held.get().is_held()).collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn claims(&self) -> Vec<Arc<Claim>> {
        let claims = self.0.iter().filter_map(|held| held.get().claim());
        claims.collect()
    }

    /// Whether one of them is of this very key.
    fn holds(&self, open: &Open, key: &[u8]) -> bool {
        self.0.iter().any(|held| {
            let held = held.get();
            held.key == key && held.table == open.table.name()
        })
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
        letting_greenlets_run(py, || open.table.claim_within(key, slice, &held))?.or_raise(py)
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
