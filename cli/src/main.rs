//! The `shmtable` command: looks inside live tables, and repairs them.

#![forbid(unsafe_code)]

mod args;
mod codec;
mod commands;
mod dump;
mod failure;
mod filter;
mod interrupt;
mod metrics;
mod notation;
mod out;
mod rates;
mod sample;
mod top;
mod units;
mod wording;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use failure::{Failure, Outcome};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    let result = commands::run(cli);
    let code = match result {
        Ok(Outcome::Found) => 0,
        Ok(Outcome::NotFound) => 1,
        Err(failure) if failure.is_closed_pipe() => 0,
        Err(failure) => {
            tell(&failure, json);
            2
        }
    };
    interrupt::end();
    ExitCode::from(code)
}

fn tell(failure: &Failure, json: bool) {
    use std::io::Write;
    // Nobody may be listening there either.
    let mut stderr = std::io::stderr();
    let _ = if json {
        let error = serde_json::json!({ "error": failure.to_string(), "kind": failure.kind() });
        writeln!(stderr, "{}", out::with_schema(error))
    } else {
        writeln!(stderr, "shmtable: {failure}")
    };
}
