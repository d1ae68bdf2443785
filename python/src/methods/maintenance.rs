//! Verifying a table, and repairing one that was damaged.

use pyo3::prelude::*;

use crate::errors::OrRaise;
use crate::handle::SharedDictBase;

#[pymethods]
impl SharedDictBase {
    /// Verifies the table's structure and returns what is wrong, as a list of sentences;
    /// an empty list if all is well.
    ///
    /// The bytes of values have no checksum and are not verified. Other threads and
    /// processes may read and write meanwhile; writers wait while every record is looked
    /// at, about half a second with a million entries. Needs a handle that may write.
    ///
    /// >>> SharedDict({'a': 1}).check()
    /// []
    fn check(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let open = self.open_long(py)?;
        py.detach(|| open.table.check()).or_raise(py)
    }

    /// Repairs a table that was damaged and returns what it did, as a list of sentences;
    /// an empty list if there was nothing to do.
    ///
    /// Entries whose records are damaged are lost, and the list tells how many. Deaths
    /// of processes do no damage and need no repair. Writers wait until it is done, a few
    /// seconds with a million entries; readers do not.
    ///
    /// >>> SharedDict({'a': 1}).repair()
    /// []
    fn repair(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let open = self.open_long(py)?;
        py.detach(|| open.table.repair()).or_raise(py)
    }
}
