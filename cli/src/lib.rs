//! The `shmtable` command: inspects, changes and repairs live tables.
//!
//! It is a library, so that the Python package has the same command: [`run`] is all of it.

#![forbid(unsafe_code)]

mod args;
mod arithmetic;
mod codec;
mod command_line;
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

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Parser;

use args::Cli;
use failure::{Failure, Outcome};

/// Runs the command, for a process that does little else, and returns the exit status.
///
/// `arguments` are those after the program's name. The output goes to the descriptors 1 and 2.
/// Commands that take a while catch SIGINT, SIGTERM and SIGHUP. If one of them comes, the command
/// tidies up, and then `run` ends the process by that signal.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let status = status(arguments.into_iter().collect());
    // Nothing flushes what is left if the `main` of the process isn't Rust's.
    let _ = io::stdout().flush();
    interrupt::end();
    status
}

fn status(arguments: Vec<OsString>) -> u8 {
    let program = OsString::from("shmtable");
    let parsed = Cli::try_parse_from(std::iter::once(&program).chain(&arguments));
    command_line::keep(arguments);
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && command_line::asks_for_json() => {
            tell(&misused(&error), true);
            return 2;
        }
        Err(error) => {
            // If the output is closed, there is nothing left to do.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let json = cli.global.json;
    match commands::run(cli) {
        Ok(Outcome::Found) => 0,
        Ok(Outcome::NotFound) => 1,
        Err(failure) if failure.is_closed_pipe() => 0,
        Err(failure) => {
            tell(&failure, json);
            2
        }
    }
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
    // If the standard error is closed, there is nothing left to do.
    let mut stderr = io::stderr();
    let _ = if json {
        let error = serde_json::json!({ "error": failure.to_string(), "kind": failure.kind() });
        writeln!(stderr, "{}", out::with_schema(error))
    } else {
        writeln!(stderr, "shmtable: {failure}")
    };
}
