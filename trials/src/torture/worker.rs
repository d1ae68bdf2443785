//! A process that writes until it is killed, and checks every answer.

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
use super::shape::{CELLS, COUNTERS, DEADLINE, LOCK_TIMEOUT, Place, SHARED, SUMS, Shape, VALUES};
use super::value::{self, Origin};
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
pub(crate) fn run(arguments: &Arguments) -> crate::Result<bool> {
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
    places: HashMap<Vec<u8>, Place>,
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
            places: shape.places(),
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
            match self.dice.random_range(0..1000) {
                0..500 => self.own_value()?,
                500..580 => self.own_counter()?,
                580..680 => self.sum()?,
                680..830 => self.shared()?,
                830..900 => self.look_at_own()?,
                900..940 => self.look_at_others()?,
                940..955 => self.look_at_many()?,
                955..960 => self.go_through_all()?,
                960..985 => self.fill_some()?,
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

    fn pick(&mut self, cells: Range<usize>) -> (usize, Place, Vec<u8>) {
        let index = self.dice.random_range(cells);
        let place = Place::new(self.me, index);
        (index, place, place.key())
    }

    /// What was found under an own key must be what the diary says.
    fn expect(&self, place: Place, found: Option<&[u8]>) -> Result<(), Finding> {
        let state = self.cells[place.cell].state;
        audit::judge(self.me, place, found, &[state])
            .map(drop)
            .map_err(|finding| Finding {
                text: format!("an owner is told: {}", finding.text),
                ..finding
            })
    }

    fn own_value(&mut self) -> Result<(), Trouble> {
        let (index, place, key) = self.pick(VALUES);
        let me = self.me;
        let now = self.cells[index].state;
        let there = now.origin != 0;
        let length = self.shape.length(&mut self.dice);
        let new = |step| {
            value::make(
                place.number(),
                Origin {
                    writer: me,
                    step,
                    length,
                },
            )
        };
        let put = |step, _| State {
            origin: step,
            measure: length as u64,
        };
        let gone = |_, _| State::default();
        match self.dice.random_range(0..100) {
            0..35 => self.take_step(index, put, |this, step| {
                let value = new(step);
                let fresh = this.run(|table| table.insert(&key, &value))?;
                told("insert", &fresh, &!there)?;
                Ok((true, ()))
            }),
            35..45 => self.take_step(
                index,
                |step, now| if there { now } else { put(step, now) },
                |this, step| {
                    let value = new(step);
                    let won = this.run(|table| table.try_insert(&key, &value))?;
                    told("try_insert", &won, &!there)?;
                    Ok((won, ()))
                },
            ),
            45..60 => self.take_step(index, put, |this, step| {
                let value = new(step);
                let old = this.run(|table| table.replace(&key, &value))?;
                this.expect(place, old.as_deref())?;
                Ok((true, ()))
            }),
            60..67 => self.take_step(index, gone, |this, _| {
                let removed = this.run(|table| table.remove(&key))?;
                told("remove", &removed, &there)?;
                Ok((true, ()))
            }),
            67..74 => self.take_step(index, gone, |this, _| {
                let taken = this.run(|table| table.take(&key))?;
                this.expect(place, taken.as_deref())?;
                Ok((true, ()))
            }),
            74..86 => {
                let remove = self.dice.random_range(0..8) == 0;
                let dawdle = self.dice.random_range(0..10) == 0;
                let after = |step, now| {
                    if remove {
                        gone(step, now)
                    } else {
                        put(step, now)
                    }
                };
                self.take_step(index, after, |this, step| {
                    let mut seen = None;
                    this.run(|table| {
                        table.update(&key, |old| {
                            seen = Some(old.map(<[u8]>::to_vec));
                            if dawdle {
                                // With the lock held.
                                std::thread::sleep(Duration::from_micros(100));
                            }
                            (!remove).then(|| new(step))
                        })
                    })?;
                    this.expect(place, seen.flatten().as_deref())?;
                    Ok((true, ()))
                })
            }
            _ => return self.exchange_own(place, length),
        }?;
        Ok(())
    }

    /// Exchanges an own value for another, or tries to by a wrong expectation.
    fn exchange_own(&mut self, place: Place, length: usize) -> Result<(), Trouble> {
        let (index, key) = (place.cell, place.key());
        let there = self.cells[index].state.origin != 0;
        let right = self.dice.random_range(0..4) != 0;
        let after = |step, now| {
            let measure = length as u64;
            let put = State {
                origin: step,
                measure,
            };
            if right { put } else { now }
        };
        self.take_step(index, after, |this, step| {
            let origin = Origin {
                writer: this.me,
                step,
                length,
            };
            let new = value::make(place.number(), origin);
            let old = if right {
                there.then(|| this.written(place))
            } else {
                Some(new.clone())
            };
            let outcome =
                this.run(|table| table.compare_exchange(&key, old.as_deref(), Some(&new)))?;
            told("compare_exchange", &outcome.is_ok(), &right)?;
            if let Err(found) = outcome {
                this.expect(place, found.as_deref())?;
            }
            Ok((right, ()))
        })?;
        Ok(())
    }

    /// What an own key holds now; it is there.
    fn written(&self, place: Place) -> Vec<u8> {
        let state = self.cells[place.cell].state;
        let origin = Origin {
            writer: self.me,
            step: state.origin,
            length: state.measure as usize,
        };
        value::make(place.number(), origin)
    }

    fn own_counter(&mut self) -> Result<(), Trouble> {
        let (index, place, key) = self.pick(COUNTERS);
        let add = self.dice.random_range(-1000..=1000);
        let after = |step, now: State| State {
            origin: step,
            measure: (now.measure as i64 + add) as u64,
        };
        self.take_step(index, after, |this, _| {
            let before = this.run(|table| table.fetch_add(&key, add))?;
            let state = this.cells[index].state;
            let found = before.to_le_bytes();
            // An absent counter counts as 0.
            let found = (state.origin != 0 || before != 0).then_some(&found[..]);
            this.expect(place, found)?;
            Ok((true, ()))
        })?;
        Ok(())
    }

    fn sum(&mut self) -> Result<(), Trouble> {
        let (index, place, key) = self.pick(SUMS);
        let length = self.dice.random_range(value::LEAST..400);
        let me = self.me;
        let next = |old: Option<&[u8]>| {
            let step = audit::sum(place, old)? + 1;
            let origin = Origin {
                writer: me,
                step,
                length,
            };
            Ok::<_, Finding>((step - 1, value::make(place.number(), origin)))
        };
        let after = |step, now: State| State {
            origin: step,
            measure: now.measure + 1,
        };
        let before = self.take_step(index, after, |this, _| {
            let before = if !place.is_record_sum() {
                this.run(|table| table.fetch_add(&key, 1))? as u64
            } else if index % 2 == 0 {
                let mut result = Ok(0);
                this.run(|table| {
                    table.update(&key, |old| match next(old) {
                        Ok((before, new)) => {
                            result = Ok(before);
                            Some(new)
                        }
                        Err(finding) => {
                            result = Err(finding);
                            old.map(<[u8]>::to_vec)
                        }
                    })
                })?;
                result?
            } else {
                let mut old = this.run(|table| table.get(&key))?;
                loop {
                    let (before, new) = next(old.as_deref())?;
                    let outcome =
                        this.run(|table| table.compare_exchange(&key, old.as_deref(), Some(&new)))?;
                    match outcome {
                        Ok(()) => break before,
                        Err(found) => old = found,
                    }
                }
            };
            Ok((true, before))
        })?;
        let Some(before) = before else { return Ok(()) };
        let last = self.sums[index - SUMS.start].replace(before);
        let own = self.cells[index].state.measure - 1;
        if last.is_some_and(|last| before <= last) || before < own {
            let number = place.number();
            return Err(Finding::lost(format!(
                "sum {number} was {before} before an addition, and {last:?} before an earlier \
                 one; this writer alone has added {own}"
            ))
            .into());
        }
        Ok(())
    }

    fn shared(&mut self) -> Result<(), Trouble> {
        let (index, place, key) = self.pick(SHARED);
        let me = self.me;
        let length = self.shape.length(&mut self.dice);
        let new = |step| {
            value::make(
                place.number(),
                Origin {
                    writer: me,
                    step,
                    length,
                },
            )
        };
        let put = |step, now: State| State {
            origin: step,
            measure: now.measure,
        };
        let gone = |_, now: State| State {
            origin: 0,
            measure: now.measure + 1,
        };
        match self.dice.random_range(0..100) {
            0..30 => self.take_step(index, put, |this, step| {
                let value = new(step);
                this.run(|table| table.insert(&key, &value))?;
                this.raise(index, me, step);
                Ok((true, ()))
            })?,
            30..45 => self.take_step(index, put, |this, step| {
                let value = new(step);
                let old = this.run(|table| table.replace(&key, &value))?;
                this.look_at_shared(place, old.as_deref(), true)?;
                this.raise(index, me, step);
                Ok((true, ()))
            })?,
            45..55 => self.take_step(index, put, |this, step| {
                let value = new(step);
                let won = this.run(|table| table.try_insert(&key, &value))?;
                if won {
                    this.raise(index, me, step);
                }
                Ok((won, ()))
            })?,
            55..60 => self.take_step(index, gone, |this, step| {
                this.run(|table| table.remove(&key))?;
                this.raise(index, me, step);
                Ok((true, ()))
            })?,
            60..65 => self.take_step(index, gone, |this, step| {
                let taken = this.run(|table| table.take(&key))?;
                this.look_at_shared(place, taken.as_deref(), true)?;
                this.raise(index, me, step);
                Ok((true, ()))
            })?,
            65..80 => self.take_step(index, put, |this, step| {
                let old = this.run(|table| table.get(&key))?;
                this.look_at_shared(place, old.as_deref(), false)?;
                let value = new(step);
                let outcome =
                    this.run(|table| table.compare_exchange(&key, old.as_deref(), Some(&value)))?;
                match &outcome {
                    Ok(()) => {
                        this.look_at_shared(place, old.as_deref(), true)?;
                        this.raise(index, me, step);
                    }
                    Err(found) => this.look_at_shared(place, found.as_deref(), false)?,
                }
                Ok((outcome.is_ok(), ()))
            })?,
            _ => {
                self.reads += 1;
                let found = self.run(|table| table.get(&key))?;
                self.look_at_shared(place, found.as_deref(), false)?;
                None
            }
        };
        Ok(())
    }

    /// From now on a shared key never shows an earlier step of that writer.
    fn raise(&mut self, index: usize, writer: usize, step: u64) {
        let least = self.least.entry((index, writer)).or_default();
        *least = step.max(*least);
    }

    /// A shared key's value must be whole, be one that its writer has announced, and
    /// not be older than what was seen of that writer before. `gone`: this worker has
    /// replaced it.
    fn look_at_shared(
        &mut self,
        place: Place,
        found: Option<&[u8]>,
        gone: bool,
    ) -> Result<(), Trouble> {
        let Some(found) = found else { return Ok(()) };
        let origin = value::read(place.number(), found)?;
        self.announced(place, origin)?;
        let writer = origin.writer;
        let least = self.least.get(&(place.cell, writer)).copied().unwrap_or(0);
        if origin.step < least {
            let number = place.number();
            return Err(Finding::lost(format!(
                "shared key {number} shows {origin:?}, and step {least} of that writer is past"
            ))
            .into());
        }
        self.raise(place.cell, writer, origin.step + u64::from(gone));
        Ok(())
    }

    /// Its writer must have announced the step that wrote it.
    fn announced(&self, place: Place, origin: Origin) -> Result<Intent, Trouble> {
        let number = place.number();
        let wrong = |why| Finding::wrong(format!("key {number} shows {origin:?}: {why}"));
        let diary = self
            .diaries
            .get(origin.writer)
            .ok_or_else(|| wrong("no such writer"))?;
        if place.owner.is_some_and(|owner| owner != origin.writer) {
            return Err(wrong("it is not this writer's").into());
        }
        let intent = diary.intent()?;
        if origin.step > intent.step {
            return Err(wrong("its writer is not there yet").into());
        }
        if origin.step == intent.step && !intent.cells.contains(&place.cell) {
            return Err(wrong("its writer wrote another key in this step").into());
        }
        Ok(intent)
    }

    fn look_at_own(&mut self) -> Result<(), Trouble> {
        let (_, place, key) = self.pick(VALUES.start..COUNTERS.end);
        self.reads += 1;
        let found = self.run(|table| {
            let there = table.contains_key(&key)?;
            let found = table.get(&key)?;
            Ok((there == found.is_some()).then_some(found))
        })?;
        let found = found.ok_or_else(|| told("contains_key", &false, &true).unwrap_err())?;
        Ok(self.expect(place, found.as_deref())?)
    }

    /// Another worker's key: what was acknowledged before the look, or what was
    /// announced before its end.
    fn look_at_others(&mut self) -> Result<(), Trouble> {
        let owner = self.dice.random_range(0..self.shape.workers());
        let place = Place::new(owner, self.dice.random_range(VALUES));
        let key = place.key();
        let before = self.diaries[owner].cell(place.cell)?;
        self.reads += 1;
        let found = self.run(|table| table.get(&key))?;
        let origin = match &found {
            Some(found) => {
                let origin = value::read(place.number(), found)?;
                self.announced(place, origin)?;
                origin.step
            }
            None => 0,
        };
        let intent = self.diaries[owner].intent()?;
        let after = self.diaries[owner].cell(place.cell)?;
        // In this order: a step that was begun before the look is announced still, or
        // acknowledged by now.
        let moved = after.step != before.step || before.pending(place.cell, &intent).is_some();
        let acknowledged = origin == before.state.origin;
        let newer = moved && (origin == 0 || origin > before.step);
        if acknowledged || newer {
            return Ok(());
        }
        let number = place.number();
        let text = format!(
            "key {number} of another shows step {origin}; before was acknowledged {before:?}, \
             after {after:?}, and announced is {intent:?}"
        );
        Err(if origin < before.state.origin {
            Finding::lost(text)
        } else {
            Finding::wrong(text)
        }
        .into())
    }

    fn look_at_many(&mut self) -> Result<(), Trouble> {
        let mut places: Vec<Place> = (0..12).map(|_| self.pick(VALUES).1).collect();
        places.extend((0..4).map(|_| Place::new(0, self.dice.random_range(SHARED))));
        let keys: Vec<Vec<u8>> = places.iter().map(|place| place.key()).collect();
        self.reads += keys.len() as u64;
        let values = self.run(|table| table.get_many(&keys))?;
        told("get_many", &values.len(), &keys.len())?;
        for (place, found) in places.into_iter().zip(values) {
            if place.owner.is_some() {
                self.expect(place, found.as_deref())?;
            } else {
                self.look_at_shared(place, found.as_deref(), false)?;
            }
        }
        Ok(())
    }

    /// Iteration meets every own key once and as it is, and nothing that was not
    /// written.
    fn go_through_all(&mut self) -> Result<(), Trouble> {
        let mut met = [false; CELLS];
        self.reads += 1;
        let entries: Vec<_> = self.run(|table| table.iter().collect())?;
        for (key, found) in entries {
            let Some(&place) = self.places.get(&key) else {
                let key = String::from_utf8_lossy(&key);
                return Err(Finding::wrong(format!("iteration met the key '{key}'")).into());
            };
            if place.owner == Some(self.me) {
                self.expect(place, Some(&found))?;
                told("iteration's 'again'", &met[place.cell], &false)?;
                met[place.cell] = true;
            } else if VALUES.contains(&place.cell) || SHARED.contains(&place.cell) {
                let origin = value::read(place.number(), &found)?;
                self.announced(place, origin)?;
            }
        }
        for index in (VALUES.start..COUNTERS.end).filter(|&index| !met[index]) {
            self.expect(Place::new(self.me, index), None)?;
        }
        Ok(())
    }

    /// Many cells in one step; each of them is changed or not if it fails. Little lies
    /// between one of them and the next, so that a death is likely to fall into a change.
    fn take_long_step(
        &mut self,
        effect: Effect,
        operation: impl FnOnce(&mut Self, &Intent) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        self.step += 1;
        let begin = self.dice.random_range(VALUES);
        let end = self
            .dice
            .random_range(begin + 1..=VALUES.end.min(begin + 6));
        let intent = Intent {
            step: self.step,
            time: clock::now(),
            cells: begin..end,
            effect,
            reads: self.reads,
            refused: self.refused,
        };
        self.diaries[self.me].announce(&intent)?;
        let refused = match operation(self, &intent) {
            Ok(()) => false,
            Err(Trouble::Refused) => true,
            Err(found) => return Err(found),
        };
        self.refused += u64::from(refused);
        for index in intent.cells.clone() {
            let mut state = intent.after(index);
            if refused {
                let place = Place::new(self.me, index);
                let key = place.key();
                let found = self.run(|table| table.get(&key))?;
                let states = [self.cells[index].state, state];
                state = audit::judge(self.me, place, found.as_deref(), &states)?;
            }
            let step = self.step;
            self.cells[index] = Cell { step, state };
        }
        let cells = &self.cells[intent.cells.clone()];
        Ok(self.diaries[self.me].acknowledge_all(intent.cells.start, cells)?)
    }

    fn fill_some(&mut self) -> Result<(), Trouble> {
        self.take_long_step(Effect::Filled, |this, intent| {
            let entries: Vec<_> = intent
                .cells
                .clone()
                .map(|index| {
                    let place = Place::new(this.me, index);
                    let origin = Origin {
                        writer: this.me,
                        step: intent.step,
                        length: intent.after(index).measure as usize,
                    };
                    (place.key(), value::make(place.number(), origin))
                })
                .collect();
            let absent = |&index: &usize| this.cells[index].state.origin == 0;
            let expected = intent.cells.clone().filter(absent).count();
            let new = this.run(|table| table.insert_many(entries))?;
            Ok(told("insert_many", &new, &expected)?)
        })
    }

    fn remove_some(&mut self) -> Result<(), Trouble> {
        self.take_long_step(Effect::Emptied, |this, intent| {
            let there = |&index: &usize| this.cells[index].state.origin != 0;
            let expected = intent.cells.clone().filter(there).count();
            let me = this.me;
            let places = std::mem::take(&mut this.places);
            let mut finding = None;
            let removed = this.run(|table| {
                table.retain(|key, found| {
                    let Some(place) = places.get(key) else {
                        let key = String::from_utf8_lossy(key);
                        finding = Some(Finding::wrong(format!("retain met the key '{key}'")));
                        return true;
                    };
                    if VALUES.contains(&place.cell) || SHARED.contains(&place.cell) {
                        finding = value::read(place.number(), found).err().or(finding.take());
                    }
                    place.owner != Some(me) || !intent.cells.contains(&place.cell)
                })
            });
            this.places = places;
            if let Some(finding) = finding {
                return Err(finding.into());
            }
            Ok(told("retain", &removed?, &expected)?)
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
