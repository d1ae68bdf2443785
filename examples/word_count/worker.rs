//! A worker, which learns all that it knows from the table.

use std::time::{Duration, Instant};
use std::{fs, process};

use shmtable::Table;

use crate::files::words;
use crate::{PATIENCE, Result};

/// Claims and counts files of the table `name` until all are done.
pub(crate) fn run(name: &str) -> Result {
    let table = Table::open(name)?;
    let me = process::id().to_string();
    table.insert(format!("ready/{me}").as_bytes(), b"")?;
    table.wait(b"start", PATIENCE)?.ok_or("no start signal")?;
    let files: usize = text(&table, "files")?.parse()?;

    for file in 0..files {
        if table.try_insert(format!("claim/{file}").as_bytes(), me.as_bytes())? {
            count_file(&table, file, &me)?;
        }
    }
    // All files are claimed. Stay until all are done: their owners may die.
    for file in 0..files {
        finish_file(&table, file, &me)?;
    }
    Ok(())
}

/// Counts a file that this worker has claimed.
fn count_file(table: &Table, file: usize, me: &str) -> Result {
    let content = fs::read_to_string(text(table, &format!("path/{file}"))?)?;
    let words: Vec<String> = words(&content).collect();
    let mut key = format!("count/{file}/{me}/");
    let prefix = key.len();
    for (index, word) in words.iter().enumerate() {
        if index == words.len() / 2 {
            stop_in_trap(table, file, me)?;
        }
        key.truncate(prefix);
        key.push_str(word);
        table.fetch_add(key.as_bytes(), 1)?;
    }
    table.try_insert(format!("done/{file}").as_bytes(), me.as_bytes())?;
    Ok(())
}

/// For the demonstration only: waits to be killed if the parent wants that to
/// happen in the middle of this file.
fn stop_in_trap(table: &Table, file: usize, me: &str) -> Result {
    if table.contains_key(format!("trap/{file}").as_bytes())? {
        table.insert(format!("trapped/{file}").as_bytes(), me.as_bytes())?;
        table.wait(b"rescue", PATIENCE)?;
    }
    Ok(())
}

/// Returns when a file is done; takes it over if its owner is dead.
fn finish_file(table: &Table, file: usize, my_name: &str) -> Result {
    let claim = format!("claim/{file}");
    let done = format!("done/{file}");
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        // In this order: an owner known to be dead cannot finish it any more.
        let owner = text(table, &claim)?;
        let dead = table.contains_key(format!("dead/{owner}").as_bytes())?;
        let winner = table.wait(done.as_bytes(), Duration::from_millis(20))?;
        if winner.is_some() {
            return Ok(());
        }
        if dead {
            let (owner, me) = (Some(owner.as_bytes()), Some(my_name.as_bytes()));
            if table.compare_exchange(claim.as_bytes(), owner, me)?.is_ok() {
                return count_file(table, file, my_name);
            }
        }
    }
    Err(format!("no worker finishes file {file}").into())
}

/// The value of a key that must be there.
fn text(table: &Table, key: &str) -> Result<String> {
    let value = table.get(key.as_bytes())?;
    Ok(String::from_utf8(
        value.ok_or_else(|| format!("{key} is missing"))?,
    )?)
}
