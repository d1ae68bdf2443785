//! Processes that write are killed and stopped at random; the table is held against what
//! they wrote down.
//!
//! The supervisor starts workers and kills them, some ten milliseconds later. Every death
//! is followed by a look at all that the worker owned; every five seconds all of them die
//! and everything is compared. Stopped workers may hold locks, and the others wait.
//!
//! # Hangs
//! Between two comparisons one worker is spared, so that its waits are not cut short by
//! its death. A wait for the dead would last: the spared worker, or the comparison, which
//! takes every lock, would run into the lock timeout, which is a finding. What waits
//! without a limit is ended by a watchdog.

mod audit;
mod diary;
mod finding;
mod folder;
mod shape;
mod value;
pub(crate) mod worker;

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use shmtable::Table;

use self::audit::Ledger;
use self::diary::Diary;
use self::finding::{Finding, KINDS, Kind};
use self::folder::Folder;
use self::shape::{CELLS, DEADLINE, Shape};
use crate::result::Result;
use crate::{child, clock};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    shape: Shape,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Kills in a second, in the mean
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    kills: u64,
    /// What the random choices follow from; a new one by default
    #[arg(long)]
    seed: Option<u64>,
}

/// The time between two stops, in the mean, and the longest stop.
const STOPS: Duration = Duration::from_millis(150);
const LONGEST_STOP: Duration = Duration::from_millis(100);
/// The time from one comparison of everything to the next.
const AUDITS: Duration = Duration::from_secs(5);
/// The number of findings that ends the trial.
const ENOUGH: usize = 20;

/// A place for a worker, of which there is one after the other.
struct Slot {
    worker: usize,
    diary: Diary,
    child: Option<Child>,
    /// The step at which the living worker began.
    first: u64,
    stopped_until: Option<Instant>,
    /// When the living worker was stopped, by the clock of all processes.
    stops: Vec<(u64, u64)>,
}

#[derive(Default)]
struct Totals {
    kills: u64,
    stops: u64,
    ends: u64,
    audits: u64,
    acknowledged: u64,
    unacknowledged: u64,
    reads: u64,
    refused: u64,
    longest_stall: u64,
}

struct Supervisor<'a> {
    arguments: &'a Arguments,
    seed: u64,
    dice: SmallRng,
    name: String,
    folder: Folder,
    table: Table,
    slots: Vec<Slot>,
    ledger: Ledger,
    totals: Totals,
    findings: Vec<Finding>,
    /// When the supervisor last did something.
    alive: Arc<AtomicU64>,
}

/// Whether nothing was found.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let seed = arguments.seed.unwrap_or_else(clock::seed);
    println!(
        "torture: {} s, {} workers, values up to {} bytes, --seed {seed}",
        arguments.seconds, arguments.shape.workers, arguments.shape.value_max
    );
    let mut supervisor = Supervisor::new(arguments, seed)?;
    let begin = Instant::now();
    if let Err(error) = supervisor.run() {
        // A damaged table fails the supervisor's own operations too.
        let finding = match error.downcast::<shmtable::Error>() {
            Ok(error) => Finding::from(*error),
            Err(error) => Finding::wrong(error.to_string()),
        };
        let text = format!("to the supervisor itself: {}", finding.text);
        supervisor.findings.push(Finding { text, ..finding });
    }
    let name = supervisor.name.clone();
    let ok = supervisor.report(begin.elapsed().as_secs_f64());
    // What is left has no name: the children are dead, and so is the table.
    supervisor.end_all();
    drop(supervisor);
    let _ = Table::unlink(&name);
    let left = files_of(&name)?;
    if left.is_empty() {
        return ok;
    }
    println!("left in /dev/shm: {left:?}");
    Ok(false)
}

/// The files in /dev/shm whose names contain the table's.
fn files_of(name: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir("/dev/shm")? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        if file.contains(name) {
            files.push(file);
        }
    }
    Ok(files)
}

impl<'a> Supervisor<'a> {
    fn new(arguments: &'a Arguments, seed: u64) -> Result<Self> {
        let shape = arguments.shape;
        let folder = Folder::create()?;
        let slots: Result<Vec<Slot>> = (0..shape.workers())
            .map(|worker| {
                Ok(Slot {
                    worker,
                    diary: Diary::create(&folder.path(&worker::diary(worker)), CELLS)?,
                    child: None,
                    first: 0,
                    stopped_until: None,
                    stops: Vec::new(),
                })
            })
            .collect();
        let slots = slots?;
        let name = format!("torture-{}", std::process::id());
        let table = shape.options().create(&name)?;
        let alive = Arc::new(AtomicU64::new(clock::now()));
        watch(name.clone(), Arc::clone(&alive));
        Ok(Self {
            arguments,
            seed,
            dice: SmallRng::seed_from_u64(seed),
            name,
            folder,
            table,
            slots,
            ledger: Ledger::new(shape),
            totals: Totals::default(),
            findings: Vec::new(),
            alive,
        })
    }

    /// Kills and stops until the time is over.
    fn run(&mut self) -> Result {
        let begin = Instant::now();
        let end = begin + Duration::from_secs(self.arguments.seconds);
        let every = Duration::from_secs(1) / self.arguments.kills as u32;
        for slot in 0..self.slots.len() {
            self.start(slot)?;
        }
        let mut kill = begin + self.soon(every);
        let mut stop = begin + self.soon(STOPS);
        let mut audit = begin + AUDITS;
        loop {
            self.alive.store(clock::now(), Ordering::Relaxed);
            let now = Instant::now();
            if now >= end || self.findings.len() >= ENOUGH {
                break;
            }
            self.resume(now);
            if now >= audit {
                self.audit()?;
                audit = Instant::now() + AUDITS;
                for slot in 0..self.slots.len() {
                    self.start(slot)?;
                }
            } else if now >= kill {
                // The last one is spared, if it is not the only one.
                let slot = self.dice.random_range(0..self.slots.len().max(2) - 1);
                self.kill(slot)?;
                self.start(slot)?;
                // From the time it was due, so that the mean holds; within reason.
                kill = (kill + self.soon(every)).max(now);
            } else if now >= stop {
                self.stop()?;
                stop = now + self.soon(STOPS);
            } else {
                for slot in 0..self.slots.len() {
                    self.notice_end(slot)?;
                }
                let resumes = self.slots.iter().filter_map(|slot| slot.stopped_until);
                let next = resumes.fold(kill.min(stop).min(audit).min(end), Instant::min);
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        }
        self.audit()
    }

    /// Any time up to twice the mean.
    fn soon(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.dice.random_range(0.0..2.0))
    }

    fn start(&mut self, slot: usize) -> Result {
        let shape = self.arguments.shape;
        let slot = &mut self.slots[slot];
        if slot.child.is_some() {
            return Ok(());
        }
        slot.first = slot.diary.intent()?.step;
        slot.stops.clear();
        let life = self.totals.kills + self.totals.ends;
        let seed = (self.seed ^ life << 8).wrapping_add(slot.worker as u64);
        let child = child::command("torture-worker")
            .args(["--table", &self.name])
            .arg("--folder")
            .arg(self.folder.as_path())
            .args(["--worker", &slot.worker.to_string()])
            .args(["--seed", &seed.to_string()])
            .args(["--workers", &shape.workers.to_string()])
            .args(["--value-max", &shape.value_max.to_string()])
            .spawn()?;
        slot.child = Some(child);
        Ok(())
    }

    fn kill(&mut self, slot: usize) -> Result {
        let Some(mut child) = self.slots[slot].child.take() else {
            return Ok(());
        };
        // It is our child, and not reaped, so no other process has its id.
        child.kill()?;
        let time = clock::now();
        let status = child.wait()?;
        self.totals.kills += 1;
        self.bury(slot, status, Some(time))
    }

    /// Some workers end by themselves.
    fn notice_end(&mut self, slot: usize) -> Result {
        let Some(child) = &mut self.slots[slot].child else {
            return Ok(());
        };
        let Some(status) = child.try_wait()? else {
            return Ok(());
        };
        self.slots[slot].child = None;
        self.totals.ends += 1;
        self.bury(slot, status, None)?;
        self.start(slot)
    }

    /// Looks at what a dead worker has left; `killed`: when it was killed.
    fn bury(&mut self, slot: usize, status: ExitStatus, killed: Option<u64>) -> Result {
        let slot = &mut self.slots[slot];
        if slot.stopped_until.take().is_some() {
            close(&mut slot.stops);
        }
        let path = self.folder.path(&worker::findings(slot.worker));
        let told = std::fs::read_to_string(&path).unwrap_or_default();
        let findings: Vec<Finding> = told.lines().map(Finding::parse).collect();
        if !told.is_empty() {
            std::fs::write(&path, "")?;
        }
        let as_expected = status.success() || killed.is_some() && status.signal() == Some(9);
        if !as_expected && findings.is_empty() {
            let text = format!("worker {} ended with {status}", slot.worker);
            self.findings.push(Finding::wrong(text));
        }
        self.findings.extend(findings);

        let intent = slot.diary.intent()?;
        let before = self.ledger.unacknowledged;
        let found = self.ledger.settle(&self.table, slot.worker, &slot.diary)?;
        self.findings.extend(found);
        let open = self.ledger.unacknowledged - before;
        self.totals.unacknowledged += open;

        let path = self.folder.path(&worker::stalls(slot.worker));
        let bytes = std::fs::read(&path).unwrap_or_default();
        let mut stalls: Vec<(u64, u64)> = worker::read_stalls(&bytes);
        if let Some(killed) = killed
            && open > 0
        {
            // It was waiting, perhaps, and would have waited longer.
            stalls.push((intent.time, killed));
        }
        for (begin, end) in stalls {
            let stopped = |&(from, to): &(u64, u64)| from <= end && begin <= to;
            if !slot.stops.iter().any(stopped) {
                let time = end.saturating_sub(begin);
                self.totals.longest_stall = self.totals.longest_stall.max(time);
            }
        }
        if !bytes.is_empty() {
            std::fs::write(&path, "")?;
        }

        if intent.step > slot.first {
            self.totals.acknowledged += intent.step - slot.first - open;
            self.totals.reads += intent.reads;
            self.totals.refused += intent.refused;
        }
        Ok(())
    }

    /// Stops a worker, unless it would be the last that runs.
    fn stop(&mut self) -> Result {
        let running: Vec<usize> = (0..self.slots.len())
            .filter(|&slot| self.slots[slot].stopped_until.is_none())
            .collect();
        if running.len() < 2 {
            return Ok(());
        }
        let slot = running[self.dice.random_range(0..running.len())];
        let time = LONGEST_STOP.mul_f64(self.dice.random_range(0.01..1.0));
        let slot = &mut self.slots[slot];
        if let Some(child) = &slot.child {
            slot.stops.push((clock::now(), u64::MAX));
            slot.stopped_until = Some(Instant::now() + time);
            kill_process(Pid::from_child(child), Signal::STOP)?;
            self.totals.stops += 1;
        }
        Ok(())
    }

    fn resume(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if let Some(until) = slot.stopped_until
                && until <= now
                && let Some(child) = &slot.child
            {
                // It may have been killed from outside, which is noticed later.
                let _ = kill_process(Pid::from_child(child), Signal::CONT);
                slot.stopped_until = None;
                close(&mut slot.stops);
            }
        }
    }

    /// Kills all workers and compares everything.
    fn audit(&mut self) -> Result {
        for slot in 0..self.slots.len() {
            self.kill(slot)?;
        }
        let diaries: Vec<&Diary> = self.slots.iter().map(|slot| &slot.diary).collect();
        let found = self.ledger.audit(&self.table, &diaries)?;
        self.findings.extend(found);
        self.totals.audits += 1;
        Ok(())
    }

    /// Leaves no child behind, whatever happened.
    fn end_all(&mut self) {
        for slot in &mut self.slots {
            if let Some(mut child) = slot.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }

    fn report(&self, seconds: f64) -> Result<bool> {
        for finding in &self.findings {
            println!("{finding}");
        }
        let totals = &self.totals;
        let stats = self.table.stats()?;
        println!(
            "{seconds:.1} s, {} workers: {} kills ({:.1} a second), {} stops, {} orderly ends, \
             {} comparisons of everything",
            self.slots.len(),
            totals.kills,
            totals.kills as f64 / seconds,
            totals.stops,
            totals.ends,
            totals.audits
        );
        println!(
            "{} writes acknowledged ({} refused for want of room), {} open when their process \
             died, {} reads",
            totals.acknowledged, totals.refused, totals.unacknowledged, totals.reads
        );
        println!(
            "{} take-overs, {} cleanings, longest stall {:.1} ms",
            stats.take_overs,
            stats.cleanings,
            totals.longest_stall as f64 / 1e6
        );
        let count = |kind: Kind| {
            let found = self.findings.iter();
            found.filter(|finding| finding.kind == kind).count()
        };
        let counts: Vec<String> = KINDS
            .iter()
            .map(|&kind| format!("{} {kind}", count(kind)))
            .collect();
        println!("{}", counts.join(", "));
        Ok(self.findings.is_empty())
    }
}

/// The last stop is over.
fn close(stops: &mut [(u64, u64)]) {
    if let Some(last) = stops.last_mut() {
        last.1 = clock::now();
    }
}

/// Ends the trial if the supervisor itself hangs in the table.
fn watch(name: String, alive: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let silent = clock::now().saturating_sub(alive.load(Ordering::Relaxed));
            if u128::from(silent) > 2 * DEADLINE.as_nanos() {
                let text = format!("the supervisor has done nothing for {silent} ns");
                println!("{}", Finding::hung(text));
                let _ = Table::unlink(&name);
                // The kernel ends the children with it.
                std::process::exit(1);
            }
        }
    });
}
