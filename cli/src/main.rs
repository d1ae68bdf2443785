//! The `shmtable` command: inspects, changes and repairs live tables.

#![forbid(unsafe_code)]

mod args;
mod arithmetic;
mod codec;
mod commands;
mod context;
mod dump_format;
mod failure;
mod filter;
mod glob;
mod interrupt;
mod out;
mod progress;
mod sample;
mod units;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use failure::{Failure, Outcome};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && asks_for_json() => {
            tell(&misused(&error), true);
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
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

/// Whether a command line that can't be parsed asks for JSON.
fn asks_for_json() -> bool {
    std::env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json")
}

/// What is wrong with a command line, without the usage that clap adds for people.
fn misused(error: &clap::Error) -> Failure {
    let whole = error.render().to_string();
    let text = whole.split("\n\nUsage:").next().unwrap_or(&whole);
    let text = text
        .split("\n\nFor more information")
        .next()
        .unwrap_or(text);
    let text = text.strip_prefix("error: ").unwrap_or(text);
    Failure::Usage(text.trim().to_owned())
}

fn tell(failure: &Failure, json: bool) {
    use std::io::Write;
    // If the standard error is closed, there is nothing left to do.
    let mut stderr = std::io::stderr();
    let _ = if json {
        let error = serde_json::json!({ "error": failure.to_string(), "kind": failure.kind() });
        writeln!(stderr, "{}", out::with_schema(error))
    } else {
        writeln!(stderr, "shmtable: {failure}")
    };
}
