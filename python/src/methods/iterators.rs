//! Iteration while others write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::{PyTraverseError, PyVisit};
use shmtable::{Iter, Keys, Table};

use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};
use crate::methods::prefix::Prefix;
use crate::turns::{TURN, between_turns};

pub(crate) enum Source {
    Keys(Keys),
    Values(Iter),
    Items(Iter),
    /// The entries whose keys begin with a prefix, and how many keys of this turn were read.
    Scan(Keys, Prefix, usize),
}

/// An iterator over keys, values or items. It returns an entry that is there throughout once.
#[pyclass(frozen, module = "shmtable._native")]
pub(crate) struct SharedDictIterator {
    /// The handle, until the iterator is at its end: a handle may hold its iterator.
    /// Locked only briefly.
    dict: Mutex<Option<Py<SharedDictBase>>>,
    /// The table and the place in it, until the iterator is at its end. Other threads may
    /// run while it is locked, because a reader that is disturbed too often sleeps. So
    /// threads wait for it detached.
    source: Mutex<Option<(Arc<Open>, Source)>>,
    /// The thread that is in it. A signal handler of that thread may come here again.
    inside: Mutex<Option<ThreadId>>,
}

/// What was read, before it is decoded.
enum Read {
    Key(Vec<u8>),
    Value(Vec<u8>, Vec<u8>),
    Item(Vec<u8>, Vec<u8>),
    /// The keys of one turn were read: others may run before the next turn.
    TurnEnded,
}

impl Source {
    fn next(&mut self, table: &Table) -> Option<shmtable::Result<Read>> {
        Some(match self {
            Self::Keys(keys) => keys.next()?.map(Read::Key),
            Self::Values(entries) => entries.next()?.map(|(key, value)| Read::Value(key, value)),
            Self::Items(entries) => entries.next()?.map(|(key, value)| Read::Item(key, value)),
            Self::Scan(keys, prefix, seen) => return scan(keys, prefix, seen, table).transpose(),
        })
    }
}

/// The next entry whose key begins with a prefix. Values of other keys are not read.
fn scan(
    keys: &mut Keys,
    prefix: &Prefix,
    seen: &mut usize,
    table: &Table,
) -> shmtable::Result<Option<Read>> {
    while *seen < TURN {
        *seen += 1;
        let Some(key) = keys.next().transpose()? else {
            return Ok(None);
        };
        if prefix.begins(&key)
            && let Some(value) = table.get(&key)?
        {
            return Ok(Some(Read::Item(key, value)));
        }
    }
    *seen = 0;
    Ok(Some(Read::TurnEnded))
}

fn item<'py>(
    py: Python<'py>,
    open: &Open,
    key: &[u8],
    value: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    let (key, value) = (open.to_key(py, key)?, open.to_value(py, key, value)?);
    Ok((key, value).into_pyobject(py)?.into_any())
}

#[pymethods]
impl SharedDictIterator {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let Some((open, read)) = self.read(py)? else {
                return Ok(None);
            };
            let found = match read {
                Read::TurnEnded => {
                    between_turns(py)?;
                    continue;
                }
                Read::Key(key) => open.to_key(py, &key),
                Read::Value(key, value) => open.to_value(py, &key, &value),
                Read::Item(key, value) => item(py, &open, &key, &value),
            };
            return found
                .map(Some)
                .map_err(|error| errors::not_the_end(py, error));
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // It is not locked while the collector runs: only attached threads lock it.
        match self.dict.try_lock() {
            Ok(dict) => visit.call(&*dict),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        let dict = self.dict().take();
        drop(dict);
    }
}

impl SharedDictIterator {
    /// What comes next, not decoded yet, and the table.
    fn read(&self, py: Python<'_>) -> PyResult<Option<(Arc<Open>, Read)>> {
        let inside = || self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let me = Some(thread::current().id());
        if *inside() == me {
            return Err(PyValueError::new_err("iterator already executing"));
        }
        let mut source = self
            .source
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner);
        let closed = self.dict().as_ref().map(|dict| dict.get().closed());
        let (Some(false), Some((open, reader))) = (closed, &mut *source) else {
            drop(source);
            return match closed {
                Some(true) => Err(errors::closed(py)),
                _ => Ok(None),
            };
        };
        let open = Arc::clone(open);
        *inside() = me;
        let read = reader.next(&open.table);
        *inside() = None;
        let ended = if read.is_none() { source.take() } else { None };
        drop(source);
        if ended.is_some() {
            // The last of the handle's references may be this.
            drop((ended, self.dict().take()));
        }
        Ok(read.transpose().or_raise(py)?.map(|read| (open, read)))
    }

    pub(crate) fn new(
        dict: &Bound<'_, SharedDictBase>,
        source: impl FnOnce(&Open) -> Source,
    ) -> PyResult<Self> {
        let open = dict.get().open_long(dict.py())?;
        let source = source(&open);
        Ok(Self {
            dict: Mutex::new(Some(dict.clone().unbind())),
            source: Mutex::new(Some((open, source))),
            inside: Mutex::new(None),
        })
    }

    fn dict(&self) -> MutexGuard<'_, Option<Py<SharedDictBase>>> {
        self.dict.lock().unwrap_or_else(PoisonError::into_inner)
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
