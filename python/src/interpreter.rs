//! One interpreter of a process may use the package.
//!
//! Python objects that are looked up once (classes of exceptions, `MISSING`, types) are kept
//! for the process. In a second interpreter they would still be those of the first one:
//! exceptions that no handler there catches, and another `MISSING`. So the package refuses to
//! be imported there.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The mark in the module `sys`, which each interpreter has of its own.
const MARK: &str = "_shmtable_interpreter";

/// The mark of the interpreter that imported the package first. A random number, so
/// that an interpreter which is started when that one has ended has another.
static FIRST: OnceLock<u64> = OnceLock::new();

/// An `ImportError` in any interpreter but the first one.
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    let names: Bound<'_, PyDict> = sys.dict();
    let mut mine = false;
    let first = FIRST.get_or_init(|| {
        mine = true;
        RandomState::new().hash_one(0_u8)
    });
    if mine {
        return names.set_item(MARK, first);
    }
    let mark = names.get_item(MARK)?;
    let mark = mark.and_then(|mark| mark.extract::<u64>().ok());
    if mark == Some(*first) {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "shmtable is used by another interpreter of this process, and supports only one; run the \
         programs in processes of their own, or in the first interpreter \
         (mod_wsgi: WSGIApplicationGroup %{GLOBAL})",
    ))
}
