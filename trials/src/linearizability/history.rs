//! What a process did with a key, and what it was told.

use std::fmt;
use std::io::{self, Read, Write};

/// What a key holds, as one number: 0 if it is not there, a value's number, or a
/// counter's value plus one.
pub(crate) type Content = u64;

pub(crate) const ABSENT: Content = 0;

/// An operation with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Get { found: Content },
    Insert { new: Content, fresh: bool },
    TryInsert { new: Content, won: bool },
    Replace { new: Content, old: Content },
    Update { new: Content, old: Content },
    Remove { there: bool },
    Take { old: Content },
    Exchanged { expected: Content, new: Content },
    NotExchanged { expected: Content, found: Content },
    FetchAdd { add: u64, before: u64 },
    FetchMax { n: u64, before: u64 },
    FetchMin { n: u64, before: u64 },
    GetOrInsert { new: Content, found: Content },
    RemoveIf { removed: bool, found: Content },
}

/// One operation of a process, by the clock of all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryRecord {
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) key: usize,
    pub(crate) answer: Answer,
}

impl fmt::Display for HistoryRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: {:?}", self.begin, self.end, self.answer)
    }
}

const WORDS: usize = 6;

impl HistoryRecord {
    fn words(&self) -> [u64; WORDS] {
        let (code, first, second) = match self.answer {
            Answer::Get { found } => (0, found, 0),
            Answer::Insert { new, fresh } => (1, new, u64::from(fresh)),
            Answer::TryInsert { new, won } => (2, new, u64::from(won)),
            Answer::Replace { new, old } => (3, new, old),
            Answer::Update { new, old } => (4, new, old),
            Answer::Remove { there } => (5, u64::from(there), 0),
            Answer::Take { old } => (6, old, 0),
            Answer::Exchanged { expected, new } => (7, expected, new),
            Answer::NotExchanged { expected, found } => (8, expected, found),
            Answer::FetchAdd { add, before } => (9, add, before),
            Answer::GetOrInsert { new, found } => (10, new, found),
            Answer::RemoveIf { removed, found } => (11, u64::from(removed), found),
            Answer::FetchMax { n, before } => (12, n, before),
            Answer::FetchMin { n, before } => (13, n, before),
        };
        [self.begin, self.end, self.key as u64, code, first, second]
    }

    fn from_words([begin, end, key, code, first, second]: [u64; WORDS]) -> io::Result<Self> {
        let answer = match code {
            0 => Answer::Get { found: first },
            1 => Answer::Insert {
                new: first,
                fresh: second != 0,
            },
            2 => Answer::TryInsert {
                new: first,
                won: second != 0,
            },
            3 => Answer::Replace {
                new: first,
                old: second,
            },
            4 => Answer::Update {
                new: first,
                old: second,
            },
            5 => Answer::Remove { there: first != 0 },
            6 => Answer::Take { old: first },
            7 => Answer::Exchanged {
                expected: first,
                new: second,
            },
            8 => Answer::NotExchanged {
                expected: first,
                found: second,
            },
            9 => Answer::FetchAdd {
                add: first,
                before: second,
            },
            10 => Answer::GetOrInsert {
                new: first,
                found: second,
            },
            11 => Answer::RemoveIf {
                removed: first != 0,
                found: second,
            },
            12 => Answer::FetchMax {
                n: first,
                before: second,
            },
            13 => Answer::FetchMin {
                n: first,
                before: second,
            },
            _ => return Err(io::Error::other("no such operation")),
        };
        let key = key as usize;
        Ok(Self {
            begin,
            end,
            key,
            answer,
        })
    }
}

/// What one process did in a round. Who closes the round reads every key when the
/// others have ended; the others have no closing reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) records: Vec<HistoryRecord>,
    pub(crate) closing: Vec<HistoryRecord>,
    /// Operations that were refused for want of room, and changed nothing.
    pub(crate) refused: u64,
}

impl Part {
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let lengths = [
            self.records.len() as u64,
            self.closing.len() as u64,
            self.refused,
        ];
        to.write_all(lengths.map(u64::to_le_bytes).as_flattened())?;
        for record in self.records.iter().chain(&self.closing) {
            to.write_all(record.words().map(u64::to_le_bytes).as_flattened())?;
        }
        to.flush()
    }

    pub(crate) fn read(from: &mut impl Read) -> io::Result<Self> {
        let [records, closing, refused] = read_words(from)?;
        let mut read = |count| -> io::Result<Vec<HistoryRecord>> {
            (0..count)
                .map(|_| HistoryRecord::from_words(read_words(from)?))
                .collect()
        };
        Ok(Self {
            records: read(records)?,
            closing: read(closing)?,
            refused,
        })
    }
}

fn read_words<const N: usize>(from: &mut impl Read) -> io::Result<[u64; N]> {
    let mut bytes = [[0; 8]; N];
    from.read_exact(bytes.as_flattened_mut())?;
    Ok(bytes.map(u64::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_survives_a_pipe() {
        let answers = [
            Answer::Get { found: 1 },
            Answer::Insert {
                new: 1,
                fresh: true,
            },
            Answer::TryInsert { new: 1, won: false },
            Answer::Replace { new: 1, old: 2 },
            Answer::Update { new: 1, old: 2 },
            Answer::Remove { there: true },
            Answer::Take { old: 1 },
            Answer::Exchanged {
                expected: 1,
                new: 2,
            },
            Answer::NotExchanged {
                expected: 1,
                found: 2,
            },
            Answer::FetchAdd { add: 1, before: 2 },
            Answer::FetchMax { n: 1, before: 2 },
            Answer::FetchMin { n: 1, before: 2 },
            Answer::GetOrInsert { new: 1, found: 2 },
            Answer::RemoveIf {
                removed: true,
                found: 2,
            },
        ];
        let records: Vec<HistoryRecord> = (0..)
            .zip(answers)
            .map(|(time, answer)| HistoryRecord {
                begin: time,
                end: time + 5,
                key: 3,
                answer,
            })
            .collect();
        let part = Part {
            closing: records[..2].to_vec(),
            records,
            refused: 7,
        };
        let mut pipe = Vec::new();
        part.write(&mut pipe).unwrap();
        assert_eq!(Part::read(&mut &pipe[..]).unwrap(), part);
    }
}
