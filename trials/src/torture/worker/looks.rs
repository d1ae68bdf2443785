//! Looks at own keys, and at those of others while they write.

use rand::Rng;

use super::{Trouble, Worker, told};
use crate::torture::diary::Intent;
use crate::torture::finding::Finding;
use crate::torture::list::{Listed, Met};
use crate::torture::shape::{CELLS, COUNTERS, SHARED, TrackedKey, VALUES};
use crate::torture::value::{self, Origin};

impl Worker {
    /// From now on a shared key never shows an earlier step of that writer.
    pub(super) fn raise(&mut self, index: usize, writer: usize, step: u64) {
        let least = self.least.entry((index, writer)).or_default();
        *least = step.max(*least);
    }

    /// A shared key's value must be whole, be one that its writer has announced, and
    /// not be older than what was seen of that writer before. `gone`: this worker has
    /// replaced it.
    pub(super) fn look_at_shared(
        &mut self,
        tracked: TrackedKey,
        found: Option<&[u8]>,
        gone: bool,
    ) -> Result<(), Trouble> {
        let Some(found) = found else { return Ok(()) };
        let origin = value::read(tracked.number(), found)?;
        self.announced(tracked, origin)?;
        let writer = origin.writer;
        let least = self
            .least
            .get(&(tracked.cell, writer))
            .copied()
            .unwrap_or(0);
        if origin.step < least {
            let number = tracked.number();
            return Err(Finding::lost(format!(
                "shared key {number} shows {origin:?}, and step {least} of that writer is past"
            ))
            .into());
        }
        self.raise(tracked.cell, writer, origin.step + u64::from(gone));
        Ok(())
    }

    /// Its writer must have announced the step that wrote it.
    pub(super) fn announced(&self, tracked: TrackedKey, origin: Origin) -> Result<Intent, Trouble> {
        let number = tracked.number();
        let wrong = |why| Finding::wrong(format!("key {number} shows {origin:?}: {why}"));
        let diary = self
            .diaries
            .get(origin.writer)
            .ok_or_else(|| wrong("no such writer"))?;
        if tracked.owner.is_some_and(|owner| owner != origin.writer) {
            return Err(wrong("it is not this writer's").into());
        }
        let intent = diary.intent()?;
        if origin.step > intent.step {
            return Err(wrong("its writer is not there yet").into());
        }
        if origin.step == intent.step && !intent.cells.contains(&tracked.cell) {
            return Err(wrong("its writer wrote another key in this step").into());
        }
        Ok(intent)
    }

    pub(super) fn look_at_own(&mut self) -> Result<(), Trouble> {
        let (_, tracked, key) = self.pick(VALUES.start..COUNTERS.end);
        self.reads += 1;
        let found = self.run(|table| {
            let there = table.contains_key(&key)?;
            let found = table.get(&key)?;
            Ok((there == found.is_some()).then_some(found))
        })?;
        let found = found.ok_or_else(|| told("contains_key", &false, &true).unwrap_err())?;
        Ok(self.expect(tracked, found.as_deref())?)
    }

    /// Another worker's key: what was acknowledged before the look, or what was
    /// announced before its end.
    pub(super) fn look_at_others(&mut self) -> Result<(), Trouble> {
        let owner = self.dice.random_range(0..self.shape.workers());
        let tracked = TrackedKey::new(owner, self.dice.random_range(VALUES));
        let key = tracked.key();
        let before = self.diaries[owner].cell(tracked.cell)?;
        self.reads += 1;
        let found = self.run(|table| table.get(&key))?;
        let origin = match &found {
            Some(found) => {
                let origin = value::read(tracked.number(), found)?;
                self.announced(tracked, origin)?;
                origin.step
            }
            None => 0,
        };
        let intent = self.diaries[owner].intent()?;
        let after = self.diaries[owner].cell(tracked.cell)?;
        // In this order: a step that was begun before the look is announced still, or
        // acknowledged by now.
        let moved = after.step != before.step || before.pending(tracked.cell, &intent).is_some();
        let acknowledged = origin == before.state.origin;
        let newer = moved && (origin == 0 || origin > before.step);
        if acknowledged || newer {
            return Ok(());
        }
        let number = tracked.number();
        let text = format!(
            "key {number} of another shows step {origin}; before was acknowledged {before:?}, \
             after {after:?}, and announced is {intent:?}"
        );
        Err(if origin < before.state.origin {
            Finding::lost(text)
        } else {
            Finding::wrong(text)
        }
        .into())
    }

    pub(super) fn look_at_many(&mut self) -> Result<(), Trouble> {
        let mut tracked_keys: Vec<TrackedKey> = (0..12).map(|_| self.pick(VALUES).1).collect();
        tracked_keys.extend((0..4).map(|_| TrackedKey::new(0, self.dice.random_range(SHARED))));
        let keys: Vec<Vec<u8>> = tracked_keys.iter().map(|tracked| tracked.key()).collect();
        self.reads += keys.len() as u64;
        let values = self.run(|table| table.get_many(&keys))?;
        told("get_many", &values.len(), &keys.len())?;
        for (tracked, found) in tracked_keys.into_iter().zip(values) {
            if tracked.owner.is_some() {
                self.expect(tracked, found.as_deref())?;
            } else {
                self.look_at_shared(tracked, found.as_deref(), false)?;
            }
        }
        Ok(())
    }

    /// Iteration meets every own key once and as it is, and nothing that was not
    /// written.
    pub(super) fn go_through_all(&mut self) -> Result<(), Trouble> {
        let mut met = [false; CELLS];
        self.reads += 1;
        let entries: Vec<_> = self.run(|table| table.iter().collect())?;
        let mut list = Met::new(self.me, self.listed());
        for (key, found) in entries {
            if let Some(listed) = Listed::of_key(&key) {
                listed.judge(Some(&found))?;
                if listed.worker == self.me {
                    list.note(listed)?;
                }
                continue;
            }
            let Some(&tracked) = self.tracked_keys.get(&key) else {
                let key = String::from_utf8_lossy(&key);
                return Err(Finding::wrong(format!("iteration met the key '{key}'")).into());
            };
            if tracked.owner == Some(self.me) {
                self.expect(tracked, Some(&found))?;
                told("iteration's 'again'", &met[tracked.cell], &false)?;
                met[tracked.cell] = true;
            } else if VALUES.contains(&tracked.cell) || SHARED.contains(&tracked.cell) {
                let origin = value::read(tracked.number(), &found)?;
                self.announced(tracked, origin)?;
            }
        }
        for index in (VALUES.start..COUNTERS.end).filter(|&index| !met[index]) {
            self.expect(TrackedKey::new(self.me, index), None)?;
        }
        let missing = list.missing().next();
        missing.map_or(Ok(()), |missing| Err(missing.into()))
    }
}
