//! The native half of the Python package `shmtable`.
//!
//! | module | does |
//! |---|---|
//! | `handle` | opens and closes; what every method goes through |
//! | `settings` | the options of a table, as the crate takes them |
//! | `first_use` | opens the table of an unpickled handle |
//! | `interpreter` | refuses a second interpreter of the process |
//! | `reading`, `writing`, `atomic`, `many`, `removing` | the methods, by what they do |
//! | `computing` | `get_or_compute` |
//! | `waiting` | waits for a key |
//! | `iterators`, `prefix` | iteration while others write, and keys that begin alike |
//! | `turns` | lets signal handlers and other threads run during long calls |
//! | `maintenance` | verifying and repairing |
//! | `codec` | what a table's values are encoded in |
//! | `key`, `value`, `pack` | Python objects to bytes and back |
//! | `housekeeping` | tables that nobody needs any more |
//! | `imports` | what is Python's and looked up once |
//! | `errors` | the crate's errors as Python exceptions |
//!
//! Every method works on the public interface of the crate `shmtable`, on bytes.
//! No Python code runs while a lock of a table is held: what needs both is done
//! by compare and exchange. Waits let other threads run and listen to signals
//! (`handle::around_sleep`).

// The comments of methods are Python docstrings.
#![allow(clippy::doc_markdown, clippy::doc_link_with_quotes)]

mod atomic;
mod codec;
mod computing;
mod errors;
mod first_use;
mod handle;
mod housekeeping;
mod imports;
mod interpreter;
mod iterators;
mod key;
mod maintenance;
mod many;
mod pack;
mod prefix;
mod reading;
mod removing;
mod settings;
mod turns;
mod value;
mod waiting;
mod writing;

use pyo3::prelude::*;

/// The native half of the package.
#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    use super::handle::SharedDictBase;
    #[pymodule_export]
    use super::handle::{list_names, unlink_name};
    #[pymodule_export]
    use super::housekeeping::{list_orphans, remove_orphans};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::interpreter::check(module.py())?;
        module.add("SharedDictBase", module.py().get_type::<SharedDictBase>())?;
        module.add("version", env!("CARGO_PKG_VERSION"))
    }
}
