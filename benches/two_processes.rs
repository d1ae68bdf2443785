//! How fast is the table for two at a time, reading and writing?
//!
//! shmtable is shared by two processes: this program starts itself again as a
//! worker, which opens the table by name. The rivals cannot leave a process and
//! are shared by two threads of one. A figure is the time in which each of the
//! two has done one operation; `one process` has nobody beside it.

mod common;

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use shmtable::Table;

use common::stores::{Dashmap, Locked, Papaya, Store};
use common::work::{self, Key, Work};

/// Tells a worker the name of its table and the number of its work.
const WORKER: &str = "SHMTABLE_BENCH_WORKER";

/// Replacing operations in a hundred.
const MIXES: [(&str, u64); 3] = [("all gets", 0), ("95/5", 5), ("50/50", 50)];

/// The seeds of the orders in which the two use the keys.
const THIS_ONE: u64 = 10;
const OTHER_ONE: u64 = 11;

/// The work of a number.
const WORKS: [fn(usize) -> Work; 2] = [Work::decimal, Work::hundred];

fn main() {
    if let Ok(task) = std::env::var(WORKER) {
        return serve(&task);
    }
    let mut criterion = common::criterion();
    for number in 0..WORKS.len() {
        two(&mut criterion, number);
    }
    criterion.final_summary();
}

fn two(criterion: &mut Criterion, number: usize) {
    let work = WORKS[number](common::keys());
    let shmtable: Table = common::filled(&work);
    let dashmap: Dashmap = common::filled(&work);
    let papaya: Papaya = common::filled(&work);
    let locked: Locked = common::filled(&work);
    let mut worker = Worker::start(shmtable.name(), number);
    let mut side = Side::new(&work, THIS_ONE);
    let mut other = Side::new(&work, OTHER_ONE);
    for (mix, writes) in MIXES {
        let mut group = common::question(criterion, mix, &work);
        group.throughput(Throughput::Elements(1));
        group.bench_function("shmtable, one process", |bencher| {
            bencher.iter_custom(|operations| timed(|| side.run(&shmtable, writes, operations)));
        });
        group.throughput(Throughput::Elements(2));
        group.bench_function("shmtable, two processes", |bencher| {
            bencher.iter_custom(|operations| {
                timed(|| {
                    worker.begin(writes, operations);
                    side.run(&shmtable, writes, operations);
                    worker.wait();
                })
            });
        });
        threads(&mut group, &dashmap, writes, [&mut side, &mut other]);
        threads(&mut group, &papaya, writes, [&mut side, &mut other]);
        threads(&mut group, &locked, writes, [&mut side, &mut other]);
        group.finish();
    }
}

fn threads<S: Store>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    store: &S,
    writes: u64,
    [side, other]: [&mut Side; 2],
) {
    group.bench_function(format!("{}, two threads", S::NAME), |bencher| {
        bencher.iter_custom(|operations| {
            timed(|| {
                thread::scope(|scope| {
                    scope.spawn(|| other.run(store, writes, operations));
                    side.run(store, writes, operations);
                });
            })
        });
    });
}

fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

/// One of the two: its keys in an order of its own, and how far it has come.
struct Side {
    keys: Vec<Key>,
    next: usize,
    /// The last draw between writing and reading.
    draw: u32,
    value: Vec<u8>,
}

impl Side {
    fn new(work: &Work, seed: u64) -> Self {
        Self {
            keys: work::shuffled(&work.keys, seed),
            next: 0,
            draw: 0,
            value: work.value.clone(),
        }
    }

    /// Replaces `writes` values in a hundred operations, and gets the others.
    fn run<S: Store>(&mut self, store: &S, writes: u64, operations: u64) {
        let mut found = Vec::new();
        for _ in 0..operations {
            let key = &self.keys[self.next];
            self.next = (self.next + 1) % self.keys.len();
            // Steps of the golden section: evenly spread, and without a period.
            self.draw = self.draw.wrapping_add(0x9e37_79b9);
            if (u64::from(self.draw) * 100) >> 32 < writes {
                store.replace(key, &self.value);
            } else {
                black_box(store.get(key, &mut found));
            }
        }
    }
}

/// The other process, seen from this one. It ends when its input does.
struct Worker {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(table: &str, work: usize) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program has a file"))
            // The number of keys depends on them.
            .args(std::env::args_os().skip(1))
            .env(WORKER, format!("{work} {table}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let orders = process.stdin.take();
        let answers = process.stdout.take().map(BufReader::new);
        let mut worker = Self {
            process,
            orders,
            answers: answers.expect("the worker's output is a pipe"),
        };
        // It has opened the table and made its keys.
        worker.wait();
        worker
    }

    fn begin(&mut self, writes: u64, operations: u64) {
        let orders = self.orders.as_mut().expect("the worker has not ended");
        writeln!(orders, "{writes} {operations}").expect("the worker listens");
    }

    fn wait(&mut self) {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        assert_eq!(line, "done\n", "the worker failed");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.process.wait();
    }
}

/// What the worker does.
fn serve(task: &str) {
    let (work, table) = task.split_once(' ').expect("a work and a table");
    let work: usize = work.parse().expect("the number of a work");
    let table = Table::open(table).expect("the table is there");
    let work = WORKS[work](common::keys());
    let mut side = Side::new(&work, OTHER_ONE);
    println!("done");
    for order in std::io::stdin().lines() {
        let order = order.expect("an order");
        let (writes, operations) = order.split_once(' ').expect("writes and operations");
        let writes = writes.parse().expect("a number of writes");
        let operations = operations.parse().expect("a number of operations");
        side.run(&table, writes, operations);
        println!("done");
    }
}
