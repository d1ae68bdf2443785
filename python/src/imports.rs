//! Python objects that are looked up once.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// An attribute of a module.
pub(crate) struct Import {
    module: &'static str,
    name: &'static str,
    found: PyOnceLock<Py<PyAny>>,
}

impl Import {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Self {
            module,
            name,
            found: PyOnceLock::new(),
        }
    }

    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        self.found.import(py, self.module, self.name)
    }
}

pub(crate) static DUMPS: Import = Import::new("pickle", "dumps");
pub(crate) static MODULES: Import = Import::new("sys", "modules");
pub(crate) static LOADS: Import = Import::new("pickle", "loads");
pub(crate) static FROM_BUFFER: Import = Import::new("numpy", "frombuffer");
pub(crate) static PICKLING_ERROR: Import = Import::new("pickle", "PicklingError");
pub(crate) static INDEX: Import = Import::new("operator", "index");
pub(crate) static INTEGRAL: Import = Import::new("numbers", "Integral");
pub(crate) static RATIONAL: Import = Import::new("numbers", "Rational");
pub(crate) static REAL: Import = Import::new("numbers", "Real");
pub(crate) static TO_JSON: Import = Import::new("shmtable._json", "dumps");
pub(crate) static FROM_JSON: Import = Import::new("shmtable._json", "loads");
pub(crate) static KEY_FORM: Import = Import::new("shmtable._keys", "form");
pub(crate) static KEY_LOAD: Import = Import::new("shmtable._keys", "load");
pub(crate) static SAME: Import = Import::new("shmtable._equality", "same");
pub(crate) static STATS: Import = Import::new("shmtable._stats", "Stats");
pub(crate) static MISSING: Import = Import::new("shmtable._missing", "MISSING");
pub(crate) static BETWEEN_TURNS: Import = Import::new("shmtable._turns", "between_turns");
pub(crate) static HELD_CLAIMS: Import = Import::new("shmtable._waiting", "held_claims");
pub(crate) static RUNNING_TASK: Import = Import::new("shmtable._waiting", "running_task");
pub(crate) static COOPERATIVE_SLEEP: Import = Import::new("shmtable._waiting", "cooperative_sleep");
pub(crate) static IS_ABANDONED: Import = Import::new("shmtable._waiting", "is_abandoned");
pub(crate) static IS_COROUTINE: Import = Import::new("inspect", "iscoroutine");
pub(crate) static IS_WORKER: Import = Import::new("shmtable._workers", "is_worker");
