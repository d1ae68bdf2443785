//! Tables.

use std::fmt::Write;

use shmtable_bench::contender::DEFAULT_HASHER;
use shmtable_bench::figure::{Figure, Figures, median, spread};
use shmtable_bench::work::{Kind, size};

use crate::goals::{Goal, MILLION};
use crate::results::Results;
use crate::section::fullness::UNCLEANED;
use crate::section::locks::ONE_LOAD;

const US: &str = "shmtable";

/// What stands in the document's places.
pub(crate) fn parts(results: &Results, goals: &[Goal]) -> Vec<(&'static str, String)> {
    let figures = &results.figures;
    vec![
        ("run", run(results)),
        ("notes", notes(results)),
        ("contenders", contenders(results)),
        ("goals", judged(goals)),
        ("bounds", bounds(figures)),
        ("sizes", by_operation(figures, "sizes", &time, &entries)),
        ("values", by_operation(figures, "values", &time, &bytes)),
        (
            "counters",
            by_operation(figures, "counters", &time, &entries),
        ),
        (
            "shared",
            by_operation(figures, "shared", &rate, &str::to_owned),
        ),
        ("latency", latency(figures)),
        ("fullness", fullness(figures)),
        ("attach", by_operation(figures, "attach", &long, &entries)),
        ("memory", by_operation(figures, "memory", &plain, &entries)),
        ("take-over", list(figures, "take-over", &long)),
        ("locks", list(figures, "locks", &time)),
        ("spread", spreads(figures)),
    ]
}

/// The README's table: a million decimal keys.
pub(crate) fn readme(results: &Results) -> String {
    let figures = &results.figures;
    let columns = ["insert", "get", "half misses", "get_many"];
    let mut text = heading("", columns.iter().copied().chain(["bytes an entry"]));
    for name in names(figures, "sizes") {
        if name == "limit" || name.ends_with(DEFAULT_HASHER) {
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
        let found = figures.median(["sizes", MILLION, operation, "limit"]);
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
        scale => format!("**A {scale} run, to be taken again in full.** "),
    };
    let busy = if results.machine.was_busy() {
        "**Others were at work on this machine: the figures are to be taken again.** "
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
    let mut text = heading("contender", ["set-up", "hasher"].into_iter());
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
        "Half misses: the machine itself, asked for one cache line for each of 1,000,000 keys by a program \
         that branches by what it finds there, takes {} if all keys are there and {} if every second one \
         is, as the processor cannot foresee which. That is {:.2} times the rate of hits, without a table.\n",
        time(hits),
        time(half),
        hits / half
    )
}

type Shown<'s> = &'s dyn Fn(f64) -> String;

/// A table for each operation of a section: contenders beside each other, and a row for
/// each size.
fn by_operation(
    figures: &Figures,
    section: &str,
    shown: Shown<'_>,
    row_name: &dyn Fn(&str) -> String,
) -> String {
    let mut text = String::new();
    for operation in figures.names(section, |figure| &figure.operation) {
        let rows = figures.names(section, |figure| &figure.row);
        let names = names(figures, section).into_iter().filter(|name| {
            let at = |row| [section, row, operation.as_str(), name.as_str()];
            let measured = rows.iter().any(|row| figures.median(at(row)).is_some());
            measured && tells_something(figures, rows.iter().map(|row| at(row)))
        });
        let names: Vec<String> = names.collect();
        let _ = writeln!(text, "**{operation}**\n");
        text += &heading("", names.iter().map(String::as_str));
        for row in &rows {
            let at = |name| [section, row.as_str(), operation.as_str(), name];
            if names.iter().all(|name| figures.median(at(name)).is_none()) {
                continue;
            }
            let _ = write!(text, "| {} |", row_name(row));
            for name in &names {
                let _ = write!(text, " {} |", beside(figures, at(name), shown));
            }
            text += "\n";
        }
        text += "\n";
    }
    text
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
        Some(ratio) if name != US && section != "memory" => {
            format!("{} ({ratio:.2})", shown(found))
        }
        _ => shown(found),
    }
}

fn latency(figures: &Figures) -> String {
    let mut text = String::new();
    let quantiles = ["p50", "p99", "p99.9", "max"];
    for operation in figures.names("latency", |figure| &figure.operation) {
        let Some(operation) = operation.strip_suffix(" p50") else {
            continue;
        };
        let rows = figures.names("latency", |figure| &figure.row);
        let _ = writeln!(text, "<details><summary>{operation}</summary>\n");
        text += &heading("", ["contender"].into_iter().chain(quantiles));
        for row in rows {
            for name in names(figures, "latency") {
                let quantile = |quantile| {
                    figures.median(["latency", &row, &format!("{operation} {quantile}"), &name])
                };
                if quantile("p50").is_none() {
                    continue;
                }
                let _ = write!(text, "| {row} | {name} |");
                for called in quantiles {
                    let cell = quantile(called).map_or("-".to_owned(), long);
                    let _ = write!(text, " {cell} |");
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

fn names(figures: &Figures, section: &str) -> Vec<String> {
    figures.names(section, |figure| &figure.contender)
}

fn heading<'c>(first: &str, columns: impl Iterator<Item = &'c str>) -> String {
    let columns: Vec<&str> = columns.collect();
    let line = "---|".repeat(columns.len() + 1);
    format!("| {first} | {} |\n|{line}\n", columns.join(" | "))
}

fn entries(row: &str) -> String {
    let digits = row.chars().rev().enumerate();
    let grouped = digits.flat_map(|(i, digit)| {
        let comma = (i > 0 && i % 3 == 0).then_some(',');
        comma.into_iter().chain([digit])
    });
    grouped.collect::<Vec<_>>().into_iter().rev().collect()
}

fn bytes(row: &str) -> String {
    row.parse().map_or(row.to_owned(), size)
}

fn time(nanoseconds: f64) -> String {
    format!("{} ns", digits(nanoseconds))
}

fn long(nanoseconds: f64) -> String {
    match nanoseconds {
        0.0..1e4 => time(nanoseconds),
        1e4..1e7 => format!("{} µs", digits(nanoseconds / 1e3)),
        _ => format!("{} ms", digits(nanoseconds / 1e6)),
    }
}

fn rate(operations: f64) -> String {
    match operations {
        0.0..1e5 => format!("{:.1} k/s", operations / 1e3),
        1e5..1e6 => format!("{:.0} k/s", operations / 1e3),
        _ => format!("{:.1} M/s", operations / 1e6),
    }
}

fn plain(number: f64) -> String {
    format!("{number:.1}")
}

fn digits(number: f64) -> String {
    match number {
        0.0..10.0 => format!("{number:.1}"),
        10.0..1000.0 => format!("{number:.0}"),
        _ => entries(&format!("{number:.0}")),
    }
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
        let text = by_operation(&figures, "sizes", &time, &entries);
        let (get, insert) = text.split_once("**insert**").expect("both operations");
        assert!(get.contains("| shmtable | scc | scc, SipHash |"), "{get}");
        assert!(
            get.contains("| 1,000 | 50 ns | 100 ns (2.00) | 115 ns (2.30) |"),
            "{get}"
        );
        assert!(insert.contains("| shmtable | scc |\n"), "{insert}");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(entries("1000000"), "1,000,000");
        assert_eq!(entries("100"), "100");
        assert_eq!(time(5.678), "5.7 ns");
        assert_eq!(long(2_345_000.0), "2,345 µs");
        assert_eq!(rate(12_340_000.0), "12.3 M/s");
        assert_eq!(bytes("65536"), "64 KiB");
    }
}
