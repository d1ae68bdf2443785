//! How fast is a value found? One thread, keys in random order.
//!
//! `limit` is what the memory alone takes, without a hash or a comparison:
//! `chained` waits for one answer before it asks the next question, as a program
//! does that needs the value; `independent` does not, as `get_many`.

mod common;

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use shmtable::Table;

use common::limits::Limit;
use common::stores::{Dashmap, Locked, Papaya, Store};
use common::work::{Key, Work};

/// Keys in one call of `get_many`.
const MANY: usize = 1000;

/// The tables, all filled, so that each question is put to one after the other.
struct Tables {
    shmtable: Table,
    dashmap: Dashmap,
    papaya: Papaya,
    locked: Locked,
}

impl Tables {
    fn filled(work: &Work) -> Self {
        Self {
            shmtable: common::filled(work),
            dashmap: common::filled(work),
            papaya: common::filled(work),
            locked: common::filled(work),
        }
    }
}

fn main() {
    let mut criterion = common::criterion();
    let keys = common::keys();
    for work in [Work::decimal(keys), Work::hundred(keys), Work::page(keys)] {
        let tables = Tables::filled(&work);
        get(&mut criterion, &work, &tables);
        get_many(&mut criterion, &work, &tables);
    }
    criterion.final_summary();
}

fn get(criterion: &mut Criterion, work: &Work, tables: &Tables) {
    let half_misses = work.half_misses();
    for (question, keys) in [
        ("get hits", &work.hits),
        ("get half misses", &half_misses),
        ("get misses", &work.misses),
    ] {
        let mut group = common::question(criterion, question, work);
        gets(&mut group, keys, &tables.shmtable);
        gets(&mut group, keys, &tables.dashmap);
        gets(&mut group, keys, &tables.papaya);
        gets(&mut group, keys, &tables.locked);
        if question == "get hits" {
            limits(&mut group, work);
        }
        group.finish();
    }
}

fn gets<S: Store>(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[Key], store: &S) {
    let mut keys = keys.iter().cycle();
    let mut value = Vec::new();
    group.bench_function(S::NAME, |bencher| {
        bencher.iter(|| {
            let found = keys.next().is_some_and(|key| store.get(key, &mut value));
            black_box((found, value.as_ptr()))
        });
    });
}

fn limits(group: &mut BenchmarkGroup<'_, WallTime>, work: &Work) {
    let limit = Limit::new(work);
    let mut value = Vec::new();
    let mut entry = 0;
    group.bench_function("limit, chained", |bencher| {
        bencher.iter(|| {
            entry = limit.get(entry, &mut value);
            black_box(value.as_ptr())
        });
    });
    let mut order = limit.order().iter().cycle();
    group.bench_function("limit, independent", |bencher| {
        bencher.iter(|| {
            let next = order.next().map(|entry| limit.get(*entry, &mut value));
            black_box((next, value.as_ptr()))
        });
    });
}

fn get_many(criterion: &mut Criterion, work: &Work, tables: &Tables) {
    let question = format!("get_many of {MANY} hits");
    let mut group = common::question(criterion, &question, work);
    group.throughput(Throughput::Elements(MANY as u64));
    gets_many(&mut group, &work.hits, &tables.shmtable);
    gets_many(&mut group, &work.hits, &tables.dashmap);
    gets_many(&mut group, &work.hits, &tables.papaya);
    gets_many(&mut group, &work.hits, &tables.locked);
    group.finish();
}

fn gets_many<S: Store>(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[Key], store: &S) {
    let mut batches = keys.chunks(MANY).cycle();
    group.bench_function(S::NAME, |bencher| {
        bencher.iter(|| batches.next().map(|keys| store.get_many(keys)));
    });
}
