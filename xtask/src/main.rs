//! The project's own commands. `cargo xtask` lists them.

mod bench;
mod demo;
mod documents;
mod full_tmpfs;
mod fuzz;
mod instructions;
mod loom;
mod neighbours;
mod process;
mod python;
mod refused_calls;
mod sanitize;
mod test;
mod trials;
mod weaken;
mod windows;

use std::env;
use std::process::ExitCode;

/// What a command returns: an error is a sentence for the person who ran it.
type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const USAGE: &str = "\
The project's own commands

Usage: cargo xtask COMMAND

Commands:
  test [--quick]   every check: format, lints, tests, crash points, loom models,
                   orderings, documents, benches, demo, Python; --quick stops after the
                   tests of the crate
  loom [MODEL]     the loom models, or those of one file of loom-tests/tests
  weaken [PLACE]   weakens each memory ordering in turn, or those with PLACE in their file or
                   function, and tells which model notices, the first or --all; fails
                   if none does (--write: writes loom-tests/orderings.md; --quick: only
                   the models that it names)
  demo [FOLDER]    counts the words of a folder (this project's own tree) with four
                   processes, kills one of them and compares every count
  python           leaves an interpreter with the Python package at
                   target/venv/bin/python
  test-python      the tests of the Python package, with the default interpreter, and
                   the oldest and the newest other one from Python 3.10 on that is
                   installed (--full: with every one, and 2000 processes killed by one
                   test, where else it is 600)
  clients          the Python package in gunicorn, uvicorn, Celery, Dask, gevent and other
                   programs' pools (installs them into target/venv-clients)
  bench            the benchmark against rivals, in several processes; writes
                   docs/benchmarks.md, its plots and the README's table (--quick: below
                   two minutes, --huge, --smoke, --only SECTIONS, --resume, --report-only,
                   --strict: fails if a ratio to reach is missed; --help)
  instructions     how many instructions a get, a miss, a replacement and a fetch_add take,
                   by source file (valgrind; --check: fails if one takes more than its
                   ceiling)
  bench-python     the benchmark of the Python package against its rivals; writes
                   docs/benchmarks-python.md (--quick: a tenth of the size, writes nothing)
  crash-points     kills a process at each point between two stores of each operation,
                   the one that repairs after it at each of its, and the next one too
                   (--quick: the form that `test` runs)
  docs-cli         writes docs/cli.md from the help of the command `shmtable`
  picture          draws docs/top.svg from a run of `shmtable top`
  damage           every case of tests/damage.rs: each bit of a small segment flipped,
                   and worse (the tests take one of some)
  fuzz [SECONDS]   the fuzz targets, 60 s each (nightly toolchain; installs cargo-fuzz
                   into target/tools)
  sanitize address the tests of the crate under AddressSanitizer
  sanitize thread  and under ThreadSanitizer (both by the nightly toolchain)
  full-tmpfs       the tests of a full /dev/shm, in a mount namespace of their own
                   (Linux; as root, or where users may make namespaces)
  neighbours       the tests among other users, mounts and PID namespaces: what
                   `test` leaves out where it is not allowed fails here (Linux, as root)
  refused-calls    tests where system calls for which there is another way are refused, as
                   by a container's filter (Linux, with strace)
  portable         the tests of the crate on the back end for Windows and macOS, which
                   a cfg forces on Linux; crash points too
  windows          the tests of the crate for Windows, run under wine, crash points too
                   (in brief), and whether it compiles for macOS and for Microsoft's
                   compiler (Debian; says what it needs)
  torture          kills and stops writing processes for a minute, and holds the table
                   against what they wrote down (--seconds N, --workers W, --help)
  linearizability  records what processes on hot keys are told, and looks for an order
                   that explains it (--operations N, --processes P, --help)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] | ["help" | "-h" | "--help"] => {
            print!("{USAGE}");
            Ok(())
        }
        ["test"] => test::run(test::Extent::Full),
        ["test", "--quick"] => test::run(test::Extent::Quick),
        ["loom"] => loom::run(None),
        ["loom", model] if !model.starts_with('-') => loom::run(Some(model)),
        ["weaken", ref options @ ..] => weaken::run(options),
        ["demo"] => demo::run(&process::root(), demo::Profile::Release),
        ["demo", folder] if !folder.starts_with('-') => {
            demo::run(folder.as_ref(), demo::Profile::Release)
        }
        ["python"] => python::install(),
        ["test-python"] => python::test(python::Kills::Short),
        ["test-python", "--full"] => python::test(python::Kills::Full),
        ["clients"] => python::clients(),
        ["bench", ref options @ ..] => bench::run(options),
        ["instructions"] => instructions::run(false),
        ["instructions", "--check"] => instructions::run(true),
        ["bench-python"] => python::bench(&[]),
        ["bench-python", "--quick"] => python::bench(&["--quick"]),
        ["crash-points"] => test::crash_points(test::Extent::Full),
        ["crash-points", "--quick"] => test::crash_points(test::Extent::Quick),
        ["docs-cli"] => documents::docs_cli(),
        ["picture"] => documents::picture(),
        ["damage"] => test::damage(),
        ["fuzz"] => fuzz::run("60"),
        ["fuzz", seconds] if !seconds.starts_with('-') => fuzz::run(seconds),
        ["sanitize", name] => sanitize::Sanitizer::of(name).and_then(sanitize::run),
        ["full-tmpfs"] => full_tmpfs::run(),
        ["neighbours"] => neighbours::run(),
        ["refused-calls"] => refused_calls::run(),
        ["portable"] => test::portable(),
        ["windows"] => windows::run(),
        [trial @ ("torture" | "linearizability"), ref options @ ..] => trials::run(trial, options),
        _ => {
            eprintln!("no such command: {}\n\n{USAGE}", arguments.join(" "));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
