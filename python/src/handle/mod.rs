//! The handle: opening, closing, and what it tells of its table.

pub(crate) mod first_use;
mod mapping;
mod open;
pub(crate) mod settings;
mod warm;

use std::mem;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwapOption, Guard};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use shmtable::Error;

use crate::codec::Codec;
use crate::errors::{self, OrRaise};
use crate::tables::name_of;

use first_use::Unopened;
use mapping::Opening;
use open::open_table;
use settings::Settings;

pub(crate) use mapping::release_warm_tables;
pub(crate) use open::Open;

/// The native base class of `shmtable.SharedDict`, which you use instead.
// Messages about arguments say this name.
#[pyclass(
    name = "SharedDict",
    frozen,
    subclass,
    generic,
    mapping,
    module = "shmtable._native"
)]
pub(crate) struct SharedDictBase {
    /// `None` before the table is opened and after the handle is closed.
    open: ArcSwapOption<Open>,
    /// Where the handle is in its life. Locked only briefly, with no Python code running.
    state: Mutex<State>,
}

/// Where a handle is in its life.
pub(crate) enum State {
    /// `SharedDict.__init__` did not run.
    New,
    /// It was unpickled, and its first use opens the table.
    Unopened(Arc<Unopened>),
    /// `SharedDictBase::open` holds the table, or another thread is about to close it.
    Open,
    /// It was closed. What the table was is still known.
    Closed(Option<Known>),
}

/// What a closed handle tells of its table.
pub(crate) struct Known {
    name: String,
    read_only: bool,
    /// Of a handle that was opened.
    opened: Option<(Codec, bool)>,
}

/// The use of an open table by one method.
pub(crate) struct Use(Guard<Option<Arc<Open>>>);

impl Deref for Use {
    type Target = Open;

    #[inline]
    fn deref(&self) -> &Open {
        // Only `SharedDictBase::open` makes one, after it has checked this.
        self.0.as_deref().expect("an open table")
    }
}

impl SharedDictBase {
    /// The open table, for one call. The first use of an unpickled handle opens it.
    #[inline]
    pub(crate) fn open(&self, py: Python<'_>) -> PyResult<Use> {
        let guard = self.open.load();
        if guard.is_some() {
            Ok(Use(guard))
        } else {
            let open = self.open_at_first_use(py)?;
            Ok(Use(Guard::from_inner(Some(open))))
        }
    }

    /// The open table, for longer than one call: iterators, waits.
    pub(crate) fn open_long(&self, py: Python<'_>) -> PyResult<Arc<Open>> {
        match self.open.load_full() {
            Some(open) => Ok(open),
            None => self.open_at_first_use(py),
        }
    }

    /// The open table, if it was opened and is not closed.
    pub(crate) fn if_open(&self) -> Option<Arc<Open>> {
        self.open.load_full()
    }

    /// What a closed handle tells of its table.
    fn if_closed<T>(&self, tell: impl FnOnce(&Known) -> Option<T>) -> Option<T> {
        match &*self.state() {
            State::Closed(Some(known)) => tell(known),
            _ => None,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an opened table, unless the handle was closed or opened in the meantime.
    pub(crate) fn take_opened(&self, open: &Arc<Open>) {
        let mut state = self.state();
        if matches!(*state, State::Unopened(_)) {
            self.open.store(Some(Arc::clone(open)));
            *state = State::Open;
        }
    }
}

#[pymethods]
impl SharedDictBase {
    /// A handle that is not open yet.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        _args: &Bound<'_, pyo3::types::PyTuple>,
        _kwargs: Option<&Bound<'_, pyo3::types::PyDict>>,
    ) -> Self {
        Self {
            open: ArcSwapOption::empty(),
            state: Mutex::new(State::New),
        }
    }

    /// Creates or opens a table; `how` is "create", "create_or_replace", "open",
    /// "open_or_create" or "open_read_only", and no name stands for an anonymous table.
    #[pyo3(name = "_open")]
    #[allow(clippy::needless_pass_by_value)]
    fn attach(
        &self,
        py: Python<'_>,
        how: &str,
        name: Option<&Bound<'_, PyAny>>,
        settings: Settings<'_>,
    ) -> PyResult<()> {
        let name = name.map(|name| name_of(name)).transpose()?;
        let opening = Opening::of(how, name);
        let open = open_table(py, opening, name.unwrap_or_default(), &settings, false)?;
        let mut state = self.state();
        let before = self.open.swap(Some(Arc::new(open)));
        *state = State::Open;
        drop(state);
        py.detach(|| drop(before));
        Ok(())
    }

    /// Keeps what the first use needs to open a table, and opens nothing.
    #[pyo3(name = "_open_later")]
    fn open_later(
        &self,
        py: Python<'_>,
        how: &str,
        name: &Bound<'_, PyAny>,
        settings: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let name = name_of(name)?;
        let unopened = Unopened::new(Opening::of(how, Some(name)), name, settings.unbind());
        let mut state = self.state();
        match *state {
            State::New => {
                *state = State::Unopened(Arc::new(unopened));
                Ok(())
            }
            State::Closed(_) => {
                drop(state);
                Err(errors::closed(py))
            }
            State::Unopened(_) | State::Open => {
                drop(state);
                let message = "a handle of one table can't take the state of another one";
                Err(PyTypeError::new_err(message))
            }
        }
    }

    /// Whether the table was ever opened: that of an unpickled handle is by its first use.
    #[getter]
    fn _opened(&self) -> bool {
        !matches!(*self.state(), State::New | State::Unopened(_))
    }

    /// Returns an object that keeps the table open in this process, even if the handle is closed.
    fn _keeper(&self, py: Python<'_>) -> PyResult<Keeper> {
        Ok(Keeper {
            _open: self.open_long(py)?,
        })
    }

    /// Closes this handle; other handles of the table stay open.
    #[pyo3(name = "_close")]
    fn close(&self, py: Python<'_>) {
        let mut state = self.state();
        let open = self.open.swap(None);
        if let Some(open) = &open {
            open.release_mapping();
        }
        let known = match (&*state, &open) {
            (_, Some(open)) => Some(Known {
                name: open.table.name().to_owned(),
                read_only: open.table.is_read_only(),
                opened: Some((open.codec, open.table.is_anonymous())),
            }),
            (State::Unopened(unopened), None) => Some(Known {
                name: unopened.name().to_owned(),
                read_only: unopened.read_only(),
                opened: None,
            }),
            _ => None,
        };
        let before = match (&*state, known) {
            (State::New | State::Closed(_), None) => None,
            (_, known) => Some(mem::replace(&mut *state, State::Closed(known))),
        };
        drop(state);
        // Unmapping a large table takes a while.
        py.detach(|| drop(open));
        drop(before);
    }

    /// Whether the handle is closed.
    #[getter]
    pub(crate) fn closed(&self) -> bool {
        self.open.load().is_none() && matches!(*self.state(), State::New | State::Closed(_))
    }

    /// The name of the table, for `SharedDict.open` in another process.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        if let Some(unopened) = self.unopened() {
            return Ok(unopened.name().to_owned());
        }
        if let Some(name) = self.if_closed(|known| Some(known.name.clone())) {
            return Ok(name);
        }
        Ok(self.open(py)?.table.name().to_owned())
    }

    /// The number of entries the table was created for: the most, if it grows.
    #[getter]
    fn capacity(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.open(py)?.table.capacity())
    }

    /// The encoding of the values: "pickle", "msgpack", "json" or "raw".
    #[getter]
    fn codec(&self, py: Python<'_>) -> PyResult<&'static str> {
        if let Some((codec, _)) = self.if_closed(|known| known.opened) {
            return Ok(codec.name());
        }
        Ok(self.open(py)?.codec.name())
    }

    /// Whether the handle was opened read-only.
    #[getter]
    fn read_only(&self, py: Python<'_>) -> PyResult<bool> {
        if let Some(unopened) = self.unopened() {
            return Ok(unopened.read_only());
        }
        if let Some(read_only) = self.if_closed(|known| Some(known.read_only)) {
            return Ok(read_only);
        }
        Ok(self.open(py)?.table.is_read_only())
    }

    /// Whether the table is anonymous, and so removed with its creator.
    #[getter]
    fn anonymous(&self, py: Python<'_>) -> PyResult<bool> {
        if let Some((_, anonymous)) = self.if_closed(|known| known.opened) {
            return Ok(anonymous);
        }
        Ok(self.open(py)?.table.is_anonymous())
    }

    /// Whether the handle's name no longer leads to this table.
    ///
    /// The table was removed or renamed, or another table has the name now. The handle still
    /// works, but no one can open this table by that name; close it, and open the name again.
    #[getter]
    fn unlinked(&self, py: Python<'_>) -> PyResult<bool> {
        self.open(py)?.table.is_unlinked().or_raise(py)
    }

    /// Removes the name of this table, unless it leads to another one now.
    #[pyo3(name = "_unlink")]
    fn unlink(&self, py: Python<'_>) -> PyResult<()> {
        match self.open(py)?.table.unlink_own_name() {
            Err(Error::NotFound { name, .. }) => Err(errors::not_its_name(py, &name)),
            done => done.or_raise(py),
        }
    }

    /// Whether this handle stores and loads pickles.
    #[getter]
    fn allow_pickle(&self, py: Python<'_>) -> PyResult<bool> {
        let open = self.open(py)?;
        Ok(open.pickles && open.codec == Codec::Pickle)
    }
}

/// Keeps a table open.
#[pyclass(frozen, module = "shmtable._native")]
pub(crate) struct Keeper {
    _open: Arc<Open>,
}
