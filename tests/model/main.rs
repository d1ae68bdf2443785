//! Does a table in which cleaning runs all the time do what a `HashMap` does, and
//! does it keep the promise of [`Options::value_space`]?
//!
//! The promise: as many entries as the capacity, whose keys and values together have at most
//! `value_space` bytes, always fit if no entry is larger than a chunk. It doesn't matter what
//! was stored, replaced and removed before.

#![cfg(any(target_os = "linux", windows))]
#![allow(unreachable_pub, reason = "a program of several modules")]

#[path = "../common/mod.rs"]
mod common;
mod operations;
mod pair;

use std::cell::Cell;

use common::{Dice, scaled};
use operations::{Operation, key_of, operation};
use pair::{Limits, Model, Pair, payload, with};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// A table of a few chunks, that sequences of a few hundred steps turn over many
/// times.
const SMALL: Limits = Limits {
    first: 20,
    capacity: 20,
    space: 12_000,
};

/// One in which the chunks kept back for cleaning and participants are few among
/// many.
const LARGE: Limits = Limits {
    first: 60,
    capacity: 60,
    space: 120_000,
};

/// A table that begins with a bucket in each stripe.
const GROWING: Limits = Limits { first: 4, ..LARGE };

const CHUNK: usize = 4096;
/// The most bytes of key and value in a record that fits a chunk. Beside them, a record has
/// a header and two paddings.
const FITS: usize = CHUNK - 24;
/// Sequences of operations that each test runs.
const CASES: usize = 80;

/// Runs sequences whose longest values have `most` bytes: the same ones in every run,
/// because a check is to fail for a change and not by chance, but new ones where
/// `SHMTABLE_TEST_SCALE` asks for more of them.
fn sequences(limits: Limits, most: usize) {
    let cases = scaled(CASES);
    let mut runner = TestRunner::new(Config {
        cases: cases as u32,
        rng_seed: if cases > CASES {
            RngSeed::Random
        } else {
            RngSeed::Fixed(0)
        },
        failure_persistence: None,
        ..Config::default()
    });
    let (cleanings, refused) = (Cell::new(0), Cell::new(0));
    let sequence = prop::collection::vec(operation(most), 1..400);
    let outcome = runner.run(&sequence, |sequence| {
        let mut pair = Pair::new(limits);
        for operation in &sequence {
            pair.run(operation);
        }
        // More than it has room for: chance need not have filled it before.
        for key in 0..30 {
            pair.run(&Operation::Insert(key, 3000));
        }
        prop_assert!(pair.refused > 0, "the table was full at the end");
        cleanings.set(cleanings.get() + pair.verify());
        refused.set(refused.get() + pair.refused);
        Ok(())
    });
    println!(
        "{cases} sequences, {} chunks cleaned, {} calls refused",
        cleanings.get(),
        refused.get()
    );
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(cleanings.get() > 0);
}

#[test]
fn entries_up_to_a_chunk_behave_as_in_a_map_and_fit_as_promised() {
    sequences(SMALL, FITS - 30);
}

#[test]
fn entries_of_several_chunks_behave_as_in_a_map() {
    sequences(SMALL, SMALL.space);
}

#[test]
fn entries_of_a_table_that_grows_behave_as_in_a_map_and_fit_as_promised() {
    let space = SMALL.space;
    sequences(Limits { space, ..GROWING }, FITS - 30);
}

/// Keeps a table filled to the last byte that was promised, and changes it.
fn full_to_the_brim(seed: u64, steps: usize, lengths: impl Fn(&mut Dice) -> usize) {
    let mut dice = Dice::new(seed);
    let mut pair = Pair::new(LARGE);
    let mut brimful = 0;
    for _ in 0..steps {
        let number = dice.below(80) as u8;
        let key = key_of(number);
        let others: Model = with(&pair.model, &key, None);
        if others.len() >= LARGE.capacity || dice.below(12) == 0 {
            pair.run(&Operation::Remove(number));
            continue;
        }
        let room = LARGE.space - payload(&others);
        if room < key.len() {
            pair.run(&Operation::Remove(number));
            continue;
        }
        let wanted = lengths(&mut dice).min(FITS - key.len());
        let length = wanted.min(room - key.len());
        let operation = match dice.below(4) {
            0 => Operation::Update(number, Some(length)),
            1 => Operation::CompareExchange(number, true, Some(length)),
            _ => Operation::Insert(number, length),
        };
        if dice.below(3) == 0 {
            pair.run(&Operation::Other);
        }
        pair.run(&operation);
        assert_eq!(pair.refused, 0);
        brimful += usize::from(payload(&pair.model) == LARGE.space);
    }
    let cleanings = pair.verify();
    assert!(cleanings > 0);
    assert!(brimful > 0, "it never was full");
    println!("seed {seed}: {steps} steps, full at {brimful}, {cleanings} cleanings");
}

#[test]
fn the_promised_entries_fit_at_any_time() {
    for seed in 0..scaled(3) as u64 {
        full_to_the_brim(seed, 3000, |dice| dice.below(FITS));
        full_to_the_brim(seed, 3000, |dice| dice.below(4000));
        // One record more than half a chunk: what wastes the most.
        full_to_the_brim(seed, 3000, |dice| 2030 + dice.below(40));
        full_to_the_brim(seed, 3000, |dice| match dice.below(3) {
            0 => FITS,
            1 => 2040,
            _ => dice.below(2500),
        });
    }
}
