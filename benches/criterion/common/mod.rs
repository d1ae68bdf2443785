//! What criterion's benches share: its settings, and filled tables.
//!
//! `SHMTABLE_BENCH_KEYS` sets the number of keys: 1 000 000 unless said
//! otherwise, 10 000 in criterion's test mode.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use shmtable_bench::contender::{Contender, Room, Session};
use shmtable_bench::work::{Kind, Work};

/// Keys in a table.
pub(crate) fn keys() -> usize {
    match std::env::var("SHMTABLE_BENCH_KEYS") {
        Ok(keys) => keys.parse().expect("SHMTABLE_BENCH_KEYS is a number"),
        Err(_) if only_a_test() => 10_000,
        Err(_) => 1_000_000,
    }
}

/// Whether criterion will run everything once and time nothing.
fn only_a_test() -> bool {
    let has = |wanted| std::env::args().any(|argument| argument == wanted);
    has("--test") || !has("--bench")
}

/// Criterion, with times that keep a file's run within three minutes; the
/// command line may say otherwise.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .sample_size(20)
        .without_plots()
        .configure_from_args()
}

/// One question, which all tables answer one after the other.
pub(crate) fn question<'a>(
    criterion: &'a mut Criterion,
    question: &str,
    kind: Kind,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(format!("{question}, {}", kind.name()));
    // Samples of equal length, each over many keys.
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// A table that holds the work's entries.
pub(crate) fn filled<C: Contender>(work: &Work) -> C {
    let table = C::create(&Room::for_work(work)).expect("there is room");
    let mut session = table.session(true);
    session.fill(work.keys.iter(), work.value());
    let mut value = Vec::new();
    assert!(session.get(&work.keys[0], &mut value), "a key got lost");
    assert_eq!(value, work.value(), "a value changed");
    drop(session);
    table
}
