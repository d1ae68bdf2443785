//! The time to create an empty table, and to open it, by its size.

use shmtable_bench::Result;
use shmtable_bench::contender::{Room, Sharing};
use shmtable_bench::work::Kind;

use super::Run;
use crate::process::Team;

const TIMES: usize = 3;

pub(crate) fn run(run: &mut Run<'_>) -> Result {
    // The keys don't matter.
    let (_, folder) = run.work(Kind::Decimal, 1000)?;
    let files = |about: &shmtable_bench::contender::About| {
        about.sharing == Sharing::Processes && !about.slow
    };
    for entries in run.scale.sizes.clone() {
        let row = entries.to_string();
        let room = Room {
            entries,
            value_space: 2 * 8 * entries,
            counters: false,
        };
        eprintln!("attach: room for {entries}");
        for _ in 0..TIMES {
            for player in run.players(files) {
                let mut team = Team::start_with_room(&player, &folder, room)?;
                let name = player.about.name;
                let created = team.creation() as f64;
                run.figures.add(["attach", &row, "create", name], created);
                for _ in 0..TIMES {
                    let attached = team.attach()? as f64;
                    run.figures.add(["attach", &row, "attach", name], attached);
                }
            }
        }
    }
    Ok(())
}
