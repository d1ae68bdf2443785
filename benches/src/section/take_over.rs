//! How long a killed lock owner keeps others waiting.
//!
//! A process is killed inside the closure of `update`, which runs under the stripe's lock.
//! Another process writes the same key.

use std::io::{self, Write};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use shmtable::{Options, Table};
use shmtable_bench::Result;

use super::Run;
use crate::process::{Process, THIS_PROGRAM};

const KEY: &[u8] = b"key";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    table: String,
}

/// The lock owner: a signal kills it, or it ends by itself when its parent has died.
pub(crate) fn hold(arguments: &Arguments) -> Result {
    let table = Table::open(&arguments.table)?;
    table.update(KEY, |_| {
        let mut output = io::stdout().lock();
        let told = writeln!(output, "held").and_then(|()| output.flush());
        // Wait until the input ends.
        let _ = told.and_then(|()| io::stdin().read_line(&mut String::new()));
        None
    })?;
    Ok(())
}

pub(crate) fn run(run: &mut Run<'_>) -> Result {
    eprintln!("take-over: {} deaths each", run.scale.deaths);
    let table = Options::new()
        .capacity(1000)
        .value_space(100_000)
        .create_anonymous()?;
    for _ in 0..run.scale.deaths {
        let took = killed_before(&table)?.as_nanos() as f64;
        let at = ["take-over", "1", "a write after the death", "shmtable"];
        run.figures.add(at, took);
        let took = killed_while_waited_for(&table)?.as_nanos() as f64;
        let at = ["take-over", "1", "a write that waits", "shmtable"];
        run.figures.add(at, took);
    }
    let taken_over = table.stats()?.take_overs;
    if taken_over < 2 * run.scale.deaths as u64 {
        return Err(format!("only {taken_over} locks were taken over").into());
    }
    Ok(())
}

fn holder(table: &Table) -> Result<Process> {
    let mut command = Command::new(THIS_PROGRAM);
    Process::start("the holder", command.args(["hold", table.name()]))
}

fn killed_before(table: &Table) -> Result<Duration> {
    // Dropping it waits until the process has ended.
    let mut holder = holder(table)?;
    holder.kill()?;
    drop(holder);
    let begin = Instant::now();
    table.insert(KEY, b"1")?;
    Ok(begin.elapsed())
}

/// The time from the kill to the return of a write that was already waiting.
fn killed_while_waited_for(table: &Table) -> Result<Duration> {
    let mut holder = holder(table)?;
    let waiter = {
        let table = table.clone();
        thread::spawn(move || table.insert(KEY, b"1").map(|_| Instant::now()))
    };
    thread::sleep(Duration::from_millis(20));
    let begin = Instant::now();
    holder.kill()?;
    let end = waiter.join().map_err(|_| "the waiter panicked")??;
    Ok(end.saturating_duration_since(begin))
}
