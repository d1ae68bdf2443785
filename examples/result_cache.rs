//! Several processes need the same expensive results; each result is computed once.
//!
//! ```text
//! cargo run --release --example result_cache
//! ```
//!
//! `get_or_insert_with` returns the result from the table if it is there. Otherwise one
//! of the processes that ask for it computes it, and the others sleep until it is there.
//! If the computing process dies, another one computes instead.

use std::error::Error;
use std::process::Command;
use std::time::Duration;
use std::{env, thread};

use shmtable::{Options, TypedTable};

const PROCESSES: usize = 4;
const JOBS: u64 = 20;

/// The number of a job, and its result.
type Results = TypedTable<u64, u64>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => parent(),
        [results, computed] => work(
            &Results::open(Options::new(), results)?,
            &Results::open(Options::new(), computed)?,
        ),
        _ => Err("run it without arguments".into()),
    }
}

/// Stands for something slow.
fn compute(job: u64) -> u64 {
    thread::sleep(Duration::from_millis(5));
    job * job
}

/// One process, which wants every result, and counts how often it computes one itself.
fn work(results: &Results, computed: &Results) -> Result<(), Box<dyn Error>> {
    for job in 0..JOBS {
        let mut computed_here = false;
        let result = results.get_or_insert_with(&job, || {
            computed_here = true;
            compute(job)
        })?;
        assert_eq!(result, job * job);
        if computed_here {
            computed.fetch_add(&job, 1)?;
        }
    }
    Ok(())
}

fn parent() -> Result<(), Box<dyn Error>> {
    let options = Options::new();
    let results = Results::create_anonymous(options.clone())?;
    let computed = Results::create_anonymous(options)?;
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        let mut child = Command::new(env::current_exe()?);
        children.push(child.args([results.name(), computed.name()]).spawn()?);
    }
    for mut child in children {
        if !child.wait()?.success() {
            return Err("a process failed".into());
        }
    }
    let mut total = 0;
    computed.for_each(|_job, times| total += times)?;
    println!("{PROCESSES} processes used {JOBS} results each; {total} were computed");
    assert_eq!(total, JOBS);
    Ok(())
}
