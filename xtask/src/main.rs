//! The project's own commands. `cargo xtask` lists them.

mod documents;
mod help;
mod lanes;
mod namespace;
mod parallel;
mod process;
mod python;
mod result;
mod test;
#[cfg(test)]
mod tidy;
mod tokens;
mod weaken;

use std::env;
use std::process::ExitCode;

use crate::help::HELP;
use crate::lanes::{
    bench, crash_points, damage, demo, docs_site, full_tmpfs, fuzz, instructions, loom, neighbours,
    portable, refused_calls, sanitize, trials, windows,
};
use crate::result::Result;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(result) = run(&arguments) else {
        eprintln!("no such command: {}\n\n{HELP}", arguments.join(" "));
        return ExitCode::from(2);
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command, if there is one of this name with these options.
fn run(arguments: &[&str]) -> Option<Result> {
    let result = match *arguments {
        [] | ["help" | "-h" | "--help"] => {
            print!("{HELP}");
            Ok(())
        }
        ["test", ref options @ ..] => test::run(options),
        ["loom"] => loom::run(loom::Selection::All),
        ["loom", file] if !file.starts_with('-') => loom::run(loom::Selection::File(file)),
        ["weaken", ref options @ ..] => weaken::run(options),
        ["demo"] => demo::run(&process::root(), demo::Profile::Release),
        ["demo", folder] if !folder.starts_with('-') => {
            demo::run(folder.as_ref(), demo::Profile::Release)
        }
        ["python"] => python::install(),
        ["test-python"] => test_python(python::Kills::Short),
        ["test-python", "--full"] => test_python(python::Kills::Full),
        ["clients"] => python::clients(),
        ["bench", ref options @ ..] => bench::run(options),
        ["instructions"] => instructions::run(false),
        ["instructions", "--check"] => instructions::run(true),
        ["bench-python"] => python::bench(&[]),
        ["bench-python", "--quick"] => python::bench(&["--quick"]),
        ["crash-points"] => crash_points::run(crash_points::Deaths::All),
        ["crash-points", "--quick"] => crash_points::run(crash_points::Deaths::Some),
        ["docs-cli"] => documents::docs_cli(),
        ["docs-site"] => docs_site::run(),
        ["picture"] => documents::picture(),
        ["damage"] => damage::run(damage::Cases::All),
        ["damage", "--quick"] => damage::run(damage::Cases::Third),
        ["fuzz"] => fuzz::run("60"),
        ["fuzz", seconds] if !seconds.starts_with('-') => fuzz::run(seconds),
        ["sanitize", name] => sanitize::Sanitizer::of(name).and_then(sanitize::run),
        ["full-tmpfs"] => full_tmpfs::run(full_tmpfs::Tests::All),
        ["neighbours"] => neighbours::run(),
        ["refused-calls"] => refused_calls::run(),
        ["portable"] => portable::run(),
        ["windows"] => windows::run(),
        [trial @ ("torture" | "linearizability"), ref options @ ..] => trials::run(trial, options),
        _ => return None,
    };
    Some(result)
}

fn test_python(kills: python::Kills) -> Result {
    python::test_default(kills)?;
    python::test_others(kills)
}
