//! `bench` measures how fast a table is.

use std::time::{Duration, Instant};

use serde_json::json;
use shmtable::Table;

use crate::args;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::out::{Side, columns};
use crate::units::count;

/// How many operations pass between two checks for Ctrl-C.
const TURN: usize = 1000;

type Operation = fn(&Table, &[u8], &[u8]) -> shmtable::Result<()>;

/// What is measured, in this order. The third phase gets keys that are absent.
const PHASES: [(&str, &str, Operation); 5] = [
    ("insert", "key", |table, key, value| {
        table.insert(key, value).map(drop)
    }),
    ("get", "key", |table, key, _| {
        table.contains_key(key).map(drop)
    }),
    ("get, absent", "no", |table, key, _| {
        table.contains_key(key).map(drop)
    }),
    ("replace", "key", |table, key, value| {
        table.insert(key, value).map(drop)
    }),
    ("remove", "key", |table, key, _| table.remove(key).map(drop)),
];

pub(crate) fn bench(mut context: Context, args: &args::Bench) -> Result {
    interrupt::catch()?;
    let threads = args
        .threads
        .or_else(|| std::thread::available_parallelism().ok().map(Into::into))
        .unwrap_or(1)
        .max(1);
    let each = (args.entries / threads).max(1);
    // It is removed when it is dropped, also after Ctrl-C.
    let options = context.options.clone();
    let options = options.value_space(each * threads * (16 + args.value_size));
    let options = if args.fixed {
        options.capacity(each * threads)
    } else {
        options
    };
    let table = options.create_anonymous()?;
    let value = vec![b'v'; args.value_size];
    let mut results = Vec::new();
    for (name, prefix, operation) in PHASES {
        let time = measure(threads, each, |at| {
            operation(&table, format!("{prefix}{at:012}").as_bytes(), &value)
        })?;
        results.push((name, time));
    }
    let operations = (each * threads) as f64;
    let figures = results.iter().map(|(name, time)| {
        let rate = operations / time.as_secs_f64().max(1e-9);
        let nanoseconds = time.as_nanos() as f64 * threads as f64 / operations;
        (*name, nanoseconds, rate)
    });
    let figures: Vec<_> = figures.collect();
    context.out.either(
        || {
            json!({
                "entries": each * threads,
                "grows": !args.fixed,
                "threads": threads,
                "value_size": args.value_size,
                "operations": figures.iter().map(|(name, nanoseconds, rate)| json!({
                    "name": name, "nanoseconds": nanoseconds, "per_second": rate,
                })).collect::<Vec<_>>(),
            })
        },
        || {
            let heads = [
                ("OPERATION", Side::Left),
                ("EACH", Side::Right),
                ("PER SECOND", Side::Right),
            ];
            let rows: Vec<_> = figures
                .iter()
                .map(|(name, nanoseconds, rate)| {
                    vec![
                        (*name).to_owned(),
                        format!("{nanoseconds:.0} ns"),
                        count(rate.round() as u64),
                    ]
                })
                .collect();
            format!(
                "{}\n{} entries, keys of 15 bytes, values of {}, {threads} threads, a table {}",
                columns(&heads, &rows),
                count((each * threads) as u64),
                args.value_size,
                if args.fixed {
                    "of fixed capacity"
                } else {
                    "that grows"
                },
            )
        },
    )?;
    context.out.done(true)
}

/// The time until all threads have done their share.
fn measure(
    threads: usize,
    each: usize,
    operation: impl Fn(usize) -> shmtable::Result<()> + Sync,
) -> Result<Duration> {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let operation = &operation;
                scope.spawn(move || {
                    for at in 0..each {
                        if at % TURN == 0 {
                            interrupt::check()?;
                        }
                        operation(thread * each + at)?;
                    }
                    Ok::<(), Failure>(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("no operation panics"))
    })?;
    Ok(begin.elapsed())
}
