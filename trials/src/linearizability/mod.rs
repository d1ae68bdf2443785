//! Processes work on a few hot keys while records are moved around them; every answer
//! must be explained by an order of single steps.
//!
//! Half of the histories are of a table of fixed capacity, the others of tables that grow: each of
//! these is used for a few rounds, in which its stripes are doubled again and again.
//!
//! The processes play rounds, and meet after each. The conductor stops one of them now
//! and then in the middle of what it does, and checks what comes in.

mod history;
mod model;
pub(crate) mod process;

use std::io::BufReader;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use shmtable::{Options, Table};

use self::history::{ABSENT, Part};
use self::model::{Figures, check_round};
use self::process::{KEYS, ROUND, place};
use crate::result::Result;
use crate::tables::{CAN_GROW, Kind, kinds};
use crate::{child, clock};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many, of all processes together
    #[arg(long, default_value_t = 1_000_000)]
    operations: usize,
    /// Processes that work at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=100))]
    processes: u8,
    /// What the random choices follow from; a new one by default
    #[arg(long)]
    seed: Option<u64>,
    /// Only on tables of one kind; half of the operations on each by default
    #[arg(long)]
    tables: Option<Kind>,
}

/// Longer than any round takes: who waits so long, hangs.
const LIMIT: Duration = Duration::from_mins(3);
/// Rounds that are not checked yet, at most.
const BACKLOG: usize = 64;

/// Processes that end with this.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether every history is linearizable.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let seed = arguments.seed.unwrap_or_else(clock::seed);
    println!(
        "linearizability: {} operations, {} processes, --seed {seed}",
        arguments.operations, arguments.processes
    );
    let kinds = kinds(arguments.tables);
    let operations = arguments.operations / kinds.len();
    for kind in kinds {
        if !run_on(kind, operations, usize::from(arguments.processes), seed)? {
            return Ok(false);
        }
    }
    println!("all of them are linearizable");
    Ok(true)
}

/// Records and checks histories on tables of one kind.
fn run_on(kind: Kind, operations: usize, processes: usize, seed: u64) -> Result<bool> {
    let rounds = operations.div_ceil(processes * ROUND).max(1);
    let begin = Instant::now();
    let meeting = Options::new().capacity(100).create_anonymous()?;
    let mut children = Children(Vec::new());
    // One more than processes: it writes other keys.
    for process in 0..=processes {
        let child = child::command("linearizability-process")
            .stdout(Stdio::piped())
            .args(["--kind", kind.name()])
            .args(["--meeting", meeting.name()])
            .args(["--process", &process.to_string()])
            .args(["--processes", &processes.to_string()])
            .args(["--rounds", &rounds.to_string()])
            .args(["--seed", &seed.to_string()])
            .spawn()?;
        children.0.push(child);
    }
    let sources = receive(&mut children, processes)?;
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut figures = Figures::default();
    let mut outcome = Ok(());
    let mut stops = 0_u64;
    let (mut contents, mut quiet) = ([ABSENT; KEYS], 0);
    for round in 0..rounds {
        if place::begins_table(kind, round) {
            contents = [ABSENT; KEYS];
        }
        // In the middle of what it does; the others go on.
        if dice.random_range(0..8) == 0 {
            let pid = Pid::from_child(&children.0[dice.random_range(0..processes)]);
            kill_process(pid, Signal::STOP)?;
            std::thread::sleep(Duration::from_micros(dice.random_range(50..1000)));
            kill_process(pid, Signal::CONT)?;
            stops += 1;
        }
        let parts: Result<Vec<Part>> = sources.iter().map(next).collect();
        outcome = parts
            .map_err(|error| error.to_string())
            .and_then(|parts| check_round(&parts, &mut contents, &mut quiet, &mut figures));
        if outcome.is_err() {
            break;
        }
    }
    drop(children);
    if let Some(name) = meeting.get(place::NAME)? {
        // Its creator was killed.
        let _ = Table::unlink(&String::from_utf8(name)?);
    }
    let of_tables = |figure: &[u8]| meeting.fetch_add(figure, 0);
    let (tables, grown) = (of_tables(place::TABLES)?, of_tables(place::GROWN)?);
    if outcome.is_ok() && kind == Kind::Growing && CAN_GROW && grown <= tables {
        outcome = Err("no table has grown".to_owned());
    }
    println!(
        "{}: {} operations of {processes} processes on {KEYS} keys, {:.0} % of them while another \
         was at work on the key; {} refused, {stops} stops, {} cleanings",
        kind.name(),
        figures.operations,
        100.0 * figures.overlapping as f64 / figures.operations.max(1) as f64,
        figures.refused,
        of_tables(place::CLEANINGS)?
    );
    println!(
        "{} windows, the longest of {} operations; {:.1} s",
        figures.windows,
        figures.longest,
        begin.elapsed().as_secs_f64()
    );
    if kind == Kind::Growing {
        let mean = grown / tables.max(1);
        println!("{tables} tables, which grew to {mean} times their size in the mean");
    }
    if let Err(text) = &outcome {
        println!("{text}");
    }
    Ok(outcome.is_ok())
}

/// What each process writes, as it comes.
fn receive(children: &mut Children, processes: usize) -> Result<Vec<Receiver<Part>>> {
    let mut sources = Vec::new();
    for child in children.0.iter_mut().take(processes) {
        let output = child.stdout.take().ok_or("the output is piped")?;
        let (sender, receiver) = mpsc::sync_channel(BACKLOG);
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Ok(part) = Part::read(&mut output)
                && sender.send(part).is_ok()
            {}
        });
        sources.push(receiver);
    }
    Ok(sources)
}

fn next(source: &Receiver<Part>) -> Result<Part> {
    source.recv_timeout(LIMIT).map_err(|error| {
        match error {
            mpsc::RecvTimeoutError::Timeout => "a process hangs",
            mpsc::RecvTimeoutError::Disconnected => "a process has ended before its time",
        }
        .into()
    })
}
