//! Tables that nobody needs any more.

use pyo3::prelude::*;
use shmtable::{Orphan, Table};

use crate::errors::OrRaise;

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
