//! Children that log the points they pass, or die at one.

use std::path::{Path, PathBuf};

use shmtable::{Options, Table};

use crate::TEST;
use crate::common::{Child, Name, Named, Role, eventually};
use crate::scenarios::{Meeting, Scenario, repairers_steps, scenarios};
use crate::steps::{End, Step, key_of};

/// What `src/sync/crash.rs` begins the line of two stores without a point with.
const UNNAMED: &str = "unnamed: ";

/// A file of its own in the folder for such, gone with this.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let name = Name::new();
        Self(std::env::temp_dir().join(format!("{}.crash-points", &*name)))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The points that a child passed, in the order of their first passes, and how often.
#[derive(Default)]
pub struct Passed {
    pub points: Vec<(String, u64)>,
    /// Every two stores that have no point between them.
    pub unnamed: Vec<String>,
}

impl Passed {
    fn read(log: &Scratch) -> Self {
        let mut passed = Self::default();
        let text = std::fs::read_to_string(log.path()).unwrap_or_default();
        for line in text.lines() {
            if let Some(stores) = line.strip_prefix(UNNAMED) {
                passed.unnamed.push(stores.to_owned());
            } else if let Some((_, passes)) = passed.points.iter_mut().find(|(p, _)| p == line) {
                *passes += 1;
            } else {
                passed.points.push((line.to_owned(), 1));
            }
        }
        passed
    }
}

/// What a child is told about crash points.
pub enum Order<'a> {
    Log(&'a Scratch),
    Die(&'a str, u64),
}

impl Order<'_> {
    fn variable(&self) -> (&'static str, String) {
        match self {
            Self::Log(log) => ("SHMTABLE_CRASH_LOG", log.path().display().to_string()),
            Self::Die(point, pass) => ("SHMTABLE_CRASH_AT", format!("{point}:{pass}")),
        }
    }
}

/// Runs something with a log and returns what was passed.
pub fn passed(run: impl FnOnce(&Order<'_>) -> End) -> Passed {
    let log = Scratch::new();
    let end = run(&Order::Log(&log));
    assert!(!end.killed, "a child died that was not to be killed");
    Passed::read(&log)
}

fn start(role: &str, arguments: &[&str], order: &Order<'_>, hold: Option<(&str, &Gate)>) -> Child {
    Child::start_with(TEST, role, arguments, |command| {
        let (name, value) = order.variable();
        command.env(name, value);
        if let Some((point, gate)) = hold {
            command.env("SHMTABLE_CRASH_HOLD", point);
            command.env("SHMTABLE_CRASH_GATE", gate.0.path());
        }
    })
}

fn end_of(mut child: Child) -> (End, Vec<String>) {
    let status = child.exit_status();
    let said = child.hear_rest();
    let killed = crate::common::was_killed(status);
    assert!(killed || status.success(), "a child failed: {status:?}");
    let done = said.iter().filter(|line| *line == "step").count();
    (End { killed, done }, said)
}

/// Where a child stands still until it is let through.
struct Gate(Scratch);

impl Gate {
    /// Waits until the child stands there, or died before.
    fn wait(&self, child: &mut Child) {
        eventually("the child comes to where it is to stand", || {
            self.0.path().exists() || child.has_ended()
        });
    }

    fn open(&self) {
        let _ = std::fs::remove_file(self.0.path());
    }
}

/// Runs the worker of a scenario.
pub fn work(named: &Named, index: usize, order: &Order<'_>) -> End {
    let scenario = &scenarios()[index];
    let argument = index.to_string();
    let arguments: [&str; 2] = [&named.name, &argument];
    let gate = Gate(Scratch::new());
    let child = match scenario.meeting {
        Meeting::Nobody => start("worker", &arguments, order, None),
        Meeting::Holder => {
            let hold = Some(("lock: waiters flagged", &gate));
            let mut waiting = None;
            let none = named.update(&key_of(98), |_| {
                let child = waiting.get_or_insert_with(|| start("worker", &arguments, order, hold));
                gate.wait(child);
                gate.open();
                None
            });
            assert_eq!(none.unwrap(), None);
            waiting.expect("the closure ran")
        }
        Meeting::Writer(point, ..) => {
            let mut child = start("worker", &arguments, order, Some((point, &gate)));
            gate.wait(&mut child);
            scenario.meet(named);
            gate.open();
            child
        }
    };
    end_of(child).0
}

/// How a process comes to repair what the dead have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivor {
    /// It writes, and meets it.
    Writer,
    /// By `Table::repair`.
    Repairer,
    /// It writes, and was attached before the death. A newcomer would get the slot of the dead
    /// process, and so find no dead participant.
    Witness,
}

impl Survivor {
    /// Runs one, whose own keys begin with `first_key`.
    pub fn run(self, named: &Named, first_key: u64, order: &Order<'_>) -> End {
        self.run_after(|| {}, named, first_key, order).1
    }

    /// The same after something else; a witness is attached before that.
    pub fn run_after<R>(
        self,
        before: impl FnOnce() -> R,
        named: &Named,
        first_key: u64,
        order: &Order<'_>,
    ) -> (R, End) {
        let first_key = first_key.to_string();
        let start = |role| start(role, &[&named.name, &first_key], order, None);
        let (result, child) = match self {
            Self::Writer => (before(), start("writer")),
            Self::Repairer => (before(), start("repairer")),
            Self::Witness => {
                let mut child = start("witness");
                assert_eq!(child.hear(), "attached");
                let result = before();
                child.say("write");
                (result, child)
            }
        };
        (result, end_of(child).0)
    }

    pub fn steps(self, first_key: u64) -> Vec<Step> {
        match self {
            Self::Writer | Self::Witness => repairers_steps(first_key),
            Self::Repairer => Vec::new(),
        }
    }
}

/// Runs one that creates a table; what it said too.
pub fn create(name: &Name, order: &Order<'_>) -> (End, Vec<String>) {
    end_of(start("creator", &[name], order, None))
}

/// Runs one that replaces a table; what it said too.
pub fn replace(name: &Name, order: &Order<'_>) -> (End, Vec<String>) {
    end_of(start("replacer", &[name], order, None))
}

pub fn creators_options() -> Options {
    let options = Options::new().capacity(10).max_capacity(50).stripes(1);
    options.chunk_size(crate::scenarios::CHUNK)
}

/// The child's part.
pub fn act(role: &Role) {
    let open = || scenarios()[0].options().open(role.argument(0)).unwrap();
    match role.name.as_str() {
        "worker" => {
            let Scenario { steps, .. } = scenarios().swap_remove(role.number(1));
            apply(role, &open(), &steps, 0);
        }
        kind @ ("writer" | "witness") => {
            let (table, first_key) = (open(), role.number(1) as u64);
            if kind == "witness" {
                role.tell("attached");
                role.hear();
            }
            apply(role, &table, &repairers_steps(first_key), first_key);
        }
        "repairer" => drop(open().repair().unwrap()),
        kind @ ("creator" | "replacer") => {
            let (options, name) = (creators_options(), role.argument(0));
            let made = match kind {
                "creator" => options.create(name),
                _ => options.create_or_replace(name),
            };
            let table = made.unwrap();
            role.tell("created");
            table.insert(&key_of(1), b"value").unwrap();
            role.tell("inserted");
        }
        other => panic!("no such role: {other}"),
    }
}

fn apply(role: &Role, table: &Table, steps: &[Step], seed: u64) {
    for (at, step) in steps.iter().enumerate() {
        step.apply(table, seed + at as u64);
        role.tell("step");
    }
}
