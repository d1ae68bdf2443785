//! Several processes need the same expensive results; each is computed once.
//!
//! ```text
//! cargo run --release --example result_cache
//! ```
//!
//! The first process to want a result claims it with `try_insert`, which has one
//! winner among all processes, computes it and publishes it with `insert`. The
//! others `wait` for it and use no processor time meanwhile.
//!
//! A process that dies between its claim and its result would leave the others
//! waiting, so they wait only so long and then compute for themselves: computing
//! twice is slower, never wrong. (The example `word_count` takes the claims of
//! dead processes over instead.)

use std::error::Error;
use std::process::Command;
use std::time::Duration;
use std::{env, thread};

use shmtable::{Options, Table};

const PROCESSES: usize = 4;
const JOBS: u64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(table) => work(&Table::open(&table)?),
        None => parent(),
    }
}

/// The result of a job: from the table if anybody has it, or will have it soon.
fn cached(table: &Table, job: u64) -> shmtable::Result<Vec<u8>> {
    let claim = format!("claim/{job}");
    let result = format!("result/{job}");
    if !table.try_insert(claim.as_bytes(), b"")?
        && let Some(value) = table.wait(result.as_bytes(), Duration::from_secs(10))?
    {
        return Ok(value);
    }
    table.fetch_add(b"computed", 1)?;
    let value = compute(job).to_le_bytes();
    table.insert(result.as_bytes(), &value)?;
    Ok(value.into())
}

/// Stands for something slow.
fn compute(job: u64) -> u64 {
    thread::sleep(Duration::from_millis(5));
    job * job
}

/// One process: wants every result.
fn work(table: &Table) -> Result<(), Box<dyn Error>> {
    for job in 0..JOBS {
        let value = cached(table, job)?;
        assert_eq!(u64::from_le_bytes(value.as_slice().try_into()?), job * job);
    }
    Ok(())
}

fn parent() -> Result<(), Box<dyn Error>> {
    let table = Options::new().capacity(1000).create_anonymous()?;
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        let mut child = Command::new(env::current_exe()?);
        children.push(child.arg(table.name()).spawn()?);
    }
    for mut child in children {
        if !child.wait()?.success() {
            return Err("a process failed".into());
        }
    }
    let computed = table.fetch_add(b"computed", 0)?;
    println!("{PROCESSES} processes used {JOBS} results each; {computed} were computed");
    assert_eq!(computed, i64::try_from(JOBS)?);
    Ok(())
}
