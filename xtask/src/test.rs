//! `cargo xtask test`: every check, one lane after the other.

use std::time::Instant;

use crate::process::{cargo, cargo_with_cfg, root, run as run_command};
use crate::{Result, bench, demo, fuzz, loom, python, sanitize, trials};

/// How much of the list is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What one wants to know every few minutes.
    Quick,
    /// Everything.
    Full,
}

struct Lane {
    name: &'static str,
    extent: Extent,
    run: fn() -> Result,
}

/// In this order; the first failure ends the run.
const LANES: &[Lane] = &[
    Lane {
        name: "format",
        extent: Extent::Quick,
        run: || run_command(&mut cargo("fmt --all --check")),
    },
    Lane {
        name: "clippy",
        extent: Extent::Quick,
        run: || {
            run_command(&mut cargo(
                "clippy --workspace --all-targets --all-features -- -D warnings",
            ))
        },
    },
    Lane {
        name: "no features",
        extent: Extent::Quick,
        run: || run_command(&mut cargo("check --package shmtable --no-default-features")),
    },
    Lane {
        name: "tests",
        extent: Extent::Quick,
        run: || {
            run_command(&mut cargo(
                "test --workspace --exclude shmtable-cli --all-features",
            ))
        },
    },
    Lane {
        name: "command",
        extent: Extent::Quick,
        run: || run_command(&mut cargo("test --package shmtable-cli")),
    },
    Lane {
        name: "crash points",
        extent: Extent::Full,
        run: || crash_points(Extent::Quick),
    },
    Lane {
        name: "portable",
        extent: Extent::Full,
        run: portable,
    },
    Lane {
        name: "loom",
        extent: Extent::Full,
        run: || loom::run(None),
    },
    Lane {
        name: "torture",
        extent: Extent::Full,
        run: || trials::run("torture", &["--seconds", "25"]),
    },
    Lane {
        name: "linearizability",
        extent: Extent::Full,
        run: || trials::run("linearizability", &["--operations", "4000000"]),
    },
    Lane {
        name: "damage",
        extent: Extent::Full,
        run: damage,
    },
    Lane {
        name: "fuzz",
        extent: Extent::Full,
        run: || fuzz::run("20"),
    },
    Lane {
        name: "sanitize address",
        extent: Extent::Full,
        run: || sanitize::run(sanitize::Sanitizer::Address),
    },
    Lane {
        name: "sanitize thread",
        extent: Extent::Full,
        run: || sanitize::run(sanitize::Sanitizer::Thread),
    },
    Lane {
        name: "documents",
        extent: Extent::Full,
        run: || {
            run_command(
                cargo("doc --workspace --no-deps --all-features")
                    .env("RUSTDOCFLAGS", "-D warnings"),
            )
        },
    },
    Lane {
        name: "benches",
        extent: Extent::Full,
        run: || {
            // Clippy has looked at criterion's.
            bench::run(&["--smoke"])
        },
    },
    Lane {
        name: "demo",
        extent: Extent::Full,
        // The build for development is there already, from the tests.
        run: || demo::run(&root(), demo::Profile::Dev),
    },
    Lane {
        name: "python",
        extent: Extent::Full,
        run: || python::test(python::Kills::Short),
    },
];

/// `tests/crash_points`: repairers die after some deaths, or after all.
pub(crate) fn crash_points(extent: Extent) -> Result {
    let mut command = cargo_with_cfg(
        "shmtable_crash_points",
        "crash-points",
        // Optimized or not makes no difference: processes are what takes time.
        "test --package shmtable --test crash_points -- --nocapture",
    );
    if extent == Extent::Full {
        command.env("SHMTABLE_CRASH_POINTS", "full");
    }
    run_command(&mut command)
}

/// Every case of `tests/damage.rs`, optimized.
pub(crate) fn damage() -> Result {
    run_command(
        cargo("test --release --package shmtable --all-features --test damage -- --nocapture")
            .env("SHMTABLE_DAMAGE", "full"),
    )
}

/// The tests and the crash points on the portable back end. What repeats itself is
/// repeated less often than on Linux's own.
pub(crate) fn portable() -> Result {
    run_command(
        cargo_with_cfg(
            "shmtable_portable",
            "portable",
            "test --package shmtable --all-features --lib --tests",
        )
        .env("SHMTABLE_TEST_SCALE", "0.2")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1"),
    )?;
    // A build of its own: with crash points all tables have one hash seed.
    run_command(
        cargo_with_cfg(
            "shmtable_portable --cfg shmtable_crash_points",
            "portable-crash-points",
            "test --package shmtable --test crash_points",
        )
        .env("CARGO_PROFILE_DEV_DEBUG", "0"),
    )
}

/// Runs the lanes of this extent, and tells how long each took.
pub(crate) fn run(extent: Extent) -> Result {
    let begin = Instant::now();
    let mut timings = Vec::new();
    for lane in LANES {
        if extent == Extent::Quick && lane.extent == Extent::Full {
            continue;
        }
        println!("=== {}", lane.name);
        let lane_begin = Instant::now();
        let result = (lane.run)();
        let seconds = lane_begin.elapsed().as_secs_f64();
        result.map_err(|error| {
            format!("lane '{}' failed after {seconds:.1} s: {error}", lane.name)
        })?;
        println!("=== {}: {seconds:.1} s\n", lane.name);
        timings.push(format!("{} {seconds:.1} s", lane.name));
    }
    println!(
        "all lanes passed: {} (together {:.1} s)",
        timings.join(", "),
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}
