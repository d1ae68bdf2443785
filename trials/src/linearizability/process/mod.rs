//! A process that works on the hot keys, in rounds, and records each answer.

mod others;
pub(crate) mod place;

use std::io::BufWriter;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use shmtable::{Claimed, Error, Table};
use xxhash_rust::xxh3::xxh3_64;

use self::others::{Others, write_others};
use self::place::{CHUNK, begins_table, open_named, options, slots};
use super::history::{ABSENT, Answer, Content, HistoryRecord, Part};
use crate::result::Result;
use crate::tables::Kind;
use crate::{child, clock};

/// Hot keys: those of values, then those of counters.
pub(crate) const VALUES: usize = 3;
pub(crate) const KEYS: usize = 5;
/// Operations of each process in a round.
pub(crate) const ROUND: usize = 60;
/// Keys that are overwritten to make garbage.
const OTHERS: usize = 40;
/// Longer than any other process computes.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    pub(crate) kind: Kind,
    /// The table at which processes meet
    #[arg(long)]
    pub(crate) meeting: String,
    #[arg(long)]
    pub(crate) process: usize,
    #[arg(long)]
    pub(crate) processes: usize,
    #[arg(long)]
    pub(crate) rounds: usize,
    #[arg(long)]
    pub(crate) seed: u64,
}

/// Plays all rounds; what was done goes to the standard output.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    child::end_with_parent()?;
    let meeting = Table::open(&arguments.meeting)?;
    if arguments.process == arguments.processes {
        return write_others(&meeting, arguments);
    }
    let kind = arguments.kind;
    let mut player = None;
    let mut output = BufWriter::new(std::io::stdout().lock());
    for round in 0..arguments.rounds {
        let meet = |moment| meet(&meeting, arguments.processes, 2 * round + moment);
        let begins = begins_table(kind, round);
        let mut first = None;
        if begins && arguments.process == 0 {
            let table = options(kind, arguments.processes).create_anonymous()?;
            meeting.insert(place::NAME, table.name())?;
            first = Some(table);
        }
        meet(0)?;
        if begins {
            let table = match first {
                Some(table) => table,
                None => open_named(&meeting)?.ok_or("there is no table")?,
            };
            match &mut player {
                None => {
                    let (process, seed) = (arguments.process, arguments.seed);
                    player = Some(Player::new(kind, table, process, seed));
                }
                Some(player) => player.change_to(table),
            }
        }
        let player = player.as_mut().ok_or("the first round begins a table")?;
        let mut part = player.round(round)?;
        meet(1)?;
        if round % arguments.processes == arguments.process {
            part.closing = player.close()?;
        }
        let ends = round + 1 == arguments.rounds || begins_table(kind, round + 1);
        if ends && arguments.process == 0 {
            player.leave(&meeting)?;
        }
        part.write(&mut output)?;
    }
    Ok(true)
}

/// Comes back when all have come. It need not be believed: the times in the history
/// tell whether rounds overlap.
fn meet(meeting: &Table, processes: usize, moment: usize) -> Result {
    let key = moment.to_le_bytes();
    let all = processes as i64;
    let mut come = meeting.fetch_add(&key, 1)? + 1;
    while come < all {
        std::thread::yield_now();
        let value = meeting.get(&key)?.ok_or("a meeting place is gone")?;
        come = i64::from_le_bytes(value.as_slice().try_into()?);
    }
    // All processes have left the moment before last.
    if let Some(past) = moment.checked_sub(2) {
        meeting.remove(&past.to_le_bytes())?;
    }
    Ok(())
}

/// What a process knows of the keys, and does with them.
pub(crate) struct Player {
    table: Table,
    /// Slots that the table had in the beginning.
    first_slots: usize,
    others: Others,
    process: usize,
    dice: SmallRng,
    values: u64,
    /// What was last seen of each key: what an exchange expects.
    seen: [Content; KEYS],
    mark: AtomicU64,
}

impl Player {
    pub(crate) fn new(kind: Kind, table: Table, process: usize, seed: u64) -> Self {
        Self {
            first_slots: slots(&table),
            table,
            others: Others::new(kind, process, seed),
            process,
            dice: SmallRng::seed_from_u64(seed.wrapping_add(process as u64)),
            values: 0,
            seen: [ABSENT; KEYS],
            mark: AtomicU64::new(0),
        }
    }

    /// Goes on with another table, in which nothing is.
    pub(crate) fn change_to(&mut self, table: Table) {
        self.first_slots = slots(&table);
        self.table = table;
        self.seen = [ABSENT; KEYS];
    }

    /// How many times as many slots the table has as in the beginning.
    pub(crate) fn grown(&self) -> usize {
        slots(&self.table) / self.first_slots
    }

    /// Checks the table, and adds its figures to those of the tables before.
    fn leave(&self, meeting: &Table) -> Result {
        let broken = self.table.check()?;
        if !broken.is_empty() {
            return Err(format!("check: {broken:?}").into());
        }
        let stats = self.table.stats()?;
        meeting.fetch_add(place::TABLES, 1)?;
        meeting.fetch_add(place::CLEANINGS, stats.cleanings as i64)?;
        meeting.fetch_add(place::GROWN, self.grown() as i64)?;
        Ok(())
    }

    /// Some operations on keys that the others work on too, most of them on one.
    pub(crate) fn round(&mut self, number: usize) -> Result<Part> {
        let mut part = Part::default();
        for _ in 0..ROUND {
            let key = match self.dice.random_range(0..4) {
                0 => self.dice.random_range(0..KEYS),
                _ => number % KEYS,
            };
            match self.operation(key) {
                Ok(record) => part.records.push(record),
                Err(Trouble::Refused) => part.refused += 1,
                Err(Trouble::Failed(error)) => return Err(error),
            }
            match self.dice.random_range(0..16) {
                0..2 => std::thread::yield_now(),
                2..4 => self.others.write(&self.table)?,
                _ => {}
            }
        }
        Ok(part)
    }

    /// Reads every key. No other process is at work.
    pub(crate) fn close(&mut self) -> Result<Vec<HistoryRecord>> {
        let mut records = Vec::with_capacity(KEYS);
        for key in 0..KEYS {
            match self.get(key) {
                Ok(record) => records.push(record),
                Err(Trouble::Refused) => return Err("a read was refused".into()),
                Err(Trouble::Failed(error)) => return Err(error),
            }
        }
        Ok(records)
    }

    fn get(&mut self, key: usize) -> Result<HistoryRecord, Trouble> {
        self.record(key, |table, name| {
            let found = content(key, table.get(name)?.as_deref())?;
            Ok(Answer::Get { found })
        })
    }

    fn operation(&mut self, key: usize) -> Result<HistoryRecord, Trouble> {
        let choice = self.dice.random_range(0..100);
        if key >= VALUES {
            return self.count(key, choice);
        }
        let (new, value) = self.new_value();
        let seen = self.seen[key];
        let yields = self.dice.random_range(0..3);
        // Of 8 bytes, which need no room: a value without room is returned all the same.
        let small = new & !15;
        match choice {
            0..24 => self.get(key),
            24..34 => self.record(key, |table, name| {
                let fresh = table.insert(name, &value)?;
                Ok(Answer::Insert { new, fresh })
            }),
            34..44 => self.record(key, |table, name| {
                let won = table.try_insert(name, &value)?;
                Ok(Answer::TryInsert { new, won })
            }),
            44..52 => self.record(key, |table, name| {
                let old = content(key, table.replace(name, &value)?.as_deref())?;
                Ok(Answer::Replace { new, old })
            }),
            52..58 => self.record(key, |table, name| {
                let mut old = Ok(ABSENT);
                table.update(name, |found| {
                    old = content(key, found);
                    // With the lock held: the others come and wait.
                    pause(yields);
                    Some(value.clone())
                })?;
                Ok(Answer::Update { new, old: old? })
            }),
            58..64 => self.record(key, |table, name| {
                let there = table.remove(name)?;
                Ok(Answer::Remove { there })
            }),
            64..69 => self.record(key, |table, name| {
                let old = content(key, table.take(name)?.as_deref())?;
                Ok(Answer::Take { old })
            }),
            69..75 => self.remove_if(key, yields),
            75..83 => self.compute(key, small, value_of(small), yields),
            83..90 => self.record(key, |table, name| {
                claim(table, name, key, (new, &value), yields)
            }),
            _ => self.record(key, |table, name| {
                let expected = (seen != ABSENT).then(|| value_of(seen));
                let outcome = table.compare_exchange(name, expected.as_deref(), Some(&value))?;
                Ok(match outcome {
                    Ok(()) => Answer::Exchanged {
                        expected: seen,
                        new,
                    },
                    Err(found) => Answer::NotExchanged {
                        expected: seen,
                        found: content(key, found.as_deref())?,
                    },
                })
            }),
        }
    }

    fn count(&mut self, key: usize, choice: usize) -> Result<HistoryRecord, Trouble> {
        let add = self.dice.random_range(1..10);
        let yields = self.dice.random_range(0..3);
        match choice {
            0..20 => self.get(key),
            20..30 => self.record(key, |table, name| {
                let before = counted(table.fetch_max(name, add)?)?;
                let n = add as u64;
                Ok(Answer::FetchMax { n, before })
            }),
            30..40 => self.record(key, |table, name| {
                let before = counted(table.fetch_min(name, add)?)?;
                let n = add as u64;
                Ok(Answer::FetchMin { n, before })
            }),
            40..80 => self.record(key, |table, name| {
                let before = counted(table.fetch_add(name, add)?)?;
                let add = add as u64;
                Ok(Answer::FetchAdd { add, before })
            }),
            80..90 => self.compute(key, add as u64 + 1, add.to_le_bytes().to_vec(), yields),
            90..93 => self.remove_if(key, yields),
            93..97 => self.record(key, |table, name| {
                let there = table.remove(name)?;
                Ok(Answer::Remove { there })
            }),
            _ => self.record(key, |table, name| {
                let old = content(key, table.take(name)?.as_deref())?;
                Ok(Answer::Take { old })
            }),
        }
    }

    fn compute(
        &mut self,
        key: usize,
        new: Content,
        value: Vec<u8>,
        yields: usize,
    ) -> Result<HistoryRecord, Trouble> {
        self.record(key, |table, name| {
            let found = table.get_or_try_insert_with(name, PATIENCE, || {
                // Other processes store at the same time.
                pause(yields);
                Ok::<_, Error>(value)
            })?;
            let found = content(key, Some(&found))?;
            Ok(Answer::GetOrInsert { new, found })
        })
    }

    fn remove_if(&mut self, key: usize, yields: usize) -> Result<HistoryRecord, Trouble> {
        self.record(key, |table, name| {
            let mut found = Ok(ABSENT);
            let removed = table.remove_if(name, |value| {
                found = content(key, Some(value));
                pause(yields);
                yields > 0
            })?;
            let found = found?;
            if removed == (found != ABSENT && yields > 0) {
                Ok(Answer::RemoveIf { removed, found })
            } else {
                Err(format!("key {key}: remove_if did not as it was told").into())
            }
        })
    }

    /// Does something, with its times.
    fn record(
        &mut self,
        key: usize,
        operation: impl FnOnce(&Table, &[u8]) -> Result<Answer, Trouble>,
    ) -> Result<HistoryRecord, Trouble> {
        let name = format!("hot {key}");
        let begin = clock::begin(&self.mark);
        let answer = operation(&self.table, name.as_bytes());
        let end = clock::end(&self.mark);
        let answer = answer?;
        self.seen[key] = match answer {
            Answer::Get { found }
            | Answer::NotExchanged { found, .. }
            | Answer::GetOrInsert { found, .. }
            | Answer::RemoveIf {
                removed: false,
                found,
            } => found,
            Answer::Insert { new, .. }
            | Answer::TryInsert { new, won: true }
            | Answer::Replace { new, .. }
            | Answer::Update { new, .. }
            | Answer::Exchanged { new, .. } => new,
            Answer::Remove { .. } | Answer::Take { .. } | Answer::RemoveIf { .. } => ABSENT,
            Answer::TryInsert { won: false, .. }
            | Answer::FetchAdd { .. }
            | Answer::FetchMax { .. }
            | Answer::FetchMin { .. } => self.seen[key],
        };
        Ok(HistoryRecord {
            begin,
            end,
            key,
            answer,
        })
    }

    /// A value that no other operation writes, ever.
    fn new_value(&mut self) -> (Content, Vec<u8>) {
        self.values += 1;
        let kind = self.dice.random_range(0..16);
        let number = (self.process as u64 + 1) << 56 | self.values << 4 | kind;
        (number, value_of(number))
    }
}

/// Lets others come.
fn pause(yields: usize) {
    for _ in 0..yields {
        std::thread::yield_now();
    }
}

/// What is there, or else what this process stores under a claim.
fn claim(
    table: &Table,
    name: &[u8],
    key: usize,
    (new, value): (Content, &[u8]),
    yields: usize,
) -> Result<Answer, Trouble> {
    let claimed = match table.get_or_claim(name)? {
        Claimed::Others(other) => other.wait(PATIENCE)?,
        claimed => claimed,
    };
    match claimed {
        Claimed::Present(found) => Ok(Answer::Get {
            found: content(key, Some(&found))?,
        }),
        Claimed::Mine(claim) => {
            pause(yields);
            let found = match claim.insert(value)? {
                None => new,
                Some(found) => content(key, Some(&found))?,
            };
            Ok(Answer::GetOrInsert { new, found })
        }
        others => Err(format!("key {key} is claimed and never stored: {others:?}").into()),
    }
}

enum Trouble {
    /// For want of room; nothing has changed.
    Refused,
    Failed(Box<dyn std::error::Error>),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::ValueSpaceFull { .. } => Self::Refused,
            error => Self::Failed(error.into()),
        }
    }
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self::Failed(text.into())
    }
}

/// The value of a number: a word, a record, or one of more than a chunk.
fn value_of(number: Content) -> Vec<u8> {
    let mixed = xxh3_64(&number.to_le_bytes());
    let length = match number % 16 {
        0..5 => 8,
        5..15 => 9 + (mixed % 400) as usize,
        _ => CHUNK + (mixed % 4000) as usize,
    };
    let mut value = number.to_le_bytes().to_vec();
    let mut state = mixed;
    while value.len() < length {
        value.extend_from_slice(&state.to_le_bytes());
        state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    }
    value.truncate(length);
    value
}

/// A counter's value, which is never negative here.
fn counted(value: i64) -> Result<u64, String> {
    u64::try_from(value).map_err(|_| format!("counter {value}"))
}

/// The number of a value that was found.
fn content(key: usize, found: Option<&[u8]>) -> Result<Content, String> {
    let Some(found) = found else {
        return Ok(ABSENT);
    };
    let torn = || format!("key {key} holds {} bytes that nobody wrote", found.len());
    let word = found.first_chunk().ok_or_else(torn)?;
    let number = u64::from_le_bytes(*word);
    if key >= VALUES {
        return if found.len() == 8 {
            Ok(number + 1)
        } else {
            Err(torn())
        };
    }
    if found == value_of(number) {
        Ok(number)
    } else {
        Err(torn())
    }
}

#[cfg(test)]
mod tests;
