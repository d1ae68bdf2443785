//! The tables at which histories are recorded: one of fixed capacity, or one after the other that
//! grows.

use std::time::Duration;

use shmtable::{Options, Table};

use super::{KEYS, OTHERS};
use crate::result::Result;
use crate::tables::Kind;

/// Rounds on one table that grows. Then a new one is small again, so that stripes are doubled all
/// the time.
const ROUNDS_OF_A_GROWING_TABLE: usize = 20;
/// The most entries of a table that grows: more than come in its rounds.
const MOST: usize = 1 << 18;

/// Under this key the meeting table has the name of the table that is in use.
pub(crate) const NAME: &[u8] = b"name";
/// Under these it has figures of the tables that were, added up.
pub(crate) const CLEANINGS: &[u8] = b"cleanings";
pub(crate) const TABLES: &[u8] = b"tables";
pub(crate) const GROWN: &[u8] = b"grown";

pub(super) const CHUNK: usize = 8192;

/// A table with so little room that it is cleaned all the time; or one that begins as small and
/// grows.
pub(super) fn options(kind: Kind, processes: usize) -> Options {
    let options = Options::new()
        .stripes(2)
        .chunk_size(CHUNK)
        .max_participants(processes + 2)
        .lock_timeout(Duration::from_secs(30));
    match kind {
        Kind::Fixed => options
            .capacity(KEYS + OTHERS)
            .value_space((KEYS + OTHERS) * 1000 + 4 * CHUNK),
        Kind::Growing => options.capacity(KEYS).max_capacity(MOST),
    }
}

/// Whether a round is the first one on a new table.
pub(crate) fn begins_table(kind: Kind, round: usize) -> bool {
    match kind {
        Kind::Fixed => round == 0,
        Kind::Growing => round.is_multiple_of(ROUNDS_OF_A_GROWING_TABLE),
    }
}

/// The table that is in use, if there is one yet.
pub(super) fn open_named(meeting: &Table) -> Result<Option<Table>> {
    let Some(name) = meeting.get(NAME)? else {
        return Ok(None);
    };
    let name = String::from_utf8(name)?;
    Ok(Some(options(Kind::Fixed, 0).open(&name)?))
}

/// Slots that a table has now.
pub(super) fn slots(table: &Table) -> usize {
    // Always given.
    table.quick_stats().map_or(1, |stats| stats.slots)
}
