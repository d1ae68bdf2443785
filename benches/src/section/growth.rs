//! Decimal keys -> `1`, in tables that no size was given to: from empty to full, against
//! shmtable's own table made to size, and against maps of one process.
//!
//! Figures of `growth` are nanoseconds. Those of `growth-memory` are bytes, and those of
//! `growth-opening` nanoseconds.

use std::path::Path;
use std::time::Instant;

use shmtable::{Options, Table};
use shmtable_bench::Result;
use shmtable_bench::contender::{Contender, Room, Sharing};
use shmtable_bench::work::{Kind, Work};

use super::{LONG, Run, fill};
use crate::order::{Keys, Operation, Pass};
use crate::process::{Player, Team};

/// The name of the contender that is shmtable with a capacity.
pub(crate) const TO_SIZE: &str = "shmtable, made to size";

/// Quantiles of the latencies, by their names in tables.
const QUANTILES: [(f64, &str); 3] = [
    (0.5, "insert, median"),
    (0.999, "insert, p99.9"),
    (1.0, "insert, slowest"),
];
/// The slowest by the wall clock, by its name in tables.
const BY_THE_CLOCK: &str = "insert, slowest by the clock";

/// The gets, by their names in tables.
pub(crate) const GETS: [(&str, Operation, Keys); 2] = [
    ("get", Operation::Get, Keys::Hits),
    ("get, absent key", Operation::Get, Keys::Misses),
];

/// Entries up to which rivals take part, and up to which two tables are compared by turns: more
/// would need more memory than most machines have.
const ALL_TAKE_PART: usize = 10_000_000;

/// How much larger each point of a doubling is than the one before: its eighth root.
const STEPS_OF_A_DOUBLING: usize = 8;
/// The rows for a table without entries, and for the mean over a doubling.
pub(crate) const EMPTY: &str = "empty";
pub(crate) const MEAN: &str = "mean";

/// The maxima of the tables that are created and opened; `None` for the default.
const MAXIMA: [Option<usize>; 4] = [Some(1 << 20), Some(1 << 26), None, Some(1 << 36)];
/// The row of the default.
pub(crate) const DEFAULT: &str = "default";
const TIMES: usize = 11;

pub(crate) fn run(run: &mut Run<'_>) -> Result {
    for entries in run.scale.growth.clone() {
        eprintln!("growth: {entries} entries");
        let (_, folder) = run.work(Kind::Decimal, entries)?;
        for _ in 0..run.scale.rounds {
            one_round(run, &folder, entries)?;
        }
    }
    memory(run)?;
    opening(run)
}

/// The bytes of an entry that are neither its key's nor its value's, by their name in tables.
pub(crate) fn above(kind: Kind) -> String {
    format!("above key and value, {}", kind.name())
}

/// The contenders, with the names under which they take part, and whether they are made to size.
fn contenders(run: &Run<'_>, entries: usize) -> Vec<(Player, &'static str, bool)> {
    let players = run.players(|about| {
        let rival = about.sharing != Sharing::Processes && !about.hasher.is_empty();
        let takes_part = rival && !about.has_default_hasher() && entries <= ALL_TAKE_PART;
        about.name == Table::ABOUT.name || takes_part
    });
    let mut contenders = Vec::new();
    for player in players {
        let name = player.about.name;
        contenders.push((player.clone(), name, false));
        if name == Table::ABOUT.name {
            contenders.push((player, TO_SIZE, true));
        }
    }
    contenders
}

fn start(player: &Player, folder: &Path, to_size: bool) -> Result<Team> {
    if to_size {
        Team::start(player, folder, None)
    } else {
        Team::start_with_room(player, folder, Room::NOT_GIVEN)
    }
}

/// Fills each contender twice, once without a look at the clock and once with one for each
/// insertion; then asks the two tables of shmtable by turns.
fn one_round(run: &mut Run<'_>, folder: &Path, entries: usize) -> Result {
    let row = entries.to_string();
    let all = Pass {
        operation: Operation::Insert,
        keys: Keys::Inserted,
        first: 0,
        count: entries,
        most: LONG,
    };
    let mut ours = Vec::new();
    for (player, name, to_size) in contenders(run, entries) {
        let mut team = start(&player, folder, to_size)?;
        let mixed = team.latencies(all)?;
        for (quantile, operation) in QUANTILES {
            let nanoseconds = mixed.reads.value_at_quantile(quantile) as f64;
            run.figures
                .add(["growth", &row, operation, name], nanoseconds);
        }
        let slowest = mixed.writes.max() as f64;
        run.figures
            .add(["growth", &row, BY_THE_CLOCK, name], slowest);
        drop(team);

        let mut team = start(&player, folder, to_size)?;
        let filled = team.pass(all)?;
        let each = filled.nanoseconds as f64 / filled.operations as f64;
        run.figures.add(["growth", &row, "insert", name], each);
        if player.about.name == Table::ABOUT.name && entries <= ALL_TAKE_PART {
            ours.push((team, name));
        }
    }
    for turn in 0..run.scale.turns {
        for (operation, asked, keys) in GETS {
            // What is measured first changes: the machine may become slower all the time.
            ours.reverse();
            for (team, name) in &mut ours {
                let pass = Pass {
                    operation: asked,
                    keys,
                    first: entries * turn / run.scale.turns,
                    count: entries,
                    most: run.scale.pass,
                };
                let passed = team.warm_pass(pass)?;
                let each = passed.nanoseconds as f64 / passed.operations as f64;
                run.figures.add(["growth", &row, operation, name], each);
            }
        }
    }
    Ok(())
}

/// The memory of each entry at points of a doubling of the number of entries.
fn memory(run: &mut Run<'_>) -> Result {
    let first = run.scale.growth[0] / 2;
    for kind in [Kind::Decimal, Kind::Random(100)] {
        let (work, folder) = run.work(kind, 2 * first)?;
        eprintln!("growth: memory, {}", kind.name());
        let operation = above(kind);
        for (player, name, to_size) in contenders(run, first) {
            if to_size {
                continue;
            }
            let mut team = start(&player, &folder, false)?;
            if name == Table::ABOUT.name {
                let bytes = team.bytes()? as f64;
                run.figures
                    .add(["growth-memory", EMPTY, "bytes", name], bytes);
            }
            let mut done = 0;
            let mut all = Vec::new();
            for step in 0..STEPS_OF_A_DOUBLING {
                let share = (step as f64 / STEPS_OF_A_DOUBLING as f64).exp2();
                let entries = (first as f64 * share) as usize;
                fill(&mut team, Keys::Inserted, done, entries - done)?;
                done = entries;
                let above = team.bytes()? as f64 - payload(&work, entries);
                let each = above / entries as f64;
                let row = entries.to_string();
                run.figures
                    .add(["growth-memory", &row, &operation, name], each);
                all.push(each);
            }
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            run.figures
                .add(["growth-memory", MEAN, &operation, name], mean);
        }
    }
    Ok(())
}

/// Bytes of the first keys and their values.
fn payload(work: &Work, entries: usize) -> f64 {
    let keys: usize = work.keys[..entries].iter().map(|key| key.len()).sum();
    (keys + entries * work.value().len()) as f64
}

/// The time to create and to open an empty table, whatever it may grow to: in this process, and
/// in a new one.
fn opening(run: &mut Run<'_>) -> Result {
    eprintln!("growth: opening");
    for most in MAXIMA {
        let (row, options) = match most {
            Some(entries) => (entries.to_string(), Options::new().max_capacity(entries)),
            None => (DEFAULT.to_owned(), Options::new()),
        };
        for _ in 0..TIMES {
            let begin = Instant::now();
            let table = options.create_anonymous()?;
            let created = begin.elapsed().as_nanos() as f64;
            let begin = Instant::now();
            let opened = Table::open(table.name())?;
            let attached = begin.elapsed().as_nanos() as f64;
            drop(opened);
            for (operation, took) in [("create", created), ("attach", attached)] {
                let at = ["growth-opening", &row, operation, Table::ABOUT.name];
                run.figures.add(at, took);
            }
        }
    }
    let (_, folder) = run.work(Kind::Decimal, 1000)?;
    for (player, name, to_size) in contenders(run, 0) {
        if to_size || player.about.sharing != Sharing::Processes {
            continue;
        }
        for _ in 0..TIMES {
            let mut team = start(&player, &folder, false)?;
            let (created, attached) = (team.creation() as f64, team.attach()? as f64);
            for (operation, took) in [
                ("create, in a new process", created),
                ("attach, in a new process", attached),
            ] {
                run.figures
                    .add(["growth-opening", DEFAULT, operation, name], took);
            }
        }
    }
    Ok(())
}
