//! Figures as the text of a table's cells.

use shmtable_bench::work::size;

/// A number of entries.
pub(super) fn entries(row: &str) -> String {
    let digits = row.chars().rev().enumerate();
    let grouped = digits.flat_map(|(i, digit)| {
        let comma = (i > 0 && i % 3 == 0).then_some(',');
        comma.into_iter().chain([digit])
    });
    grouped.collect::<Vec<_>>().into_iter().rev().collect()
}

/// A number of entries, or the name of a row that has none.
pub(super) fn entries_or_name(row: &str) -> String {
    if row.parse::<u64>().is_ok() {
        entries(row)
    } else {
        row.to_owned()
    }
}

/// The size of a value.
pub(super) fn bytes(row: &str) -> String {
    row.parse().map_or(row.to_owned(), size)
}

/// Nanoseconds.
pub(super) fn time(nanoseconds: f64) -> String {
    format!("{} ns", digits(nanoseconds))
}

/// A time that may be long.
pub(super) fn long(nanoseconds: f64) -> String {
    match nanoseconds {
        0.0..1e4 => time(nanoseconds),
        1e4..1e7 => format!("{} µs", digits(nanoseconds / 1e3)),
        _ => format!("{} ms", digits(nanoseconds / 1e6)),
    }
}

/// Operations per second.
pub(super) fn rate(operations: f64) -> String {
    match operations {
        0.0..1e5 => format!("{:.1} k/s", operations / 1e3),
        1e5..1e6 => format!("{:.0} k/s", operations / 1e3),
        _ => format!("{:.1} M/s", operations / 1e6),
    }
}

/// A number without a unit.
pub(super) fn plain(number: f64) -> String {
    format!("{number:.1}")
}

/// As many digits as a reader can use.
pub(super) fn digits(number: f64) -> String {
    match number {
        0.0..10.0 => format!("{number:.1}"),
        10.0..1000.0 => format!("{number:.0}"),
        _ => entries(&format!("{number:.0}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(entries("1000000"), "1,000,000");
        assert_eq!(entries("100"), "100");
        assert_eq!(entries_or_name("1000"), "1,000");
        assert_eq!(entries_or_name("mean"), "mean");
        assert_eq!(time(5.678), "5.7 ns");
        assert_eq!(long(2_345_000.0), "2,345 µs");
        assert_eq!(rate(12_340_000.0), "12.3 M/s");
        assert_eq!(bytes("65536"), "64 KiB");
    }
}
