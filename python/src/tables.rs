//! Functions about all tables: their names, and orphans.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use shmtable::{Error, Orphan, Table};

use crate::errors::{self, OrRaise};

/// The orphans of this user, and the bytes of memory that each holds.
#[pyfunction]
pub(crate) fn list_orphans(py: Python<'_>) -> PyResult<Vec<(String, usize)>> {
    let orphans = py.detach(Table::orphans).or_raise(py)?;
    Ok(orphans.into_iter().map(pair).collect())
}

/// Removes the orphans of this user that no process has open.
#[pyfunction]
pub(crate) fn remove_orphans(py: Python<'_>) -> PyResult<Vec<(String, usize)>> {
    let removed = py.detach(Table::remove_orphans).or_raise(py)?;
    Ok(removed.into_iter().map(pair).collect())
}

fn pair(orphan: Orphan) -> (String, usize) {
    (orphan.name, orphan.bytes)
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
pub(crate) fn name_of<'a>(name: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let Ok(name) = name.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!(
            "the name of a table is a str, not {name:?}"
        )));
    };
    name.to_str().map_err(|_| {
        let message = format!("{name:?} cannot name a table: it is not valid Unicode");
        errors::bad_name(name.py(), message)
    })
}

/// The names of all tables on this machine.
#[pyfunction]
pub(crate) fn list_names(py: Python<'_>) -> PyResult<Vec<String>> {
    Table::list().or_raise(py)
}
