//! Decimal keys -> `1`, in tables from small to large: insertions, gets, and bytes.

use std::time::Instant;

use shmtable::Table;
use shmtable_bench::Result;
use shmtable_bench::contender::Contender;
use shmtable_bench::work::{Kind, Work};

use super::{LIMIT, Run, filled};
use crate::order::{Keys, Operation, Pass};
use crate::process::{Player, Team};

/// The operations, by their names in tables.
const QUESTIONS: [(&str, Operation, Keys); 4] = [
    ("get", Operation::Get, Keys::Hits),
    ("get in order", Operation::Get, Keys::Inserted),
    ("half misses", Operation::Get, Keys::Half),
    ("get_many", Operation::GetMany, Keys::Hits),
];

const LIMITS: [(&str, Operation, Keys); 2] = [
    ("chained", Operation::Chained, Keys::Hits),
    ("independent", Operation::Independent, Keys::Hits),
];

/// The bytes of an entry that are neither its key's nor its value's, by their name in tables.
pub(crate) const ABOVE: &str = "above key and value";

/// Entries up to which fast contenders take part.
const FAST_TAKE_PART: usize = 10_000_000;
/// Entries up to which slow contenders take part, and rivals with their default hashers:
/// together with the others they would need more memory than most machines have.
const ALL_TAKE_PART: usize = 1_000_000;

pub(crate) fn run(run: &mut Run<'_>) -> Result {
    for entries in run.scale.sizes.clone() {
        let (work, folder) = run.work(Kind::Decimal, entries)?;
        let players = run.players(|about| {
            let shared = ["shmtable", "LMDB", LIMIT.name].contains(&about.name);
            let few = entries
                <= if about.slow || about.has_default_hasher() {
                    ALL_TAKE_PART
                } else {
                    FAST_TAKE_PART
                };
            shared || few
        });
        eprintln!("sizes: {entries} entries");
        for _ in 0..run.scale.rounds {
            let mut teams = Vec::new();
            for player in &players {
                teams.push(start(run, player, &work, &folder)?);
            }
            for turn in 0..run.scale.turns {
                for team in &mut teams {
                    ask(run, team, entries, turn)?;
                }
            }
        }
    }
    Ok(())
}

fn start(
    run: &mut Run<'_>,
    player: &Player,
    work: &Work,
    folder: &std::path::Path,
) -> Result<Team> {
    let entries = work.keys.len();
    let row = entries.to_string();
    if player.about.name == LIMIT.name {
        return Team::start(player, folder, None);
    }
    let (mut team, inserted) = filled(player, folder, entries)?;
    run.passed("sizes", &row, "insert", &player.about, inserted);
    let bytes = team.bytes()? as f64 / entries as f64;
    let payload = work.payload() as f64 / entries as f64;
    let name = player.about.name;
    run.figures.add(["memory", &row, "bytes", name], bytes);
    run.figures
        .add(["memory", &row, ABOVE, name], bytes - payload);
    if name == Table::ABOUT.name {
        open(run, team.address(), work)?;
    }
    Ok(team)
}

/// Opens a full table, and gets a value from it.
fn open(run: &mut Run<'_>, address: &str, work: &Work) -> Result {
    let row = work.keys.len().to_string();
    for key in work.hits.iter().cycle().take(11) {
        let begin = Instant::now();
        let table = Table::open(address)?;
        let attached = begin.elapsed().as_nanos() as f64;
        let found = table.get(key)?;
        let read = begin.elapsed().as_nanos() as f64;
        if found.as_deref() != Some(work.value()) {
            return Err("the opened table lacks what was inserted".into());
        }
        for (operation, time) in [("attach, full", attached), ("attach, full, and get", read)] {
            run.figures
                .add(["attach", &row, operation, "shmtable"], time);
        }
    }
    Ok(())
}

fn ask(run: &mut Run<'_>, team: &mut Team, entries: usize, turn: usize) -> Result {
    let limit = team.about.name == LIMIT.name;
    let questions: &[_] = if limit { &LIMITS } else { &QUESTIONS };
    let row = entries.to_string();
    for (name, operation, keys) in questions {
        let pass = Pass {
            operation: *operation,
            keys: *keys,
            first: entries * turn / run.scale.turns,
            count: entries.clamp(100_000, 10_000_000),
            // A small table needs less time for as many operations.
            most: if entries < 1_000_000 {
                run.scale.pass / 4
            } else {
                run.scale.pass
            },
        };
        let passed = team.warm_pass(pass)?;
        run.passed("sizes", &row, name, &team.about.clone(), passed);
    }
    Ok(())
}
