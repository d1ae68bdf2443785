//! The benchmark of processes: `cargo xtask bench` builds and runs it.
//!
//! The conductor (this file, `section/`) makes keys, starts a process for each contender
//! (`process.rs`, `worker.rs`), and sends each in turn its orders (`order.rs`). The times
//! become figures (`results.rs`), from which `goals.rs` judges the goals and `report/` writes
//! documents and plots.

mod boost;
mod goals;
mod latencies;
mod machine;
mod order;
mod process;
mod repeat;
mod report;
mod results;
mod scale;
mod section;
mod stopwatch;
mod worker;

use std::hash::RandomState;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use shmtable::Table;
use shmtable_bench::Result;
use shmtable_bench::contender::{self, Contender, Dashmap, Lmdb, Locked, Papaya, Redis, Scc, Std};
use shmtable_bench::figure::Figures;

use machine::Machine;
use process::Player;
use results::Results;
use scale::Scale;
use section::Run;

/// Measures shmtable against its rivals and against the memory's limits.
#[derive(Debug, Parser)]
#[allow(clippy::struct_excessive_bools, reason = "they are switches")]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Fewer rounds and smaller tables: less than two minutes.
    #[arg(long)]
    quick: bool,
    /// Only checks that every contender answers right, in a few seconds. Writes nothing.
    #[arg(long, conflicts_with_all = ["quick", "huge"])]
    smoke: bool,
    /// Tables of 100,000,000 entries too.
    #[arg(long)]
    huge: bool,
    /// Runs only these sections. Writes nothing unless `--merge` is given.
    #[arg(long, value_delimiter = ',', value_parser = SECTIONS.map(|(name, _)| name))]
    only: Vec<String>,
    /// Replaces the figures of the sections of `--only`, and keeps the others.
    #[arg(long, requires = "only", conflicts_with = "smoke")]
    merge: bool,
    /// Continues an interrupted run after the last section that it completed.
    #[arg(long, conflicts_with_all = ["smoke", "only"])]
    resume: bool,
    /// Fails if a goal is missed.
    #[arg(long)]
    strict: bool,
    /// Writes documents and plots again, from the last run's figures. Without a run, writes
    /// only the text of the documents again and keeps their figures.
    #[arg(long, conflicts_with_all = ["quick", "smoke", "huge", "only", "resume"])]
    report_only: bool,
    /// The machine's load before the build; the current load if absent.
    #[arg(long)]
    load_before: Option<f64>,
    /// The project's folder.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// The folder of the figures.
    #[arg(long, default_value = "target/bench")]
    target: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Plays a contender.
    #[command(hide = true)]
    Worker(worker::Arguments),
    /// Repeats one operation, so that its instructions can be counted.
    #[command(hide = true)]
    Repeat(repeat::Arguments),
    /// Holds a lock.
    #[command(hide = true)]
    Hold(section::take_over::Arguments),
}

impl Arguments {
    /// Whether the run writes figures and documents.
    fn writes(&self) -> bool {
        !self.smoke && (self.only.is_empty() || self.merge)
    }

    fn scale(&self) -> Scale {
        let mut scale = match self {
            Self { smoke: true, .. } => Scale::smoke(),
            Self { quick: true, .. } => Scale::quick(),
            _ => Scale::full(),
        };
        if self.huge {
            scale.sizes.push(100_000_000);
            scale.growth.push(100_000_000);
        }
        scale
    }

    /// Whether the run includes a section.
    fn wants(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == section)
    }
}

type Section = fn(&mut Run<'_>) -> Result;

const SECTIONS: [(&str, Section); 8] = [
    ("sizes", section::sizes::run),
    ("values", section::values::run),
    ("shared", section::shared::run),
    ("fullness", section::fullness::run),
    ("attach", section::attach::run),
    ("growth", section::growth::run),
    ("take-over", section::take_over::run),
    ("locks", section::locks::run),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.part {
        Some(Part::Worker(worker)) => worker::run(worker).map(|()| true),
        Some(Part::Repeat(repeated)) => repeat::run(repeated).map(|()| true),
        Some(Part::Hold(holder)) => section::take_over::hold(holder).map(|()| true),
        None => bench(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether it is a success: with `--strict` a missed goal is a failure.
fn bench(arguments: &Arguments) -> Result<bool> {
    if arguments.report_only && !Results::are_in(&arguments.target) {
        report::write_text(&arguments.root)?;
        println!("no run to write from: the documents keep their figures");
        return Ok(true);
    }
    let results = if arguments.report_only {
        Results::load(&arguments.target)?
    } else {
        measure(arguments)?
    };
    if arguments.writes() {
        report::write(&results, &arguments.root)?;
    }
    for note in &results.notes {
        println!("note: {note}");
    }
    let goals = goals::judge(&results.figures);
    // Figures of a smoke run mean nothing.
    if !arguments.smoke {
        for goal in &goals {
            println!("{goal}");
        }
    }
    let missed = goals.iter().any(|goal| !goal.reached());
    println!("{} run, {:.0} s", results.scale, results.seconds());
    Ok(!(arguments.strict && missed))
}

/// Runs the sections, and saves the figures after each one.
fn measure(arguments: &Arguments) -> Result<Results> {
    let scale = arguments.scale();
    let machine = Machine::this(arguments.load_before)?;
    let (players, notes) = players(&arguments.target);
    let about = players.iter().map(|player| player.about);
    let contenders = about.chain([section::LIMIT]).map(|about| {
        let setup = if about.has_default_hasher() {
            "the same"
        } else {
            about.setup
        };
        [about.name, setup, about.hasher].map(str::to_owned)
    });
    let mut results = Results {
        machine,
        scale: scale.name.to_owned(),
        sizes: scale.sizes.clone(),
        rounds: scale.rounds,
        turns: scale.turns,
        contenders: contenders.collect(),
        notes,
        sections: Vec::new(),
        figures: Figures::default(),
    };
    if arguments.resume {
        results.go_on_from(Results::load(&arguments.target)?)?;
    }
    if arguments.merge {
        let earlier = Results::load(&arguments.target);
        match earlier.and_then(|earlier| results.go_on_from(earlier)) {
            Ok(()) => results.forget(&arguments.only),
            Err(error) => eprintln!(
                "{error}\nThe other sections keep their text in the documents, without figures"
            ),
        }
    }
    let folder = tempfile::Builder::new()
        .prefix("shmtable-bench-keys-")
        .tempdir_in("/dev/shm")?;
    let mut run = Run {
        players,
        scale: &scale,
        figures: results.figures.clone(),
        folder,
    };
    for (name, section) in SECTIONS {
        let name = name.to_owned();
        if !arguments.wants(&name) || results.has(&name) {
            continue;
        }
        let begin = Instant::now();
        section(&mut run)?;
        let took = begin.elapsed().as_secs_f64();
        eprintln!("{name}: {took:.1} s");
        results.sections.push((name, took));
        results.figures.clone_from(&run.figures);
        results.machine.measure_load()?;
        if arguments.writes() {
            results.save(&arguments.target)?;
        }
    }
    Ok(results)
}

/// The contenders that take part, and why others don't.
fn players(target: &std::path::Path) -> (Vec<Player>, Vec<String>) {
    let mut notes = Vec::new();
    let mut players: Vec<Player> = [
        Table::ABOUT,
        <Dashmap>::ABOUT,
        <Dashmap<RandomState>>::ABOUT,
        <Papaya>::ABOUT,
        <Papaya<RandomState>>::ABOUT,
        <Scc>::ABOUT,
        <Scc<RandomState>>::ABOUT,
        Locked::ABOUT,
        <Std>::ABOUT,
        <Std<RandomState>>::ABOUT,
        Lmdb::ABOUT,
    ]
    .map(|about| Player {
        about,
        program: None,
    })
    .into();
    match boost::compile(target) {
        Ok(program) => players.push(Player {
            about: boost::ABOUT,
            program: Some(program),
        }),
        Err(error) => notes.push(format!("Boost.Interprocess is left out: {error}")),
    }
    match contender::redis_server() {
        Some(_) => players.push(Player {
            about: Redis::ABOUT,
            program: None,
        }),
        None => notes.push(
            "Redis is left out: neither `valkey-server` nor `redis-server` is installed".to_owned(),
        ),
    }
    (players, notes)
}
