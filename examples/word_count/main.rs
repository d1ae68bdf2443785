//! Counts the words of all text files under a folder with four processes, kills
//! one of them half-way, and proves that no count is off by one.
//!
//! ```text
//! cargo run --release --example word_count [FOLDER]
//! ```
//!
//! A worker is a program that knows the table's name and nothing else. The rest
//! is in the table:
//!
//! | key                         | value            | written                                |
//! |-----------------------------|------------------|----------------------------------------|
//! | `files`, `path/<file>`      | number; path     | by the parent, before all workers      |
//! | `ready/<worker>`, `start`   |                  | so that all begin together             |
//! | `claim/<file>`              | a worker         | `try_insert`: one winner               |
//! | `count/<file>/<worker>/<w>` | how often        | `fetch_add`, by that worker alone      |
//! | `done/<file>`               | a worker         | `try_insert`: its counts are the valid |
//! | `dead/<worker>`             |                  | by the parent, once the system says so |
//! | `trap/<file>`, `trapped/..` |                  | to kill a worker in the middle of it   |
//!
//! # Why no count is off, wherever a worker is killed
//!
//! `fetch_add` takes effect entirely or not at all, but a worker that finds a dead one's
//! claim can't tell how many of the file's words were added. So a worker counts
//! into keys of its own attempt at that file, and a single store, `done`, declares
//! the attempt valid. A worker may be killed
//! - before its claim: nothing has happened;
//! - between claim and `done`: another worker takes the claim over, with
//!   `compare_exchange`, so only one does, and counts the file from the start into
//!   keys of its own. What the dead one counted is never used;
//! - after `done`: the file is finished, and no worker counts it again.
//!
//! Even if two workers counted the same file, `done` would choose one of them.
//! The parent adds up what the chosen attempts counted.
//!
//! Where a count may be off by what a killed process was just doing, a plain
//! `fetch_add` on a shared key is enough: see the example `shared_counter`.

mod files;
mod parent;
mod processes;
mod worker;

use std::env;
use std::error::Error;
use std::iter::successors;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// If no file is finished for this long, something is wrong.
const PATIENCE: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["--worker", table] => worker::run(table),
        [] => parent::run(Path::new(".")),
        [folder] if !folder.starts_with('-') => parent::run(Path::new(folder)),
        _ => Err("usage: word_count [FOLDER]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = successors(error.source(), |&cause| cause.source());
            let whole = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
            eprintln!("word_count: {whole}");
            ExitCode::FAILURE
        }
    }
}
