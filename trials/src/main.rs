//! Long-running proofs of shmtable, by processes that are killed and by histories that
//! are checked. `cargo xtask torture` and `cargo xtask linearizability` run them.

#[cfg(not(target_os = "linux"))]
compile_error!("the trials kill, stop and time processes as Linux does");

mod child;
mod clock;
mod linearizability;
mod result;
mod tables;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Long-running proofs of shmtable.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    trial: Trial,
}

#[derive(Debug, Subcommand)]
enum Trial {
    /// Kills and stops writing processes at random, and holds the table against what
    /// they wrote down of their work.
    Torture(torture::Arguments),
    /// Records what processes do with a few hot keys, and looks for an order of single
    /// steps that explains every answer.
    Linearizability(linearizability::Arguments),
    #[command(hide = true)]
    TortureWorker(torture::worker::Arguments),
    #[command(hide = true)]
    LinearizabilityProcess(linearizability::process::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().trial {
        Trial::Torture(arguments) => torture::run(&arguments),
        Trial::Linearizability(arguments) => linearizability::run(&arguments),
        Trial::TortureWorker(arguments) => torture::worker::run(&arguments),
        Trial::LinearizabilityProcess(arguments) => linearizability::process::run(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("trials: {error}");
            ExitCode::FAILURE
        }
    }
}
