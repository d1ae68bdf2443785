//! The native half of the Python package `shmtable`.
//!
//! | module | does |
//! |---|---|
//! | `handle` | the handle, its open table and options, the mapping that it shares with others of this process, and the first use of an unpickled one |
//! | `methods` | the methods of `SharedDict`: a file for each kind of operation |
//! | `encoding` | Python objects to the bytes of keys and values, and back |
//! | `codec` | the encodings that a table can be created with |
//! | `command` | the command `shmtable` |
//! | `tables` | functions about tables by their names, and about orphans |
//! | `table_infos` | what each table of the machine holds |
//! | `sleep` | runs other threads, greenlets and signal handlers while the crate sleeps |
//! | `waits` | the waits of an event loop's tasks, in one thread |
//! | `turns` | runs other threads and signal handlers during long calls |
//! | `unfilled` | new `bytes` and `bytearray` objects, which are filled straight from a table |
//! | `errors` | the crate's errors as Python exceptions |
//! | `imports` | Python objects that are looked up once |
//! | `interpreter` | refuses a second interpreter of the process |
//!
//! Every method uses only the public interface of the crate `shmtable`, on bytes. No Python
//! code runs while a lock of a table is held: an operation that needs both reads, computes,
//! and stores by compare and exchange. Waits let other threads and signal handlers run
//! (`sleep::around_sleep`).

// The comments of methods are Python docstrings.
#![allow(clippy::doc_markdown, clippy::doc_link_with_quotes)]

mod codec;
mod command;
mod encoding;
mod errors;
mod handle;
mod imports;
mod interpreter;
mod methods;
mod sleep;
mod table_infos;
mod tables;
mod turns;
mod unfilled;
mod waits;

use pyo3::prelude::*;

/// The native half of the package.
#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::command::run_command;
    use super::handle::SharedDictBase;
    #[pymodule_export]
    use super::handle::release_warm_tables;
    #[pymodule_export]
    use super::methods::held_claims::HeldClaim;
    #[pymodule_export]
    use super::methods::{Claim, Dump, Lock};
    #[pymodule_export]
    use super::table_infos::list_infos;
    #[pymodule_export]
    use super::tables::{list_names, list_orphans, remove_orphans, unlink_name};
    #[pymodule_export]
    use super::waits::Waits;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::interpreter::check(module.py())?;
        module.add("SharedDictBase", module.py().get_type::<SharedDictBase>())?;
        module.add("version", env!("CARGO_PKG_VERSION"))
    }
}
