//! How fast is the table changed? One thread, keys in random order.
//!
//! shmtable's value space is twice what the entries need: replacing leaves garbage
//! and cleans it as it goes.

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput};
use shmtable::Table;
use shmtable_bench::contender::{Contender, Dashmap, Locked, Papaya, Room, Session};
use shmtable_bench::work::{Key, Kind, Work};

/// Keys that are removed, then inserted again while the clock stands still.
const REMOVED: usize = 1000;

/// Lengths of the values that replace others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lengths {
    Same,
    Random,
}

fn main() {
    let mut criterion = common::criterion();
    let keys = common::keys();
    for kind in [Kind::Decimal, Kind::Random(100)] {
        let work = Work::new(kind, keys);
        insert(&mut criterion, kind, &work);
        replace_and_remove(&mut criterion, kind, &work);
    }
    fetch_add(&mut criterion, &Work::new(Kind::Counters, keys));
    criterion.final_summary();
}

/// Fills an empty table, the pages' first touch included.
fn insert(criterion: &mut Criterion, kind: Kind, work: &Work) {
    let mut group = common::question(criterion, "insert all keys", kind);
    group.throughput(Throughput::Elements(work.keys.len() as u64));
    group.sample_size(10);
    inserts::<Table>(&mut group, work);
    inserts::<Dashmap>(&mut group, work);
    inserts::<Papaya>(&mut group, work);
    inserts::<Locked>(&mut group, work);
    group.finish();
}

fn inserts<C: Contender>(group: &mut BenchmarkGroup<'_, WallTime>, work: &Work) {
    group.bench_function(C::ABOUT.name, |bencher| {
        let empty = || C::create(&Room::for_work(work)).expect("there is room");
        let fill = |table: C| {
            let mut session = table.session(true);
            for key in &work.keys {
                session.insert(key, work.value());
            }
            drop(session);
            // Dropped after the clock has stopped.
            table
        };
        bencher.iter_batched(empty, fill, BatchSize::PerIteration);
    });
}

fn replace_and_remove(criterion: &mut Criterion, kind: Kind, work: &Work) {
    let shmtable: Table = common::filled(work);
    let dashmap: Dashmap = common::filled(work);
    let papaya: Papaya = common::filled(work);
    let locked: Locked = common::filled(work);

    let mut group = common::question(criterion, "remove", kind);
    removes(&mut group, work, &shmtable);
    removes(&mut group, work, &dashmap);
    removes(&mut group, work, &papaya);
    removes(&mut group, work, &locked);
    group.finish();

    // Random lengths last, because they leave the tables with other values. Their mean is
    // that of the values before.
    for (question, lengths) in [
        ("replace, same size", Lengths::Same),
        ("replace, random sizes", Lengths::Random),
    ] {
        let mut group = common::question(criterion, question, kind);
        replaces(&mut group, work, lengths, &shmtable);
        replaces(&mut group, work, lengths, &dashmap);
        replaces(&mut group, work, lengths, &papaya);
        replaces(&mut group, work, lengths, &locked);
        group.finish();
    }
}

fn replaces<C: Contender>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    work: &Work,
    lengths: Lengths,
    table: &C,
) {
    let mut session = table.session(true);
    let mut keys = work.hits.iter().cycle().zip(work.lengths.iter().cycle());
    group.bench_function(C::ABOUT.name, |bencher| {
        bencher.iter(|| {
            if let Some((key, length)) = keys.next() {
                let value = match lengths {
                    Lengths::Same => work.value(),
                    Lengths::Random => &work.bytes[..*length],
                };
                session.replace(key, value);
            }
        });
    });
}

fn removes<C: Contender>(group: &mut BenchmarkGroup<'_, WallTime>, work: &Work, table: &C) {
    let mut session = table.session(true);
    let mut runs = work.hits.chunks(REMOVED).cycle();
    group.bench_function(C::ABOUT.name, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut left = iterations as usize;
            let mut elapsed = Duration::ZERO;
            while left > 0 {
                let run = runs.next().unwrap_or_default();
                let run = &run[..run.len().min(left)];
                left -= run.len();
                elapsed += remove_run(&mut session, run);
                for key in run {
                    session.insert(key, work.value());
                }
            }
            elapsed
        });
    });
}

fn remove_run<S: Session>(session: &mut S, run: &[Key]) -> Duration {
    let start = Instant::now();
    for key in run {
        black_box(session.remove(key));
    }
    start.elapsed()
}

fn fetch_add(criterion: &mut Criterion, work: &Work) {
    let shmtable: Table = counters(work);
    let dashmap: Dashmap = counters(work);
    let papaya: Papaya = counters(work);
    let locked: Locked = counters(work);
    for (question, keys) in [
        ("fetch_add, one hot key", &work.hits[..1]),
        ("fetch_add, many keys", &work.hits[..]),
    ] {
        let mut group = common::question(criterion, question, Kind::Counters);
        adds(&mut group, keys, &shmtable);
        adds(&mut group, keys, &dashmap);
        adds(&mut group, keys, &papaya);
        adds(&mut group, keys, &locked);
        group.finish();
    }
}

/// A counter for every key.
fn counters<C: Contender>(work: &Work) -> C {
    let table = C::create(&Room::for_counters(work)).expect("there is room");
    let mut session = table.session(true);
    for key in &work.keys {
        session.add(key, 1);
    }
    assert_eq!(session.add(&work.keys[0], 0), 1, "a counter is wrong");
    drop(session);
    table
}

fn adds<C: Contender>(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[Key], table: &C) {
    let mut session = table.session(true);
    let mut keys = keys.iter().cycle();
    group.bench_function(C::ABOUT.name, |bencher| {
        bencher.iter(|| keys.next().map(|key| session.add(key, 1)));
    });
}
