//! The program `shmtable`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(shmtable_cli::run(std::env::args_os().skip(1)))
}
