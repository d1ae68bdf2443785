//! What `cargo xtask` prints.

pub(crate) const HELP: &str = "\
The project's own commands

Usage: cargo xtask COMMAND

Every check:
  test             the short form: format, lints, tests, documents, demo, crash points and
                   the Python package; needs the stable toolchain, Python 3.10 or later with
                   pip and a C linker, and ten minutes on two processors
      --quick      only format, lints and the tests in Rust
      --all        every lane, the short form first; a lane that this machine can't run is
                   left out, and the last lines say which and why
      --rest       only the lanes that --all adds to the short form
      --strict     fails where a lane would be left out
      --except L   without the lane L; may be repeated
      --list       prints the lanes, and what this machine lacks for them; runs none

Single checks:
  clients          the Python package in gunicorn, uvicorn, Celery, Dask, gevent and other
                   programs' pools (installs them into target/venv-clients)
  crash-points     kills a process at each point between two stores of each operation,
                   the one that recovers after it at each of its points, and the next one
                   too (--quick: the form that `test` runs)
  damage           every case of tests/damage/: each bit of a small segment flipped,
                   and worse (--quick: one case of three, the form that `test` runs)
  full-tmpfs       the tests of a full /dev/shm, in a mount namespace of their own
                   (Linux; as root, or where users may make namespaces)
  fuzz [SECONDS]   the fuzz targets, for 60 s (nightly toolchain; installs cargo-fuzz
                   into target/tools)
  instructions     counts the instructions of a get, a miss, an insertion, a replacement and
                   a fetch_add, by source file (valgrind; --check: fails if one takes more
                   than its ceiling)
  linearizability  records what processes on hot keys are told, and looks for an order
                   that explains it (--operations N, --processes P, --help)
  loom [FILE]      the loom models, or those of one file of loom-tests/tests
  neighbours       the tests among other users, mounts and PID namespaces; `test` leaves
                   out what it may not do, this command fails then (Linux, as root)
  portable         the tests of the crate and the crash points on the back end for Windows
                   and macOS, which a cfg forces on Linux
  refused-calls    tests where system calls for which there is another way are refused, as
                   by a container's filter (Linux, with strace)
  sanitize address the tests of the crate under AddressSanitizer (nightly toolchain)
  sanitize thread  the tests of the crate under ThreadSanitizer (nightly toolchain)
  test-python      the tests of the Python package, with the default interpreter and the
                   oldest and the newest other one from Python 3.10 on that is installed
                   (--full: with every one, and 2000 processes killed by one test, not 600)
  torture          kills and stops writing processes for a minute, and compares the table
                   with their diaries (--seconds N, --workers W, --help)
  weaken [PLACE]   weakens each memory ordering, or those with PLACE in their file or
                   function, and tells which model notices; fails if none does (--all: tries
                   every model; --write: writes loom-tests/orderings.md; --quick: only the
                   models that it names)
  windows          the tests of the crate for Windows, run under wine, with brief crash
                   points, and type checks for macOS and for Microsoft's compiler (Debian;
                   says which packages are missing)

Programs and documents:
  bench            the benchmark against rivals, in several processes; writes
                   docs/benchmarks.md, docs/benchmarks/ and the README's table (--quick:
                   less than two minutes, --huge, --smoke, --only SECTIONS, --resume,
                   --report-only, --strict: fails if a goal is missed; --help)
  bench-python     the benchmark of the Python package against its rivals; writes
                   docs/benchmarks-python.md (--quick: less of it, writes nothing)
  demo [FOLDER]    counts the words of a folder (this project's own tree) with four
                   processes, kills one of them and compares every count
  docs-cli         writes docs/cli.md and docs/cli/ from the help of the command `shmtable`
  docs-site        builds docs/ as a site in target/site; a link that leads nowhere is an
                   error (installs the generator into target/venv-docs)
  picture          draws docs/top.svg from a run of `shmtable top`
  python           leaves an interpreter with the Python package at
                   target/venv/bin/python
";
