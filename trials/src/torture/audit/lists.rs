//! Holds lists against the diaries.

use shmtable::Table;

use super::SHOWN;
use crate::result::Result;
use crate::torture::diary::{Diary, State};
use crate::torture::finding::Finding;
use crate::torture::list::{Listed, Met};
use crate::torture::shape::LIST;

/// Of the entries of a dead worker's list, so many of the last are looked at. A comparison of
/// everything looks at all.
const RECENT: u64 = 64;

/// Looks at the end of a dead worker's list. Returns how long it is: entries are added one after
/// the other, so the first ones of those that were announced may be there.
///
/// # Errors
/// The table can't be read.
pub(super) fn settle(
    table: &Table,
    worker: usize,
    acknowledged: State,
    pending: Option<State>,
) -> Result<(State, Vec<Finding>)> {
    let mut settled = acknowledged;
    let mut findings = Vec::new();
    let first = acknowledged.measure.saturating_sub(RECENT);
    let most = pending.unwrap_or(acknowledged).measure;
    for number in first..most {
        let listed = Listed { worker, number };
        let found = table.get(&listed.key())?;
        if number >= acknowledged.measure {
            if found.is_none() {
                continue;
            }
            if number != settled.measure {
                let text = format!("{listed:?} is there, and one before it isn't");
                findings.push(Finding::wrong(text));
                break;
            }
            settled.measure += 1;
        }
        findings.extend(listed.judge(found.as_deref()).err());
    }
    findings.truncate(SHOWN);
    Ok((settled, findings))
}

/// What is found of the lists in a comparison of everything.
pub(super) struct Lists {
    /// Of each worker.
    met: Vec<Met>,
    findings: Vec<Finding>,
}

impl Lists {
    pub(super) fn new(diaries: &[&Diary]) -> Result<Self> {
        let met: Result<Vec<Met>> = diaries
            .iter()
            .enumerate()
            .map(|(worker, diary)| Ok(Met::new(worker, diary.cell(LIST)?.state.measure)))
            .collect();
        Ok(Self {
            met: met?,
            findings: Vec::new(),
        })
    }

    /// Whether an entry that iteration met is one of a list.
    pub(super) fn meet(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some(listed) = Listed::of_key(key) else {
            return false;
        };
        let Some(met) = self.met.get_mut(listed.worker) else {
            return false;
        };
        let outcome = met.note(listed).and_then(|()| listed.judge(Some(value)));
        self.findings.extend(outcome.err());
        true
    }

    /// How many entries iteration met.
    pub(super) fn count(&self) -> usize {
        self.met.iter().map(Met::count).sum()
    }

    /// Looks every entry up, after iteration.
    ///
    /// # Errors
    /// The table can't be read.
    pub(super) fn finish(mut self, table: &Table) -> Result<Vec<Finding>> {
        let mut found = Vec::new();
        for met in &self.met {
            self.findings.extend(met.missing().take(SHOWN));
            for listed in met.all() {
                let there = table.get_into(&listed.key(), &mut found)?;
                let outcome = listed.judge(there.then_some(&found));
                self.findings.extend(outcome.err());
            }
        }
        self.findings.truncate(SHOWN);
        Ok(self.findings)
    }
}
