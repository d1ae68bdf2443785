//! Steps that change many keys.

use rand::Rng;

use super::{Trouble, Worker, told};
use crate::clock;
use crate::torture::audit;
use crate::torture::diary::{Cell, Effect, Intent};
use crate::torture::finding::Finding;
use crate::torture::list::Listed;
use crate::torture::shape::{SHARED, TrackedKey, VALUES};
use crate::torture::value;

impl Worker {
    /// Many cells in one step; each of them is changed or not if it fails. Little lies
    /// between one of them and the next, so that a death is likely to fall into a change.
    pub(super) fn take_long_step(
        &mut self,
        effect: Effect,
        operation: impl FnOnce(&mut Self, &Intent) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        self.step += 1;
        let begin = self.dice.random_range(VALUES);
        let end = self
            .dice
            .random_range(begin + 1..=VALUES.end.min(begin + 6));
        let intent = Intent {
            step: self.step,
            time: clock::now(),
            cells: begin..end,
            effect,
            reads: self.reads,
            refused: self.refused,
        };
        self.diaries[self.me].announce(&intent)?;
        let refused = match operation(self, &intent) {
            Ok(()) => false,
            Err(Trouble::Refused) => true,
            Err(found) => return Err(found),
        };
        self.refused += u64::from(refused);
        for index in intent.cells.clone() {
            let mut state = intent.after(index);
            if refused {
                let tracked = TrackedKey::new(self.me, index);
                let key = tracked.key();
                let found = self.run(|table| table.get(&key))?;
                let states = [self.cells[index].state, state];
                state = audit::judge(self.me, tracked, found.as_deref(), &states)?;
            }
            let step = self.step;
            self.cells[index] = Cell { step, state };
        }
        let cells = &self.cells[intent.cells.clone()];
        Ok(self.diaries[self.me].acknowledge_all(intent.cells.start, cells)?)
    }

    pub(super) fn fill_some(&mut self) -> Result<(), Trouble> {
        self.take_long_step(Effect::Filled, |this, intent| {
            let entries: Vec<_> = intent
                .cells
                .clone()
                .map(|index| {
                    let tracked = TrackedKey::new(this.me, index);
                    let length = intent.after(index).measure as usize;
                    let value = Self::value_of(this.me, tracked, intent.step, length);
                    (tracked.key(), value)
                })
                .collect();
            let absent = |&index: &usize| this.cells[index].state.origin == 0;
            let expected = intent.cells.clone().filter(absent).count();
            let new = this.run(|table| table.insert_many(entries))?;
            Ok(told("insert_many", &new, &expected)?)
        })
    }

    pub(super) fn remove_some(&mut self) -> Result<(), Trouble> {
        self.take_long_step(Effect::Emptied, |this, intent| {
            let there = |&index: &usize| this.cells[index].state.origin != 0;
            let expected = intent.cells.clone().filter(there).count();
            let me = this.me;
            let tracked_keys = std::mem::take(&mut this.tracked_keys);
            let mut finding = None;
            let removed = this.run(|table| {
                table.retain(|key, found| {
                    if Listed::of_key(key).is_some() {
                        return true;
                    }
                    let Some(tracked) = tracked_keys.get(key) else {
                        let key = String::from_utf8_lossy(key);
                        finding = Some(Finding::wrong(format!("retain met the key '{key}'")));
                        return true;
                    };
                    if VALUES.contains(&tracked.cell) || SHARED.contains(&tracked.cell) {
                        finding = value::read(tracked.number(), found)
                            .err()
                            .or(finding.take());
                    }
                    tracked.owner != Some(me) || !intent.cells.contains(&tracked.cell)
                })
            });
            this.tracked_keys = tracked_keys;
            if let Some(finding) = finding {
                return Err(finding.into());
            }
            Ok(told("retain", &removed?, &expected)?)
        })
    }
}
