//! Steps that make a worker's list longer, and looks at lists.

use rand::Rng;
use shmtable::Table;

use super::{Trouble, Worker, told};
use crate::torture::diary::State;
use crate::torture::finding::Finding;
use crate::torture::list::Listed;
use crate::torture::shape::LIST;

/// The longest list. With it, a comparison of everything takes some ten milliseconds.
const LONGEST: u64 = 1 << 15;
/// Entries that are added in a step, at most: little lies between one of them and the next, so that
/// many deaths fall into an insertion.
const AT_ONCE: u64 = 32;

impl Worker {
    /// How long this worker's list is.
    pub(super) fn listed(&self) -> u64 {
        self.cells[LIST].state.measure
    }

    pub(super) fn list_more(&mut self) -> Result<(), Trouble> {
        let first = self.listed();
        if first >= LONGEST {
            return self.own_value();
        }
        let worker = self.me;
        let more = self.dice.random_range(1..=AT_ONCE);
        let after = |step, now: State| State {
            origin: step,
            measure: now.measure + more,
        };
        self.take_step(LIST, after, |this, _| {
            for number in first..first + more {
                let way = this.dice.random_range(0..4);
                let listed = Listed { worker, number };
                let new =
                    this.run(|table| add(table, way, listed))
                        .map_err(|trouble| match trouble {
                            Trouble::Refused => {
                                Finding::wrong(format!("no room for {listed:?}")).into()
                            }
                            found @ Trouble::Found(_) => found,
                        })?;
                told("a list's new entry", &new, &true)?;
            }
            Ok((true, ()))
        })?;
        Ok(())
    }

    /// An entry of any worker's list: once it was acknowledged, it is there at all times.
    pub(super) fn look_at_lists(&mut self) -> Result<(), Trouble> {
        let worker = self.dice.random_range(0..self.shape.workers());
        let listed = self.diaries[worker].cell(LIST)?.state.measure;
        let mut found = Vec::new();
        for _ in 0..listed.min(8) {
            let number = self.dice.random_range(0..listed);
            let listed = Listed { worker, number };
            self.reads += 1;
            let there = self.run(|table| table.get_into(&listed.key(), &mut found))?;
            listed.judge(there.then_some(&found))?;
        }
        Ok(())
    }
}

/// Whether a new entry was new.
fn add(table: &Table, way: usize, listed: Listed) -> shmtable::Result<bool> {
    let (key, value) = (listed.key(), listed.value());
    match way {
        0 => table.insert(&key, &value),
        1 => table.try_insert(&key, &value),
        2 => Ok(table.compare_exchange(&key, None, Some(&value))?.is_ok()),
        _ => {
            let mut new = true;
            table.update(&key, |old| {
                new = old.is_none();
                Some(value.clone())
            })?;
            Ok(new)
        }
    }
}
