//! A process that writes until it is killed, and checks every answer.

mod bulk;
mod listing;
mod looks;
mod steps;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use shmtable::{Error, Options, Table};

use super::audit;
use super::diary::{Cell, Diary, Effect, Intent, State};
use super::finding::Finding;
use super::shape::{CELLS, DEADLINE, LOCK_TIMEOUT, SUMS, Shape, TrackedKey};
use super::value::{self, Origin};
use crate::result::Result;
use crate::{child, clock};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) shape: Shape,
    #[arg(long)]
    pub(crate) table: String,
    #[arg(long)]
    pub(crate) folder: PathBuf,
    #[arg(long)]
    pub(crate) worker: usize,
    #[arg(long)]
    pub(crate) seed: u64,
}

/// The names of a worker's files.
pub(crate) fn diary(worker: usize) -> String {
    format!("diary {worker}")
}

pub(crate) fn findings(worker: usize) -> String {
    format!("findings {worker}")
}

pub(crate) fn stalls(worker: usize) -> String {
    format!("stalls {worker}")
}

/// An operation that took longer is written to the file of stalls.
const LONG: u64 = 2_000_000;

/// With a list so many times longer, a worker goes as many times more rarely through all entries.
const LISTED_OF_A_STEP: u64 = 100;

/// When each of the long operations of a file began and ended.
pub(crate) fn read_stalls(bytes: &[u8]) -> Vec<(u64, u64)> {
    let words = bytes.as_chunks::<8>().0.iter();
    let words: Vec<u64> = words.map(|&word| u64::from_le_bytes(word)).collect();
    let pairs = words.as_chunks::<2>().0.iter();
    pairs.map(|&[begin, end]| (begin, end)).collect()
}

/// Why an operation did not do what it was asked to.
enum Trouble {
    /// For want of room; nothing has changed.
    Refused,
    Found(Finding),
}

impl From<Finding> for Trouble {
    fn from(finding: Finding) -> Self {
        Self::Found(finding)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::ValueSpaceFull { .. } | Error::TableFull { .. } => Self::Refused,
            error => Self::Found(error.into()),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Found(Finding::wrong(format!("the trial itself failed: {error}")))
    }
}

/// Writes until it is killed, or has had enough, or finds something.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    child::end_with_parent()?;
    let path = |name: String| arguments.folder.join(name);
    let append = |name| File::options().append(true).create(true).open(path(name));
    let mut findings = append(findings(arguments.worker))?;
    // The operation under way, by the moment it began; 0: none.
    let under_way = Arc::new(AtomicU64::new(0));
    let watched = Arc::clone(&under_way);
    let mut report = findings.try_clone()?;
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let since = watched.load(Ordering::Relaxed);
            let nanoseconds = clock::now().saturating_sub(since);
            if since != 0 && u128::from(nanoseconds) > DEADLINE.as_nanos() {
                let text = format!("an operation has not come back for {nanoseconds} ns");
                let _ = writeln!(report, "{}", Finding::hung(text));
                std::process::abort();
            }
        }
    });
    let others: Result<Vec<Diary>, _> = (0..arguments.shape.workers())
        .map(|worker| Diary::open(&path(diary(worker))))
        .collect();
    let stalls = append(stalls(arguments.worker))?;
    under_way.store(clock::now(), Ordering::Relaxed);
    let table = Options::new()
        .lock_timeout(LOCK_TIMEOUT)
        .open(&arguments.table);
    under_way.store(0, Ordering::Relaxed);
    let result = table.map_err(Trouble::from).and_then(|table| {
        let worker = Worker::new(arguments, table, others?, under_way, stalls)?;
        worker.work()
    });
    match result {
        Ok(()) => Ok(true),
        Err(trouble) => {
            let finding = match trouble {
                Trouble::Found(finding) => finding,
                Trouble::Refused => Finding::wrong("refused where no room is needed".to_owned()),
            };
            // One write, so that it is there entirely or not at all.
            findings.write_all(format!("{finding}\n").as_bytes())?;
            Ok(false)
        }
    }
}

struct Worker {
    table: Table,
    shape: Shape,
    me: usize,
    /// All workers', mine too.
    diaries: Vec<Diary>,
    tracked_keys: HashMap<Vec<u8>, TrackedKey>,
    dice: SmallRng,
    step: u64,
    reads: u64,
    refused: u64,
    cells: [Cell; CELLS],
    /// The least step of a writer that a shared key may show from now on.
    least: HashMap<(usize, usize), u64>,
    /// The last answer of each sum.
    sums: [Option<u64>; SUMS.end - SUMS.start],
    under_way: Arc<AtomicU64>,
    stalls: File,
}

impl Worker {
    fn new(
        arguments: &Arguments,
        table: Table,
        diaries: Vec<Diary>,
        under_way: Arc<AtomicU64>,
        stalls: File,
    ) -> Result<Self, Trouble> {
        let (me, shape) = (arguments.worker, arguments.shape);
        let mut cells = [Cell::default(); CELLS];
        for (index, cell) in cells.iter_mut().enumerate() {
            *cell = diaries[me].cell(index)?;
        }
        Ok(Self {
            table,
            shape,
            me,
            tracked_keys: shape.tracked_keys(),
            dice: SmallRng::seed_from_u64(arguments.seed),
            step: diaries[me].intent()?.step,
            diaries,
            reads: 0,
            refused: 0,
            cells,
            least: HashMap::new(),
            sums: [None; _],
            under_way,
            stalls,
        })
    }

    fn work(mut self) -> Result<(), Trouble> {
        // Some lives end in good order.
        for _ in 0..self.dice.random_range(500..50_000) {
            if self.shape.grows() && self.dice.random() {
                match self.dice.random_range(0..4) {
                    0 => self.look_at_lists()?,
                    _ => self.list_more()?,
                }
                continue;
            }
            match self.dice.random_range(0..1000) {
                0..500 => self.own_value()?,
                500..580 => self.own_counter()?,
                580..680 => self.sum()?,
                680..830 => self.shared()?,
                830..900 => self.look_at_own()?,
                900..940 => self.look_at_others()?,
                940..955 => self.look_at_many()?,
                960..985 => self.fill_some()?,
                // These go through all entries, of which there may be many.
                _ if self.dice.random_range(0..=self.listed() / LISTED_OF_A_STEP) != 0 => {}
                955..960 => self.go_through_all()?,
                _ => self.remove_some()?,
            }
        }
        Ok(())
    }

    /// One operation, with a deadline; long ones are written down.
    fn run<R>(
        &mut self,
        operation: impl FnOnce(&Table) -> shmtable::Result<R>,
    ) -> Result<R, Trouble> {
        let begin = clock::now();
        self.under_way.store(begin, Ordering::Relaxed);
        let result = operation(&self.table);
        self.under_way.store(0, Ordering::Relaxed);
        let end = clock::now();
        if end - begin > LONG {
            let times = [begin.to_le_bytes(), end.to_le_bytes()];
            self.stalls.write_all(times.as_flattened())?;
        }
        Ok(result?)
    }

    /// Announces a step, takes it, acknowledges it. The operation says whether it
    /// changed the cell.
    fn take_step<R>(
        &mut self,
        index: usize,
        after: impl FnOnce(u64, State) -> State,
        operation: impl FnOnce(&mut Self, u64) -> Result<(bool, R), Trouble>,
    ) -> Result<Option<R>, Trouble> {
        self.step += 1;
        let step = self.step;
        let before = self.cells[index].state;
        let after = after(step, before);
        self.diaries[self.me].announce(&Intent {
            step,
            time: clock::now(),
            cells: index..index + 1,
            effect: Effect::Becomes(after),
            reads: self.reads,
            refused: self.refused,
        })?;
        let (changed, result) = match operation(self, step) {
            Ok((changed, result)) => (changed, Some(result)),
            Err(Trouble::Refused) => {
                self.refused += 1;
                (false, None)
            }
            Err(found) => return Err(found),
        };
        let state = if changed { after } else { before };
        self.acknowledge(index, state)?;
        Ok(result)
    }

    fn acknowledge(&mut self, index: usize, state: State) -> Result<(), Trouble> {
        let step = self.step;
        self.cells[index] = Cell { step, state };
        Ok(self.diaries[self.me].acknowledge(index, self.cells[index])?)
    }

    /// The value that a step of mine puts under a key.
    fn value_of(me: usize, tracked: TrackedKey, step: u64, length: usize) -> Vec<u8> {
        let origin = Origin {
            writer: me,
            step,
            length,
        };
        value::make(tracked.number(), origin)
    }

    fn pick(&mut self, cells: Range<usize>) -> (usize, TrackedKey, Vec<u8>) {
        let index = self.dice.random_range(cells);
        let tracked = TrackedKey::new(self.me, index);
        (index, tracked, tracked.key())
    }

    /// What was found under an own key must be what the diary says.
    fn expect(&self, tracked: TrackedKey, found: Option<&[u8]>) -> Result<(), Finding> {
        let state = self.cells[tracked.cell].state;
        audit::judge(self.me, tracked, found, &[state])
            .map(drop)
            .map_err(|finding| Finding {
                text: format!("an owner is told: {}", finding.text),
                ..finding
            })
    }
}

/// An answer must be the expected one.
fn told<T: std::fmt::Debug + PartialEq>(
    operation: &str,
    told: &T,
    expected: &T,
) -> Result<(), Finding> {
    if told == expected {
        return Ok(());
    }
    Err(Finding::wrong(format!(
        "{operation} answers {told:?}, expected is {expected:?}"
    )))
}
