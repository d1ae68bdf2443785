//! Where a rival is ahead of shmtable.

use std::cmp::Ordering;
use std::fmt::Write;

use shmtable_bench::contender::{Contender, DEFAULT_HASHER, Std};
use shmtable_bench::figure::Figures;

use super::cells::{bytes, digits, entries, long, rate, time};
use super::markdown::{LIMIT, US, heading, names};
use crate::section::growth::TO_SIZE;
use crate::section::sizes::ABOVE;

/// The sections that compare contenders, with how figures and rows are shown.
type Compared = (&'static str, fn(f64) -> String, fn(&str) -> String);

const COMPARED: [Compared; 7] = [
    ("sizes", time, entries),
    ("values", time, bytes),
    ("counters", time, entries),
    ("shared", rate, str::to_owned),
    ("attach", long, entries),
    ("growth", long, entries),
    ("memory", |number| format!("{number:.1} bytes"), entries),
];

/// How many times better a rival must be to be ahead.
const AHEAD: f64 = 1.1;

/// A row in which a rival is ahead.
struct Loss {
    row: String,
    rival: String,
    theirs: f64,
    ours: f64,
    /// How many times better the rival is.
    times: f64,
}

/// A row for each operation in which a rival is ahead.
pub(super) fn losses(figures: &Figures) -> String {
    let columns = ["operation", "rows", "ahead by most", "times"];
    let mut text = heading("page", columns.into_iter());
    for (section, shown, row_name) in COMPARED {
        let rows = figures.names(section, |figure| &figure.row);
        for operation in figures.names(section, |figure| &figure.operation) {
            if operation == ABOVE {
                // The row of all bytes says it.
                continue;
            }
            let in_row = |row: &String| loss(figures, section, row, &operation);
            let losses: Vec<Loss> = rows.iter().filter_map(in_row).collect();
            let Some(most) = losses.iter().max_by(|one, other| one.compare(other)) else {
                continue;
            };
            let (title, page) = page(section, &operation);
            let is_measured = |row: &&String| {
                let ours = figures.median([section, row, &operation, US]);
                ours.is_some()
            };
            let lost_rows: Vec<String> = losses.iter().map(|loss| row_name(&loss.row)).collect();
            let lost_rows = if lost_rows.len() == rows.iter().filter(is_measured).count() {
                "all".to_owned()
            } else {
                lost_rows.join("; ")
            };
            let _ = writeln!(
                text,
                "| [{title}](benchmarks/{page}.md) | {operation} | {} | {}: {} {}, shmtable {} | {} |",
                lost_rows,
                row_name(&most.row),
                most.rival,
                shown(most.theirs),
                shown(most.ours),
                digits(most.times)
            );
        }
    }
    text
}

/// The rival that is ahead by most in a row, if one is.
fn loss(figures: &Figures, section: &str, row: &str, operation: &str) -> Option<Loss> {
    let median = |name: &str| figures.median([section, row, operation, name]);
    let ours = median(US)?;
    let mut rivals = names(figures, section);
    // A table of one thread is a reference. The default hasher is the slower one.
    rivals.retain(|name| ![US, TO_SIZE, LIMIT, <Std>::ABOUT.name].contains(&name.as_str()));
    rivals.retain(|name| !name.ends_with(DEFAULT_HASHER));
    let losses = rivals.into_iter().filter_map(|rival| {
        let theirs = median(&rival)?;
        let times = match section {
            "shared" => theirs / ours,
            _ => ours / theirs,
        };
        Some(Loss {
            row: row.to_owned(),
            rival,
            theirs,
            ours,
            times,
        })
    });
    let most = losses.max_by(Loss::compare);
    most.filter(|loss| loss.times > AHEAD)
}

impl Loss {
    fn compare(&self, other: &Self) -> Ordering {
        self.times.total_cmp(&other.times)
    }
}

/// The page that has a table: its title, and its name in `docs/benchmarks/`.
fn page(section: &str, operation: &str) -> (&'static str, &'static str) {
    match (section, operation) {
        ("sizes" | "values", "insert") => ("Writes", "writes"),
        ("sizes", _) => ("Gets", "gets"),
        ("values", "get") => ("Values", "values"),
        ("values", _) => ("Writes", "writes"),
        ("shared", operation) if !operation.starts_with("add to") => {
            ("Several processes", "processes")
        }
        ("attach", _) => ("Creating and opening", "opening"),
        ("growth", _) => ("Growth", "growth"),
        ("memory", _) => ("Memory", "memory"),
        _ => ("Counters", "counters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rival_does_better_is_named() {
        let mut figures = Figures::default();
        let mut add = |section, row, operation, cells: &[(&str, f64)]| {
            for (name, number) in cells {
                figures.add([section, row, operation, name], *number);
            }
        };
        // Ahead in two rows of three, and by most in the second.
        let cells = |ours, theirs, others| [(US, ours), ("dashmap", theirs), ("scc", others)];
        add("values", "8", "replace", &cells(100.0, 95.0, 200.0));
        add("values", "100", "replace", &cells(300.0, 400.0, 200.0));
        add("values", "4096", "replace", &cells(2000.0, 400.0, 500.0));
        // A reference, a limit, a rival that is ahead by less than a tenth, and a hasher that
        // counts no more.
        let slower = ("scc, SipHash", 1.0);
        let others = [("std HashMap", 1.0), (LIMIT, 1.0), ("scc", 92.0), slower];
        add("values", "8", "get", &[(US, 100.0)]);
        add("values", "8", "get", &others);
        // Rates.
        add(
            "shared",
            "counters, 1",
            "add to one",
            &[(US, 3e6), ("scc", 1e6)],
        );
        add(
            "shared",
            "counters, 2",
            "add to one",
            &[(US, 1e6), ("scc", 3e6)],
        );
        // Bytes, said twice.
        add("memory", "1000", "bytes", &[(US, 60.0), ("LMDB", 30.0)]);
        add("memory", "1000", ABOVE, &[(US, 50.0), ("LMDB", 20.0)]);

        let text = losses(&figures);
        let rows: Vec<&str> = text.lines().skip(2).collect();
        let expected = [
            "| [Writes](benchmarks/writes.md) | replace | 100 B; 4 KiB | 4 KiB: dashmap 400 ns, \
             shmtable 2,000 ns | 5.0 |",
            "| [Counters](benchmarks/counters.md) | add to one | counters, 2 | counters, 2: scc \
             3.0 M/s, shmtable 1.0 M/s | 3.0 |",
            "| [Memory](benchmarks/memory.md) | bytes | all | 1,000: LMDB 30.0 bytes, shmtable \
             60.0 bytes | 2.0 |",
        ];
        assert_eq!(rows, expected);
    }
}
