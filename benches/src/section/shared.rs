//! Several processes at the same time, or several threads for contenders that can't leave
//! their process. Figures of `shared` are operations per second of all together; those of
//! `latency` are nanoseconds.

use shmtable_bench::Result;
use shmtable_bench::contender::Sharing;
use shmtable_bench::work::Kind;

use super::{LONG, Run, filled};
use crate::order::{Keys, Mix, MixKind, Mixed, Operation, Pass};
use crate::process::Team;

const VALUES: [MixKind; 4] = [
    MixKind::Writes(0),
    MixKind::Writes(5),
    MixKind::Writes(50),
    MixKind::Writes(100),
];

const COUNTERS: [MixKind; 2] = [MixKind::AddHot, MixKind::AddMany];

/// Quantiles of latencies, and their names in tables.
const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max")];

pub(crate) fn run(run: &mut Run<'_>) -> Result {
    for kind in [Kind::Decimal, Kind::Random(100)] {
        values(run, kind)?;
    }
    counters(run)
}

fn values(run: &mut Run<'_>, kind: Kind) -> Result {
    let entries = run.scale.shared;
    let (_, folder) = run.work(kind, entries)?;
    eprintln!("shared: {}", kind.name());
    let mut teams = Vec::new();
    for player in run.players(|about| about.sharing != Sharing::Unshared) {
        teams.push(filled(&player, &folder, entries)?.0);
    }
    for _ in 0..run.scale.rounds * run.scale.turns {
        // What one process does is compared with what several do: they run shortly after
        // each other.
        for mix in VALUES {
            for parties in run.scale.parties.clone() {
                for team in &mut teams {
                    all_at_once(run, team, &kind.name(), mix, parties)?;
                }
            }
        }
    }
    Ok(())
}

fn counters(run: &mut Run<'_>) -> Result {
    let (kind, entries) = (Kind::Counters, run.scale.shared);
    let (_, folder) = run.work(kind, entries)?;
    eprintln!("shared: {}", kind.name());
    let mut teams = Vec::new();
    for player in run.players(|about| about.sharing != Sharing::Unshared) {
        let mut team = Team::start_counters(&player, &folder)?;
        team.pass(Pass {
            operation: Operation::Add,
            keys: Keys::Inserted,
            first: 0,
            count: if player.about.slow {
                1000.min(entries)
            } else {
                entries
            },
            most: LONG,
        })?;
        teams.push(team);
    }
    for turn in 0..run.scale.rounds * run.scale.turns {
        for team in &mut teams {
            one_process(run, team, turn)?;
        }
        for mix in COUNTERS {
            for parties in run.scale.parties.clone() {
                for team in &mut teams {
                    let before = team.counter()?;
                    let added = all_at_once(run, team, &kind.name(), mix, parties)?;
                    let counted = team.counter()? - before;
                    if mix == MixKind::AddHot && counted != added {
                        let name = team.about.name;
                        return Err(format!("{name} counted {counted} of {added}").into());
                    }
                }
            }
        }
    }
    Ok(())
}

/// Additions by one process, to counters that exist.
fn one_process(run: &mut Run<'_>, team: &mut Team, turn: usize) -> Result {
    let entries = run.scale.shared;
    for (name, operation) in [
        ("add to one", Operation::AddHot),
        ("add to many", Operation::Add),
    ] {
        let passed = team.pass(Pass {
            operation,
            keys: Keys::Hits,
            first: turn * 7919,
            count: entries,
            most: run.scale.pass,
        })?;
        let row = entries.to_string();
        run.passed("counters", &row, name, &team.about.clone(), passed);
    }
    Ok(())
}

/// Measures rates without reading the clock for each operation, and then latencies with it.
/// Returns the number of operations.
fn all_at_once(
    run: &mut Run<'_>,
    team: &mut Team,
    work: &str,
    kind: MixKind,
    parties: usize,
) -> Result<u64> {
    let mix = Mix {
        kind,
        time: run.scale.mix,
        index: 0,
        of: parties,
        threads: 1,
        latencies: false,
    };
    let (row, name) = (format!("{work}, {parties}"), team.about.name);
    let untimed = team.mix(mix, parties)?;
    let operation = kind.to_string();
    let at = ["shared", &row, &operation, name];
    run.figures.add(at, untimed.rate);
    if team.about.has_default_hasher() {
        // Its rates are enough.
        return Ok(untimed.operations);
    }
    let timed = team.mix(
        Mix {
            latencies: true,
            ..mix
        },
        parties,
    )?;
    latencies(run, &row, &operation, name, &timed);
    Ok(untimed.operations + timed.operations)
}

fn latencies(run: &mut Run<'_>, row: &str, operation: &str, name: &str, mixed: &Mixed) {
    for (what, histogram) in [("read", &mixed.reads), ("write", &mixed.writes)] {
        if histogram.is_empty() {
            continue;
        }
        for (quantile, called) in QUANTILES {
            let operation = format!("{operation}, {what} {called}");
            let nanoseconds = histogram.value_at_quantile(quantile) as f64;
            run.figures
                .add(["latency", row, &operation, name], nanoseconds);
        }
    }
}
