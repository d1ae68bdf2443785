//! Processes work on a few hot keys while records are moved around them; every answer
//! must be explained by an order of single steps.
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
use shmtable::Options;

use self::history::{ABSENT, Part};
use self::model::{Figures, check_round};
use self::process::{KEYS, ROUND};
use crate::result::Result;
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
    let processes = usize::from(arguments.processes);
    let rounds = arguments.operations.div_ceil(processes * ROUND).max(1);
    println!(
        "linearizability: {} operations, {processes} processes, --seed {seed}",
        arguments.operations
    );
    let begin = Instant::now();
    let table = process::options(processes).create_anonymous()?;
    let meeting = Options::new().capacity(100).create_anonymous()?;
    let mut children = Children(Vec::new());
    // One more than processes: it overwrites other keys.
    for process in 0..=processes {
        let child = child::command("linearizability-process")
            .stdout(Stdio::piped())
            .args(["--table", table.name()])
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
    let mut violation = None;
    let mut stops = 0_u64;
    let (mut contents, mut quiet) = ([ABSENT; KEYS], 0);
    for _ in 0..rounds {
        // In the middle of what it does; the others go on.
        if dice.random_range(0..8) == 0 {
            let pid = Pid::from_child(&children.0[dice.random_range(0..processes)]);
            kill_process(pid, Signal::STOP)?;
            std::thread::sleep(Duration::from_micros(dice.random_range(50..1000)));
            kill_process(pid, Signal::CONT)?;
            stops += 1;
        }
        let parts: Result<Vec<Part>> = sources.iter().map(next).collect();
        if let Err(text) = check_round(&parts?, &mut contents, &mut quiet, &mut figures) {
            violation = Some(text);
            break;
        }
    }
    drop(children);
    let stats = table.stats()?;
    let broken = table.check()?;
    println!(
        "{} operations of {processes} processes on {KEYS} keys, {:.0} % of them while another \
         was at work on the key; {} refused, {stops} stops, {} cleanings",
        figures.operations,
        100.0 * figures.overlapping as f64 / figures.operations.max(1) as f64,
        figures.refused,
        stats.cleanings
    );
    println!(
        "{} windows, the longest of {} operations; {:.1} s",
        figures.windows,
        figures.longest,
        begin.elapsed().as_secs_f64()
    );
    for text in &broken {
        println!("check: {text}");
    }
    let ok = violation.is_none() && broken.is_empty();
    match violation {
        None => println!("all of them are linearizable"),
        Some(text) => println!("{text}"),
    }
    Ok(ok)
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
