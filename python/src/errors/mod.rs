//! The crate's errors as Python exceptions.
//!
//! The classes are Python's (`shmtable/_errors.py`), because each of them is a
//! builtin exception too, and only Python code can derive from two.

mod waits;

use std::cell::Cell;
use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{
    PyException, PyKeyboardInterrupt, PyMemoryError, PyRuntimeError, PyStopIteration,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyType};
use shmtable::Error;

use crate::codec::Codec;
use crate::codec::Role;

pub(crate) use waits::{
    abandoned, claim_not_free, compute_timeout, conflict, coroutine, lock_not_free, no_edit,
    none_of_many, own_claim, own_computation, stops_its_loop, wait_timeout, warn_not_stored,
};

thread_local! {
    /// What a signal handler raised while this thread waited.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// Whether any thread's [`RAISED`] was ever set: mostly there is nothing to look for.
static KEPT: AtomicBool = AtomicBool::new(false);

/// Keeps the exception of a signal handler until the call whose wait it ends has returned.
pub(crate) fn keep(error: PyErr) {
    RAISED.set(Some(error));
    KEPT.store(true, Ordering::Relaxed);
}

/// `shmtable._errors`, looked up once, because missing keys are common.
static CLASSES: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// A class of `shmtable._errors`.
fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyType>> {
    let import = || py.import("shmtable._errors").map(Bound::unbind);
    Ok(CLASSES
        .get_or_try_init(py, import)?
        .bind(py)
        .getattr(name)?
        .cast_into::<PyType>()?)
}

/// An exception of a class of `shmtable._errors`.
pub(crate) fn exception<A>(py: Python<'_>, name: &str, arguments: A) -> PyErr
where
    A: pyo3::PyErrArguments + Send + Sync + 'static,
{
    match class(py, name) {
        Ok(class) => PyErr::from_type(class, arguments),
        Err(error) => error,
    }
}

/// A message of the crate, with Python's names in place of Rust's.
fn in_python(mut message: String) -> String {
    const NAMES: [(&str, &str); 10] = [
        ("Table::repair", "SharedDict.repair"),
        ("Table::remove_orphans", "shmtable.gc()"),
        (
            "keep it open until all who need it have opened it",
            "keep it open, or pass its handle: one passed to a process or pool keeps its table",
        ),
        (
            "with create_or_replace",
            "with SharedDict.create(name, replace=True)",
        ),
        ("Options::", "the option "),
        (
            "save its entries with the command `shmtable dump` of the older version that made it, \
             unlink it, and load them with `shmtable load --create` of this one",
            "save it with d.save of the older version that made it, unlink it, and load the file \
             with SharedDict.load of this one",
        ),
        ("Table::open to", "SharedDict.open to"),
        ("open_read_only asks", "read_only=True asks"),
        (
            "create it, or use open_or_create",
            "create it, as SharedDict(name=...) does",
        ),
        (
            "unlink it, or use open_or_create",
            "unlink it, or create it with replace=True",
        ),
    ];
    for (rust, python) in NAMES {
        message = message.replace(rust, python);
    }
    message
}

/// Values of `errno` for an `OSError`, as those in `raised`.
const ENOENT: i32 = 2;
pub(crate) const EACCES: i32 = 13;

/// The Python exception for an error of the crate.
#[cold]
pub(crate) fn raised(py: Python<'_>, error: Error) -> PyErr {
    const EEXIST: i32 = 17;
    const EBADF: i32 = 9;
    const EINVAL: i32 = 22;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const EFBIG: i32 = 27;
    // The message is the only place in an exception for the system's answer.
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let whole = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    let message = in_python(whole);
    let (name, number) = match error {
        Error::TableFull { .. } => ("TableFullError", None),
        Error::ValueSpaceFull { .. } => ("ValueSpaceFullError", None),
        Error::MaxBytesReached { .. } => ("MaxBytesReachedError", None),
        Error::SharedMemoryFull { .. } => ("SharedMemoryFullError", None),
        Error::AddressSpaceFull { .. } => ("AddressSpaceFullError", None),
        Error::KeyTooLarge { .. } => ("KeyTooLargeError", None),
        Error::ValueTooLarge { .. } => ("ValueTooLargeError", None),
        Error::FileTooLarge { .. } => ("FileTooLargeError", Some(EFBIG)),
        Error::TooManyFiles { limit, .. } => {
            let number = if limit.is_some() { EMFILE } else { ENFILE };
            ("TooManyFilesError", Some(number))
        }
        Error::NotATable { .. } => ("NotATableError", Some(EINVAL)),
        Error::TooSmall { .. } => ("TooSmallError", None),
        Error::InvalidName { .. } => ("InvalidNameError", None),
        Error::InvalidOption { .. } => ("InvalidOptionError", None),
        Error::NotFound { .. } => ("NotFoundError", Some(ENOENT)),
        Error::AlreadyExists { .. } => ("AlreadyExistsError", Some(EEXIST)),
        Error::WrongOwner { .. } => ("WrongOwnerError", Some(EACCES)),
        Error::PermissionDenied { ref source, .. } => (
            "AccessDeniedError",
            Some(source.raw_os_error().unwrap_or(EACCES)),
        ),
        Error::ReadOnly => ("ReadOnlyError", Some(EACCES)),
        Error::IncompatibleFormat { .. } => ("IncompatibleFormatError", None),
        Error::CodecMismatch {
            found, expected, ..
        } => {
            return codec_mismatch(py, found, Some(expected));
        }
        Error::Corrupted { .. } => ("CorruptedError", None),
        Error::LockTimeout { .. } => ("LockTimeoutError", None),
        Error::Deadlock { .. } => ("DeadlockError", None),
        Error::ClaimTimeout { .. } => ("ComputeTimeoutError", None),
        Error::DescriptorClosed { .. } => ("DescriptorClosedError", Some(EBADF)),
        Error::TooManyParticipants { .. } => ("TooManyParticipantsError", None),
        Error::NotACounter { .. } | Error::CounterOverflow { .. } => ("NotANumberError", None),
        Error::Codec { .. } => ("CodecError", None),
        Error::System { ref source, .. } if source.kind() == ErrorKind::OutOfMemory => {
            ("SharedMemoryFullError", None)
        }
        Error::System { ref source, .. } => (
            "SystemCallError",
            Some(source.raw_os_error().unwrap_or_default()),
        ),
        Error::Interrupted => {
            return RAISED
                .take()
                .unwrap_or_else(|| PyKeyboardInterrupt::new_err(()));
        }
        other => return PyRuntimeError::new_err(other.to_string()),
    };
    match number {
        Some(number) => exception(py, name, (number, message)),
        None => exception(py, name, (message,)),
    }
}

/// For `map_err` of a call of the crate.
pub(crate) trait OrRaise<T> {
    /// The result, with the error as a Python exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for shmtable::Result<T> {
    #[inline]
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        match self {
            // A signal may have ended a wait that the result doesn't depend on, such as that of
            // cleaning after a write. The exception of its handler must not be lost.
            Ok(_)
                if KEPT.load(Ordering::Relaxed)
                    && let Some(raised) = RAISED.take() =>
            {
                Err(raised)
            }
            Ok(done) => Ok(done),
            Err(error) => Err(raised(py, error)),
        }
    }
}

/// An error with a note, which a traceback shows beneath it.
#[cold]
pub(crate) fn noted(py: Python<'_>, error: PyErr, note: impl FnOnce() -> String) -> PyErr {
    // The exceptions of signals and exits do not concern a key.
    if !error.is_instance_of::<PyException>(py) {
        return error;
    }
    let raised = error.value(py);
    let note = note();
    // Without a method for it, Python 3.10 keeps notes where later versions do.
    let _ = raised.call_method1("add_note", (&note,)).or_else(|_| {
        let notes = match raised.getattr("__notes__") {
            Ok(notes) => notes,
            Err(_) => PyList::empty(py).into_any(),
        };
        notes.call_method1("append", (&note,))?;
        raised.setattr("__notes__", &notes)?;
        Ok::<_, PyErr>(notes)
    });
    error
}

/// `KeyError` of a key.
#[cold]
pub(crate) fn missing(key: &Bound<'_, PyAny>) -> PyErr {
    exception(key.py(), "MissingKeyError", (key.clone().unbind(),))
}

/// An error of an iterator. A `StopIteration` from loading a key or a value, which a loop would
/// take for the end, becomes a `RuntimeError`, as in a generator.
#[cold]
pub(crate) fn not_the_end(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyStopIteration>(py) {
        return error;
    }
    let raised = PyRuntimeError::new_err("loading a key or a value raised StopIteration");
    raised.set_cause(py, Some(error));
    raised
}

#[cold]
pub(crate) fn closed(py: Python<'_>) -> PyErr {
    let message = "this SharedDict is closed; use it before close() and inside of its with block; a \
                   table with a name can be opened again, by d.name";
    exception(py, "ClosedError", (message,))
}

/// The first use of a handle whose `__init__` did not run.
#[cold]
pub(crate) fn not_started(py: Python<'_>) -> PyErr {
    let message = "this SharedDict was never opened: a subclass that defines __init__ calls \
                   super().__init__(...) in it";
    exception(py, "ClosedError", (message,))
}

/// `unlink` of a name that no table has.
#[cold]
pub(crate) fn nothing_to_unlink(py: Python<'_>, name: &str) -> PyErr {
    let message = format!(
        "there is no table named {name:?} to remove: it was removed already, or never created; \
         shmtable.tables() names those there are"
    );
    exception(py, "NotFoundError", (ENOENT, message))
}

/// `unlink` of a handle whose name no longer leads to its table.
#[cold]
pub(crate) fn not_its_name(py: Python<'_>, name: &str) -> PyErr {
    let message = format!(
        "the name {name:?} no longer leads to this handle's table: it was removed or renamed, or \
         another table has it; SharedDict.unlink({name:?}) removes it from any table that has it"
    );
    exception(py, "NotFoundError", (ENOENT, message))
}

/// Whether an exception is of a class of `shmtable._errors`.
pub(crate) fn is(py: Python<'_>, error: &PyErr, name: &str) -> bool {
    class(py, name).is_ok_and(|class| error.is_instance(py, &class))
}

/// A key as messages show it: only the beginning of a long one. Integers may have too many
/// digits to be shown.
fn shown(key: &Bound<'_, PyAny>) -> String {
    const SHOWN: usize = 100;
    let Ok(text) = key.repr() else {
        return "?".to_owned();
    };
    let text = text.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A noun with its article.
pub(crate) fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}

/// The name of an object's type for messages, with its article.
pub(crate) fn type_of(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let name = object.get_type().fully_qualified_name()?;
    Ok(with_article(&name.to_string()))
}

#[cold]
pub(crate) fn bad_key(py: Python<'_>, message: String) -> PyErr {
    exception(py, "KeyTypeError", (message,))
}

#[cold]
pub(crate) fn bad_value(py: Python<'_>, message: String) -> PyErr {
    exception(py, "ValueTypeError", (message,))
}

/// `MISSING` where a value is to be stored.
#[cold]
pub(crate) fn missing_as_value(py: Python<'_>) -> PyErr {
    let message = "MISSING cannot be stored: it stands for no value in compare_exchange(), \
                   update_value() and wait_change(); remove the key by del d[key], or store \
                   None";
    bad_value(py, message.to_owned())
}

#[cold]
pub(crate) fn bad_name(py: Python<'_>, message: String) -> PyErr {
    exception(py, "InvalidNameError", (message,))
}

#[cold]
pub(crate) fn bad_option(py: Python<'_>, message: String) -> PyErr {
    exception(py, "InvalidOptionError", (message,))
}

/// A part of a key or a value that `MessagePack` has no length for.
#[cold]
pub(crate) fn too_long(py: Python<'_>, role: Role, length: usize) -> PyErr {
    let (class, remedy) = match role {
        Role::Key => ("KeyTooLargeError", "store a digest of it"),
        Role::Value => (
            "ValueTooLargeError",
            "store it in pieces, or in a table with codec=\"raw\"",
        ),
    };
    let message = format!(
        "the {} is too large: a part of it has the length {length}, the limit of MessagePack is \
         {}; {remedy}",
        role.name(),
        u32::MAX
    );
    exception(py, class, (message,))
}

/// The process has no memory left for the bytes of a value.
#[cold]
pub(crate) fn no_memory(_: Python<'_>, bytes: usize) -> PyErr {
    PyMemoryError::new_err(format!(
        "no memory for {bytes} bytes of a value to be stored"
    ))
}

/// Bytes that the table's codec cannot decode.
#[cold]
pub(crate) fn undecodable(py: Python<'_>, what: Role, reason: &str) -> PyErr {
    let what = what.name();
    let message = format!(
        "cannot decode a {what}: {reason}; it was written in another encoding, \
         and codec=\"raw\" opens the table as plain bytes"
    );
    exception(py, "CodecError", (message,))
}

/// A table of another codec than was asked for, or, if none was, than Python knows.
#[cold]
pub(crate) fn codec_mismatch(py: Python<'_>, found: u64, asked: Option<u64>) -> PyErr {
    let asked = asked.and_then(Codec::of_id);
    let asked = asked.map_or_else(String::new, |codec| {
        format!(", and codec={:?} was asked for", codec.name())
    });
    let message = match Codec::of_id(found) {
        Some(codec) => format!(
            "the table has codec={:?}{asked}; open it without a codec to get the table's",
            codec.name(),
        ),
        None => format!(
            "the table was created with a codec that Python does not know (id {found:#x}){asked}; \
             codec=\"raw\" opens it as plain bytes"
        ),
    };
    exception(py, "CodecMismatchError", (message,))
}

/// `snapshot` on a handle that cannot take locks.
#[cold]
pub(crate) fn read_only_snapshot(py: Python<'_>) -> PyErr {
    let message = "a snapshot takes the locks of the table, and this handle is read-only: use copy(), \
                   or open the table without read_only=True";
    exception(py, "ReadOnlyError", (EACCES, message))
}

#[cold]
pub(crate) fn pickle_refused(py: Python<'_>, action: &str) -> PyErr {
    let message = format!(
        "refused to {action} a pickle: other users may write to this table, and loading a pickle \
         runs any code that its writer chose; pass allow_pickle=True if you trust all of them"
    );
    exception(py, "PickleRefusedError", (message,))
}

#[cold]
pub(crate) fn import_refused(py: Python<'_>) -> PyErr {
    let message = "refused to load a key that is a class or an enum member: other users may write to \
                   this table, and loading it imports a module that they name; pass \
                   allow_pickle=True if you trust all of them";
    exception(py, "PickleRefusedError", (message,))
}

#[cold]
pub(crate) fn not_a_number(py: Python<'_>, what: String) -> PyErr {
    exception(py, "NotANumberError", (what,))
}
