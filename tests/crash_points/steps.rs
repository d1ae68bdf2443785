//! What processes do to a table, and what that leaves.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use shmtable::Table;

use crate::common::{assert_sound, bytes};

pub type Model = HashMap<Vec<u8>, Vec<u8>>;

/// Keys of each process of a test, so that each one's part can be told.
pub const KEYS_EACH: u64 = 1000;

#[derive(Debug, Clone, Copy)]
pub enum Step {
    Insert(u64, usize),
    InsertSlices(u64, usize),
    TryInsert(u64, usize),
    Replace(u64, usize),
    Update(u64, Option<usize>),
    Exchange(u64, Option<usize>),
    FetchAdd(u64, i64),
    FetchMax(u64, i64),
    FetchMin(u64, i64),
    Remove(u64),
    Take(u64),
    /// Keeps the keys that this number divides.
    Retain(u64),
    Clear,
    /// Waits for a key, and not long.
    Wait(u64),
    Snapshot,
    Check,
    Repair,
    /// Gives memory back.
    Shrink,
}

pub fn key_of(number: u64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

pub fn number_of(key: &[u8]) -> u64 {
    u64::from_le_bytes(key.try_into().expect("a key of ours"))
}

fn counter(value: &[u8]) -> i64 {
    i64::from_le_bytes(value.try_into().expect("a counter"))
}

impl Step {
    /// What it leaves under a key, which held `old`.
    fn leaves(self, key: u64, old: Option<&Vec<u8>>, seed: u64) -> Option<Vec<u8>> {
        match self {
            Self::Insert(_, length) | Self::InsertSlices(_, length) | Self::Replace(_, length) => {
                Some(bytes(seed, length))
            }
            Self::TryInsert(_, length) => old.cloned().or_else(|| Some(bytes(seed, length))),
            Self::Update(_, length) | Self::Exchange(_, length) => {
                length.map(|length| bytes(seed, length))
            }
            Self::FetchAdd(_, add) => {
                let sum = old.map_or(0, |old| counter(old)) + add;
                Some(sum.to_le_bytes().to_vec())
            }
            Self::FetchMax(_, n) => {
                let greatest = old.map_or(n, |old| counter(old)).max(n);
                Some(greatest.to_le_bytes().to_vec())
            }
            Self::FetchMin(_, n) => {
                let least = old.map_or(n, |old| counter(old)).min(n);
                Some(least.to_le_bytes().to_vec())
            }
            Self::Remove(_) | Self::Take(_) | Self::Clear => None,
            Self::Retain(divisor) => old.filter(|_| key.is_multiple_of(divisor)).cloned(),
            Self::Wait(_) | Self::Snapshot | Self::Check | Self::Repair | Self::Shrink => {
                old.cloned()
            }
        }
    }

    /// The key it is about; `None`: about all.
    fn key(self) -> Option<u64> {
        match self {
            Self::Insert(key, _)
            | Self::InsertSlices(key, _)
            | Self::TryInsert(key, _)
            | Self::Replace(key, _)
            | Self::Update(key, _)
            | Self::Exchange(key, _)
            | Self::FetchAdd(key, _)
            | Self::FetchMax(key, _)
            | Self::FetchMin(key, _)
            | Self::Remove(key)
            | Self::Take(key)
            | Self::Wait(key) => Some(key),
            Self::Retain(_)
            | Self::Clear
            | Self::Snapshot
            | Self::Check
            | Self::Repair
            | Self::Shrink => None,
        }
    }

    fn change(self, model: &mut Model, seed: u64) {
        let keys: Vec<u64> = match self.key() {
            Some(key) => vec![key],
            None => model.keys().map(|key| number_of(key)).collect(),
        };
        for number in keys {
            let key = key_of(number);
            match self.leaves(number, model.get(&key), seed) {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
    }

    pub fn apply(self, table: &Table, seed: u64) {
        let number = self.key().unwrap_or(0);
        let key = key_of(number);
        let old = table.get(&key).unwrap();
        let new = self.leaves(number, old.as_ref(), seed);
        match self {
            Self::Insert(..) => drop(table.insert(&key, &new.unwrap()).unwrap()),
            Self::InsertSlices(..) => {
                let value = new.unwrap();
                let (head, body) = value.split_at(5);
                table.insert_slices(&key, &[head, body]).unwrap();
            }
            Self::TryInsert(..) => drop(table.try_insert(&key, &new.unwrap()).unwrap()),
            Self::Replace(..) => {
                assert_eq!(table.replace(&key, &new.unwrap()).unwrap(), old);
            }
            Self::Update(..) => drop(table.update(&key, |_| new.clone()).unwrap()),
            Self::Exchange(..) => {
                let outcome = table.compare_exchange(&key, old.as_deref(), new.as_deref());
                assert_eq!(outcome.unwrap(), Ok(()));
            }
            Self::FetchAdd(_, add) => drop(table.fetch_add(&key, add).unwrap()),
            Self::FetchMax(_, n) => drop(table.fetch_max(&key, n).unwrap()),
            Self::FetchMin(_, n) => drop(table.fetch_min(&key, n).unwrap()),
            Self::Remove(_) => drop(table.remove(&key).unwrap()),
            Self::Take(_) => assert_eq!(table.take(&key).unwrap(), old),
            Self::Retain(divisor) => {
                let kept = |key: &[u8], _: &[u8]| number_of(key).is_multiple_of(divisor);
                table.retain(kept).unwrap();
            }
            Self::Clear => table.clear().unwrap(),
            Self::Snapshot => drop(table.snapshot().unwrap()),
            Self::Check => assert_sound(table),
            Self::Repair => assert_eq!(table.repair().unwrap(), Vec::<shmtable::Repaired>::new()),
            Self::Shrink => assert!(table.shrink_to_fit().unwrap() > 0),
            Self::Wait(_) => assert_eq!(table.wait(&key, Duration::ZERO).unwrap(), old),
        }
    }
}

pub fn apply_all(steps: &[Step], table: &Table, seed: u64) {
    for (at, step) in steps.iter().enumerate() {
        step.apply(table, seed + at as u64);
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy)]
pub struct End {
    pub killed: bool,
    /// Steps that it acknowledged.
    pub done: usize,
}

/// One process's part of a table: what was there, what it was to do, and how far it
/// came.
pub struct Part {
    /// The model after 0, 1, 2... steps.
    models: Vec<Model>,
    pub end: End,
}

impl Part {
    pub fn new(before: Model, steps: &[Step], seed: u64, end: End) -> Self {
        let mut models = vec![before];
        for (at, step) in steps.iter().enumerate() {
            let mut model = models[at].clone();
            step.change(&mut model, seed + at as u64);
            models.push(model);
        }
        Self { models, end }
    }

    /// The part of one who did all of it.
    pub fn whole(before: Model, steps: &[Step], seed: u64) -> Self {
        let done = steps.len();
        let end = End {
            killed: false,
            done,
        };
        Self::new(before, steps, seed, end)
    }

    pub fn after(mut self) -> Model {
        self.models.pop().expect("at least the first model")
    }

    /// Whether this may be there: what was acknowledged, and of the step under way
    /// at a death all or nothing of each key.
    pub fn may_be(&self, found: &Model) -> bool {
        let End { killed, done } = self.end;
        let before = &self.models[done];
        let after = &self.models[(done + usize::from(killed)).min(self.models.len() - 1)];
        let keys: BTreeSet<_> = [before, after, found]
            .iter()
            .flat_map(|m| m.keys())
            .collect();
        keys.into_iter().all(|key| {
            let value = found.get(key);
            value == before.get(key) || value == after.get(key)
        })
    }
}
