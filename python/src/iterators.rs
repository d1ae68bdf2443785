//! Iteration while others write.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use shmtable::{Iter, Keys};

use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};

enum Source {
    Keys(Keys),
    Values(Iter),
    Items(Iter),
}

/// Over keys, values or items; what is there throughout is seen once.
#[pyclass(frozen, module = "shmtable._native")]
pub(crate) struct SharedDictIterator {
    dict: Py<SharedDictBase>,
    open: Arc<Open>,
    /// Locked while others of this process may run: a reader that is disturbed
    /// too often sleeps. So it is only ever waited for detached.
    source: Mutex<Source>,
    /// The thread that is in it. A signal handler of that thread may come here again.
    inside: Mutex<Option<ThreadId>>,
}

/// What is not decoded yet.
enum Read {
    Key(Vec<u8>),
    Value(Vec<u8>, Vec<u8>),
    Item(Vec<u8>, Vec<u8>),
}

impl Source {
    fn next(&mut self) -> Option<shmtable::Result<Read>> {
        Some(match self {
            Self::Keys(keys) => keys.next()?.map(Read::Key),
            Self::Values(entries) => entries.next()?.map(|(key, value)| Read::Value(key, value)),
            Self::Items(entries) => entries.next()?.map(|(key, value)| Read::Item(key, value)),
        })
    }
}

#[pymethods]
impl SharedDictIterator {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.dict.get().closed() {
            return Err(errors::closed(py));
        }
        let inside = || self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let me = Some(thread::current().id());
        if *inside() == me {
            return Err(PyValueError::new_err("iterator already executing"));
        }
        let mut source = self
            .source
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner);
        *inside() = me;
        let read = source.next();
        *inside() = None;
        drop(source);
        let Some(read) = read else {
            return Ok(None);
        };
        let open = &self.open;
        Ok(Some(match read.or_raise(py)? {
            Read::Key(key) => open.to_key(py, &key)?,
            Read::Value(key, value) => open.to_value(py, &key, &value)?,
            Read::Item(key, value) => (open.to_key(py, &key)?, open.to_value(py, &key, &value)?)
                .into_pyobject(py)?
                .into_any(),
        }))
    }
}

impl SharedDictIterator {
    fn new(
        dict: &Bound<'_, SharedDictBase>,
        source: impl FnOnce(&Open) -> Source,
    ) -> PyResult<Self> {
        let open = dict.get().open_long(dict.py())?;
        Ok(Self {
            source: Mutex::new(source(&open)),
            inside: Mutex::new(None),
            open,
            dict: dict.clone().unbind(),
        })
    }
}

#[pymethods]
impl SharedDictBase {
    fn __iter__(this: &Bound<'_, Self>) -> PyResult<SharedDictIterator> {
        SharedDictIterator::new(this, |open| Source::Keys(open.table.keys()))
    }

    #[pyo3(name = "_iter_values")]
    fn iter_values(this: &Bound<'_, Self>) -> PyResult<SharedDictIterator> {
        SharedDictIterator::new(this, |open| Source::Values(open.table.iter()))
    }

    #[pyo3(name = "_iter_items")]
    fn iter_items(this: &Bound<'_, Self>) -> PyResult<SharedDictIterator> {
        SharedDictIterator::new(this, |open| Source::Items(open.table.iter()))
    }
}
