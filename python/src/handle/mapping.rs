//! The mappings of this process, which the handles of one table share.
//!
//! A handle is what a Python program holds: a name, a codec, whether it is read-only. A
//! mapping is what it costs: address space, pages, descriptors and a participant slot. So the
//! process remembers its mappings by the tables' names, and a handle that is opened takes the
//! one that is there, if `Options::would_open` says that opening the name would lead to the
//! same table. A read-only handle takes a mapping for writing, too.
//!
//! A mapping is dropped with its last handle. In a worker of `multiprocessing` it first stays
//! [warm](super::warm) for a moment, if the last handle was unpickled: the next task of a pool
//! probably brings another one.
//!
//! A forked child goes on with the mappings that it inherited. The lock of the list, however,
//! may have been held by a thread that the child doesn't have; so each process has a list of
//! its own, made from the list of its parent if that isn't locked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;
use shmtable::{Error, Options, Table, fork_generation};

use super::warm::Warm;
use crate::imports::IS_WORKER;

/// A table that is mapped in this process.
pub(crate) struct Mapping {
    pub(crate) table: Table,
}

/// How a handle is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Without a name.
    Anonymous,
    Create,
    CreateOrReplace,
    Open,
    OpenReadOnly,
    OpenOrCreate,
}

impl Opening {
    /// What `SharedDictBase._open` takes.
    pub(crate) fn of(how: &str, name: Option<&str>) -> Self {
        match (how, name) {
            (_, None) => Self::Anonymous,
            ("create", _) => Self::Create,
            ("create_or_replace", _) => Self::CreateOrReplace,
            ("open", _) => Self::Open,
            ("open_read_only", _) => Self::OpenReadOnly,
            _ => Self::OpenOrCreate,
        }
    }

    pub(super) fn read_only(self) -> bool {
        self == Self::OpenReadOnly
    }

    /// Whether a mapping that is there may serve.
    fn may_share(self) -> bool {
        matches!(self, Self::Open | Self::OpenReadOnly | Self::OpenOrCreate)
    }

    fn open(self, options: &Options, name: &str) -> shmtable::Result<Table> {
        match self {
            Self::Anonymous => options.create_anonymous(),
            Self::Create => options.create(name),
            Self::CreateOrReplace => options.create_or_replace(name),
            Self::Open => options.open(name),
            Self::OpenReadOnly => options.open_read_only(name),
            Self::OpenOrCreate => options.open_or_create(name),
        }
    }

    /// Whether the table is private, if opening would lead to it.
    fn would_open(self, options: &Options, table: &Table) -> shmtable::Result<Option<bool>> {
        if self != Self::OpenOrCreate {
            options.would_open_private(table, self.read_only())
        } else if options.would_open_or_create(table)? {
            table.is_private().map(Some)
        } else {
            Ok(None)
        }
    }
}

/// A mapping, and the handle's own view of its table.
pub(crate) struct Opened {
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) table: Table,
    /// Whether no other user may write to the table.
    pub(crate) private: bool,
}

/// Opens or creates a table, in a mapping that this process has if there is one.
pub(crate) fn open(opening: Opening, name: &str, options: &Options) -> shmtable::Result<Opened> {
    let mappings = Mappings::of_this_process();
    if let Found::Opened(opened) = mappings.find(opening, name, options)? {
        return Ok(opened);
    }
    let table = match opening.open(options, name) {
        // Another thread may have taken the last slot for the same table.
        Err(full @ Error::TooManyParticipants { .. }) => {
            return match mappings.find(opening, name, options)? {
                Found::Opened(opened) => Ok(opened),
                Found::None { .. } => Err(full),
            };
        }
        table => table?,
    };
    let private = table.is_private()?;
    let mapping = Arc::new(Mapping {
        table: table.clone(),
    });
    loop {
        // Another thread may have opened it in the meantime.
        match mappings.find(opening, name, options)? {
            Found::Opened(opened) => return Ok(opened),
            Found::None { additions } if mappings.add(&mapping, additions) => {
                return Ok(Opened {
                    mapping,
                    table,
                    private,
                });
            }
            Found::None { .. } => {}
        }
    }
}

/// Keeps a mapping for a moment, whether it has handles or not.
pub(crate) fn keep_warm(mapping: &Arc<Mapping>) {
    Warm::keep(&Mappings::of_this_process(), Arc::clone(mapping));
}

/// Whether `multiprocessing` started this process. If so, tables go when it ends.
pub(crate) fn is_worker(py: Python<'_>) -> PyResult<bool> {
    let mappings = Mappings::of_this_process();
    if mappings.is_worker.get().is_some() {
        return Ok(true);
    }
    // Asked again until it is one: `multiprocessing` imports the main module before.
    let worker = IS_WORKER.get(py)?.call0()?.is_truthy()?;
    if worker {
        let _ = mappings.is_worker.set(());
    }
    Ok(worker)
}

/// Unmaps the tables that have no handles in this process.
#[pyfunction]
pub(crate) fn release_warm_tables(py: Python<'_>) {
    py.detach(|| Mappings::of_this_process().warm.release());
}

/// What a search found: a mapping that serves, or how many had been added when there was none.
enum Found {
    Opened(Opened),
    None { additions: u64 },
}

/// The mappings of one process.
pub(super) struct Mappings {
    /// Tells it from the process that it was forked from.
    generation: u64,
    /// Locked for moments, with no Python code running.
    list: Mutex<List>,
    /// Once it is known that `multiprocessing` started the process.
    is_worker: OnceLock<()>,
    pub(super) warm: Warm,
}

#[derive(Clone, Default)]
struct List {
    by_name: HashMap<String, Vec<Weak<Mapping>>>,
    /// How many mappings were ever added.
    additions: u64,
}

static MAPPINGS: ArcSwapOption<Mappings> = ArcSwapOption::const_empty();

impl Mappings {
    /// The list of this process.
    pub(super) fn of_this_process() -> Arc<Self> {
        loop {
            let found = MAPPINGS.load();
            if let Some(mappings) = &*found
                && mappings.generation == fork_generation()
            {
                return Arc::clone(mappings);
            }
            let mine = Some(Arc::new(Self::inheriting(found.as_deref())));
            drop(MAPPINGS.compare_and_swap(&found, mine));
        }
    }

    fn inheriting(parents: Option<&Self>) -> Self {
        let inherited = parents.and_then(|parents| {
            let list = parents.list.try_lock().ok()?;
            Some(list.clone())
        });
        Self {
            generation: fork_generation(),
            list: Mutex::new(inherited.unwrap_or_default()),
            is_worker: OnceLock::new(),
            warm: Warm::new(),
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mapping in which opening would result.
    fn find(&self, opening: Opening, name: &str, options: &Options) -> shmtable::Result<Found> {
        let list = self.list();
        let additions = list.additions;
        let of_name = list.by_name.get(name).filter(|_| opening.may_share());
        let of_name = of_name.cloned().unwrap_or_default();
        drop(list);
        for mapping in of_name.iter().rev().filter_map(Weak::upgrade) {
            let table = &mapping.table;
            if let Some(private) = opening.would_open(options, table)? {
                let table = if opening.read_only() && !table.is_read_only() {
                    table.as_read_only()
                } else {
                    table.clone()
                };
                return Ok(Found::Opened(Opened {
                    mapping,
                    table,
                    private,
                }));
            }
        }
        Ok(Found::None { additions })
    }

    /// Adds a mapping, unless others were added since a search: `false`.
    fn add(&self, mapping: &Arc<Mapping>, additions: u64) -> bool {
        let name = mapping.table.name().to_owned();
        let mut list = self.list();
        let unchanged = list.additions == additions;
        if unchanged {
            list.additions += 1;
            let of_name = list.by_name.entry(name).or_default();
            of_name.push(Arc::downgrade(mapping));
        }
        unchanged
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let mappings = Mappings::of_this_process();
        let mut list = mappings.list();
        if let Some(of_name) = list.by_name.get_mut(self.table.name()) {
            of_name.retain(|mapping| mapping.strong_count() > 0);
            if of_name.is_empty() {
                list.by_name.remove(self.table.name());
            }
        }
    }
}
