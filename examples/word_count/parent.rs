//! The parent: fills the table, starts the workers, kills one, adds up, compares.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use shmtable::{Options, Table};

use crate::Result;
use crate::files::count_alone;
use crate::processes::Workers;

const WORKERS: usize = 4;

/// Counts the words of a folder with several processes.
pub(crate) fn run(folder: &Path) -> Result {
    let begin = Instant::now();
    let expected = count_alone(folder)?;
    let alone = begin.elapsed();
    let files = expected.paths.len();
    println!("{files} text files in {}", folder.display());
    let trap = (0..files)
        .filter(|&file| expected.words[file] > 1)
        .min_by_key(|file| file.abs_diff(files / 2))
        .ok_or("there is no file of two words, in which to kill a worker")?;

    // The name of an anonymous table is removed with the value, on every way out
    // of this function, but not if this process is killed ...
    let table = Options::new()
        .capacity(expected.entries)
        .value_space(expected.bytes)
        .create_anonymous()?;
    table.insert(b"files", files.to_string().as_bytes())?;
    for (file, path) in expected.paths.iter().enumerate() {
        table.insert(format!("path/{file}").as_bytes(), path.as_bytes())?;
    }
    table.insert(format!("trap/{trap}").as_bytes(), b"")?;
    let mut workers = Workers::start(WORKERS, table.name())?;
    for worker in workers.ids() {
        workers.wait(&table, &format!("ready/{worker}"))?;
    }
    // ... so drop the name as soon as all workers have opened the table: from here
    // on the memory goes with the last process, whatever happens.
    Table::unlink(table.name())?;

    let begin = Instant::now();
    table.insert(b"start", b"")?;
    let bar = ProgressBar::new(files as u64);
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {pos} of {len} files",
    )?);
    let mut winners = Vec::new();
    let mut killed = String::new();
    for file in 0..files {
        if file == trap {
            killed = kill_whoever_is_in(file, &table, &mut workers)?;
        }
        winners.push(workers.wait(&table, &format!("done/{file}"))?);
        bar.inc(1);
    }
    workers.join()?;
    let together = begin.elapsed();
    bar.finish_and_clear();

    let (counts, discarded) = add_up(&table, &winners)?;
    print_most_frequent(&counts, 20);
    println!("alone {alone:.2?}, {WORKERS} workers {together:.2?}");
    let kept = winners.iter().filter(|winner| **winner == killed).count();
    println!(
        "worker {killed} was killed inside file {trap}, of which it had counted {discarded} words; \
         1 file re-claimed and finished by worker {}, {kept} finished files kept",
        winners[trap]
    );
    compare(&counts, &expected.counts)?;
    println!(
        "all {} counts are equal to those of one process",
        counts.len()
    );
    Ok(())
}

/// Kills the worker that is in the middle of this file, and lets the others know.
fn kill_whoever_is_in(file: usize, table: &Table, workers: &mut Workers) -> Result<String> {
    let worker = workers.wait(table, &format!("trapped/{file}"))?;
    workers.kill(&worker)?;
    if table.contains_key(format!("done/{file}").as_bytes())? {
        return Err("the worker that was killed had finished its file".into());
    }
    table.remove(format!("trap/{file}").as_bytes())?;
    table.insert(format!("dead/{worker}").as_bytes(), b"")?;
    Ok(worker)
}

/// Adds up the counts of the attempts that `done` declared valid, and apart from
/// them the words that other attempts counted.
fn add_up(table: &Table, winners: &[String]) -> Result<(HashMap<String, u64>, u64)> {
    let mut counts = HashMap::new();
    let mut discarded = 0;
    for entry in table {
        let (key, value) = entry?;
        let key = String::from_utf8(key)?;
        let Some(attempt) = key.strip_prefix("count/") else {
            continue;
        };
        let mut parts = attempt.splitn(3, '/').map(str::to_owned);
        let (Some(file), Some(worker), Some(word)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(format!("what is {key}?").into());
        };
        let count = u64::from_le_bytes(value.as_slice().try_into()?);
        if winners[file.parse::<usize>()?] == worker {
            *counts.entry(word).or_default() += count;
        } else {
            discarded += count;
        }
    }
    Ok((counts, discarded))
}

fn print_most_frequent(counts: &HashMap<String, u64>, how_many: usize) {
    let mut counts: Vec<_> = counts.iter().map(|(word, count)| (count, word)).collect();
    counts.sort_by(|a, b| b.0.cmp(a.0).then(a.1.cmp(b.1)));
    for (count, word) in counts.into_iter().take(how_many) {
        println!("{count:>9} {word}");
    }
}

/// Fails unless every word has the same count in both.
fn compare(counts: &HashMap<String, u64>, expected: &HashMap<String, u64>) -> Result {
    let mut different = Vec::new();
    for word in counts.keys().chain(expected.keys()) {
        let (here, there) = (counts.get(word), expected.get(word));
        if here != there {
            different.push(format!("{word}: {here:?}, alone {there:?}"));
        }
    }
    different.sort();
    different.dedup();
    if different.is_empty() {
        return Ok(());
    }
    let number = different.len();
    different.truncate(20);
    let shown = different.join("\n  ");
    Err(format!("{number} counts differ (did a file change during the run?):\n  {shown}").into())
}
