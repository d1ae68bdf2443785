//! Does a table in which cleaning runs all the time do what a `HashMap` does, and
//! does it keep the promise of [`Options::value_space`]?
//!
//! The promise: entries as many as the capacity, whose keys and values have
//! together at most `value_space` bytes, always fit, whatever was stored, replaced
//! and removed before, if no entry is larger than a chunk.

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use common::{Dice, assert_sound, bytes, contents, scaled};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use shmtable::{Error, Options, Table};

/// A table of a few chunks, that sequences of a few hundred steps turn over many
/// times.
const SMALL: Limits = Limits {
    capacity: 20,
    space: 12_000,
};
/// One in which the chunks kept back for cleaning and participants are few among
/// many.
const LARGE: Limits = Limits {
    capacity: 60,
    space: 120_000,
};
const CHUNK: usize = 4096;
/// A record that fits a chunk may have so many bytes of key and value: beside them
/// it has a header and two paddings.
const FITS: usize = CHUNK - 24;

/// Sequences of operations that each test runs.
const CASES: usize = 80;

type Model = HashMap<Vec<u8>, Vec<u8>>;

/// What a table is created for.
#[derive(Clone, Copy)]
struct Limits {
    capacity: usize,
    space: usize,
}

#[derive(Debug, Clone)]
enum Operation {
    Insert(u8, usize),
    TryInsert(u8, usize),
    Replace(u8, usize),
    /// Length, or removal.
    Update(u8, Option<usize>),
    /// Whether to expect what is there; the new length.
    CompareExchange(u8, bool, Option<usize>),
    FetchAdd(u8, i64),
    Remove(u8),
    Take(u8),
    /// Whether its condition holds.
    RemoveIf(u8, bool),
    /// The length of what is computed, and of what is stored meanwhile.
    GetOrInsert(u8, usize, Option<usize>),
    Get(u8),
    Retain(u8),
    RemovePrefix(u8),
    Clear,
    /// Drops the second handle and opens it again.
    Reopen,
    /// Changes hands: the other handle does what follows.
    Other,
}

impl Operation {
    /// The number of its key.
    fn key(&self) -> u8 {
        match *self {
            Self::Insert(key, _)
            | Self::TryInsert(key, _)
            | Self::Replace(key, _)
            | Self::Update(key, _)
            | Self::CompareExchange(key, _, _)
            | Self::FetchAdd(key, _)
            | Self::Remove(key)
            | Self::Take(key)
            | Self::RemoveIf(key, _)
            | Self::GetOrInsert(key, _, _)
            | Self::Get(key)
            | Self::Retain(key)
            | Self::RemovePrefix(key) => key,
            Self::Clear | Self::Reopen | Self::Other => 0,
        }
    }
}

/// Lengths that need care: those of one word, about a half and a whole chunk, all
/// sorts, and, if allowed, several chunks.
fn length(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 0..20_usize,
        2 => Just(8_usize),
        4 => 20..1500_usize,
        2 => 1900..2200_usize,
        2 => FITS - 60..FITS - 35,
        1 => 0..=most,
    ]
}

fn operation(most: usize) -> impl Strategy<Value = Operation> {
    use Operation as Op;
    let key = 0..30_u8;
    prop_oneof![
        6 => (key.clone(), length(most)).prop_map(|(k, l)| Op::Insert(k, l)),
        2 => (key.clone(), length(most)).prop_map(|(k, l)| Op::TryInsert(k, l)),
        2 => (key.clone(), length(most)).prop_map(|(k, l)| Op::Replace(k, l)),
        3 => (key.clone(), prop::option::weighted(0.8, length(most)))
            .prop_map(|(k, l)| Op::Update(k, l)),
        3 => (key.clone(), prop::bool::weighted(0.8), prop::option::weighted(0.8, length(most)))
            .prop_map(|(k, e, l)| Op::CompareExchange(k, e, l)),
        2 => (key.clone(), any::<i64>()).prop_map(|(k, n)| Op::FetchAdd(k, n)),
        3 => key.clone().prop_map(Op::Remove),
        1 => key.clone().prop_map(Op::Take),
        1 => (key.clone(), any::<bool>()).prop_map(|(k, goes)| Op::RemoveIf(k, goes)),
        2 => (key.clone(), length(most), prop::option::weighted(0.3, length(most)))
            .prop_map(|(k, l, m)| Op::GetOrInsert(k, l, m)),
        2 => key.clone().prop_map(Op::Get),
        1 => key.clone().prop_map(Op::Retain),
        1 => key.prop_map(Op::RemovePrefix),
        1 => Just(Op::Clear),
        1 => Just(Op::Reopen),
        3 => Just(Op::Other),
    ]
}

/// Keys of 0 bytes and more.
fn key_of(number: u8) -> Vec<u8> {
    bytes(u64::from(number) + 100, usize::from(number))
}

fn payload(model: &Model) -> usize {
    model
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

/// Whether a bucket has room for an entry in one of its slots.
fn is_small(key: &[u8], value: &[u8]) -> bool {
    value.len() <= 8 && key.len() + value.len() <= 15
}

/// The model after a value was stored.
fn with(model: &Model, key: &[u8], value: Option<&[u8]>) -> Model {
    let mut after = model.clone();
    match value {
        Some(value) => after.insert(key.to_vec(), value.to_vec()),
        None => after.remove(key),
    };
    after
}

/// Whether the table has promised to come from one to the other.
fn promised(limits: Limits, before: &Model, after: &Model) -> bool {
    let fits = |model: &Model| {
        model
            .iter()
            .all(|(key, value)| key.len() + value.len() <= FITS)
    };
    after.len() <= limits.capacity
        && payload(after) <= limits.space
        && before.len() <= limits.capacity
        && payload(before) <= limits.space
        && fits(before)
        && fits(after)
}

struct Pair {
    limits: Limits,
    handles: [Table; 2],
    at: usize,
    model: Model,
    /// Keys whose entries lie in their slots, and in no record.
    in_slots: HashSet<Vec<u8>>,
    step: u64,
    /// Calls that failed though nothing was promised.
    refused: usize,
}

impl Pair {
    fn new(limits: Limits) -> Self {
        let options = Options::new()
            .capacity(limits.capacity)
            .value_space(limits.space)
            .chunk_size(CHUNK)
            .max_participants(2)
            .stripes(2);
        let table = options.create_anonymous().expect("a table is created");
        let second = Table::open(table.name()).expect("it is opened");
        Self {
            limits,
            handles: [table, second],
            at: 0,
            model: Model::new(),
            in_slots: HashSet::new(),
            step: 0,
            refused: 0,
        }
    }

    /// Notes where an entry lies from now on: a small one in its slot, but not after a
    /// small one of another length.
    fn note(&mut self, key: &[u8], value: Option<&[u8]>) {
        let before = self.model.get(key);
        let Some(value) = value else {
            self.in_slots.remove(key);
            return;
        };
        if before.is_some_and(|before| before.len() == value.len() && value.len() <= 8) {
            return;
        }
        if !self.in_slots.remove(key) && is_small(key, value) {
            self.in_slots.insert(key.to_vec());
        }
    }

    /// Bytes of the records of all entries that do not lie in their slots.
    fn record_bytes(&self) -> usize {
        let padded = |bytes: &[u8]| bytes.len().next_multiple_of(8);
        self.model
            .iter()
            .filter(|(key, _)| !self.in_slots.contains(*key))
            .map(|(key, value)| 8 + padded(key) + padded(value))
            .sum()
    }

    /// Holds the outcome of a call that stores `value` against the model: it
    /// succeeded, or was refused without a promise broken.
    fn stored<R>(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        outcome: Result<R, Error>,
    ) -> Option<R> {
        let after = with(&self.model, key, value);
        match outcome {
            Ok(result) => {
                self.note(key, value);
                self.model = after;
                Some(result)
            }
            // Of what was offered, which is not stored where another value was expected.
            Err(Error::ValueTooLarge { limit, size, .. }) => {
                assert!(size > limit && key.len() + size > FITS, "{limit}, {size}");
                self.refused += 1;
                None
            }
            Err(error @ (Error::ValueSpaceFull { .. } | Error::TableFull { .. })) => {
                assert!(
                    !promised(self.limits, &self.model, &after),
                    "step {}: {error}; {} entries of {} bytes were to become {} of {}; {:?}",
                    self.step,
                    self.model.len(),
                    payload(&self.model),
                    after.len(),
                    payload(&after),
                    self.handles[0].stats().expect("stats work"),
                );
                self.refused += 1;
                None
            }
            Err(error) => panic!("step {}: {error:?}", self.step),
        }
    }

    #[expect(clippy::too_many_lines, reason = "an arm for each operation")]
    fn run(&mut self, operation: &Operation) {
        use Operation as Op;
        self.step += 1;
        let table = self.handles[self.at].clone();
        let number = operation.key();
        let key = key_of(number);
        let old = self.model.get(&key).cloned();
        let value = |length: usize| bytes(self.step, length);
        match operation {
            Op::Insert(_, length) => {
                let value = value(*length);
                let outcome = table.insert(&key, &value);
                if let Some(new) = self.stored(&key, Some(&value), outcome) {
                    assert_eq!(new, old.is_none());
                }
            }
            Op::TryInsert(_, length) => {
                let value = value(*length);
                let outcome = table.try_insert(&key, &value);
                let after = old.as_deref().unwrap_or(&value);
                if let Some(won) = self.stored(&key, Some(after), outcome) {
                    assert_eq!(won, old.is_none());
                }
            }
            Op::Replace(_, length) => {
                let value = value(*length);
                let outcome = table.replace(&key, &value);
                if let Some(before) = self.stored(&key, Some(&value), outcome) {
                    assert_eq!(before, old);
                }
            }
            Op::Update(_, length) => {
                let value = length.map(value);
                let outcome = table.update(&key, |found| {
                    assert_eq!(found, old.as_deref());
                    value.clone()
                });
                if let Some(stored) = self.stored(&key, value.as_deref(), outcome) {
                    assert_eq!(stored, value);
                }
            }
            Op::CompareExchange(_, right, length) => {
                let new = length.map(value);
                let expected = if *right { old.clone() } else { Some(value(5)) };
                let outcome = table.compare_exchange(&key, expected.as_deref(), new.as_deref());
                let exchanged = expected == old;
                let after = if exchanged { &new } else { &old };
                if let Some(answer) = self.stored(&key, after.as_deref(), outcome) {
                    assert_eq!(answer, if exchanged { Ok(()) } else { Err(old) });
                }
            }
            Op::FetchAdd(_, add) => {
                let before = old.as_ref().map_or(Some(0), |old| {
                    Some(i64::from_le_bytes(old.as_slice().try_into().ok()?))
                });
                let outcome = table.fetch_add(&key, *add);
                match (before, before.and_then(|before| before.checked_add(*add))) {
                    (None, _) => assert!(matches!(outcome, Err(Error::NotACounter { .. }))),
                    (_, None) => assert!(matches!(outcome, Err(Error::CounterOverflow { .. }))),
                    (Some(before), Some(after)) => {
                        if let Some(told) = self.stored(&key, Some(&after.to_le_bytes()), outcome) {
                            assert_eq!(told, before);
                        }
                    }
                }
            }
            Op::Remove(_) => {
                assert_eq!(table.remove(&key).expect("never refused"), old.is_some());
                self.note(&key, None);
                self.model.remove(&key);
            }
            Op::Take(_) => {
                assert_eq!(table.take(&key).expect("never refused"), old);
                self.note(&key, None);
                self.model.remove(&key);
            }
            Op::RemoveIf(_, goes) => {
                let removed = table.remove_if(&key, |found| {
                    assert_eq!(Some(found), old.as_deref());
                    *goes
                });
                let goes = *goes && old.is_some();
                assert_eq!(removed.expect("never refused"), goes);
                if goes {
                    self.note(&key, None);
                    self.model.remove(&key);
                }
            }
            Op::GetOrInsert(_, length, meanwhile) => {
                let computed = value(*length);
                let found = table.get_or_try_insert_with(&key, Duration::ZERO, || {
                    if let Some(length) = meanwhile {
                        let stored = bytes(self.step + 1_000_000, *length);
                        let outcome = table.insert(&key, &stored);
                        self.stored(&key, Some(&stored), outcome);
                    }
                    Ok::<_, Error>(computed.clone())
                });
                let found = found.expect("a value without room is returned");
                let standing = self.model.get(&key).cloned();
                if let Some(standing) = standing {
                    assert_eq!(found, standing);
                } else {
                    assert_eq!(found, computed);
                    // Without room it is not stored.
                    if table.contains_key(&key).expect("a read") {
                        self.stored(&key, Some(&computed), Ok(()));
                    } else {
                        let after = with(&self.model, &key, Some(&computed));
                        let fits = key.len() + computed.len() <= FITS;
                        assert!(!fits || !promised(self.limits, &self.model, &after));
                        self.refused += 1;
                    }
                }
            }
            Op::Get(_) => {}
            Op::Retain(_) => {
                let keep = |key: &[u8]| key.len() % 4 != usize::from(number % 4);
                let before = self.model.len();
                self.model.retain(|key, _| keep(key));
                self.in_slots.retain(|key| keep(key));
                let removed = table.retain(|key, _| keep(key)).expect("never refused");
                assert_eq!(removed, before - self.model.len());
            }
            Op::RemovePrefix(_) => {
                let key = key_of(number);
                // One byte of random keys: several have it.
                let prefix = &key[..key.len().min(1)];
                let mut found: Vec<_> = table.scan_prefix(prefix).map(Result::unwrap).collect();
                let begins = |key: &[u8]| key.starts_with(prefix);
                let mut expected: Vec<_> = self.model.clone().into_iter().collect();
                expected.retain(|(key, _)| begins(key));
                found.sort_unstable();
                expected.sort_unstable();
                assert_eq!(found, expected);
                self.model.retain(|key, _| !begins(key));
                self.in_slots.retain(|key| !begins(key));
                assert_eq!(table.remove_prefix(prefix).unwrap(), expected.len());
            }
            Op::Clear => {
                table.clear().expect("never refused");
                self.model.clear();
                self.in_slots.clear();
            }
            Op::Reopen => {
                let name = table.name().to_owned();
                drop(table);
                self.at = 0;
                let first = self.handles[0].clone();
                self.handles[1] = first.clone();
                self.handles[1] = Table::open(&name).expect("its slot is free again");
            }
            Op::Other => self.at = 1 - self.at,
        }
        let table = &self.handles[1 - self.at];
        assert_eq!(
            table.get(&key).expect("get works"),
            self.model.get(&key).cloned()
        );
        assert_eq!(table.len(), self.model.len());
    }

    /// All is as the model says. Returns how many chunks were cleaned.
    fn verify(&self) -> u64 {
        let table = &self.handles[0];
        assert_sound(table);
        assert_eq!(contents(table), self.model);
        assert_eq!(table.snapshot().expect("snapshot works"), self.model);
        let stats = table.stats().expect("stats work");
        assert_eq!(stats.entries, self.model.len());
        assert_eq!(stats.value_bytes_live, self.record_bytes());
        assert_eq!(stats.participants, 2);
        assert_eq!((stats.take_overs, stats.contended), (0, 0));
        assert!(stats.value_bytes_reserved <= stats.segment_bytes - stats.index_bytes);
        assert!(stats.value_bytes_live + stats.value_bytes_dead <= stats.value_bytes_reserved);
        stats.cleanings
    }
}

/// Runs sequences whose longest values have `most` bytes: the same ones in every run,
/// because a check is to fail for a change and not by chance, but new ones where
/// `SHMTABLE_TEST_SCALE` asks for more of them.
fn sequences(most: usize) {
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
        let mut pair = Pair::new(SMALL);
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
    sequences(FITS - 30);
}

#[test]
fn entries_of_several_chunks_behave_as_in_a_map() {
    sequences(SMALL.space);
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
fn what_was_promised_fits_at_any_time() {
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
