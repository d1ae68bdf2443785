//! Verifying a table, and repairing one that was damaged.

use pyo3::prelude::*;

use crate::errors::OrRaise;
use crate::handle::SharedDictBase;

#[pymethods]
impl SharedDictBase {
    /// Checks the structure of the table and returns what is wrong, as a list of sentences.
    ///
    /// The list is empty if nothing is wrong. The bytes of values have no checksum and are not
    /// checked. Other threads and processes may read and write during the check; writers wait
    /// while every record is checked, about half a second with a million entries. The handle
    /// must be open for writing.
    ///
    /// >>> SharedDict({'a': 1}).check()
    /// []
    fn check(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let open = self.open_long(py)?;
        let faults = py.detach(|| open.table.check()).or_raise(py)?;
        Ok(faults.iter().map(ToString::to_string).collect())
    }

    /// Repairs a damaged table and returns what was done, as a list of sentences.
    ///
    /// The list is empty if there was nothing to do. Entries whose records are damaged are
    /// lost, and the list tells how many. The death of a process does no damage and needs no
    /// repair. Writers wait until the repair is done, a few seconds with a million entries;
    /// readers do not.
    ///
    /// >>> SharedDict({'a': 1}).repair()
    /// []
    fn repair(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let open = self.open_long(py)?;
        let done = py.detach(|| open.table.repair()).or_raise(py)?;
        Ok(done.iter().map(ToString::to_string).collect())
    }
}
