//! Work on keys of which nothing is recorded.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use shmtable::{Error, Table};

use super::place::{NAME, open_named};
use super::{Arguments, OTHERS};
use crate::result::Result;
use crate::tables::Kind;

/// Makes garbage and new entries until it is killed, so that records are moved and stripes doubled
/// while others work.
pub(super) fn write_others(meeting: &Table, arguments: &Arguments) -> Result<bool> {
    let mut others = Others::new(arguments.kind, arguments.process, arguments.seed);
    let mut name = Vec::new();
    let mut table = None;
    loop {
        if let Some(now) = meeting.get(NAME)?
            && now != name
        {
            // It may be gone again.
            table = open_named(meeting).unwrap_or(None);
            name = now;
        }
        if let Some(table) = &table {
            for _ in 0..others.at_once() {
                others.write(table)?;
            }
        }
        std::thread::yield_now();
    }
}

/// Keys of which nothing is recorded.
pub(super) struct Others {
    kind: Kind,
    process: usize,
    written: u64,
    dice: SmallRng,
}

impl Others {
    pub(super) fn new(kind: Kind, process: usize, seed: u64) -> Self {
        Self {
            kind,
            process,
            written: 0,
            dice: SmallRng::seed_from_u64(seed.wrapping_add(process as u64)),
        }
    }

    /// The number of writes from which others are not let come.
    fn at_once(&self) -> usize {
        match self.kind {
            Kind::Fixed => 1,
            Kind::Growing => 24,
        }
    }

    /// Overwrites an entry, to make garbage, or makes a new one, if the table grows.
    pub(super) fn write(&mut self, table: &Table) -> Result<(), Error> {
        let (key, value) = if self.kind == Kind::Growing && self.dice.random_range(0..4) != 0 {
            self.written += 1;
            let key = (self.process as u64) << 56 | self.written;
            (key.to_le_bytes().to_vec(), vec![b'x'; 8])
        } else {
            let key = format!("other {}", self.dice.random_range(0..OTHERS));
            (
                key.into_bytes(),
                vec![b'x'; self.dice.random_range(100..1000)],
            )
        };
        match table.insert(&key, &value) {
            Ok(_) | Err(Error::ValueSpaceFull { .. } | Error::TableFull { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
