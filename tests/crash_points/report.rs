//! What was tried, and what came out.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::children::Passed;

/// Failures of one operation after which it is given up: each may have waited long.
const ENOUGH: usize = 5;

/// Who died.
#[derive(Debug, Clone, Copy)]
pub enum Victim {
    Worker,
    FirstRepairer,
    SecondRepairer,
}

/// What came out for one operation.
#[derive(Default)]
pub struct Row {
    pub name: &'static str,
    /// Points that its processes passed.
    passed: BTreeSet<String>,
    died_at: BTreeSet<String>,
    kills: [usize; 3],
    /// Every two stores with no point between them.
    unnamed: BTreeSet<String>,
    pub failures: Vec<String>,
}

impl Row {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Notes what was passed, and returns the points.
    pub fn note(&mut self, passed: Passed) -> Vec<(String, u64)> {
        self.passed
            .extend(passed.points.iter().map(|(point, _)| point.clone()));
        self.unnamed.extend(passed.unnamed);
        passed.points
    }

    pub fn died(&mut self, victim: Victim, point: &str) {
        self.kills[victim as usize] += 1;
        self.died_at.insert(point.to_owned());
    }

    /// Runs one case; its panic is a failure. `None` then.
    pub fn case<R>(&mut self, case: &str, run: impl FnOnce(&mut Self) -> R) -> Option<R> {
        if self.failures.len() >= ENOUGH {
            return None;
        }
        match catch_unwind(AssertUnwindSafe(|| run(self))) {
            Ok(result) => Some(result),
            Err(panic) => {
                self.failures
                    .push(format!("{}: {case}: {}", self.name, message(&*panic)));
                None
            }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words")
}

/// Room for the names of rows.
const WIDTH: usize = 28;

pub fn print_head() {
    println!(
        "\n{:WIDTH$} {:>7} {:>8} {:>10} {:>10} {:>9}",
        "operation:", "points", "workers", "repairers", "the second", "failures"
    );
}

impl Row {
    pub fn print(&self) {
        let [workers, first, second] = self.kills;
        println!(
            "{:WIDTH$} {:>7} {workers:>8} {first:>10} {second:>10} {:>9}",
            self.name,
            self.passed.len(),
            self.failures.len()
        );
    }
}

/// Prints the sums, and fails if anything did, or if the points are not what they
/// should be.
pub fn conclude(rows: &[Row], source: &BTreeSet<String>) {
    let mut together = Row::new("together");
    for row in rows {
        together.passed.extend(row.passed.iter().cloned());
        together.died_at.extend(row.died_at.iter().cloned());
        together.unnamed.extend(row.unnamed.iter().cloned());
        together.failures.extend(row.failures.iter().cloned());
        for (sum, kills) in together.kills.iter_mut().zip(row.kills) {
            *sum += kills;
        }
    }
    together.print();
    let (failures, unnamed) = (together.failures, together.unnamed);
    println!(
        "{} points in the source, deaths at {} of them; {} kills, {} failures",
        source.len(),
        together.died_at.intersection(source).count(),
        together.kills.iter().sum::<usize>(),
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let missed: Vec<_> = source.difference(&together.died_at).collect();
    assert!(missed.is_empty(), "no process died at {missed:?}");
    assert!(
        unnamed.is_empty(),
        "no point stands between the stores at {unnamed:#?}"
    );
}
