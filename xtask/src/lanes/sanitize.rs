//! `cargo xtask sanitize address` and `cargo xtask sanitize thread`: the crate's tests
//! under a sanitizer, with the nightly toolchain.
//!
//! The standard library is the toolchain's, without instrumentation: building another one
//! takes its source, which may not be installed.

use std::process::Command;

use crate::process::{output, root, run as run_command, target_dir, test_threads};
use crate::result::Result;

/// A target for which the toolchain brings sanitizers. Naming it keeps build scripts from
/// being instrumented.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// How much less the tests repeat under a sanitizer.
const SCALE: &str = "0.25";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sanitizer {
    /// Accesses out of bounds or after a free, and leaks.
    Address,
    /// Data races.
    Thread,
}

/// The test programs; not the crash points, which are another build of the crate.
const PROGRAMS: &[&str] = &[
    "api",
    "claims",
    "crosswise",
    "damage",
    "endurance",
    "errors",
    "flooding",
    "forks",
    "format",
    "full_memory",
    "growing",
    "kills",
    "limits",
    "model",
    "mounts",
    "neighbours",
    "processes",
    "remove_if",
    "typed",
];

/// Tests that cannot run under a sanitizer, and why.
const LEFT_OUT: &[(Sanitizer, &str, &str)] = &[
    (
        Sanitizer::Address,
        "equal_process_ids_of_two_namespaces_are_not_confused",
        FIRST_PROCESS,
    ),
    (
        Sanitizer::Address,
        "holders_and_waiters_of_two_namespaces_are_killed_on_either_side",
        FIRST_PROCESS,
    ),
    (
        Sanitizer::Thread,
        "sixty_four_tables_of_no_given_size_share_64_megabytes",
        ADDRESS_SPACE,
    ),
    (
        Sanitizer::Thread,
        "a_table_without_bounds_reserves_what_there_is",
        ADDRESS_SPACE,
    ),
    (
        Sanitizer::Thread,
        "a_process_that_locks_its_memory_takes_no_more_of_it",
        ADDRESS_SPACE,
    ),
    (
        Sanitizer::Thread,
        "opening_maps_a_few_pages_whatever_the_size",
        ADDRESS_SPACE,
    ),
    (
        Sanitizer::Address,
        "within_max_bytes_it_grows_and_beyond_it_refuses_and_keeps_everything",
        LONG,
    ),
    (
        Sanitizer::Address,
        "an_empty_table_takes_little_and_a_full_one_by_its_entries",
        LONG,
    ),
    (
        Sanitizer::Address,
        "at_its_maximum_a_table_is_full_and_keeps_everything",
        LONG,
    ),
    (
        Sanitizer::Address,
        "handles_opened_at_any_time_see_all_entries",
        LONG,
    ),
    (
        Sanitizer::Thread,
        "no_damage_gives_a_wrong_answer_a_signal_or_a_hang",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "a_small_entry_becomes_one_of_another_length_only_by_way_of_a_record",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "an_overflow_count_stays_at_its_greatest_number",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "within_max_bytes_it_grows_and_beyond_it_refuses_and_keeps_everything",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "an_empty_table_takes_little_and_a_full_one_by_its_entries",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "at_its_maximum_a_table_is_full_and_keeps_everything",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "records_take_chunks_as_they_come",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "what_is_promised_has_its_memory_from_the_beginning",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "handles_opened_at_any_time_see_all_entries",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "entries_of_all_sizes_are_there_although_no_size_was_given",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "methods_on_all_entries_see_all_entries",
        ONE_THREAD,
    ),
    (
        Sanitizer::Address,
        "a_doubling_at_the_end_of_memory_is_refused_and_is_done_later",
        LONG,
    ),
    (
        Sanitizer::Address,
        "a_capacity_is_kept_where_no_memory_is_left",
        LONG,
    ),
    (
        Sanitizer::Address,
        "the_whole_of_a_small_memory_is_used_by_an_index",
        LONG,
    ),
    (
        Sanitizer::Thread,
        "a_doubling_at_the_end_of_memory_is_refused_and_is_done_later",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "a_capacity_is_kept_where_no_memory_is_left",
        ONE_THREAD,
    ),
    (
        Sanitizer::Thread,
        "the_whole_of_a_small_memory_is_used_by_an_index",
        ONE_THREAD,
    ),
];

const ADDRESS_SPACE: &str = "ThreadSanitizer keeps shadows of all the address space that a segment reserves, and has \
     not so much";

const LONG: &str = "it takes long, and other tests do the same with fewer entries";

const ONE_THREAD: &str = "it has one thread, and takes long";

const FIRST_PROCESS: &str = "LeakSanitizer cannot stop the threads of a PID namespace's first process, and says \
     itself that the leaks it finds then may be false";

impl Sanitizer {
    pub(crate) fn of(name: &str) -> Result<Self> {
        match name {
            "address" => Ok(Self::Address),
            "thread" => Ok(Self::Thread),
            _ => Err(format!("no sanitizer is called {name}: choose address or thread").into()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Thread => "thread",
        }
    }

    /// The environment variable that holds the sanitizer's options, and the options.
    fn options(self) -> (&'static str, String) {
        match self {
            // Tests create a segment larger than the machine's memory, and provoke a refused
            // allocation.
            Self::Address => (
                "ASAN_OPTIONS",
                "detect_leaks=1:allocator_may_return_null=1:strict_string_checks=1".to_owned(),
            ),
            Self::Thread => {
                let file = root().join("xtask/thread-sanitizer.supp");
                // Tests fork while there are threads, and provoke a refused allocation.
                let options = "die_after_fork=0 allocator_may_return_null=1";
                (
                    "TSAN_OPTIONS",
                    format!("suppressions={} {options}", file.display()),
                )
            }
        }
    }
}

/// An error if no nightly toolchain is installed.
pub(crate) fn require_nightly() -> Result {
    let version = output(Command::new("cargo").args(["+nightly", "--version"]));
    version.map(drop).map_err(|_| {
        "it needs the nightly toolchain, and `cargo +nightly` does not run \
         (rustup toolchain install nightly)"
            .into()
    })
}

pub(crate) fn run(sanitizer: Sanitizer) -> Result {
    require_nightly()?;
    let name = sanitizer.name();
    let (variable, options) = sanitizer.options();
    let mut command = Command::new("cargo");
    command
        .current_dir(root())
        .args([
            "+nightly",
            "test",
            "--package",
            "shmtable",
            "--all-features",
        ])
        .args(["--target", TARGET, "--lib"]);
    for program in PROGRAMS {
        command.args(["--test", program]);
    }
    // The harness takes what tests print out of a buffer that threads of theirs may have
    // grown, behind a lock of std that ThreadSanitizer does not see.
    command.args(["--", "--nocapture"]);
    for (_, test, why) in LEFT_OUT.iter().filter(|(of, ..)| *of == sanitizer) {
        println!("left out: {test}: {why}");
        command.args(["--skip", test]);
    }
    let scale = std::env::var("SHMTABLE_TEST_SCALE").unwrap_or_else(|_| SCALE.to_owned());
    let (threads, number) = test_threads();
    run_command(
        command
            // The standard library was built without it: the calls between the two are
            // the same for these two sanitizers.
            .env(
                "RUSTFLAGS",
                format!("-Zsanitizer={name} -Cunsafe-allow-abi-mismatch=sanitizer"),
            )
            .env("CARGO_TARGET_DIR", target_dir(&format!("sanitize-{name}")))
            .env("SHMTABLE_TEST_SCALE", scale)
            .env(threads, number)
            // Reports name lines, not variables.
            .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
            .env("SHMTABLE_DAMAGE", "least")
            .env(variable, options),
    )
}
