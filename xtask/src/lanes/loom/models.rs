//! The bounds of the models of `loom-tests/`.
//!
//! loom explores every interleaving up to a number of preemptions: a larger bound proves
//! more and takes longer. Both are written here and nowhere else; the variables of the
//! environment can't weaken them.

use std::fmt;
use std::process::Command;

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
    ("giving_back", "a_reader_in_a_word_of_its_own", 3, 20000, 1),
    ("giving_back", "a_reader_counted_with_others", 3, 20000, 1),
    ("giving_back", "a_walk_through_the_table", 2, 20000, 1),
    ("giving_back", "a_reader_that_holds_a_byte", 3, 20000, 1),
    ("giving_back", "one_gives_back_and_the_other_gets", 2, 20000, 1),
    ("giving_back", "a_death_while_memory_is_given_back", 2, 20000, 1),
    ("giving_back", "a_death_while_memory_is_got", 2, 20000, 1),
    ("giving_back", "a_table_is_cleared_beside_a_writer", 2, 20000, 1),
    ("rewrite", "values_are_seen_whole", 2, 20000, 1),
    ("rewrite", "a_kept_space_is_used_by_another_key", 3, 20000, 1),
    ("rewrite", "a_cleaner_moves_it", 2, 20000, 1),
    ("rewrite", "a_death_leaves_one_of_the_values", 2, 20000, 1),
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
    ("growth", "a_key_that_goes_is_found", 3, 20000, 1),
    ("growth", "a_key_that_stays_is_found", 3, 20000, 1),
    ("growth", "an_absent_key_is_not_found", 3, 20000, 1),
    ("growth", "the_new_key_is_seen_with_all_others", 3, 20000, 1),
    ("growth", "the_old_slot_is_used_again", 3, 20000, 1),
    ("growth", "the_memory_of_a_key_that_went_is_used_again", 3, 20000, 10),
    ("growth", "a_displaced_key_that_goes_is_found", 3, 20000, 2),
    ("growth", "a_displaced_key_that_stays_is_found", 3, 20000, 6),
    ("growth", "a_key_that_is_displaced_again_is_found", 3, 20000, 2),
    ("growth", "an_iteration_meets_each_key_once", 2, 20000, 6),
    ("growth", "the_other_replaces_a_key_that_goes", 3, 20000, 1),
    ("growth", "the_other_removes_a_key_that_goes", 3, 20000, 1),
    ("growth", "the_other_adds_to_a_key_that_goes", 3, 20000, 1),
    ("growth", "both_insert", 3, 20000, 1),
    ("growth", "both_double", 3, 20000, 1),
    ("growth", "a_retain_passes_each_key_once", 3, 20000, 1),
    ("growth", "a_retain_passes_a_displaced_key_once", 3, 20000, 1),
    ("growth_deaths", "a_death_beside_a_reader_of_a_small_entry", 2, 20000, 9),
    ("growth_deaths", "a_death_beside_a_reader_of_a_record", 2, 20000, 19),
    ("growth_deaths", "a_death_beside_a_reader_of_a_key_that_stays", 2, 20000, 4),
    ("growth_deaths", "a_death_beside_a_reader_of_a_displaced_key", 1, 20000, 20),
    ("growth_deaths", "a_death_of_the_one_who_takes_over", 2, 20000, 1),
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
    ("single_flight", "one_takes_the_place_of_another", 5, 20000, 1),
    ("single_flight", "one_thread_takes_the_place_of_another", 5, 20000, 1),
    ("single_flight", "one_takes_the_place_of_another_beside_a_writer", 3, 20000, 1),
    ("single_flight", "one_takes_the_place_of_another_that_dies", 3, 20000, 1),
];

/// One row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) file: &'static str,
    pub(crate) test: &'static str,
    pub(super) preemptions: u32,
    pub(super) branches: u32,
    pub(crate) seconds: u32,
}

impl fmt::Display for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}::{}", self.file, self.test)
    }
}

impl Model {
    /// Sets the model's bounds, and no others, for a command that runs it.
    pub(crate) fn bound(&self, command: &mut Command) {
        without_limits(command)
            .env("LOOM_MAX_PREEMPTIONS", self.preemptions.to_string())
            .env("LOOM_MAX_BRANCHES", self.branches.to_string());
    }
}

/// Which models are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection<'a> {
    All,
    /// Those of one file of `loom-tests/tests`.
    File(&'a str),
}

/// The selected rows of the table.
pub(crate) fn models(selection: Selection<'_>) -> impl Iterator<Item = Model> {
    MODELS
        .iter()
        .map(|&(file, test, preemptions, branches, seconds)| Model {
            file,
            test,
            preemptions,
            branches,
            seconds,
        })
        .filter(move |model| match selection {
            Selection::All => true,
            Selection::File(file) => model.file == file,
        })
}

/// Removes limits that the environment sets: loom would stop at them and report success.
pub(super) fn without_limits(command: &mut Command) -> &mut Command {
    command
        .env_remove("LOOM_MAX_DURATION")
        .env_remove("LOOM_MAX_PERMUTATIONS")
        .env_remove("LOOM_MAX_THREADS")
}
