//! A table, with two handles, and the map that it is held against.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use shmtable::{Error, Options, Table};

use crate::common::{assert_sound, bytes, contents};
use crate::operations::{Operation, key_of};
use crate::{CHUNK, FITS};

pub type Model = HashMap<Vec<u8>, Vec<u8>>;

/// What a table is created for.
#[derive(Clone, Copy)]
pub struct Limits {
    /// The capacity with which it begins.
    pub first: usize,
    pub capacity: usize,
    pub space: usize,
}

pub fn payload(model: &Model) -> usize {
    model
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

/// Whether a bucket has room for an entry in one of its slots.
pub fn is_small(key: &[u8], value: &[u8]) -> bool {
    value.len() <= 8 && key.len() + value.len() <= 15
}

/// The model after a value was stored.
pub fn with(model: &Model, key: &[u8], value: Option<&[u8]>) -> Model {
    let mut after = model.clone();
    match value {
        Some(value) => after.insert(key.to_vec(), value.to_vec()),
        None => after.remove(key),
    };
    after
}

/// Whether the table has promised to come from one to the other.
pub fn promised(limits: Limits, before: &Model, after: &Model) -> bool {
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

pub struct Pair {
    pub limits: Limits,
    pub handles: [Table; 2],
    pub at: usize,
    pub model: Model,
    /// Keys of small entries, which have no record.
    pub in_slots: HashSet<Vec<u8>>,
    pub step: u64,
    /// Calls that failed though nothing was promised.
    pub refused: usize,
}

impl Pair {
    pub fn new(limits: Limits) -> Self {
        let options = Options::new()
            .capacity(limits.first)
            .max_capacity(limits.capacity)
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

    /// Notes where an entry is from now on: a small one in its slot, but not after a small
    /// one of another length.
    pub fn note(&mut self, key: &[u8], value: Option<&[u8]>) {
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

    /// Bytes of all records.
    pub fn record_bytes(&self) -> usize {
        let padded = |bytes: &[u8]| bytes.len().next_multiple_of(8);
        self.model
            .iter()
            .filter(|(key, _)| !self.in_slots.contains(*key))
            .map(|(key, value)| 8 + padded(key) + padded(value))
            .sum()
    }

    /// Holds the outcome of a call that stores `value` against the model: it
    /// succeeded, or was refused without a promise broken.
    pub fn stored<R>(
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
    pub fn run(&mut self, operation: &Operation) {
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
                // In one piece and in three, in turns.
                let outcome = if self.step.is_multiple_of(2) {
                    table.insert(&key, &value)
                } else {
                    let (first, rest) = value.split_at(value.len().min(5));
                    let (second, third) = rest.split_at(rest.len() / 2);
                    table.insert_slices(&key, &[first, second, third])
                };
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
            Op::FetchMax(_, n) | Op::FetchMin(_, n) => {
                let is_max = matches!(operation, Op::FetchMax(..));
                let before = old.as_ref().map_or(Some(*n), |old| {
                    Some(i64::from_le_bytes(old.as_slice().try_into().ok()?))
                });
                let outcome = if is_max {
                    table.fetch_max(&key, *n)
                } else {
                    table.fetch_min(&key, *n)
                };
                if let Some(before) = before {
                    let after = if is_max {
                        before.max(*n)
                    } else {
                        before.min(*n)
                    };
                    if let Some(told) = self.stored(&key, Some(&after.to_le_bytes()), outcome) {
                        assert_eq!(told, before);
                    }
                } else {
                    assert!(matches!(outcome, Err(Error::NotACounter { .. })));
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
    pub fn verify(&self) -> u64 {
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
