//! The handle: opening, closing, and what every method goes through.

use std::mem;
use std::ops::{ControlFlow, Deref};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwapOption, Guard};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use shmtable::{Error, Keys, Table};

use crate::codec::Codec;
use crate::errors::{self, OrRaise};
use crate::first_use::Waiting;
use crate::pack::Buffer;
use crate::settings::{Settings, of_type};
use crate::{key, value, waiting};

/// Values up to this length are read on the stack.
const STACK: usize = 128;
/// Bytes from which on copying is long enough to let other threads run.
const LONG: usize = 1 << 16;

/// What a `SharedDict` is made of; use `shmtable.SharedDict`.
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
    /// Which of these it is. Locked for moments only, in which no Python code runs.
    state: Mutex<State>,
}

/// Where a handle is in its life.
pub(crate) enum State {
    /// `SharedDict.__init__` did not run.
    New,
    /// It was unpickled, and its first use opens the table.
    Waiting(Arc<Waiting>),
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

/// An open table.
pub(crate) struct Open {
    pub(crate) table: Table,
    pub(crate) codec: Codec,
    /// Whether pickles are stored and loaded.
    pub(crate) pickles: bool,
    /// Where calls of `popitem` stopped, and others go on. Locked for moments only.
    pub(crate) draining: Mutex<Vec<Keys>>,
}

/// The use of an open table by one method.
pub(crate) struct Use(Guard<Option<Arc<Open>>>);

impl Deref for Use {
    type Target = Open;

    #[inline]
    fn deref(&self) -> &Open {
        // Looked at by `SharedDictBase::open`, the only one who makes one.
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

    /// Takes an opened table, unless the handle was closed or opened meanwhile.
    pub(crate) fn take_opened(&self, open: &Arc<Open>) {
        let mut state = self.state();
        if matches!(*state, State::Waiting(_)) {
            self.open.store(Some(Arc::clone(open)));
            *state = State::Open;
        }
    }
}

impl Open {
    /// The bytes that a key is found by.
    pub(crate) fn key(&self, key: &Bound<'_, PyAny>) -> PyResult<Buffer> {
        let mut out = Buffer::new();
        key::encode(self.codec, self.pickles, key, &mut out)?;
        Ok(out)
    }

    #[inline]
    pub(crate) fn value(&self, value: &Bound<'_, PyAny>) -> PyResult<Buffer> {
        value::encode(self.codec, self.pickles, value)
    }

    /// The key that bytes stand for; an error names them.
    pub(crate) fn to_key<'py>(&self, py: Python<'py>, key: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        key::decode(py, self.codec, self.pickles, key).map_err(|error| {
            errors::noted(py, error, || format!("while loading a key: {}", shown(key)))
        })
    }

    /// The value of a key that bytes stand for; an error names the key.
    #[inline]
    pub(crate) fn to_value<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        value: &[u8],
    ) -> PyResult<Bound<'py, PyAny>> {
        value::decode(py, self.codec, self.pickles, value)
            .map_err(|error| self.naming(py, key, error))
    }

    /// What others read once `encoded`, the bytes of `value`, is stored. It is `value`
    /// itself where it comes back as it is.
    pub(crate) fn as_stored<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        value: Bound<'py, PyAny>,
        encoded: &[u8],
    ) -> PyResult<Bound<'py, PyAny>> {
        if value::comes_back(self.codec, &value, encoded) {
            Ok(value)
        } else {
            self.to_value(py, key, encoded)
        }
    }

    /// An error that a key's value raised, with a note that names the key.
    #[cold]
    fn naming(&self, py: Python<'_>, key: &[u8], error: PyErr) -> PyErr {
        errors::noted(py, error, || {
            let named = key::decode(py, self.codec, self.pickles, key)
                .and_then(|key| Ok(key.repr()?.to_string()));
            let named = named.unwrap_or_else(|_| shown(key));
            format!("while loading the value of the key {named}")
        })
    }

    /// The value of a key.
    #[inline]
    pub(crate) fn get<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // Written in place: a moved buffer is a copied one.
        let mut encoded = Buffer::new();
        key::encode(self.codec, self.pickles, key, &mut encoded)?;
        self.read(key.py(), &encoded)
    }

    /// The value of an encoded key.
    #[inline]
    pub(crate) fn read<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut stack = [0; STACK];
        let Some(length) = self.table.get_into_slice(key, &mut stack).or_raise(py)? else {
            return Ok(None);
        };
        match stack.get(..length) {
            Some(value) => self.to_value(py, key, value).map(Some),
            None => self.read_long(py, key, length),
        }
    }

    #[cold]
    fn read_long<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        length: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = detached_if(py, length >= LONG, || self.table.get(key)).or_raise(py)?;
        value
            .map(|value| self.to_value(py, key, &value))
            .transpose()
    }

    /// Writes to the table, letting other threads run if so many bytes take long.
    #[inline]
    pub(crate) fn write<R: Send>(
        &self,
        py: Python<'_>,
        bytes: usize,
        write: impl FnOnce(&Table) -> shmtable::Result<R> + Send,
    ) -> PyResult<R> {
        detached_if(py, bytes >= LONG, || write(&self.table)).or_raise(py)
    }
}

/// The bytes of a key that cannot be loaded, for messages: the first of them.
fn shown(key: &[u8]) -> String {
    const SHOWN: usize = 64;
    let text = key[..key.len().min(SHOWN)].escape_ascii();
    let more = if key.len() > SHOWN { "..." } else { "" };
    format!("codec=\"raw\" finds it as b'{text}'{more}")
}

#[inline]
fn detached_if<R: Send>(py: Python<'_>, detached: bool, act: impl FnOnce() -> R + Send) -> R {
    if detached { py.detach(act) } else { act() }
}

/// Around each sleep of the crate: lets other threads run, or greenlets, and listens to
/// signals.
///
/// The crate holds no mutex of this process meanwhile; a thread that we let run
/// and that wants the same stripe's lock sleeps in the same way.
pub(crate) fn around_sleep(sleep: &mut (dyn FnMut() + Send)) -> ControlFlow<()> {
    let attached = Python::try_attach(|py| {
        match waiting::cooperative_sleep(py) {
            Some(slept) => slept?,
            None => py.detach(&mut *sleep),
        }
        py.check_signals()
    });
    match attached {
        Some(Ok(())) => ControlFlow::Continue(()),
        Some(Err(raised)) => {
            errors::keep(raised);
            ControlFlow::Break(())
        }
        // The interpreter is going away, and nobody is there to be let run.
        None => {
            sleep();
            ControlFlow::Continue(())
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
        let open = open_table(py, how, name, &settings)?;
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
        how: &str,
        name: &Bound<'_, PyAny>,
        settings: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let waiting = Waiting::new(how, name_of(name)?, settings.unbind());
        *self.state() = State::Waiting(Arc::new(waiting));
        Ok(())
    }

    /// Whether the table was opened, be it closed by now: an unpickled handle's is by its
    /// first use.
    #[getter]
    fn _opened(&self) -> bool {
        !matches!(*self.state(), State::New | State::Waiting(_))
    }

    /// Something that keeps the table open in this process, whatever becomes of the
    /// handle.
    fn _keeper(&self, py: Python<'_>) -> PyResult<Keeper> {
        Ok(Keeper {
            _open: self.open_long(py)?,
        })
    }

    /// Closes the handle; the others, in this process and elsewhere, stay open.
    #[pyo3(name = "_close")]
    fn close(&self, py: Python<'_>) {
        let mut state = self.state();
        let open = self.open.swap(None);
        let known = match (&*state, &open) {
            (_, Some(open)) => Some(Known {
                name: open.table.name().to_owned(),
                read_only: open.table.is_read_only(),
                opened: Some((open.codec, open.table.is_anonymous())),
            }),
            (State::Waiting(waiting), None) => Some(Known {
                name: waiting.name().to_owned(),
                read_only: waiting.read_only(),
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

    /// The table's name, for `SharedDict.open` in another process.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        if let Some(waiting) = self.waiting() {
            return Ok(waiting.name().to_owned());
        }
        if let Some(name) = self.if_closed(|known| Some(known.name.clone())) {
            return Ok(name);
        }
        Ok(self.open(py)?.table.name().to_owned())
    }

    /// The number of entries the table was created for.
    #[getter]
    fn capacity(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.open(py)?.table.capacity())
    }

    /// What values are encoded in: "pickle", "msgpack", "json" or "raw".
    #[getter]
    fn codec(&self, py: Python<'_>) -> PyResult<&'static str> {
        if let Some((codec, _)) = self.if_closed(|known| known.opened) {
            return Ok(codec.name());
        }
        Ok(self.open(py)?.codec.name())
    }

    /// Whether the handle was opened for reading alone.
    #[getter]
    fn read_only(&self, py: Python<'_>) -> PyResult<bool> {
        if let Some(waiting) = self.waiting() {
            return Ok(waiting.read_only());
        }
        if let Some(read_only) = self.if_closed(|known| Some(known.read_only)) {
            return Ok(read_only);
        }
        Ok(self.open(py)?.table.is_read_only())
    }

    /// Whether the table is removed with its creator.
    #[getter]
    fn anonymous(&self, py: Python<'_>) -> PyResult<bool> {
        if let Some((_, anonymous)) = self.if_closed(|known| known.opened) {
            return Ok(anonymous);
        }
        Ok(self.open(py)?.table.is_anonymous())
    }

    /// Whether the handle's name leads to this table no more: it was removed or renamed, or
    /// another table has it now. The handle works on, but nobody opens this table by that
    /// name; close it, and open the name again.
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

/// Creates or opens a table; `how` is what `SharedDictBase._open` takes.
pub(crate) fn open_table(
    py: Python<'_>,
    how: &str,
    name: Option<&str>,
    settings: &Settings<'_>,
) -> PyResult<Open> {
    let asked = settings.codec(py)?;
    // "raw" looks at the bytes of any table; other codecs must be the table's.
    let created = asked.unwrap_or(Codec::Pickle);
    let options = settings.options(py)?;
    let allow_pickle = of_type("allow_pickle", "True or False", &settings.allow_pickle)?;
    let options = match asked {
        None | Some(Codec::Raw) => options.codec_if_created(created.id()),
        Some(codec) => options.codec(codec.id()),
    };
    let table = py.detach(|| match (how, name) {
        (_, None) => options.create_anonymous(),
        ("create", Some(name)) => options.create(name),
        ("create_or_replace", Some(name)) => options.create_or_replace(name),
        ("open", Some(name)) => options.open(name),
        ("open_read_only", Some(name)) => options.open_read_only(name),
        (_, Some(name)) => options.open_or_create(name),
    });
    let table = table.or_raise(py)?;
    let codec = match asked {
        Some(Codec::Raw) => Codec::Raw,
        _ => Codec::of_id(table.codec_id())
            .ok_or_else(|| errors::codec_mismatch(py, table.codec_id(), None))?,
    };
    let pickles = match allow_pickle {
        Some(allowed) => allowed,
        None => table.is_private().or_raise(py)?,
    };
    Ok(Open {
        table,
        codec,
        pickles,
        draining: Mutex::new(Vec::new()),
    })
}

/// Removes a table's name.
#[pyfunction]
pub(crate) fn unlink_name(py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<()> {
    match Table::unlink(name_of(name)?) {
        Err(Error::NotFound { name, .. }) => Err(errors::nothing_to_unlink(py, &name)),
        done => done.or_raise(py),
    }
}

/// A table's name; lone surrogates have no place in it.
fn name_of<'a>(name: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let Ok(name) = name.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!(
            "the name of a table is a str, not {name:?}"
        )));
    };
    name.to_str().map_err(|_| {
        let message = format!("{name:?} cannot name a table: it is no Unicode text");
        errors::bad_name(name.py(), message)
    })
}

/// The names of all tables on this machine.
#[pyfunction]
pub(crate) fn list_names(py: Python<'_>) -> PyResult<Vec<String>> {
    Table::list().or_raise(py)
}
