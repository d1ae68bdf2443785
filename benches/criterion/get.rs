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
use shmtable_bench::contender::{Contender, Dashmap, Locked, Papaya, Session, Std};
use shmtable_bench::limit::Limit;
use shmtable_bench::work::{Key, Kind, Work};

/// Keys in one call of `get_many`.
const MANY: usize = 1000;

/// The tables, all filled, so that each question is put to one after the other.
struct Tables {
    shmtable: Table,
    dashmap: Dashmap,
    papaya: Papaya,
    locked: Locked,
    std: Std,
}

impl Tables {
    fn filled(work: &Work) -> Self {
        Self {
            shmtable: common::filled(work),
            dashmap: common::filled(work),
            papaya: common::filled(work),
            locked: common::filled(work),
            std: common::filled(work),
        }
    }
}

fn main() {
    let mut criterion = common::criterion();
    let keys = common::keys();
    // About as many bytes of pages as of short values.
    for (kind, keys) in [
        (Kind::Decimal, keys),
        (Kind::Random(100), keys),
        (Kind::Random(4096), keys.div_ceil(40)),
    ] {
        let work = Work::new(kind, keys);
        let tables = Tables::filled(&work);
        get(&mut criterion, kind, &work, &tables);
        get_many(&mut criterion, kind, &work, &tables);
    }
    criterion.final_summary();
}

fn get(criterion: &mut Criterion, kind: Kind, work: &Work, tables: &Tables) {
    for (question, keys) in [("get hits", &work.hits), ("get half misses", &work.half)] {
        let mut group = common::question(criterion, question, kind);
        gets(&mut group, keys, &tables.shmtable);
        gets(&mut group, keys, &tables.dashmap);
        gets(&mut group, keys, &tables.papaya);
        gets(&mut group, keys, &tables.locked);
        gets(&mut group, keys, &tables.std);
        if question == "get hits" {
            let mut limit = Limit::new(work);
            group.bench_function("limit, chained", |bencher| bencher.iter(|| limit.chained()));
            group.bench_function("limit, independent", |bencher| {
                bencher.iter(|| limit.independent());
            });
        }
        group.finish();
    }
}

fn gets<C: Contender>(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[Key], table: &C) {
    let mut session = table.session(true);
    let mut keys = keys.iter().cycle();
    let mut value = Vec::new();
    group.bench_function(C::ABOUT.name, |bencher| {
        bencher.iter(|| {
            let found = keys.next().is_some_and(|key| session.get(key, &mut value));
            black_box((found, value.as_ptr()))
        });
    });
}

fn get_many(criterion: &mut Criterion, kind: Kind, work: &Work, tables: &Tables) {
    let question = format!("get_many of {MANY} hits");
    let mut group = common::question(criterion, &question, kind);
    group.throughput(Throughput::Elements(MANY as u64));
    gets_many(&mut group, &work.hits, &tables.shmtable);
    gets_many(&mut group, &work.hits, &tables.dashmap);
    gets_many(&mut group, &work.hits, &tables.papaya);
    gets_many(&mut group, &work.hits, &tables.locked);
    gets_many(&mut group, &work.hits, &tables.std);
    group.finish();
}

fn gets_many<C: Contender>(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[Key], table: &C) {
    let mut session = table.session(true);
    let mut batches = keys.chunks(MANY).cycle();
    group.bench_function(C::ABOUT.name, |bencher| {
        bencher.iter(|| {
            let batch = batches.next().unwrap_or_default();
            session.get_many(batch, &mut |value| {
                black_box(value.map(<[u8]>::as_ptr));
            });
        });
    });
}
