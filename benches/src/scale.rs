//! How much is done.

use std::time::Duration;

/// Sizes, times and repetitions of a run.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    pub(crate) name: &'static str,
    /// How often tables are created anew.
    pub(crate) rounds: usize,
    /// How often each contender has its turn in a round.
    pub(crate) turns: usize,
    /// The numbers of entries.
    pub(crate) sizes: Vec<usize>,
    /// The longest pass of one operation.
    pub(crate) pass: Duration,
    /// The longest pass of one operation, for each size of values.
    pub(crate) value_pass: Duration,
    /// Bytes of a value, and entries.
    pub(crate) values: Vec<(usize, usize)>,
    /// Entries of the tables that several processes share.
    pub(crate) shared: usize,
    /// The numbers of processes, or of threads.
    pub(crate) parties: Vec<usize>,
    /// How long several processes work at the same time.
    pub(crate) mix: Duration,
    /// Entries of the tables that are kept full.
    pub(crate) full: usize,
    /// Entries of the tables that grow.
    pub(crate) growth: Vec<usize>,
    /// Deaths of lock owners.
    pub(crate) deaths: usize,
}

const HUNDRED_MIB: usize = 100 << 20;

impl Scale {
    pub(crate) fn full() -> Self {
        let value = |bytes: usize| (bytes, (HUNDRED_MIB / bytes).min(1_000_000));
        Self {
            name: "full",
            rounds: 3,
            turns: 2,
            sizes: vec![1_000, 10_000, 100_000, 1_000_000, 10_000_000],
            pass: Duration::from_secs(1),
            value_pass: Duration::from_millis(300),
            values: [8, 100, 1 << 10, 4 << 10, 64 << 10, 1 << 20]
                .map(value)
                .into(),
            shared: 1_000_000,
            parties: vec![1, 2, 4, 8],
            mix: Duration::from_millis(200),
            full: 1_000_000,
            growth: vec![1_000_000, 10_000_000],
            deaths: 51,
        }
    }

    /// A run of less than two minutes.
    pub(crate) fn quick() -> Self {
        let value = |bytes: usize| (bytes, (HUNDRED_MIB / bytes).min(500_000));
        Self {
            name: "quick",
            rounds: 1,
            turns: 3,
            sizes: vec![1_000, 10_000, 100_000, 1_000_000],
            pass: Duration::from_millis(80),
            value_pass: Duration::from_millis(25),
            values: [8, 100, 1 << 10, 4 << 10, 64 << 10, 1 << 20]
                .map(value)
                .into(),
            shared: 500_000,
            parties: vec![1, 2],
            mix: Duration::from_millis(30),
            full: 200_000,
            growth: vec![1_000_000],
            deaths: 15,
        }
    }

    /// A run of a few seconds, to check that every contender answers right.
    pub(crate) fn smoke() -> Self {
        Self {
            name: "smoke",
            rounds: 1,
            turns: 1,
            sizes: vec![1_000, 20_000],
            pass: Duration::from_millis(10),
            value_pass: Duration::from_millis(10),
            values: vec![(8, 2_000), (100, 2_000), (1 << 20, 4)],
            shared: 2_000,
            parties: vec![1, 2],
            mix: Duration::from_millis(10),
            full: 5_000,
            growth: vec![20_000],
            deaths: 2,
        }
    }
}
