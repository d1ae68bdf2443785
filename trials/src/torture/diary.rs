//! What a worker was about to do and what it has done, in a file that outlives it.
//!
//! A worker writes the step it is about to take, takes it, and writes what became of
//! the cells it was about (a cell: what one worker knows of one key). Each is one `pwrite`
//! of records that cross no page. The kernel does not end a process in the middle of a
//! copy to a page of the page cache, and the page cache survives a process; so after any
//! death at most one step is announced and not acknowledged. Who reads while the worker writes finds
//! out by a checksum, and reads again.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::value;

const WORDS: usize = 8;
const RECORD: usize = 8 * WORDS;

/// What a cell holds. All zero in the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// The step that wrote it; 0: it is not there.
    pub(crate) origin: u64,
    /// A value's length; a counter's sum; how often the worker removed a shared key.
    pub(crate) measure: u64,
}

/// What an announced step makes of its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// One cell gets this state.
    Becomes(State),
    /// All its cells get new values, one after the other.
    Filled,
    /// All its cells become empty, one after the other.
    Emptied,
}

/// A step that is about to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) step: u64,
    /// When it was announced, by the clock of all processes.
    pub(crate) time: u64,
    pub(crate) cells: Range<usize>,
    pub(crate) effect: Effect,
    /// Reads that this life of the worker has done before.
    pub(crate) reads: u64,
    /// Writes of this life that were refused for want of room.
    pub(crate) refused: u64,
}

impl Intent {
    /// What the step would make of one of its cells.
    pub(crate) fn after(&self, cell: usize) -> State {
        match self.effect {
            Effect::Becomes(state) => state,
            Effect::Filled => State {
                origin: self.step,
                measure: (value::LEAST as u64) + (self.step.wrapping_mul(31) + cell as u64) % 260,
            },
            Effect::Emptied => State::default(),
        }
    }
}

/// What is acknowledged of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The last step that was about it.
    pub(crate) step: u64,
    pub(crate) state: State,
}

impl Cell {
    /// What the cell would be if the announced step happened, if that is not
    /// acknowledged.
    pub(crate) fn pending(&self, cell: usize, intent: &Intent) -> Option<State> {
        (intent.cells.contains(&cell) && intent.step > self.step).then(|| intent.after(cell))
    }
}

pub(crate) struct Diary {
    file: File,
}

impl Diary {
    pub(crate) fn create(path: &Path, cells: usize) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        file.set_len((RECORD * (1 + cells)) as u64)?;
        Ok(Self { file })
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self { file })
    }

    pub(crate) fn announce(&self, intent: &Intent) -> io::Result<()> {
        let (effect, state) = match intent.effect {
            Effect::Becomes(state) => (0, state),
            Effect::Filled => (1, State::default()),
            Effect::Emptied => (2, State::default()),
        };
        let mut words = [0; WORDS];
        words[0] = intent.step;
        words[1] = intent.time;
        words[2] = (intent.cells.start as u64) << 32 | intent.cells.end as u64;
        words[3] = effect;
        words[4] = state.origin;
        words[5] = state.measure;
        words[6] = intent.reads << 32 | intent.refused;
        self.write(0, [words])
    }

    /// The last step that was announced.
    pub(crate) fn intent(&self) -> io::Result<Intent> {
        let words = self.read(0)?;
        Ok(Intent {
            step: words[0],
            time: words[1],
            cells: (words[2] >> 32) as usize..words[2] as u32 as usize,
            effect: match words[3] {
                0 => Effect::Becomes(State {
                    origin: words[4],
                    measure: words[5],
                }),
                1 => Effect::Filled,
                _ => Effect::Emptied,
            },
            reads: words[6] >> 32,
            refused: words[6] & 0xffff_ffff,
        })
    }

    pub(crate) fn acknowledge(&self, cell: usize, now: Cell) -> io::Result<()> {
        self.acknowledge_all(cell, &[now])
    }

    /// Neighboring cells. A death in between leaves the rest unacknowledged.
    pub(crate) fn acknowledge_all(&self, first: usize, cells: &[Cell]) -> io::Result<()> {
        let record = |cell: &Cell| {
            let mut words = [0; WORDS];
            words[0] = cell.step;
            words[1] = cell.state.origin;
            words[2] = cell.state.measure;
            words
        };
        self.write(1 + first, cells.iter().map(record))
    }

    pub(crate) fn cell(&self, cell: usize) -> io::Result<Cell> {
        let words = self.read(1 + cell)?;
        Ok(Cell {
            step: words[0],
            state: State {
                origin: words[1],
                measure: words[2],
            },
        })
    }

    fn write(
        &self,
        first: usize,
        records: impl IntoIterator<Item = [u64; WORDS]>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        for mut words in records {
            words[WORDS - 1] = checksum(&words);
            bytes.extend_from_slice(words.map(u64::to_le_bytes).as_flattened());
        }
        self.file.write_all_at(&bytes, (RECORD * first) as u64)
    }

    fn read(&self, record: usize) -> io::Result<[u64; WORDS]> {
        for _ in 0..10_000 {
            let mut bytes = [[0; 8]; WORDS];
            self.file
                .read_exact_at(bytes.as_flattened_mut(), (RECORD * record) as u64)?;
            let words = bytes.map(u64::from_le_bytes);
            if words == [0; WORDS] || words[WORDS - 1] == checksum(&words) {
                return Ok(words);
            }
            std::thread::yield_now();
        }
        Err(io::Error::other(format!(
            "record {record} of a diary is damaged"
        )))
    }
}

fn checksum(words: &[u64; WORDS]) -> u64 {
    let bytes = words.map(u64::to_le_bytes);
    xxh3_64(bytes[..WORDS - 1].as_flattened())
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::*;

    #[test]
    fn what_is_written_is_read_by_another() {
        let folder = Folder::create().unwrap();
        let path = folder.path("diary");
        let diary = Diary::create(&path, 3).unwrap();
        let other = Diary::open(&path).unwrap();
        assert_eq!(other.intent().unwrap().step, 0);
        assert_eq!(other.cell(2).unwrap(), Cell::default());
        let state = State {
            origin: 5,
            measure: 60,
        };
        for effect in [Effect::Becomes(state), Effect::Filled, Effect::Emptied] {
            let intent = Intent {
                step: 5,
                time: 99,
                cells: 1..3,
                effect,
                reads: 7,
                refused: 2,
            };
            diary.announce(&intent).unwrap();
            assert_eq!(other.intent().unwrap(), intent);
        }
        let cell = Cell { step: 5, state };
        diary.acknowledge(2, cell).unwrap();
        assert_eq!(other.cell(2).unwrap(), cell);
        assert_eq!(other.cell(1).unwrap(), Cell::default());
    }

    #[test]
    fn a_step_is_pending_until_its_cell_is_acknowledged() {
        let state = State {
            origin: 5,
            measure: 60,
        };
        let intent = Intent {
            step: 5,
            time: 99,
            cells: 1..2,
            effect: Effect::Becomes(state),
            reads: 0,
            refused: 0,
        };
        let mut cell = Cell::default();
        assert_eq!(cell.pending(1, &intent), Some(state));
        assert_eq!(cell.pending(0, &intent), None);
        cell.step = 5;
        assert_eq!(cell.pending(1, &intent), None);
    }
}
