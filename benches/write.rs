//! How fast is the table changed? One thread, keys in random order.
//!
//! shmtable's value space is twice what the entries need: replacing leaves garbage
//! and cleans it as it goes.

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput};
use dashmap::DashMap;
use parking_lot::RwLock;
use shmtable::Table;

use common::stores::{Counters, Dashmap, Locked, Papaya, Store};
use common::work::{self, Key, Work};

/// Keys that are removed, then inserted again while the clock stands still.
const REMOVED: usize = 1000;

fn main() {
    let mut criterion = common::criterion();
    let keys = common::keys();
    for work in [Work::decimal(keys), Work::hundred(keys)] {
        insert(&mut criterion, &work);
        replace_and_remove(&mut criterion, &work);
    }
    fetch_add(&mut criterion, &Work::counters(keys));
    criterion.final_summary();
}

/// Fills an empty table, the pages' first touch included.
fn insert(criterion: &mut Criterion, work: &Work) {
    let mut group = common::question(criterion, "insert all keys", work);
    group.throughput(Throughput::Elements(work.keys.len() as u64));
    group.sample_size(10);
    inserts::<Table>(&mut group, work);
    inserts::<Dashmap>(&mut group, work);
    inserts::<Papaya>(&mut group, work);
    inserts::<Locked>(&mut group, work);
    group.finish();
}

fn inserts<S: Store>(group: &mut BenchmarkGroup<'_, WallTime>, work: &Work) {
    group.bench_function(S::NAME, |bencher| {
        let empty = || S::with_room(work);
        let fill = |store: S| {
            for key in &work.keys {
                store.insert(key, &work.value);
            }
            // Dropped after the clock has stopped.
            store
        };
        bencher.iter_batched(empty, fill, BatchSize::PerIteration);
    });
}

fn replace_and_remove(criterion: &mut Criterion, work: &Work) {
    let shmtable: Table = common::filled(work);
    let dashmap: Dashmap = common::filled(work);
    let papaya: Papaya = common::filled(work);
    let locked: Locked = common::filled(work);

    let same_size = |_| work.value.len();
    let mut group = common::question(criterion, "replace, same size", work);
    replaces(&mut group, work, same_size, &shmtable);
    replaces(&mut group, work, same_size, &dashmap);
    replaces(&mut group, work, same_size, &papaya);
    replaces(&mut group, work, same_size, &locked);
    group.finish();

    let mut group = common::question(criterion, "remove", work);
    removes(&mut group, work, &shmtable);
    removes(&mut group, work, &dashmap);
    removes(&mut group, work, &papaya);
    removes(&mut group, work, &locked);
    group.finish();

    // Last, because it leaves the tables with other values. Their mean length is
    // that of the values before.
    let lengths = work::lengths(1 << 16, 2 * work.value.len());
    let random_size = |i: usize| lengths[i % lengths.len()];
    let mut group = common::question(criterion, "replace, random sizes", work);
    replaces(&mut group, work, random_size, &shmtable);
    replaces(&mut group, work, random_size, &dashmap);
    replaces(&mut group, work, random_size, &papaya);
    replaces(&mut group, work, random_size, &locked);
    group.finish();
}

fn replaces<S: Store>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    work: &Work,
    length: impl Fn(usize) -> usize,
    store: &S,
) {
    let bytes = work::bytes(2 * work.value.len());
    let mut keys = work.hits.iter().cycle().enumerate();
    group.bench_function(S::NAME, |bencher| {
        bencher.iter(|| {
            if let Some((i, key)) = keys.next() {
                store.replace(key, &bytes[..length(i)]);
            }
        });
    });
}

fn removes<S: Store>(group: &mut BenchmarkGroup<'_, WallTime>, work: &Work, store: &S) {
    let mut runs = work.hits.chunks(REMOVED).cycle();
    group.bench_function(S::NAME, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut left = iterations as usize;
            let mut elapsed = Duration::ZERO;
            while left > 0 {
                let run = runs.next().unwrap_or_default();
                let run = &run[..run.len().min(left)];
                left -= run.len();
                elapsed += remove_run(store, run);
                for key in run {
                    store.insert(key, &work.value);
                }
            }
            elapsed
        });
    });
}

fn remove_run<S: Store>(store: &S, run: &[Key]) -> Duration {
    let start = Instant::now();
    for key in run {
        black_box(store.remove(key));
    }
    start.elapsed()
}

fn fetch_add(criterion: &mut Criterion, work: &Work) {
    let shmtable = counters::<Table>(work);
    let dashmap = counters::<DashMap<_, _>>(work);
    let papaya = counters::<papaya::HashMap<_, _>>(work);
    let locked = counters::<RwLock<_>>(work);
    for (question, keys) in [
        ("fetch_add, one hot key", &work.hits[..1]),
        ("fetch_add, many keys", &work.hits[..]),
    ] {
        let mut group = common::question(criterion, question, work);
        adds(&mut group, keys, &shmtable);
        adds(&mut group, keys, &dashmap);
        adds(&mut group, keys, &papaya);
        adds(&mut group, keys, &locked);
        group.finish();
    }
}

/// A counter for every key.
fn counters<C: Counters>(work: &Work) -> C {
    let counters = C::with_room(work);
    for key in &work.keys {
        counters.add(key, 1);
    }
    assert_eq!(counters.add(&work.keys[0], 0), 1, "a counter is wrong");
    counters
}

fn adds<C: Counters>(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[Key], counters: &C) {
    let mut keys = keys.iter().cycle();
    group.bench_function(C::NAME, |bencher| {
        bencher.iter(|| keys.next().map(|key| counters.add(key, 1)));
    });
}
