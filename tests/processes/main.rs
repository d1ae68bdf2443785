//! Is every atomic operation atomic among processes?
//!
//! The children are real processes. Each test computes by other means what must come out.

#![cfg(any(target_os = "linux", windows))]

#[path = "../common/mod.rs"]
mod common;
mod doublings;
mod readers;
mod single_winners;
mod sums;

const PROCESSES: usize = 8;

fn numbers(line: &str) -> Vec<usize> {
    line.split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect()
}
