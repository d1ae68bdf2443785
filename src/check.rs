//! Verifying a live table.

use std::collections::HashSet;

use crate::arena::{self, State};
use crate::error::Result;
use crate::index::locked::{Locked, Place};
use crate::index::probe;
use crate::layout::WORD;
use crate::segment::Segment;
use crate::table::Table;

impl Table {
    /// Verifies every invariant of the index and of the records it leads to, and
    /// says in words what is wrong; empty if all is well.
    ///
    /// Locks one stripe at a time, for as long as it takes to read its keys.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert!(table.check()?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]. Damage is reported in the result, not as an error.
    pub fn check(&self) -> Result<Vec<String>> {
        let writer = self.writer()?;
        let segment = self.segment();
        let mut wrong = Vec::new();
        for stripe in 0..segment.geometry.stripes() {
            let locked = writer.lock(stripe)?;
            check_stripe(segment, stripe, &locked, &mut wrong);
        }
        for chunk in 0..segment.geometry.chunks {
            if arena::state(segment, chunk) == State::Damaged {
                wrong.push(format!("chunk {chunk}: its state is none"));
            }
        }
        Ok(wrong)
    }
}

fn check_stripe(segment: &Segment, stripe: usize, locked: &Locked<'_>, wrong: &mut Vec<String>) {
    let (overflows, entries) = locked.recount();
    let (stored_overflows, stored_entries) = locked.counts();
    if entries != stored_entries {
        wrong.push(format!(
            "stripe {stripe}: holds {entries} entries and says {stored_entries}"
        ));
    }
    let range = segment.geometry.buckets_of(stripe);
    let mut keys = HashSet::new();
    for (i, number) in range.clone().enumerate() {
        if overflows[i] != stored_overflows[i] {
            wrong.push(format!(
                "bucket {number}: {} keys passed over it and it says {}",
                overflows[i], stored_overflows[i]
            ));
        }
        let outcome = locked.for_each_in(number, |place| {
            let (key, hash) = locked.hash_of(place)?;
            if !range.contains(&hash.home(segment)) {
                wrong.push(format!(
                    "bucket {number}: {key:?} belongs to another stripe"
                ));
            } else if locked.find(&key, hash)?.found.map(|p| p.at) != Some(place.at) {
                wrong.push(format!("bucket {number}: {key:?} is not found by its hash"));
            }
            check_chunk(segment, place, wrong);
            if !keys.insert(key) {
                wrong.push(format!("bucket {number}: a key stands twice in its stripe"));
            }
            Ok(())
        });
        if let Err(error) = outcome {
            wrong.push(format!("bucket {number}: {error}"));
        }
        let tags = probe::bucket(segment, number).tags();
        if tags.occupied().count_ones() as usize > crate::layout::BUCKET_SLOTS {
            wrong.push(format!("bucket {number}: more tags than slots"));
        }
    }
}

/// A live record lies below the cursor of a chunk that is in use.
fn check_chunk(segment: &Segment, place: &Place<'_>, wrong: &mut Vec<String>) {
    let geometry = &segment.geometry;
    let chunk = geometry.chunk_of(place.at);
    let end = place.at + geometry.record_words(place.header);
    if !matches!(
        arena::state(segment, chunk),
        State::Open(_) | State::Sealed | State::Cleaning(_)
    ) {
        wrong.push(format!(
            "the record at byte {} lies in chunk {chunk}, which is not in use",
            place.at * WORD
        ));
    } else if end > geometry.chunk(chunk) + arena::cursor(segment, chunk) {
        wrong.push(format!(
            "the record at byte {} reaches past what chunk {chunk} holds",
            place.at * WORD
        ));
    }
}
