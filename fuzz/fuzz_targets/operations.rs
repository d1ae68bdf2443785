//! Operations on a table: as a `HashMap` would answer, if nothing was damaged; an answer
//! or a typed error, if bytes were patched in between.

#![no_main]

use std::collections::HashMap;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use shmtable::{Error, Result, Snapshot, Table};
use shmtable_fuzz::{FuzzSegment, Kind, fill, fill_and_grow, key, read_all, repair, tolerate};

static SEGMENT: LazyLock<FuzzSegment> = LazyLock::new(FuzzSegment::new);
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| SEGMENT.filled(Kind::Fixed, |_| {}));
static FULL: LazyLock<Vec<u8>> = LazyLock::new(|| SEGMENT.filled(Kind::Fixed, fill));
static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| SEGMENT.filled(Kind::Growing, |_| {}));
static GROWN: LazyLock<Vec<u8>> = LazyLock::new(|| SEGMENT.filled(Kind::Growing, fill_and_grow));

#[derive(Debug, Arbitrary)]
struct Input {
    /// Where to begin: with an empty table or a filled one, of fixed capacity or one that grows.
    start: u8,
    patches: Vec<Patch>,
    operations: Vec<Operation>,
}

#[derive(Debug, Arbitrary)]
struct Patch {
    word: u16,
    value: Patched,
}

#[derive(Debug, Arbitrary)]
enum Patched {
    Flip(u8),
    Set(u64),
    Add(i8),
    /// What stands elsewhere.
    Copy(u16),
}

#[derive(Debug, Arbitrary)]
enum Operation {
    Insert(u8, u16),
    /// Some with keys one after the other, so that few bytes of input make a table grow.
    InsertSome(u8, u8),
    TryInsert(u8, u16),
    Replace(u8, u16),
    Update(u8, u16),
    Exchange(u8, u8, u16),
    Remove(u8),
    Take(u8),
    FetchAdd(u8, i64),
    FetchMax(u8, i64),
    FetchMin(u8, i64),
    Get(u8),
    GetMany,
    Iterate,
    Retain(u8),
    Clear,
    Snapshot,
    Repair,
    Reopen,
}

type Model = HashMap<Vec<u8>, Vec<u8>>;

fn patched(mut bytes: Vec<u8>, patches: &[Patch]) -> Vec<u8> {
    let words = bytes.len() / 8;
    for patch in patches {
        let at = usize::from(patch.word) % words * 8;
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let value = match patch.value {
            Patched::Flip(bit) => word(at) ^ 1 << (bit % 64),
            Patched::Set(value) => value,
            Patched::Add(add) => word(at).wrapping_add_signed(add.into()),
            Patched::Copy(from) => word(usize::from(from) % words * 8),
        };
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn value_of(seed: u8, length: u16) -> Vec<u8> {
    vec![seed; usize::from(length % 6000)]
}

/// Compares an answer with the model's, which then follows.
struct Trial {
    model: Model,
    damaged: bool,
}

impl Trial {
    /// `None`: it failed as it may.
    fn answer<T: PartialEq + std::fmt::Debug>(
        &mut self,
        answer: Result<T>,
        expected: impl FnOnce(&Model) -> T,
    ) -> bool {
        if self.damaged {
            return tolerate(answer).is_some();
        }
        match answer {
            Ok(answer) => {
                assert_eq!(answer, expected(&self.model));
                true
            }
            Err(
                Error::TableFull { .. }
                | Error::ValueSpaceFull { .. }
                | Error::NotACounter { .. }
                | Error::CounterOverflow { .. },
            ) => false,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn put(&mut self, number: u8, value: Vec<u8>) {
        self.model.insert(key(number), value);
    }

    /// What became of a counter of which the greater or the smaller value stays.
    fn extreme(&mut self, number: u8, n: i64, done: Result<i64>, of: fn(i64, i64) -> i64) {
        let before = self.model.get(&key(number)).map_or(Some(n), |value| {
            value.as_slice().try_into().ok().map(i64::from_le_bytes)
        });
        if self.answer(done, |_| before.expect("a counter"))
            && let Some(before) = before
        {
            self.put(number, of(before, n).to_le_bytes().to_vec());
        }
    }

    fn apply(&mut self, table: &Table, operation: &Operation) {
        match *operation {
            Operation::Insert(number, length) => {
                let (key, value) = (key(number), value_of(number, length));
                if self.answer(table.insert(&key, &value), |model| {
                    !model.contains_key(&key)
                }) {
                    self.put(number, value);
                }
            }
            Operation::InsertSome(first, count) => {
                for number in (0..count % 32).map(|number| first.wrapping_add(number)) {
                    self.apply(table, &Operation::Insert(number, u16::from(number % 24)));
                }
            }
            Operation::TryInsert(number, length) => {
                let (key, value) = (key(number), value_of(number, length));
                let new = !self.model.contains_key(&key);
                if self.answer(table.try_insert(&key, &value), |_| new) && new {
                    self.put(number, value);
                }
            }
            Operation::Replace(number, length) => {
                let (key, value) = (key(number), value_of(number, length));
                if self.answer(table.replace(&key, &value), |model| {
                    model.get(&key).cloned()
                }) {
                    self.put(number, value);
                }
            }
            Operation::Update(number, length) => {
                let (key, value) = (key(number), value_of(number, length));
                let done = table.update(&key, |_| Some(value.clone()));
                if self.answer(done.map(drop), |_| ()) {
                    self.put(number, value);
                }
            }
            Operation::Exchange(number, seed, length) => {
                let (key, value) = (key(number), value_of(seed, length));
                let expected = self.model.get(&key).cloned();
                let done = table.compare_exchange(&key, expected.as_deref(), Some(&value));
                if self.answer(done, |_| Ok(())) {
                    self.put(number, value);
                }
            }
            Operation::Remove(number) => {
                let key = key(number);
                if self.answer(table.remove(&key), |model| model.contains_key(&key)) {
                    self.model.remove(&key);
                }
            }
            Operation::Take(number) => {
                let key = key(number);
                if self.answer(table.take(&key), |model| model.get(&key).cloned()) {
                    self.model.remove(&key);
                }
            }
            Operation::FetchAdd(number, add) => {
                let key = key(number);
                let before = self.model.get(&key).map_or(Some(0), |value| {
                    value.as_slice().try_into().ok().map(i64::from_le_bytes)
                });
                let done = table.fetch_add(&key, add);
                if self.answer(done, |_| before.expect("a counter"))
                    && let Some(sum) = before.and_then(|before| before.checked_add(add))
                {
                    self.put(number, sum.to_le_bytes().to_vec());
                }
            }
            Operation::FetchMax(number, n) => {
                let key = key(number);
                self.extreme(number, n, table.fetch_max(&key, n), i64::max);
            }
            Operation::FetchMin(number, n) => {
                let key = key(number);
                self.extreme(number, n, table.fetch_min(&key, n), i64::min);
            }
            Operation::Get(number) => {
                let key = key(number);
                self.answer(table.get(&key), |model| model.get(&key).cloned());
            }
            Operation::GetMany => {
                let keys: Vec<Vec<u8>> = (0..40).map(key).collect();
                self.answer(table.get_many(&keys), |model| {
                    keys.iter().map(|key| model.get(key).cloned()).collect()
                });
            }
            Operation::Iterate => {
                self.answer(table.iter().collect(), Model::clone);
            }
            Operation::Retain(bound) => {
                let keeps = |value: &[u8]| value.len() >= usize::from(bound);
                let done = table.retain(|_, value| keeps(value));
                let goes = |model: &Model| model.values().filter(|v| !keeps(v)).count();
                if self.answer(done, goes) {
                    self.model.retain(|_, value| keeps(value));
                }
            }
            Operation::Clear => {
                if self.answer(table.clear(), |_| ()) {
                    self.model.clear();
                }
            }
            Operation::Snapshot => {
                self.answer(table.snapshot().map(Snapshot::into_map), Model::clone);
            }
            Operation::Repair if self.damaged => repair(table),
            Operation::Repair => {
                assert_eq!(
                    table.check().expect("check runs"),
                    Vec::<shmtable::Fault>::new()
                );
                assert_eq!(
                    table.repair().expect("repair runs"),
                    Vec::<shmtable::Repaired>::new()
                );
            }
            // Done by the caller.
            Operation::Reopen => {}
        }
    }
}

fuzz_target!(|input: Input| {
    let start = match input.start % 4 {
        0 => &*EMPTY,
        1 => &*FULL,
        2 => &*SMALL,
        _ => &*GROWN,
    };
    SEGMENT.write(&patched(start.clone(), &input.patches));
    let damaged = !input.patches.is_empty();
    let Some(mut table) = tolerate(SEGMENT.open()) else {
        assert!(damaged);
        return;
    };
    let model = if damaged {
        Model::new()
    } else {
        table.iter().collect::<Result<_>>().expect("it is whole")
    };
    let mut trial = Trial { model, damaged };
    for operation in input.operations.iter().take(200) {
        trial.apply(&table, operation);
        if matches!(operation, Operation::Reopen) {
            drop(table);
            let Some(again) = tolerate(SEGMENT.open()) else {
                return;
            };
            table = again;
        }
    }
    read_all(&table);
    trial.apply(&table, &Operation::Repair);
    trial.apply(&table, &Operation::Iterate);
});
