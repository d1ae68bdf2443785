//! Does the table hold if a process dies between any two stores of any operation, and so do
//! the two processes that recover after it?
//!
//! Built only with `--cfg shmtable_crash_points`. `cargo xtask crash-points` runs the long
//! form, `cargo xtask windows` a brief one under wine.
//!
//! For each operation, a first child logs the points that it passes. Then, for each of these
//! points, a child on a new table dies there by SIGKILL (on Windows by `TerminateProcess`).
//! After some of these deaths (in the long form, after all), a first repairer dies at each
//! point of its repair, and a second one at each point of what is left to repair. The first
//! one attaches after the death, or was attached before. Each time, what was acknowledged is
//! there, a step under way happened or did not, the table is sound, no process hangs, and
//! all entries fit that the table was created for.
//!
//! A process must have died at every point that the source names. The words of this build
//! notice each store, so the test also finds any two stores with no point between them.
//!
//! # Planted, and seen to fail
//! - take-over without recovery; a recovery that sets no overflow, counts no entries,
//!   bumps no version; no search for chunks of the dead;
//! - stores in another order: a cursor before the record's header, a tag before the
//!   slot, a chunk free before its cursor is 0, a run's length after its tails;
//! - a point taken away, and one that no process passes.
//!
//! # Not seen here
//! What a reader sees at the same time: the loom models test that.

#![cfg(all(any(target_os = "linux", windows), shmtable_crash_points))]
#![allow(unreachable_pub, reason = "a program of several modules")]

mod children;
#[path = "../common/mod.rs"]
mod common;
mod creation;
mod damage;
mod report;
mod scenarios;
mod steps;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use children::{Order, Survivor, passed, work};
use common::Named;
use report::{Row, Victim};
use scenarios::{OTHER, Scenario, scenarios};
use steps::{End, KEYS_EACH, Model, Part};
use verify::verify;

/// The one test, by whose name children are started.
const TEST: &str = "a_death_at_every_point";
/// Keys of the repairers.
const FIRST: u64 = KEYS_EACH;
const SECOND: u64 = 2 * KEYS_EACH;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// With `SHMTABLE_CRASH_POINTS=brief`: for wine, where a process is slow to start.
    /// First passes alone, no point in more than [`ENOUGH`] operations, one kind of
    /// repairer after each death, and a second one after a death of every third first one.
    Brief,
    /// What takes no minute.
    Short,
    /// With `SHMTABLE_CRASH_POINTS=full`.
    Full,
}

/// Operations whose worker dies at the same point, in the brief form.
const ENOUGH: usize = 2;

impl Extent {
    fn wanted() -> Self {
        match std::env::var("SHMTABLE_CRASH_POINTS").as_deref() {
            Ok("brief") => Self::Brief,
            Ok("full") => Self::Full,
            _ => Self::Short,
        }
    }

    /// The passes to die at of a point that is passed so often.
    pub fn passes(self, seen: u64, short: &[u64]) -> Vec<u64> {
        const FULL: [u64; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 25, 40, 64];
        let passes = match self {
            Self::Brief => &[1],
            Self::Short => short,
            Self::Full => &FULL,
        };
        passes
            .iter()
            .copied()
            .filter(|pass| *pass <= seen)
            .collect()
    }

    /// Whether one more worker dies at this point.
    fn takes(self, point: &str) -> bool {
        static OPERATIONS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());
        let mut operations = OPERATIONS.lock().unwrap();
        let count = operations.entry(point.to_owned()).or_default();
        *count += 1;
        self != Self::Brief || *count <= ENOUGH
    }

    /// The repairers to try after a death in a scenario, which is one of many.
    fn repairers(self, scenario: &Scenario, death: usize) -> &'static [Survivor] {
        const BOTH: &[Survivor] = &[Survivor::Writer, Survivor::Repairer];
        if scenario.witnessed {
            return &[Survivor::Witness];
        }
        match self {
            Self::Brief => &BOTH[death % 2..][..1],
            Self::Short | Self::Full => BOTH,
        }
    }

    /// Whether a second repairer follows this death of the first, one of `deaths`.
    pub fn goes_on(self, death: usize, deaths: usize) -> bool {
        static REPAIRERS: AtomicUsize = AtomicUsize::new(0);
        self != Self::Brief
            || death == deaths / 2 && REPAIRERS.fetch_add(1, Ordering::Relaxed).is_multiple_of(3)
    }
}

#[test]
fn a_death_at_every_point() {
    if let Some(role) = common::role() {
        return children::act(&role);
    }
    let extent = Extent::wanted();
    let scenarios = scenarios().len();
    let next = AtomicUsize::new(0);
    let rows: Mutex<Vec<Row>> = Mutex::new(Vec::new());
    report::print_head();
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let row = match index.checked_sub(scenarios) {
                        None => of_scenario(index, extent),
                        Some(0) => creation::row(),
                        Some(1) => creation::replacement_row(),
                        Some(2) => damage::row(extent),
                        Some(_) => return,
                    };
                    // One line at a time; whole rows appear when they are done.
                    let mut rows = rows.lock().unwrap();
                    row.print();
                    rows.push(row);
                }
            });
        }
    });
    report::conclude(&rows.into_inner().unwrap(), &points_of_source());
}

/// All points that the source names.
fn points_of_source() -> BTreeSet<String> {
    fn collect(folder: &Path, points: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // No process on this system passes these.
            let is_ours = cfg!(windows) || !path.ends_with("windows");
            if path.is_dir() && is_ours {
                collect(&path, points);
            } else if path.is_file() {
                let text = std::fs::read_to_string(&path).unwrap();
                for part in text.split("crash_point!(\"").skip(1) {
                    points.insert(part.split('"').next().unwrap().to_owned());
                }
            }
        }
    }
    let mut points = BTreeSet::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut points,
    );
    assert!(points.len() > 60, "{points:?}");
    if cfg!(any(windows, shmtable_portable)) {
        points.retain(|point| !is_of_growth(point));
    }
    points
}

/// Whether only a process passes a point whose table grows.
fn is_of_growth(point: &str) -> bool {
    [
        "double:",
        "attach: reading word",
        "read: ",
        "memory:",
        "recover: moving ended",
        "recover: entries of an old bucket removed",
        "recover: nearing ended",
        "create: directory word written",
        "populate: pages of details present",
    ]
    .iter()
    .any(|prefix| point.starts_with(prefix))
}

/// Whether only a repairer, or one who goes on after the dead, passes a point.
fn is_of_repair(point: &str) -> bool {
    [
        "lock: taken over",
        "recover:",
        "take over:",
        "reopen:",
        "close:",
        "repair:",
        "double: a left word cleared",
    ]
    .iter()
    .any(|prefix| point.starts_with(prefix))
}

/// A death to repair after.
struct Death<'a> {
    index: usize,
    scenario: &'a Scenario,
    point: &'a str,
}

impl Death<'_> {
    /// A new table after it.
    fn happens(&self, pass: u64) -> (Named, End) {
        let named = self.scenario.new_table();
        let end = work(&named, self.index, &Order::Die(self.point, pass));
        assert!(end.killed, "the worker did not die");
        (named, end)
    }

    /// A new table after it and after a first repairer.
    fn is_repaired(&self, repairer: Survivor, order: &Order<'_>) -> (Named, End, End) {
        let named = self.scenario.new_table();
        let die = || work(&named, self.index, &Order::Die(self.point, 1));
        let (worker, first) = repairer.run_after(die, &named, FIRST, order);
        assert!(worker.killed, "the worker did not die");
        (named, worker, first)
    }

    /// A new table after it and after the death of a first repairer.
    fn happens_again(&self, repairer: Survivor, point: &str, pass: u64) -> (Named, End, End) {
        let (named, worker, first) = self.is_repaired(repairer, &Order::Die(point, pass));
        assert!(first.killed, "the first repairer did not die");
        (named, worker, first)
    }

    /// All is well after it and what repairers did, by their first keys.
    fn verify(&self, case: &str, named: &Named, end: End, repairers: &[(Survivor, u64, End)]) {
        let scenario = self.scenario;
        let mut parts = vec![Part::new(scenario.before(), &scenario.steps, 0, end)];
        for (repairer, first_key, end) in repairers {
            let steps = repairer.steps(*first_key);
            parts.push(Part::new(Model::new(), &steps, *first_key, *end));
        }
        // A process that was not there has left nothing.
        while (parts.len() as u64) < OTHER / KEYS_EACH {
            parts.push(Part::whole(Model::new(), &[], 0));
        }
        parts.push(Part::whole(Model::new(), &scenario.others_steps(), OTHER));
        verify(case, named, scenario, parts);
    }
}

fn of_scenario(index: usize, extent: Extent) -> Row {
    let scenario = &scenarios()[index];
    let mut row = Row::new(scenario.name);
    let points = row.case("no death", |row| {
        let named = scenario.new_table();
        row.note(passed(|order| work(&named, index, order)))
    });
    let short = [&[1, 2], scenario.passes].concat();
    for (at, (point, seen)) in points.unwrap_or_default().into_iter().enumerate() {
        let death = Death {
            index,
            scenario,
            point: &point,
        };
        if extent.takes(&point) {
            for pass in extent.passes(seen, &short) {
                let case = format!("{point}, pass {pass}");
                row.case(&case, |row| {
                    let (named, end) = death.happens(pass);
                    row.died(Victim::Worker, &point);
                    death.verify(&case, &named, end, &[]);
                });
            }
        }
        if extent == Extent::Full || scenario.repaired.contains(&&*point) {
            for repairer in extent.repairers(scenario, at) {
                repairs(&mut row, &death, *repairer, extent);
            }
        }
    }
    row
}

/// Kills the first repairer after a death at each point of its repair, and after
/// that the second one at each of its.
fn repairs(row: &mut Row, death: &Death<'_>, repairer: Survivor, extent: Extent) {
    let case = format!("{}, then {repairer:?}", death.point);
    let points = row.case(&case, |row| {
        row.note(passed(|order| death.is_repaired(repairer, order).2))
    });
    let mut points = points.unwrap_or_default();
    points.retain(|(point, _)| is_of_repair(point));
    for (at, (point, seen)) in points.iter().enumerate() {
        for pass in extent.passes(*seen, &[1, 2, 4]) {
            let case = format!("{case}: {point}, pass {pass}");
            row.case(&case, |row| {
                let (named, worker, first) = death.happens_again(repairer, point, pass);
                row.died(Victim::FirstRepairer, point);
                death.verify(&case, &named, worker, &[(repairer, FIRST, first)]);
            });
        }
        if extent.goes_on(at, points.len()) {
            second_repairs(row, death, repairer, &case, point);
        }
    }
}

fn second_repairs(row: &mut Row, death: &Death<'_>, repairer: Survivor, case: &str, first: &str) {
    let case = format!("{case}: {first}, then again");
    let die = || death.happens_again(repairer, first, 1);
    let points = row.case(&case, |row| {
        let (named, ..) = die();
        row.note(passed(|order| repairer.run(&named, SECOND, order)))
    });
    let points = points.unwrap_or_default();
    for (point, _) in points.iter().filter(|(point, _)| is_of_repair(point)) {
        let case = format!("{case}: {point}");
        row.case(&case, |row| {
            let (named, worker, first) = die();
            let second = repairer.run(&named, SECOND, &Order::Die(point, 1));
            assert!(second.killed, "the second repairer did not die");
            row.died(Victim::SecondRepairer, point);
            let repairers = [(repairer, FIRST, first), (repairer, SECOND, second)];
            death.verify(&case, &named, worker, &repairers);
        });
    }
}
