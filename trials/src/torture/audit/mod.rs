//! Holds the table against the diaries.
//!
//! What only one worker writes is exact: it is what was acknowledged, or what the one
//! step would have made of it that was announced and not acknowledged. Its list, in a table
//! that grows, has the entries that were acknowledged. A sum of all
//! workers is what they acknowledged, and up to one more for each death in the middle
//! of an addition. A shared key holds the last value that some worker wrote to it.

mod lists;

use std::collections::HashMap;

use shmtable::Table;

use self::lists::Lists;
use super::diary::{Cell, Diary, State};
use super::finding::Finding;
use super::shape::{COUNTERS, LIST, SHARED, SUMS, Shape, TrackedKey, VALUES};
use super::value::{self, Origin};
use crate::result::Result;

/// Findings of one kind in a comparison, at most: where one entry is lost, thousands may be.
const SHOWN: usize = 20;

/// Which of the states that a key's cell may have is the one that was found. The first
/// is what was acknowledged.
///
/// # Errors
/// None of them is.
pub(crate) fn judge(
    writer: usize,
    tracked: TrackedKey,
    found: Option<&[u8]>,
    states: &[State],
) -> Result<State, Finding> {
    if COUNTERS.contains(&tracked.cell) {
        return judge_counter(tracked, found, states);
    }
    let acknowledged = states[0];
    let number = tracked.number();
    let Some(found) = found else {
        let absent = states.iter().find(|state| state.origin == 0);
        return absent.copied().ok_or_else(|| {
            Finding::lost(format!(
                "key {number} is not there; acknowledged is step {} of writer {writer}",
                acknowledged.origin
            ))
        });
    };
    let origin = value::read(number, found)?;
    let fits = |state: &&State| {
        let expected = Origin {
            writer,
            step: state.origin,
            length: state.measure as usize,
        };
        state.origin != 0 && origin == expected
    };
    if let Some(state) = states.iter().find(fits) {
        return Ok(*state);
    }
    let text = format!("key {number} holds {origin:?}; of writer {writer} may be there {states:?}");
    Err(
        if origin.writer == writer && origin.step < acknowledged.origin {
            Finding::lost(text)
        } else {
            Finding::wrong(text)
        },
    )
}

fn judge_counter(
    tracked: TrackedKey,
    found: Option<&[u8]>,
    states: &[State],
) -> Result<State, Finding> {
    let number = tracked.number();
    let absent = states.iter().find(|state| state.origin == 0);
    let sums: Vec<i64> = states.iter().map(|state| state.measure as i64).collect();
    let Some(found) = found else {
        return absent
            .copied()
            .ok_or_else(|| Finding::lost(format!("counter {number} is not there, but {sums:?}")));
    };
    let Ok(found) = <[u8; 8]>::try_from(found) else {
        let length = found.len();
        return Err(Finding::torn(format!(
            "counter {number} has {length} bytes"
        )));
    };
    let found = i64::from_le_bytes(found);
    let fits = |state: &&State| state.origin != 0 && state.measure as i64 == found;
    states
        .iter()
        .find(fits)
        .copied()
        .ok_or_else(|| Finding::wrong(format!("counter {number} is {found}; it may be {sums:?}")))
}

/// What a key that all write adds up to, by its value.
///
/// # Errors
/// The value is not whole.
pub(crate) fn sum(tracked: TrackedKey, found: Option<&[u8]>) -> Result<u64, Finding> {
    let Some(found) = found else { return Ok(0) };
    if tracked.is_record_sum() {
        return Ok(value::read(tracked.number(), found)?.step);
    }
    let word = <[u8; 8]>::try_from(found).map_err(|_| {
        let (number, length) = (tracked.number(), found.len());
        Finding::torn(format!("sum {number} has {length} bytes"))
    })?;
    Ok(u64::from_le_bytes(word))
}

/// What the supervisor remembers from one death to the next.
pub(crate) struct Ledger {
    shape: Shape,
    /// Of each sum: additions that were found to have happened without having been
    /// acknowledged.
    resolved: [u64; SUMS.end - SUMS.start],
    /// Of each sum: additions since the last audit of which that is not known.
    open: [u64; SUMS.end - SUMS.start],
    /// Of each worker and shared key: steps after the last acknowledged one of which it
    /// is not known whether they happened, and what they leave.
    maybe: HashMap<(usize, usize), Vec<(u64, State)>>,
    /// Shared keys that some step may have removed.
    removed: [bool; SHARED.end - SHARED.start],
    /// Steps that happened or did not. No worker was told.
    pub(crate) unacknowledged: u64,
}

impl Ledger {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            shape,
            resolved: [0; _],
            open: [0; _],
            maybe: HashMap::new(),
            removed: [false; _],
            unacknowledged: 0,
        }
    }

    /// Holds a dead worker's own keys against its diary, and closes the step that it
    /// died in. The next life begins after that step.
    ///
    /// # Errors
    /// The diary or the table cannot be read.
    pub(crate) fn settle(
        &mut self,
        table: &Table,
        worker: usize,
        diary: &Diary,
    ) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let intent = diary.intent()?;
        let mut died_inside = false;
        for index in VALUES.start..SHARED.end {
            let tracked = TrackedKey::new(worker, index);
            let cell = diary.cell(index)?;
            let pending = cell.pending(index, &intent);
            died_inside |= pending.is_some();
            let mut settled = cell.state;
            if tracked.owner.is_some() {
                let states: Vec<State> = [cell.state].into_iter().chain(pending).collect();
                match judge(
                    worker,
                    tracked,
                    table.get(&tracked.key())?.as_deref(),
                    &states,
                ) {
                    Ok(state) => settled = state,
                    Err(finding) => findings.push(finding),
                }
            } else if SUMS.contains(&index) {
                // It cannot be told from the others' additions before an audit.
                self.open[index - SUMS.start] += u64::from(pending.is_some());
            } else {
                self.note_shared(worker, index, &cell, pending, intent.step);
            }
            if pending.is_some() {
                let step = intent.step;
                let state = settled;
                diary.acknowledge(index, Cell { step, state })?;
            }
        }
        let cell = diary.cell(LIST)?;
        let pending = cell.pending(LIST, &intent);
        let (state, found) = lists::settle(table, worker, cell.state, pending)?;
        findings.extend(found);
        if pending.is_some() {
            died_inside = true;
            let step = intent.step;
            diary.acknowledge(LIST, Cell { step, state })?;
        }
        self.unacknowledged += u64::from(died_inside);
        Ok(findings)
    }

    fn note_shared(
        &mut self,
        worker: usize,
        index: usize,
        cell: &Cell,
        pending: Option<State>,
        step: u64,
    ) {
        let maybe = self.maybe.entry((worker, index)).or_default();
        // A value that was acknowledged later replaced what may have been before.
        maybe.retain(|&(step, _)| step > cell.state.origin);
        let removes = |state: State| state.measure > cell.state.measure;
        if let Some(state) = pending {
            maybe.push((step, state));
            self.removed[index - SHARED.start] |= removes(state);
        }
        self.removed[index - SHARED.start] |= cell.state.measure > 0;
    }

    /// Compares everything. All workers are dead, and settled.
    ///
    /// # Errors
    /// A diary or the table cannot be read.
    pub(crate) fn audit(&mut self, table: &Table, diaries: &[&Diary]) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let tracked_keys = self.shape.tracked_keys();
        let mut contents = HashMap::new();
        let mut lists = Lists::new(diaries)?;
        for entry in table {
            let (key, value) = entry?;
            if lists.meet(&key, &value) {
                continue;
            }
            if !tracked_keys.contains_key(&key) {
                let key = String::from_utf8_lossy(&key);
                findings.push(Finding::wrong(format!("nobody wrote the key '{key}'")));
            }
            if contents.insert(key, value).is_some() {
                findings.push(Finding::wrong("iteration met a key twice".to_owned()));
            }
        }
        let (entries, met) = (table.len(), contents.len() + lists.count());
        if entries != met {
            let text = format!("len() is {entries}, iteration met {met} entries");
            findings.push(Finding::wrong(text));
        }
        findings.extend(lists.finish(table)?);
        for (key, &tracked) in &tracked_keys {
            let found = contents.get(key).map(Vec::as_slice);
            if table.get(key)?.as_deref() != found {
                let number = tracked.number();
                findings.push(Finding::wrong(format!(
                    "get and iteration differ about key {number}"
                )));
            }
            let result = if let Some(owner) = tracked.owner {
                let state = diaries[owner].cell(tracked.cell)?.state;
                judge(owner, tracked, found, &[state]).map(drop)
            } else if SUMS.contains(&tracked.cell) {
                self.audit_sum(tracked, found, diaries)?
            } else {
                self.audit_shared(tracked, found, diaries)?
            };
            findings.extend(result.err());
        }
        let broken = table.check()?.into_iter().take(SHOWN);
        findings.extend(broken.map(|text| Finding::wrong(format!("check: {text}"))));
        Ok(findings)
    }

    fn audit_sum(
        &mut self,
        tracked: TrackedKey,
        found: Option<&[u8]>,
        diaries: &[&Diary],
    ) -> Result<Result<(), Finding>> {
        let index = tracked.cell - SUMS.start;
        let mut least = self.resolved[index];
        for diary in diaries {
            least += diary.cell(tracked.cell)?.state.measure;
        }
        let most = least + self.open[index];
        let sum = match sum(tracked, found) {
            Ok(sum) => sum,
            Err(finding) => return Ok(Err(finding)),
        };
        let text = || {
            let number = tracked.number();
            format!("sum {number} is {sum}; it must be from {least} to {most}")
        };
        if sum < least {
            return Ok(Err(Finding::lost(text())));
        }
        if sum > most {
            return Ok(Err(Finding::wrong(text())));
        }
        self.resolved[index] += sum - least;
        self.open[index] = 0;
        Ok(Ok(()))
    }

    fn audit_shared(
        &self,
        tracked: TrackedKey,
        found: Option<&[u8]>,
        diaries: &[&Diary],
    ) -> Result<Result<(), Finding>> {
        let number = tracked.number();
        let Some(found) = found else {
            let mut written = false;
            for diary in diaries {
                written |= diary.cell(tracked.cell)?.state.origin != 0;
            }
            return Ok(if written && !self.removed[tracked.cell - SHARED.start] {
                let text = format!("shared key {number} is not there, and nobody removed it");
                Err(Finding::lost(text))
            } else {
                Ok(())
            });
        };
        let origin = match value::read(number, found) {
            Ok(origin) => origin,
            Err(finding) => return Ok(Err(finding)),
        };
        let Some(diary) = diaries.get(origin.writer) else {
            let text = format!("shared key {number} holds {origin:?}: no such writer");
            return Ok(Err(Finding::wrong(text)));
        };
        let cell = diary.cell(tracked.cell)?;
        let maybe = self.maybe.get(&(origin.writer, tracked.cell));
        let last = cell.state.origin == origin.step;
        if last || maybe.is_some_and(|all| all.iter().any(|&(step, _)| step == origin.step)) {
            return Ok(Ok(()));
        }
        let text = format!("shared key {number} holds {origin:?}; its writer has {cell:?}");
        Ok(Err(if origin.step < cell.step {
            Finding::lost(text)
        } else {
            Finding::wrong(text)
        }))
    }
}

#[cfg(test)]
mod tests;
