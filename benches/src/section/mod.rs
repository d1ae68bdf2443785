//! The sections of the benchmark. Each stores its figures under its own name, in nanoseconds
//! for one operation unless it says otherwise.

pub(crate) mod attach;
pub(crate) mod fullness;
pub(crate) mod growth;
pub(crate) mod locks;
pub(crate) mod shared;
pub(crate) mod sizes;
pub(crate) mod take_over;
pub(crate) mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use shmtable_bench::Result;
use shmtable_bench::contender::{About, Sharing};
use shmtable_bench::figure::Figures;
use shmtable_bench::work::{Kind, Work};
use tempfile::TempDir;

use crate::order::{Keys, Operation, Pass, Passed};
use crate::process::{Player, Team};
use crate::scale::Scale;

/// The memory's limit, as a contender.
pub(crate) const LIMIT: About = About {
    name: "limit",
    setup: "two dependent loads over a table's footprint and the copy of the value, nothing \
            else: each waiting for the one before (`chained`), or not (`independent`); or one \
            load alone (`one load`), or the copy of a value alone",
    hasher: "",
    sharing: Sharing::Unshared,
    slow: false,
};

/// Longer than any pass takes.
const LONG: Duration = Duration::from_mins(10);

/// A run: the contenders, how much is done, and the figures so far.
pub(crate) struct Run<'s> {
    pub(crate) players: Vec<Player>,
    pub(crate) scale: &'s Scale,
    pub(crate) figures: Figures,
    /// Where the keys and values are.
    pub(crate) folder: TempDir,
}

impl Run<'_> {
    /// The players that `take_part` selects, and the limit if it does.
    fn players(&self, take_part: impl Fn(&About) -> bool) -> Vec<Player> {
        let limit = Player {
            about: LIMIT,
            program: None,
        };
        let players = self.players.iter().cloned().chain([limit]);
        players.filter(|player| take_part(&player.about)).collect()
    }

    /// Work of this kind, also written to files.
    fn work(&self, kind: Kind, entries: usize) -> Result<(Work, PathBuf)> {
        let work = Work::new(kind, entries);
        let folder = self.folder.path().to_owned();
        work.write(&folder)?;
        Ok((work, folder))
    }

    /// Adds a sample: the nanoseconds that one operation of the pass took.
    fn passed(&mut self, section: &str, row: &str, operation: &str, about: &About, passed: Passed) {
        let each = passed.nanoseconds as f64 / passed.operations.max(1) as f64;
        self.figures
            .add([section, row, operation, about.name], each);
    }
}

/// A table with all entries, and the time that insertions took. Slow contenders are timed
/// for a part of the entries.
fn filled(player: &Player, folder: &Path, entries: usize) -> Result<(Team, Passed)> {
    let mut team = Team::start(player, folder, None)?;
    let most = if player.about.slow {
        Duration::from_millis(200)
    } else {
        LONG
    };
    let inserted = team.pass(Pass {
        operation: Operation::Insert,
        keys: Keys::Inserted,
        first: 0,
        count: entries,
        most,
    })?;
    let done = inserted.operations as usize;
    if done < entries {
        fill(&mut team, Keys::Inserted, done, entries - done)?;
    }
    Ok((team, inserted))
}

/// Stores the value of these keys again, untimed.
fn fill(team: &mut Team, keys: Keys, first: usize, count: usize) -> Result {
    team.pass(Pass {
        operation: Operation::Fill,
        keys,
        first,
        count,
        most: LONG,
    })?;
    Ok(())
}
