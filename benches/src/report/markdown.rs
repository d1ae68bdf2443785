//! Tables.

use std::fmt::Write;

use shmtable_bench::contender::DEFAULT_HASHER;
use shmtable_bench::figure::{Figure, Figures, median, spread};
use shmtable_bench::work::Kind;

use super::cells::{bytes, entries, entries_or_name, long, plain, rate, time};
use super::losses::losses;
use crate::goals::{Goal, MILLION};
use crate::results::Results;
use crate::section::fullness::UNCLEANED;
use crate::section::locks::ONE_LOAD;

pub(super) const US: &str = "shmtable";
pub(super) const LIMIT: &str = crate::section::LIMIT.name;

/// What stands in the places of the pages.
pub(crate) fn parts(results: &Results, goals: &[Goal]) -> Vec<(&'static str, String)> {
    let figures = &results.figures;
    let is_insert = |operation: &str| operation == "insert";
    let is_get = |operation: &str| operation == "get";
    let is_addition = |operation: &str| operation.starts_with("add to");
    let sizes = Tables::of(figures, "sizes", &time, &entries);
    let values = Tables::of(figures, "values", &time, &bytes);
    let shared = Tables::of(figures, "shared", &rate, &str::to_owned);
    let growth = Tables::of(figures, "growth", &long, &entries);
    vec![
        ("run", run(results)),
        ("notes", notes(results)),
        ("goals", judged(goals)),
        ("losses", losses(figures)),
        ("contenders", contenders(results)),
        ("spread", spreads(figures)),
        ("gets", sizes.by_operation(&|name| !is_insert(name))),
        ("get-limits", sizes.limits()),
        ("bounds", bounds(figures)),
        ("value-gets", values.by_operation(&is_get)),
        ("value-limits", values.limits()),
        ("inserts", sizes.by_operation(&is_insert)),
        ("value-writes", values.by_operation(&|name| !is_get(name))),
        ("fullness", fullness(figures)),
        (
            "counters",
            Tables::of(figures, "counters", &time, &entries).by_operation(&|_| true),
        ),
        ("shared-counters", shared.by_operation(&is_addition)),
        ("counter-latency", latency(figures, &is_addition)),
        (
            "shared-values",
            shared.by_operation(&|name| !is_addition(name)),
        ),
        ("latency", latency(figures, &|name| !is_addition(name))),
        (
            "attach",
            Tables::of(figures, "attach", &long, &entries).by_operation(&|_| true),
        ),
        (
            "memory",
            Tables::of(figures, "memory", &plain, &entries).by_operation(&|_| true),
        ),
        ("growth-fill", growth.by_operation(&|name| name == "insert")),
        (
            "growth-latency",
            growth.by_operation(&|name| name.starts_with("insert, ")),
        ),
        (
            "growth-gets",
            growth.by_operation(&|name| name.starts_with("get")),
        ),
        (
            "growth-memory",
            Tables::of(figures, "growth-memory", &plain, &entries_or_name).by_operation(&|_| true),
        ),
        (
            "growth-opening",
            Tables::of(figures, "growth-opening", &long, &entries_or_name).by_operation(&|_| true),
        ),
        ("take-over", list(figures, "take-over", &long)),
        ("locks", list(figures, "locks", &time)),
    ]
}

/// The README's table: a million decimal keys.
pub(crate) fn readme(results: &Results) -> String {
    let figures = &results.figures;
    let columns = ["insert", "get", "half misses", "get_many"];
    let mut text = heading("", columns.iter().copied().chain(["bytes an entry"]));
    for name in names(figures, "sizes") {
        if name == LIMIT || name.ends_with(DEFAULT_HASHER) {
            continue;
        }
        let _ = write!(text, "| {name} |");
        for operation in columns {
            let cell = beside(figures, ["sizes", MILLION, operation, &name], &time);
            let _ = write!(text, " {cell} |");
        }
        let bytes = figures.median(["memory", MILLION, "bytes", &name]);
        let _ = writeln!(text, " {} |", bytes.map_or("-".to_owned(), plain));
    }
    let limit = |operation| {
        let found = figures.median(["sizes", MILLION, operation, LIMIT]);
        found.map_or("-".to_owned(), time)
    };
    let _ = writeln!(
        text,
        "\nNanoseconds for an operation on 1,000,000 decimal keys -> `1`, in random order, by one \
         thread; in brackets how many times shmtable's time that is. dashmap, papaya, scc and std have \
         foldhash, which is faster than their default hasher. The memory alone takes {} for \
         two dependent loads of that footprint if each waits for the one before, and {} if not.\n\n{}",
        limit("chained"),
        limit("independent"),
        run(results)
    );
    text
}

fn run(results: &Results) -> String {
    let quick = match results.scale.as_str() {
        "full" => String::new(),
        scale => format!("**A {scale} run: measure again in full.** "),
    };
    let busy = if results.machine.was_busy() {
        "**Other programs were running on this machine: measure again.** "
    } else {
        ""
    };
    format!(
        "{quick}{busy}{}. {} rounds of {} turns, {:.0} s; medians.\n",
        results.machine.named(),
        results.rounds,
        results.turns,
        results.seconds()
    )
}

fn notes(results: &Results) -> String {
    if results.notes.is_empty() {
        return "All contenders took part.\n".to_owned();
    }
    results.notes.iter().fold(String::new(), |mut text, note| {
        let _ = writeln!(text, "- {note}");
        text
    })
}

fn contenders(results: &Results) -> String {
    let mut text = heading("contender", ["setup", "hasher"].into_iter());
    for [name, setup, hasher] in &results.contenders {
        let _ = writeln!(text, "| {name} | {setup} | {hasher} |");
    }
    text
}

fn judged(goals: &[Goal]) -> String {
    let mut text = heading("ratio", ["found", "to reach", ""].into_iter());
    for goal in goals {
        let (found, limit) = goal.numbers();
        let verdict = match goal.verdict() {
            "MISSED" => "**missed**",
            verdict => verdict,
        };
        let _ = writeln!(text, "| {} | {found} | {limit} | {verdict} |", goal.what);
    }
    text
}

/// What the machine allows where a ratio to reach lies beyond it.
fn bounds(figures: &Figures) -> String {
    let one = |(name, _)| figures.median(["locks", "1", name, "limit"]);
    let [Some(hits), Some(half)] = ONE_LOAD.map(one) else {
        return String::new();
    };
    format!(
        "The machine itself has this bound: a program that loads one cache line for each of \
         1,000,000 keys, and branches on what it finds there, takes {} a key if all keys are there \
         and {} if every second one is. That is {:.2} times the rate of hits, without a table.\n",
        time(hits),
        time(half),
        hits / half
    )
}

type Shown<'s> = &'s dyn Fn(f64) -> String;

/// Says which operations are shown.
type Chosen<'s> = &'s dyn Fn(&str) -> bool;

/// The tables of a section, with how figures and rows are shown.
struct Tables<'s> {
    figures: &'s Figures,
    section: &'s str,
    shown: Shown<'s>,
    row_name: &'s dyn Fn(&str) -> String,
    rows: Vec<String>,
}

impl<'s> Tables<'s> {
    fn of(
        figures: &'s Figures,
        section: &'s str,
        shown: Shown<'s>,
        row_name: &'s dyn Fn(&str) -> String,
    ) -> Self {
        Self {
            figures,
            section,
            shown,
            row_name,
            rows: figures.names(section, |figure| &figure.row),
        }
    }

    /// Where in the figures a table's cell is.
    fn at<'a>(&'a self, row: &'a str, operation: &'a str, name: &'a str) -> [&'a str; 4] {
        [self.section, row, operation, name]
    }

    /// Whether this was measured in any row.
    fn has(&self, operation: &str, name: &str) -> bool {
        let mut rows = self.rows.iter();
        rows.any(|row| self.figures.median(self.at(row, operation, name)).is_some())
    }

    fn operations(&self) -> Vec<String> {
        self.figures.names(self.section, |figure| &figure.operation)
    }

    /// A table for each of these operations: contenders beside each other, and a row for
    /// each size.
    fn by_operation(&self, chosen: Chosen<'_>) -> String {
        let mut text = String::new();
        for operation in self.operations() {
            let mut names = names(self.figures, self.section);
            names.retain(|name| {
                let cells = self.rows.iter().map(|row| self.at(row, &operation, name));
                name != LIMIT && self.has(&operation, name) && tells_something(self.figures, cells)
            });
            if names.is_empty() || !chosen(&operation) {
                continue;
            }
            let _ = writeln!(text, "**{operation}**\n");
            text += &heading("", names.iter().map(String::as_str));
            for row in &self.rows {
                let at = |name| self.at(row, &operation, name);
                if names
                    .iter()
                    .all(|name| self.figures.median(at(name)).is_none())
                {
                    continue;
                }
                let _ = write!(text, "| {} |", (self.row_name)(row));
                for name in &names {
                    let _ = write!(text, " {} |", beside(self.figures, at(name), self.shown));
                }
                text += "\n";
            }
            text += "\n";
        }
        text
    }

    /// What the memory allows: a column for each way to ask it.
    fn limits(&self) -> String {
        let mut operations = self.operations();
        operations.retain(|operation| self.has(operation, LIMIT));
        let mut text = heading("", operations.iter().map(String::as_str));
        for row in &self.rows {
            let _ = write!(text, "| {} |", (self.row_name)(row));
            for operation in &operations {
                let found = self.figures.median(self.at(row, operation, LIMIT));
                let cell = found.map_or("-".to_owned(), self.shown);
                let _ = write!(text, " {cell} |");
            }
            text += "\n";
        }
        text
    }
}

/// Whether a column is worth its place. One of a rival with its default hasher is if it
/// differs by more than a tenth from that with the fastest one, in the median of the rows.
fn tells_something<'a>(figures: &Figures, rows: impl Iterator<Item = [&'a str; 4]>) -> bool {
    let mut differences = Vec::new();
    for at @ [section, row, operation, name] in rows {
        let Some(fastest) = name.strip_suffix(DEFAULT_HASHER) else {
            return true;
        };
        let ratio = figures.ratio(at, [section, row, operation, fastest]);
        differences.extend(ratio.map(|ratio| ratio.max(1.0 / ratio)));
    }
    differences.is_empty() || median(&differences) > 1.1
}

/// A figure, with its ratio to ours.
fn beside(figures: &Figures, at: [&str; 4], shown: Shown<'_>) -> String {
    let Some(found) = figures.median(at) else {
        return "-".to_owned();
    };
    let [section, row, operation, name] = at;
    match figures.ratio(at, [section, row, operation, US]) {
        Some(ratio) if name != US && !section.ends_with("memory") => {
            format!("{} ({ratio:.2})", shown(found))
        }
        _ => shown(found),
    }
}

/// What is timed, from its name in figures.
fn operations_of(operation: &str) -> String {
    match operation.split_once(", ") {
        Some((mix, "read")) => format!("{mix}: gets"),
        Some((mix, "write")) if !mix.starts_with("add to") => format!("{mix}: replacements"),
        Some((mix, _)) => mix.to_owned(),
        None => operation.to_owned(),
    }
}

/// A table for each of these operations, which a reader opens: contenders beside each
/// other, and a row for each quantile.
fn latency(figures: &Figures, chosen: Chosen<'_>) -> String {
    let mut text = String::new();
    let tables = Tables::of(figures, "latency", &long, &str::to_owned);
    for first in tables.operations() {
        let Some(operation) = first.strip_suffix(" p50").filter(|name| chosen(name)) else {
            continue;
        };
        let mut names = names(figures, "latency");
        names.retain(|name| tables.has(&first, name));
        let _ = writeln!(
            text,
            "<details markdown=\"1\">\n<summary>{}</summary>\n",
            operations_of(operation)
        );
        let columns = names.iter().map(String::as_str);
        text += &heading("", ["quantile"].into_iter().chain(columns));
        for row in &tables.rows {
            let cell = |operation: &str, name: &str| {
                let found = figures.median(tables.at(row, operation, name));
                found.map(long)
            };
            if names.iter().all(|name| cell(&first, name).is_none()) {
                continue;
            }
            for quantile in ["p50", "p99", "p99.9", "max"] {
                let _ = write!(text, "| {row} | {quantile} |");
                for name in &names {
                    let cell = cell(&format!("{operation} {quantile}"), name);
                    let _ = write!(text, " {} |", cell.as_deref().unwrap_or("-"));
                }
                text += "\n";
            }
        }
        text += "\n</details>\n\n";
    }
    text
}

fn fullness(figures: &Figures) -> String {
    let mut text = heading(
        "percent full",
        ["replace", "rate to that before any cleaning"].into_iter(),
    );
    for row in figures.names("fullness", |figure| &figure.row) {
        let at = |row| ["fullness", row, "replace", US];
        let (Some(found), Some(ratio)) = (
            figures.median(at(&row)),
            figures.ratio(at(UNCLEANED), at(&row)),
        ) else {
            continue;
        };
        let _ = writeln!(text, "| {row} | {} | {ratio:.2} |", time(found));
    }
    text
}

fn list(figures: &Figures, section: &str, shown: Shown<'_>) -> String {
    let mut text = heading("", ["median", "least", "most"].into_iter());
    for figure in figures.0.iter().filter(|figure| figure.section == section) {
        let Figure {
            operation, samples, ..
        } = figure;
        let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = samples.iter().copied().fold(0.0, f64::max);
        let [median, least, most] = [median(samples), least, most].map(shown);
        let _ = writeln!(text, "| {operation} | {median} | {least} | {most} |");
    }
    text
}

/// How far apart the samples of figures lie.
fn spreads(figures: &Figures) -> String {
    let mut text = heading("section", ["median spread", "largest"].into_iter());
    let mut sections: Vec<&str> = Vec::new();
    for figure in &figures.0 {
        if !sections.contains(&figure.section.as_str()) {
            sections.push(&figure.section);
        }
    }
    for section in sections {
        let of = figures.0.iter().filter(|figure| figure.section == section);
        let several = of.filter(|figure| figure.samples.len() > 1);
        let spreads: Vec<f64> = several.map(|figure| spread(&figure.samples)).collect();
        if spreads.is_empty() {
            continue;
        }
        let largest = spreads.iter().copied().fold(0.0, f64::max);
        let (middle, largest) = (median(&spreads) * 100.0, largest * 100.0);
        let _ = writeln!(text, "| {section} | {middle:.0} % | {largest:.0} % |");
    }
    text
}

pub(super) fn names(figures: &Figures, section: &str) -> Vec<String> {
    figures.names(section, |figure| &figure.contender)
}

pub(super) fn heading<'c>(first: &str, columns: impl Iterator<Item = &'c str>) -> String {
    let columns: Vec<&str> = columns.collect();
    let line = "---|".repeat(columns.len() + 1);
    format!("| {first} | {} |\n|{line}\n", columns.join(" | "))
}

/// The works that several share, as rows begin.
pub(super) fn shared_works() -> [String; 2] {
    [Kind::Decimal, Kind::Random(100)].map(Kind::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_hasher_has_a_column_where_it_makes_a_difference() {
        let mut figures = Figures::default();
        for (operation, default) in [("get", 115.0), ("insert", 108.0)] {
            for (name, nanoseconds) in [
                ("shmtable", 50.0),
                ("scc", 100.0),
                ("scc, SipHash", default),
            ] {
                for row in ["1000", "10000"] {
                    figures.add(["sizes", row, operation, name], nanoseconds);
                }
            }
        }
        let text = Tables::of(&figures, "sizes", &time, &entries).by_operation(&|_| true);
        let (get, insert) = text.split_once("**insert**").expect("both operations");
        assert!(get.contains("| shmtable | scc | scc, SipHash |"), "{get}");
        assert!(
            get.contains("| 1,000 | 50 ns | 100 ns (2.00) | 115 ns (2.30) |"),
            "{get}"
        );
        assert!(insert.contains("| shmtable | scc |\n"), "{insert}");
    }
}
