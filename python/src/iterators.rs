//! Iteration while others write.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use shmtable::{Iter, Keys, Table};

use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};
use crate::many::TURN;
use crate::prefix::Prefix;

pub(crate) enum Source {
    Keys(Keys),
    Values(Iter),
    Items(Iter),
    /// The entries whose keys begin with a prefix.
    Scan(Keys, Prefix),
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
    /// None of as many keys as one looks at before others may run.
    Nothing,
}

impl Source {
    fn next(&mut self, table: &Table) -> Option<shmtable::Result<Read>> {
        Some(match self {
            Self::Keys(keys) => keys.next()?.map(Read::Key),
            Self::Values(entries) => entries.next()?.map(|(key, value)| Read::Value(key, value)),
            Self::Items(entries) => entries.next()?.map(|(key, value)| Read::Item(key, value)),
            Self::Scan(keys, prefix) => return scan(keys, prefix, table).transpose(),
        })
    }
}

/// The next entry whose key begins with a prefix. Values of other keys are not read.
fn scan(keys: &mut Keys, prefix: &Prefix, table: &Table) -> shmtable::Result<Option<Read>> {
    for _ in 0..TURN {
        let Some(key) = keys.next().transpose()? else {
            return Ok(None);
        };
        if prefix.begins(&key)
            && let Some(value) = table.get(&key)?
        {
            return Ok(Some(Read::Item(key, value)));
        }
    }
    Ok(Some(Read::Nothing))
}

#[pymethods]
impl SharedDictIterator {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let open = &self.open;
        loop {
            let found = match self.read(py)? {
                None => return Ok(None),
                Some(Read::Nothing) => {
                    py.detach(|| ());
                    py.check_signals()?;
                    continue;
                }
                Some(Read::Key(key)) => open.to_key(py, &key)?,
                Some(Read::Value(key, value)) => open.to_value(py, &key, &value)?,
                Some(Read::Item(key, value)) => {
                    (open.to_key(py, &key)?, open.to_value(py, &key, &value)?)
                        .into_pyobject(py)?
                        .into_any()
                }
            };
            return Ok(Some(found));
        }
    }
}

impl SharedDictIterator {
    /// What comes next, not decoded yet.
    fn read(&self, py: Python<'_>) -> PyResult<Option<Read>> {
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
        let read = source.next(&self.open.table);
        *inside() = None;
        drop(source);
        read.transpose().or_raise(py)
    }

    pub(crate) fn new(
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
