//! 16-byte keys, and values from short to long.

use shmtable_bench::Result;
use shmtable_bench::work::Kind;

use super::{LIMIT, Run, fill, filled};
use crate::order::{Keys, Operation, Pass};
use crate::process::Team;

/// The steps, in this order. What replacing by other lengths and removing change is undone.
const STEPS: [(&str, Operation); 4] = [
    ("get", Operation::Get),
    ("replace", Operation::Replace),
    ("replace, other size", Operation::Resize),
    ("remove", Operation::Remove),
];

const LIMITS: [(&str, Operation); 3] = [
    ("chained", Operation::Chained),
    ("independent", Operation::Independent),
    ("memcpy", Operation::Copy),
];

pub(crate) fn run(run: &mut Run<'_>) -> Result {
    let players = run.players(|_| true);
    for (value, entries) in run.scale.values.clone() {
        let (_, folder) = run.work(Kind::Random(value), entries)?;
        let row = value.to_string();
        eprintln!("values: {entries} of {value} bytes");
        for _ in 0..run.scale.rounds {
            let mut teams = Vec::new();
            for player in &players {
                if player.about.name == LIMIT.name {
                    teams.push(Team::start(player, &folder, None)?);
                    continue;
                }
                let (mut team, inserted) = filled(player, &folder, entries)?;
                run.passed("values", &row, "insert", &player.about, inserted);
                replace_first(run, &mut team, &row, entries)?;
                teams.push(team);
            }
            for turn in 0..run.scale.turns {
                for team in &mut teams {
                    turns(run, team, &row, entries, turn)?;
                }
            }
        }
    }
    Ok(())
}

/// Replaces in a table where nothing was replaced before. A contender that writes beside the
/// old value takes new memory until old memory is free again; later turns measure that state.
fn replace_first(run: &mut Run<'_>, team: &mut Team, row: &str, entries: usize) -> Result {
    let passed = team.pass(Pass {
        operation: Operation::Replace,
        keys: Keys::Hits,
        first: 0,
        count: entries,
        most: run.scale.value_pass,
    })?;
    run.passed("values", row, "replace, first", &team.about, passed);
    let done = passed.operations as usize;
    fill(team, Keys::Hits, done, (2 * entries).saturating_sub(done))
}

fn turns(run: &mut Run<'_>, team: &mut Team, row: &str, entries: usize, turn: usize) -> Result {
    let limit = team.about.name == LIMIT.name;
    let steps: &[_] = if limit { &LIMITS } else { &STEPS };
    for (name, operation) in steps {
        let most_keys = match operation {
            // Each key only once, and a part of them, so that the table stays large.
            Operation::Remove => entries.div_ceil(4),
            _ => entries.max(1000),
        };
        let pass = Pass {
            operation: *operation,
            keys: Keys::Hits,
            first: entries * turn / run.scale.turns,
            count: most_keys,
            most: run.scale.value_pass,
        };
        if !matches!(operation, Operation::Remove | Operation::Resize) {
            team.pass(Pass {
                count: most_keys.div_ceil(8),
                most: pass.most / 4,
                ..pass
            })?;
        }
        let passed = team.pass(pass)?;
        run.passed("values", row, name, &team.about.clone(), passed);
        if matches!(operation, Operation::Remove | Operation::Resize) {
            let changed = (passed.operations as usize).min(entries);
            fill(team, Keys::Hits, pass.first, changed)?;
        }
    }
    Ok(())
}
