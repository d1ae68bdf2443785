//! Starts, stops and kills the workers on one table.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use shmtable::Table;

use super::aim::{Aim, LOOKS};
use super::audit::Ledger;
use super::diary::Diary;
use super::finding::Finding;
use super::folder::Folder;
use super::shape::{CELLS, Shape};
use super::totals::Totals;
use super::{Trial, worker};
use crate::result::Result;
use crate::{child, clock};

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

pub(super) struct Supervisor<'a> {
    trial: &'a Trial<'a>,
    shape: Shape,
    dice: SmallRng,
    folder: Folder,
    table: Table,
    /// The slots of the table's index in the beginning.
    first_slots: usize,
    slots: Vec<Slot>,
    ledger: Ledger,
    /// In a table of one stripe that grows.
    aim: Option<Aim>,
    totals: &'a mut Totals,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(trial: &'a Trial<'a>, shape: Shape, totals: &'a mut Totals) -> Result<Self> {
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
        let table = shape.options(totals.tables).create(&trial.name)?;
        let seed = trial.seed.wrapping_add(totals.tables as u64);
        let stats = table.quick_stats()?;
        let aim = (shape.grows() && stats.stripes == 1).then(Aim::default);
        Ok(Self {
            trial,
            shape,
            aim,
            dice: SmallRng::seed_from_u64(seed),
            folder,
            first_slots: stats.slots,
            table,
            slots,
            ledger: Ledger::new(shape),
            totals,
            findings: Vec::new(),
        })
    }

    /// Kills and stops until the time is over.
    pub(super) fn run(&mut self, time: Duration) -> Result {
        let begin = Instant::now();
        let end = begin + time;
        let every = Duration::from_secs(1) / self.trial.arguments.kills as u32;
        for slot in 0..self.slots.len() {
            self.start(slot)?;
        }
        let mut kill = begin + self.soon(every);
        let mut stop = begin + self.soon(STOPS);
        let mut audit = begin + AUDITS;
        loop {
            self.trial.alive.store(clock::now(), Ordering::Relaxed);
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
                let mut next = resumes.fold(kill.min(stop).min(audit).min(end), Instant::min);
                if let Some(aim) = &mut self.aim {
                    if let Some(process) = aim.target(&self.table, &mut self.dice)? {
                        self.kill_process(process)?;
                    }
                    next = next.min(now + LOOKS);
                }
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
        let shape = self.shape;
        let slot = &mut self.slots[slot];
        if slot.child.is_some() {
            return Ok(());
        }
        slot.first = slot.diary.intent()?.step;
        slot.stops.clear();
        let life = self.totals.kills + self.totals.ends;
        let seed = (self.trial.seed ^ life << 8).wrapping_add(slot.worker as u64);
        let child = child::command("torture-worker")
            .args(["--table", &self.trial.name])
            .arg("--folder")
            .arg(self.folder.as_path())
            .args(["--worker", &slot.worker.to_string()])
            .args(["--seed", &seed.to_string()])
            .args(["--workers", &shape.workers.to_string()])
            .args(["--value-max", &shape.value_max.to_string()])
            .args(["--tables", shape.kind().name()])
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

    /// Kills the worker with this process id.
    fn kill_process(&mut self, process: u32) -> Result {
        let is_it = |slot: &Slot| slot.child.as_ref().is_some_and(|it| it.id() == process);
        if let Some(slot) = self.slots.iter().position(is_it) {
            self.kill(slot)?;
            self.totals.aimed += 1;
            self.start(slot)?;
        }
        Ok(())
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

    /// Leaves no child behind, whatever happened; returns what was found.
    pub(super) fn end(mut self) -> Result<Vec<Finding>> {
        for slot in &mut self.slots {
            if let Some(mut child) = slot.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        let stats = self.table.stats()?;
        self.totals.note(&stats, self.first_slots);
        Ok(self.findings)
    }
}

/// The last stop is over.
fn close(stops: &mut [(u64, u64)]) {
    if let Some(last) = stops.last_mut() {
        last.1 = clock::now();
    }
}
