//! `cargo xtask loom`: the models of `loom-tests/`, each under its pinned bounds.
//!
//! loom explores every interleaving up to a number of preemptions, so a bound
//! says how much is proved, and costs what it costs. Both are written here and
//! nowhere else; the variables of the environment cannot weaken them.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::Result;
use crate::process::{cargo_with_cfg, output, root, run as run_command};

/// Every test of every file of `loom-tests/tests`, once:
/// - the file, without its ending, and the test;
/// - `LOOM_MAX_PREEMPTIONS`: switches away from a thread that could go on;
/// - `LOOM_MAX_BRANCHES`: steps of one execution before loom calls it endless;
/// - the seconds it took on a machine of two cores: a note, not a limit.
#[rustfmt::skip]
const MODELS: &[(&str, &str, u32, u32, u32)] = &[
    // file, test, preemptions, branches, seconds
    ("publish_read", "a_new_key_is_seen_whole_or_not_at_all", 5, 20000, 1),
    ("publish_read", "a_key_that_comes_back_has_not_its_old_value", 6, 20000, 1),
    ("publish_read", "a_write_is_seen_with_a_later_count", 4, 20000, 1),
    ("publish_read", "a_write_is_seen_with_a_later_count_in_a_record", 4, 20000, 1),
    ("publish_read", "a_write_is_seen_with_a_later_insertion", 4, 20000, 1),
    ("publish_read", "a_write_is_seen_with_a_later_insertion_of_a_small_entry", 4, 20000, 1),
    ("publish_read", "a_write_is_seen_with_a_later_replacement", 4, 20000, 1),
    ("publish_read", "a_write_is_seen_with_a_later_replacement_by_a_small_entry", 4, 20000, 1),
    ("publish_read", "a_write_is_seen_with_a_later_removal", 4, 20000, 1),
    ("replace_reuse_read", "memory_reused_by_another_key", 4, 20000, 1),
    ("replace_reuse_read", "memory_reused_by_the_same_key", 3, 20000, 15),
    ("replace_reuse_read", "memory_reused_by_another_process", 3, 20000, 17),
    ("replace_reuse_read", "memory_freed_by_another_process", 2, 20000, 4),
    ("replace_reuse_read", "a_run_reused_at_once", 2, 20000, 1),
    ("replace_reuse_read", "an_iteration_meets_each_key_once", 3, 20000, 1),
    ("remove_read", "a_removed_key_is_whole_or_gone", 4, 20000, 3),
    ("remove_read", "a_removal_hides_no_insertion", 5, 20000, 1),
    ("remove_read", "a_removal_hides_no_replacement", 3, 20000, 3),
    ("remove_read", "a_key_beyond_its_bucket_is_never_missed", 3, 20000, 1),
    ("small_entries", "a_new_key_is_seen_whole_or_not_at_all", 5, 20000, 1),
    ("small_entries", "a_key_that_comes_back_has_not_its_old_value", 6, 20000, 1),
    ("small_entries", "a_key_that_goes_and_comes_back_is_never_torn", 3, 20000, 1),
    ("small_entries", "a_value_of_another_length_is_never_torn", 3, 20000, 4),
    ("small_entries", "a_value_of_the_same_length_is_seen_in_its_turn", 4, 20000, 1),
    ("small_entries", "a_record_whose_memory_is_used_again_is_whole", 2, 20000, 1),
    ("small_entries", "a_key_that_passed_by_hides_no_replacement", 3, 20000, 1),
    ("small_entries", "a_key_that_goes_has_not_the_value_of_the_next", 3, 20000, 1),
    ("small_entries", "an_iteration_meets_each_key_once", 3, 20000, 1),
    ("small_entries", "one_of_two_replaces_in_place_and_the_other_by_a_record", 5, 20000, 1),
    ("small_entries", "both_replace_in_place", 6, 20000, 1),
    ("small_entries", "a_record_that_moves_becomes_small", 6, 20000, 1),
    ("small_entries", "a_value_replaced_in_place_is_not_cleaned_away", 6, 20000, 1),
    ("small_entries", "a_death_in_an_insertion", 4, 20000, 1),
    ("small_entries", "a_death_in_a_removal", 3, 20000, 1),
    ("small_entries", "a_death_in_the_way_to_a_record", 2, 20000, 1),
    ("small_entries", "a_death_in_the_way_from_a_record", 2, 20000, 1),
    ("small_entries", "a_death_in_a_replacement_in_place", 3, 20000, 1),
    ("two_writers", "one_of_two_wins", 5, 20000, 2),
    ("two_writers", "one_of_two_inserts_and_the_other_replaces", 6, 20000, 1),
    ("two_writers", "keys_of_one_bucket_are_both_there", 6, 20000, 2),
    ("two_writers", "large_values_do_not_overlap", 4, 20000, 1),
    ("two_writers", "sums_are_exact", 8, 20000, 1),
    ("two_writers", "sums_are_exact_from_nothing", 5, 20000, 3),
    ("two_writers", "sums_are_exact_from_nothing_in_a_record", 4, 20000, 1),
    ("two_writers", "one_of_two_removes", 8, 20000, 1),
    ("cleaning", "a_reader_finds_what_moves", 4, 20000, 2),
    ("cleaning", "a_pending_record_is_not_cleaned_away", 2, 20000, 3),
    ("cleaning", "a_sealed_chunk_is_cleaned_whole", 5, 20000, 1),
    ("cleaning", "two_cleaners_share_the_work", 4, 20000, 5),
    ("cleaning", "what_is_removed_does_not_come_back", 8, 20000, 1),
    ("cleaning", "no_count_is_lost", 8, 20000, 1),
    ("cleaning", "room_is_made_beside_a_reader", 4, 20000, 1),
    ("cleaning", "two_make_room", 1, 20000, 22),
    ("lock", "two_take_turns", 5, 20000, 1),
    ("lock", "three_sleep_and_wake", 3, 20000, 1),
    ("lock", "one_of_three_dies", 2, 20000, 1),
    ("owner_death", "in_an_insertion", 3, 20000, 7),
    ("owner_death", "in_a_replacement", 2, 20000, 2),
    ("owner_death", "in_a_removal", 6, 20000, 1),
    ("owner_death", "in_a_replacement_and_a_reader_is_not_misled", 3, 20000, 20),
    ("owner_death", "in_a_removal_and_a_reader_is_not_misled", 3, 20000, 12),
    ("owner_death", "in_cleaning", 2, 20000, 5),
    ("owner_death", "in_the_repair_of_a_removal", 2, 20000, 1),
    ("owner_death", "in_the_repair_of_an_insertion", 2, 20000, 1),
    ("owner_death", "in_a_large_replacement", 1, 20000, 6),
    ("owner_death", "a_slow_owner_is_not_robbed", 8, 20000, 1),
    ("participants", "two_claim_two_slots", 8, 20000, 1),
    ("participants", "one_of_two_claims_the_last_slot", 8, 20000, 1),
    ("participants", "a_slot_that_is_used_again_has_a_new_generation", 8, 20000, 1),
    ("participants", "a_lock_is_not_held_by_who_has_the_slot_now", 2, 20000, 3),
    ("participants", "a_lock_is_not_held_by_who_had_the_slot_last", 2, 20000, 4),
    ("participants", "a_newcomer_who_takes_a_free_lock_is_not_robbed", 3, 20000, 1),
    ("participants", "a_newcomer_who_takes_a_flagged_lock_is_not_robbed", 3, 20000, 1),
    ("participants", "a_newcomer_who_takes_over_is_not_robbed", 3, 20000, 1),
    ("wait_notify", "one_waits", 6, 20000, 1),
    ("wait_notify", "one_waits_through_two_events", 4, 20000, 1),
    ("wait_notify", "two_wait", 3, 20000, 1),
    ("wait_notify", "one_waits_for_a_removal", 4, 20000, 1),
    ("wait_notify", "one_waits_for_a_key_whose_writer_dies", 2, 20000, 1),
    ("check", "a_newcomer_is_somebody", 3, 20000, 1),
    ("check", "a_chunk_that_is_filled_again_is_sound", 3, 20000, 1),
    ("populate", "who_takes_a_chunk_knows_of_its_memory", 3, 20000, 1),
    ("single_flight", "one_of_two_computes", 8, 20000, 1),
    ("single_flight", "one_of_two_threads_computes", 8, 20000, 1),
    ("single_flight", "one_computes_beside_one_who_does_not_ask", 4, 20000, 1),
    ("single_flight", "both_get_what_one_computes", 6, 20000, 3),
    ("single_flight", "one_of_two_dies", 5, 20000, 1),
];

/// One row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) file: &'static str,
    pub(crate) test: &'static str,
    preemptions: u32,
    branches: u32,
    pub(crate) seconds: u32,
}

impl fmt::Display for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}::{}", self.file, self.test)
    }
}

impl Model {
    /// Puts a command that runs the model under its bounds, and no others.
    pub(crate) fn bound(&self, command: &mut Command) {
        without_limits(command)
            .env("LOOM_MAX_PREEMPTIONS", self.preemptions.to_string())
            .env("LOOM_MAX_BRANCHES", self.branches.to_string());
    }
}

/// The rows of the table, or those of one file.
pub(crate) fn models(only: Option<&str>) -> impl Iterator<Item = Model> {
    MODELS
        .iter()
        .map(|&(file, test, preemptions, branches, seconds)| Model {
            file,
            test,
            preemptions,
            branches,
            seconds,
        })
        .filter(move |model| only.is_none_or(|file| model.file == file))
}

/// Runs all models, or those of one file.
pub(crate) fn run(file: Option<&str>) -> Result {
    check_files()?;
    let files: BTreeSet<&str> = models(file).map(|model| model.file).collect();
    if files.is_empty() {
        let known: BTreeSet<&str> = models(None).map(|model| model.file).collect();
        let asked = file.unwrap_or("at all");
        return Err(format!("no model {asked}; there are: {known:?}").into());
    }
    run_command(&mut cargo("--no-run"))?;
    for file in files {
        check_tests(file)?;
    }

    // Each is one thread: as many at a time as there are processors, the longest first.
    let mut waiting: Vec<Model> = models(file).collect();
    waiting.sort_by_key(|model| model.seconds);
    let waiting = Mutex::new(waiting);
    let timings = Mutex::new(Vec::new());
    let work = || -> std::result::Result<(), String> {
        loop {
            let Some(model) = locked(&waiting).pop() else {
                return Ok(());
            };
            let begin = Instant::now();
            let mut command = cargo(&format!(
                "--test {} -- --exact {} --include-ignored --nocapture",
                model.file, model.test
            ));
            model.bound(&mut command);
            if let Err(error) = run_command(&mut command) {
                // The others end with what they have begun.
                locked(&waiting).clear();
                return Err(error.to_string());
            }
            locked(&timings).push((model, begin.elapsed()));
        }
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;

    println!("model, preemptions, branches, seconds now (noted)");
    for (model, duration) in locked(&timings).iter() {
        println!(
            "{model}, {}, {}, {:.1} ({})",
            model.preemptions,
            model.branches,
            duration.as_secs_f64(),
            model.seconds
        );
    }
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `cargo test` of the models.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = cargo_with_cfg(
        "loom",
        "loom",
        &format!("test --quiet --release --package loom-tests {arguments}"),
    );
    without_limits(&mut command);
    command
}

/// Without limits from the environment: loom would stop at them and report success.
fn without_limits(command: &mut Command) -> &mut Command {
    command
        .env_remove("LOOM_MAX_DURATION")
        .env_remove("LOOM_MAX_PERMUTATIONS")
        .env_remove("LOOM_MAX_THREADS")
}

/// Holds the table against the files of `loom-tests/tests`.
pub(crate) fn check_files() -> Result {
    let mut files = BTreeSet::new();
    let folder = root().join("loom-tests/tests");
    if folder.exists() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "rs") {
                files.extend(
                    path.file_stem()
                        .map(|stem| stem.to_string_lossy().into_owned()),
                );
            }
        }
    }
    let files: BTreeSet<&str> = files.iter().map(String::as_str).collect();
    let pinned = models(None).map(|model| model.file).collect();
    compare("the files of loom-tests/tests", &files, &pinned)
}

/// Holds the table against the tests of a file, as its program lists them.
fn check_tests(file: &str) -> Result {
    let list = output(&mut cargo(&format!(
        "--test {file} -- --list --format terse"
    )))?;
    let tests = list
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .collect();
    let pinned = models(Some(file)).map(|model| model.test).collect();
    compare(
        &format!("the tests of loom-tests/tests/{file}.rs"),
        &tests,
        &pinned,
    )
}

/// Both sets must be equal.
fn compare(what: &str, there: &BTreeSet<&str>, pinned: &BTreeSet<&str>) -> Result {
    if there == pinned {
        return Ok(());
    }
    let without_bounds: Vec<_> = there.difference(pinned).collect();
    let without_test: Vec<_> = pinned.difference(there).collect();
    Err(format!(
        "{what} and the table in xtask/src/loom.rs differ: without a row {without_bounds:?}, \
         row without anything to run {without_test:?}"
    )
    .into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_of_models_has_its_bounds() {
        super::check_files().unwrap();
    }
}
