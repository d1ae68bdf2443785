//! One case: the damaged table is opened, read, written, checked and repaired.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use shmtable::{Error, Result, Table};

use crate::allowed::Allowed;
use crate::cases::{Damage, damaged};
use crate::common::{self, assert_sound, bytes, contents, is_by_damage, refuses_damage};
use crate::image::{Image, Model, key, options, small_key};

/// No case may take longer, on a very busy machine.
pub const GUARD: Duration = Duration::from_secs(30);

/// Fails at an error that damage does not excuse.
#[track_caller]
pub fn admissible(error: &Error) {
    assert!(is_by_damage(error), "{error:?}");
}

#[track_caller]
pub fn tolerate<T>(result: Result<T>) -> Option<T> {
    result.inspect_err(admissible).ok()
}

#[derive(Default)]
pub struct Count {
    pub opened: usize,
    pub refused: usize,
    pub errors: usize,
    pub noticed: usize,
    pub slowest: Duration,
}

pub struct Trial<'a> {
    pub image: &'a Image,
    pub allowed: Allowed,
    pub name: &'a str,
    pub count: &'a mut Count,
}

impl Trial<'_> {
    /// Whether a read is one that the damage allows.
    pub fn judge(
        &mut self,
        key: &[u8],
        expected: Option<&Vec<u8>>,
        read: &Result<Option<Vec<u8>>>,
    ) {
        match read {
            Err(error) => {
                admissible(error);
                self.count.errors += 1;
                let Allowed {
                    damaged, beside, ..
                } = &self.allowed;
                assert!(
                    !self.allowed.known || damaged.contains(key) || beside.contains(key),
                    "key {:?}, which is whole: {error:?}",
                    String::from_utf8_lossy(key)
                );
            }
            Ok(found) => assert!(
                self.allowed.may_be(key, expected, found.as_ref()),
                "key {:?}, which is whole, has {:?} bytes for {:?}",
                String::from_utf8_lossy(key),
                found.as_ref().map(Vec::len),
                expected.map(Vec::len)
            ),
        }
    }

    /// Reads everything in every way.
    pub fn read(&mut self, table: &Table, model: &Model) {
        let mut keys: Vec<Vec<u8>> = model.keys().cloned().collect();
        keys.extend(self.image.absent());
        let mut buffer = [0; 64];
        for key in &keys {
            let read = table.get(key);
            self.judge(key, model.get(key), &read);
            tolerate(table.contains_key(key));
            tolerate(table.get_into_slice(key, &mut buffer));
            let (head, body) = buffer.split_at_mut(5);
            tolerate(table.get_into_slices(key, &mut [head, body]));
            tolerate(table.get_into_uninit(key, &mut [&mut [MaybeUninit::uninit(); 64]]));
        }
        if let Some(values) = tolerate(table.get_many(&keys)) {
            for (key, value) in keys.iter().zip(values) {
                self.judge(key, model.get(key), &Ok(value));
            }
        }
        let mut met: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut whole = true;
        for entry in table {
            match tolerate(entry) {
                Some((key, value))
                    if !met.contains_key(&key) || model.get(&key) == Some(&value) =>
                {
                    met.insert(key, value);
                }
                Some(_) => {}
                None => whole = false,
            }
        }
        if whole {
            for (key, value) in model {
                self.judge(key, Some(value), &Ok(met.get(key).cloned()));
            }
        }
        tolerate(table.keys().collect::<Result<Vec<_>>>());
        let _ = (
            table.len(),
            table.stats().expect("figures are always given"),
        );
    }

    /// The table is sound again, and has all entries that were not damaged.
    pub fn is_whole(&self, table: &Table, model: &Model) {
        assert_sound(table);
        let found = contents(table);
        assert_eq!(table.len(), found.len());
        assert_eq!(table.snapshot().unwrap(), found);
        for (key, value) in &found {
            assert_eq!(table.get(key).unwrap().as_ref(), Some(value));
            if !model.contains_key(key)
                && (self.allowed.renamed
                    || self.allowed.comes_back && self.image.removed.contains(key))
            {
                // Another key than it was, or a slot that leads to a record of the past
                // which is as good as the one that it led to.
                continue;
            }
            if self.allowed.known && !self.allowed.damaged.contains(key) {
                let expected = model.get(key);
                let changed = self.allowed.changed.contains(key)
                    && expected.is_some_and(|expected| expected.len() == value.len());
                assert!(
                    changed || expected == Some(value),
                    "{:?} has another value",
                    String::from_utf8_lossy(key)
                );
            }
        }
        if self.allowed.known {
            for key in model
                .keys()
                .filter(|key| !self.allowed.damaged.contains(*key))
            {
                assert!(
                    found.contains_key(key),
                    "{:?} was lost",
                    String::from_utf8_lossy(key)
                );
            }
        }
    }

    /// Writes in every way; what was acknowledged goes into the model.
    pub fn write(table: &Table, model: &mut Model) {
        let mut insert = |key: Vec<u8>, value: Vec<u8>| {
            if tolerate(table.insert(&key, &value)).is_some() {
                model.insert(key, value);
            }
        };
        for number in 0..6 {
            insert(key(100 + number), bytes(7, number * 40));
        }
        // Small ones: new; of the same length, which is in place; of another one; by way of
        // a record.
        insert(small_key(20), bytes(7, 2));
        insert(small_key(36), bytes(7, 3));
        for (number, lengths) in [(1, &[8][..]), (3, &[5, 5]), (5, &[2, 1, 8]), (8, &[7, 60])] {
            for length in lengths {
                insert(small_key(number), bytes(7, *length));
            }
        }
        for number in [1, 2, 3, 7, 9] {
            let (key, value) = (key(number), bytes(8, 90 + number));
            if tolerate(table.replace(&key, &value)).is_some() {
                model.insert(key, value);
            }
        }
        for key in [11, 13, 14]
            .map(key)
            .into_iter()
            .chain([0, 11].map(small_key))
        {
            if tolerate(table.take(&key)).is_some() {
                model.remove(&key);
            }
        }
        if let Some(before) = tolerate(table.fetch_add(b"counter", 1)) {
            model.insert(
                b"counter".to_vec(),
                (before.wrapping_add(1)).to_le_bytes().to_vec(),
            );
        }
        let (large, value) = (key(200), bytes(9, 4500));
        if tolerate(table.insert(&large, &value)).is_some() {
            model.insert(large, value);
        }
        // Enough for chunks to be opened again, taken and cleaned.
        for round in 0..40 {
            let (key, value) = (key(300 + round % 2), bytes(round as u64, 400));
            if tolerate(table.insert(&key, &value)).is_some() {
                model.insert(key, value);
            }
        }
    }

    pub fn open(&mut self) -> Option<Table> {
        let opened = options().open(self.name);
        let read_only = options().open_read_only(self.name);
        match (&opened, &read_only) {
            (Ok(_), Ok(reader)) => {
                let expected = self.image.model.clone();
                self.count.opened += 2;
                self.read(reader, &expected);
                assert!(matches!(reader.check(), Err(Error::ReadOnly)));
                assert!(matches!(reader.repair(), Err(Error::ReadOnly)));
            }
            (Err(error), Err(other)) => {
                for error in [error, other] {
                    assert!(refuses_damage(error), "{error:?}");
                }
                self.count.refused += 2;
            }
            (one, other) => panic!("{one:?} and {other:?}"),
        }
        opened.ok()
    }

    /// The file as it is now: read, checked, repaired, then written to.
    pub fn repair_first(&mut self) {
        let Some(table) = self.open() else { return };
        let mut model = self.image.model.clone();
        let before = self.count.errors;
        self.read(&table, &model);
        let Some(wrong) = tolerate(table.check()) else {
            return;
        };
        self.count.noticed += usize::from(!wrong.is_empty());
        assert!(
            self.count.errors == before || !wrong.is_empty(),
            "reads fail, and check says nothing"
        );
        assert!(
            !self.allowed.noticed || !wrong.is_empty(),
            "check does not notice it"
        );
        let done = table.repair().unwrap();
        // `check` has taken over locks that name nobody, as any lock of the stripe does.
        let left = wrong
            .iter()
            .any(|fault| !fault.to_string().ends_with("names no participant"));
        assert!(!left || !done.is_empty(), "{wrong:?}");
        self.is_whole(&table, &model);
        assert_eq!(table.repair().unwrap(), Vec::<shmtable::Repaired>::new());
        for key in self
            .allowed
            .damaged
            .iter()
            .chain(&self.allowed.changed)
            .cloned()
        {
            // Whatever became of it.
            match table.get(&key).unwrap() {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        if !self.allowed.known || self.allowed.renamed || self.allowed.comes_back {
            model = contents(&table).into_iter().collect();
        }
        let mut known = Allowed::of(self.image, Damage::Length(0));
        std::mem::swap(&mut known, &mut self.allowed);
        Self::write(&table, &mut model);
        self.is_whole(&table, &model);
        drop(table);
        self.is_whole(&options().open(self.name).unwrap(), &model);
        self.allowed = known;
    }

    /// The file as it is now, written to before the damage is noticed.
    pub fn write_first(&mut self) {
        let Some(table) = self.open() else { return };
        let mut model = self.image.model.clone();
        Self::write(&table, &mut model);
        self.allowed.unfound.append(&mut self.allowed.misled);
        self.allowed.stand_anywhere(self.image, model.keys());
        // To take a key that is not found takes nothing: repair brings it back. To write it
        // writes another entry, which is the one that stays.
        let unfound = self.allowed.unfound.iter();
        let taken = unfound.filter(|key| !model.contains_key(*key)).cloned();
        self.allowed.damaged.extend(taken);
        if self.allowed.comes_back {
            // Of the same key there may be two, of which writes met one.
            self.allowed
                .damaged
                .extend(self.image.removed.iter().cloned());
        }
        self.read(&table, &model);
        if let Some(retained) = tolerate(table.retain(|_, _| true)) {
            assert_eq!(retained, 0);
        }
        tolerate(table.snapshot());
        if tolerate(table.check()).is_none() {
            return;
        }
        table.repair().unwrap();
        self.is_whole(&table, &model);
        assert_eq!(table.repair().unwrap(), Vec::<shmtable::Repaired>::new());
        table.clear().unwrap();
        assert_sound(&table);
        assert!(table.is_empty());
        drop(table);
        assert_sound(&options().open(self.name).unwrap());
    }
}

pub fn run(image: &Image, damage: Damage, name: &str, count: &mut Count) {
    let all = damaged(image, damage);
    let begin = Instant::now();
    for writes_first in [false, true] {
        common::plant(name, &all);
        let mut trial = Trial {
            image,
            allowed: Allowed::of(image, damage),
            name,
            count: &mut *count,
        };
        if writes_first {
            trial.write_first();
        } else {
            trial.repair_first();
        }
    }
    count.slowest = count.slowest.max(begin.elapsed());
    assert!(begin.elapsed() < GUARD, "took {:?}", begin.elapsed());
}
