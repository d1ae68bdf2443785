//! Processes that write are killed and stopped at random; the table is held against what
//! they wrote down.
//!
//! The supervisor starts workers and kills them, some ten milliseconds later. Every death
//! is followed by a look at all that the worker owned; every five seconds all of them die
//! and everything is compared. Stopped workers may hold locks, and the others wait.
//!
//! Half of the time goes to a table of fixed capacity, which is too small for its keys. The other
//! half goes to tables that begin small and grow, one after the other: besides all else, workers
//! list new entries there, and some of the kills are aimed at doublings.
//!
//! # Hangs
//! Between two comparisons one worker is spared, so that its waits are not cut short by
//! its death. A wait for the dead would last: the spared worker, or the comparison, which
//! takes every lock, would run into the lock timeout, which is a finding. What waits
//! without a limit is ended by a watchdog.

mod aim;
mod audit;
mod diary;
mod finding;
mod folder;
mod list;
mod shape;
mod supervisor;
mod totals;
mod value;
pub(crate) mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shmtable::Table;

use self::finding::{Finding, KINDS};
use self::shape::{DEADLINE, Shape};
use self::supervisor::Supervisor;
use self::totals::Totals;
use crate::clock;
use crate::result::Result;
use crate::tables::{CAN_GROW, Kind, kinds};

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

/// The time on one table that grows. Then a new one is small again.
const GROWING: Duration = Duration::from_millis(300);

/// Whether nothing was found.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let seed = arguments.seed.unwrap_or_else(clock::seed);
    println!(
        "torture: {} s, {} workers, values up to {} bytes, --seed {seed}",
        arguments.seconds, arguments.shape.workers, arguments.shape.value_max
    );
    let trial = Trial {
        arguments,
        seed,
        name: format!("torture-{}", std::process::id()),
        alive: Arc::new(AtomicU64::new(clock::now())),
    };
    trial.watch();
    let kinds = kinds(arguments.shape.tables);
    let time = Duration::from_secs(arguments.seconds) / kinds.len() as u32;
    let mut findings = Vec::new();
    for kind in kinds {
        findings.extend(trial.run_on(kind, time)?);
        if !findings.is_empty() {
            break;
        }
    }
    for finding in &findings {
        println!("{finding}");
    }
    let counts: Vec<String> = KINDS
        .iter()
        .map(|&kind| {
            let found = findings.iter().filter(|finding| finding.kind == kind);
            format!("{} {kind}", found.count())
        })
        .collect();
    println!("{}", counts.join(", "));
    let left = files_of(&trial.name)?;
    if !left.is_empty() {
        println!("left in /dev/shm: {left:?}");
    }
    Ok(findings.is_empty() && left.is_empty())
}

/// What all tables of a trial have in common.
struct Trial<'a> {
    arguments: &'a Arguments,
    seed: u64,
    /// Of the table of the moment.
    name: String,
    /// When the supervisor last did something.
    alive: Arc<AtomicU64>,
}

impl Trial<'_> {
    /// For that time on a table of fixed capacity, or on one after the other that grows.
    fn run_on(&self, kind: Kind, time: Duration) -> Result<Vec<Finding>> {
        let begin = Instant::now();
        let mut totals = Totals::default();
        let mut findings = Vec::new();
        while findings.is_empty() && begin.elapsed() < time {
            let left = time.saturating_sub(begin.elapsed());
            let time = match kind {
                Kind::Fixed => left,
                Kind::Growing => left.min(GROWING),
            };
            findings = self.run_on_one(kind, time, &mut totals)?;
        }
        println!("{}:", kind.name());
        totals.print(self.arguments.shape.workers(), begin.elapsed());
        if findings.is_empty() && kind == Kind::Growing && CAN_GROW && !totals.most_have_grown() {
            findings.push(Finding::wrong("most tables have not grown".to_owned()));
        }
        Ok(findings)
    }

    fn run_on_one(&self, kind: Kind, time: Duration, totals: &mut Totals) -> Result<Vec<Finding>> {
        let shape = self.arguments.shape.on(kind);
        let mut supervisor = Supervisor::new(self, shape, totals)?;
        if let Err(error) = supervisor.run(time) {
            // A damaged table fails the supervisor's own operations too.
            let finding = match error.downcast::<shmtable::Error>() {
                Ok(error) => Finding::from(*error),
                Err(error) => Finding::wrong(error.to_string()),
            };
            let text = format!("to the supervisor itself: {}", finding.text);
            supervisor.findings.push(Finding { text, ..finding });
        }
        // What is left has no name: the children are dead, and so is the table.
        let findings = supervisor.end();
        let _ = Table::unlink(&self.name);
        findings
    }

    /// Ends the trial if the supervisor itself hangs in the table.
    fn watch(&self) {
        let (name, alive) = (self.name.clone(), Arc::clone(&self.alive));
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
