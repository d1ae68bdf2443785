//! What happened, on all tables of a kind together.

use std::time::Duration;

use shmtable::Stats;

#[derive(Default)]
pub(super) struct Totals {
    pub(super) kills: u64,
    /// Kills that were aimed at doublings, among them.
    pub(super) aimed: u64,
    pub(super) stops: u64,
    pub(super) ends: u64,
    pub(super) audits: u64,
    pub(super) acknowledged: u64,
    pub(super) unacknowledged: u64,
    pub(super) reads: u64,
    pub(super) refused: u64,
    pub(super) longest_stall: u64,
    pub(super) tables: usize,
    /// How many times as many slots the tables had in the end as in the beginning, added up.
    grown: usize,
    /// Tables that had more slots in the end.
    have_grown: usize,
    take_overs: u64,
    cleanings: u64,
}

impl Totals {
    /// Adds the figures of a table on which everything is done; `first`: its slots in the
    /// beginning.
    pub(super) fn note(&mut self, stats: &Stats, first: usize) {
        self.tables += 1;
        self.grown += stats.slots / first;
        self.have_grown += usize::from(stats.slots > first);
        self.take_overs += stats.take_overs;
        self.cleanings += stats.cleanings;
    }

    /// All but those that were used for a short time.
    pub(super) fn most_have_grown(&self) -> bool {
        2 * self.have_grown >= self.tables
    }

    pub(super) fn print(&self, workers: usize, time: Duration) {
        let seconds = time.as_secs_f64();
        println!(
            "{seconds:.1} s, {workers} workers: {} kills ({:.1} a second), {} stops, {} orderly \
             ends, {} comparisons of everything",
            self.kills,
            self.kills as f64 / seconds,
            self.stops,
            self.ends,
            self.audits
        );
        println!(
            "{} writes acknowledged ({} refused for want of room), {} open when their process \
             died, {} reads",
            self.acknowledged, self.refused, self.unacknowledged, self.reads
        );
        println!(
            "{} take-overs, {} cleanings, longest stall {:.1} ms",
            self.take_overs,
            self.cleanings,
            self.longest_stall as f64 / 1e6
        );
        if self.have_grown > 0 {
            println!(
                "{} tables, which grew to {} times their size in the mean; {} kills aimed at doublings",
                self.tables,
                self.grown / self.tables,
                self.aimed
            );
        }
    }
}
