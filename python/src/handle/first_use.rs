//! The first use of an unpickled handle, which opens its table.
//!
//! Unpickling must not fail, because errors get lost there: a pool's worker that raises while
//! it loads a task loses the task, and the caller waits for its result forever. So an
//! unpickled handle keeps what it needs to open its table, and the first method that needs the
//! table opens it. An error is raised there, in the user's function, and again by each later
//! use until the table can be opened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use shmtable::fork_generation;

use super::mapping::{Opening, is_worker};
use super::open::{Open, open_table};
use super::{SharedDictBase, State};
use crate::errors;

/// A table that the first use of its handle opens, with all that this needs.
pub(crate) struct Unopened {
    how: Opening,
    name: String,
    settings: Py<PyAny>,
    /// Of the process that this was made in. A lock that another thread held when this
    /// process was forked stays locked here.
    generation: u64,
    /// Locked while a thread opens the table, so that a handle opens it once. Other threads
    /// run during that time, and wait for the lock detached.
    opening: Mutex<()>,
    /// That thread. A signal handler of it may come here again.
    inside: Mutex<Option<ThreadId>>,
}

impl Unopened {
    pub(crate) fn new(how: Opening, name: &str, settings: Py<PyAny>) -> Self {
        Self {
            how,
            name: name.to_owned(),
            settings,
            generation: fork_generation(),
            opening: Mutex::new(()),
            inside: Mutex::new(None),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn read_only(&self) -> bool {
        self.how.read_only()
    }

    fn inside(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, py: Python<'_>) -> PyResult<Arc<Open>> {
        let settings = self.settings.bind(py).extract()?;
        let worker = is_worker(py)?;
        open_table(py, self.how, &self.name, &settings, worker).map(Arc::new)
    }
}

impl SharedDictBase {
    /// What the first use will open, if the handle was not used yet.
    pub(crate) fn unopened(&self) -> Option<Arc<Unopened>> {
        match &*self.state() {
            State::Unopened(unopened) => Some(Arc::clone(unopened)),
            State::New | State::Open | State::Closed(_) => None,
        }
    }

    /// What the first use will open, with a lock that this process can take.
    fn unopened_here(&self, py: Python<'_>) -> PyResult<Arc<Unopened>> {
        let mut state = self.state();
        match &mut *state {
            State::New => {
                drop(state);
                Err(errors::not_started(py))
            }
            State::Open | State::Closed(_) => {
                drop(state);
                Err(errors::closed(py))
            }
            State::Unopened(unopened) => {
                if unopened.generation != fork_generation() {
                    let settings = unopened.settings.clone_ref(py);
                    *unopened = Arc::new(Unopened::new(unopened.how, &unopened.name, settings));
                }
                Ok(Arc::clone(unopened))
            }
        }
    }

    /// The open table of a handle that seemed not to have one.
    #[cold]
    pub(crate) fn open_at_first_use(&self, py: Python<'_>) -> PyResult<Arc<Open>> {
        let unopened = match self.unopened_here(py) {
            Ok(unopened) => unopened,
            // Another thread may have opened it since.
            Err(error) => return self.if_open().ok_or(error),
        };
        let me = thread::current().id();
        let again = *unopened.inside() == Some(me);
        let _opening = (!again).then(|| {
            let opening = unopened.opening.lock_py_attached(py);
            opening.unwrap_or_else(PoisonError::into_inner)
        });
        if let Some(open) = self.if_open() {
            return Ok(open);
        }
        let before = unopened.inside().replace(me);
        let opened = unopened.open(py);
        *unopened.inside() = before;
        self.take_opened(&opened?);
        // By now the handle may have been closed, or opened by a signal handler.
        self.if_open().ok_or_else(|| errors::closed(py))
    }
}
