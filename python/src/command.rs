//! The command `shmtable`, for `shmtable/__main__.py`.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command with the arguments after its name, and returns its exit status.
#[pyfunction]
pub(crate) fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
    py.detach(|| run(arguments))
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "elsewhere it is an error")]
fn run(arguments: Vec<OsString>) -> PyResult<u8> {
    // The status with which a Rust program ends that has panicked, and has said so.
    const PANICKED: u8 = 101;
    Ok(std::panic::catch_unwind(|| shmtable_cli::run(arguments)).unwrap_or(PANICKED))
}

#[cfg(not(unix))]
fn run(_: Vec<OsString>) -> PyResult<u8> {
    Err(pyo3::exceptions::PyNotImplementedError::new_err(
        "the command `shmtable` runs on Linux and macOS only",
    ))
}
