//! A table that is kept full to a part of its value space while values are replaced:
//! what cleaning costs.

use std::time::Duration;

use shmtable::Table;
use shmtable_bench::Result;
use shmtable_bench::contender::Contender;
use shmtable_bench::work::Kind;

use super::{LONG, Run, fill};
use crate::order::{Keys, Operation, Pass};
use crate::process::Team;

/// The reference: replacements before there is as much garbage as data. Nothing is cleaned
/// until then, but memory is used for the first time.
pub(crate) const UNCLEANED: &str = "none cleaned yet";

/// Percent of the value space.
const PERCENT: [usize; 5] = [25, 50, 80, 90, 95];

/// How often each entry is replaced before anything is timed: cleaning has then begun
/// everywhere.
const REPLACED_BEFORE: usize = 6;

pub(crate) fn run(run: &mut Run<'_>) -> Result {
    let entries = run.scale.full;
    let (work, folder) = run.work(Kind::Random(100), entries)?;
    eprintln!("fullness: {entries} entries");
    let ours = |about: &shmtable_bench::contender::About| about.name == Table::ABOUT.name;
    let Some(player) = run.players(ours).pop() else {
        return Ok(());
    };
    let mut teams = Vec::new();
    for percent in PERCENT {
        let space = work.payload() * 100 / percent;
        let mut team = Team::start(&player, &folder, Some(space))?;
        fill(&mut team, Keys::Inserted, 0, entries)?;
        let first = team.pass(Pass {
            operation: Operation::Replace,
            keys: Keys::Hits,
            first: 0,
            count: entries * 3 / 4,
            most: LONG,
        })?;
        run.passed("fullness", UNCLEANED, "replace", &player.about, first);
        for _ in 0..REPLACED_BEFORE {
            fill(&mut team, Keys::Hits, 0, entries)?;
        }
        teams.push((percent, team));
    }
    for turn in 0..run.scale.rounds * run.scale.turns {
        for (percent, team) in &mut teams {
            let passed = team.pass(Pass {
                operation: Operation::Replace,
                keys: Keys::Hits,
                first: turn * 7919,
                count: 4 * entries,
                most: run.scale.pass.max(Duration::from_millis(10)) * 3,
            })?;
            let row = percent.to_string();
            run.passed("fullness", &row, "replace", &player.about, passed);
        }
    }
    Ok(())
}
