//! Is every operation that claims to be atomic atomic among processes?
//!
//! The children are real processes; each test adds up by other means what must
//! come out.

#![cfg(any(target_os = "linux", windows))]

#[path = "../common/mod.rs"]
mod common;
mod readers;
mod single_winners;
mod sums;

use common::{Child, start_together};

const PROCESSES: usize = 8;

/// Starts children with the table's name, their number, and a count.
fn race(test: &str, role: &str, name: &str, processes: usize, count: usize) -> Vec<Child> {
    let arguments: Vec<Vec<String>> = (0..processes)
        .map(|number| vec![name.to_owned(), number.to_string(), count.to_string()])
        .collect();
    start_together(test, role, &arguments)
}

fn key(number: usize) -> [u8; 8] {
    (number as u64).to_le_bytes()
}

fn numbers(line: &str) -> Vec<usize> {
    line.split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect()
}
