//! Repairing slots and tags: deciding which entries stay.

use std::collections::HashMap;

use super::Repair;
use super::chunks::filled;
use crate::arena::chunk;
use crate::damage::check::{self, Census, Live};
use crate::damage::fault::FaultPlace;
use crate::damage::repaired::RepairOutcome;
use crate::error::{Error, Result};
use crate::index::probe::{self, Hash};
use crate::index::stripe_ops::{Locked, Place};
use crate::segment::Segment;
use crate::sys::crash_point;

/// An entry that may belong to its slot: held there, or in the record that the slot leads to.
struct Candidate {
    /// The chunk of its record, and the record's words.
    record: Option<(usize, usize)>,
    bucket: usize,
    slot: usize,
    hash: Hash,
    tagged: bool,
    /// Whether a lookup of its key finds this entry, and not another one.
    found: bool,
}

impl<'a> Repair<'a> {
    /// Empties slots that lead to no entry, and corrects tags. Returns, for each stripe, by
    /// how many entries its count exceeds its slots in use.
    pub(super) fn slots(&mut self) -> Result<Vec<u64>> {
        let mut unfound = Vec::new();
        let mut untagged = Vec::new();
        let mut surpluses = Vec::new();
        // Words of the entries of each chunk that are beyond doubt.
        let mut sure: HashMap<usize, usize> = HashMap::new();
        for (stripe, locked) in self.stripes.iter().enumerate() {
            let buckets = locked.buckets();
            for number in buckets.clone() {
                let bucket = probe::bucket(self.segment, number);
                if bucket.tags().has_stray_bits() {
                    bucket.repair_tag(0, 0);
                    let what = format!("bucket {number}: a tag without a slot was cleared");
                    self.fixed(FaultPlace::Bucket(number), what);
                }
            }
            let used: Vec<(usize, usize)> = check::slots_in_use(self.segment, buckets).collect();
            let (_, counted) = locked.counts();
            unfound.push(counted.saturating_sub(used.len() as u64));
            // Either an entry's tag was changed, or an empty slot got one: the count tells which.
            let mut surplus = (used.len() as u64).saturating_sub(counted);
            let mut entries: HashMap<Vec<u8>, Vec<Candidate>> = HashMap::new();
            for (bucket, slot) in used {
                match self.candidate(locked, bucket, slot) {
                    Ok((key, candidate)) => entries.entry(key).or_default().push(candidate),
                    Err(Error::Corrupted { what, .. }) => {
                        surplus = surplus.saturating_sub(1);
                        self.lose(bucket, slot, what);
                    }
                    Err(other) => return Err(other),
                }
            }
            for (_, mut same) in entries {
                same.sort_by_key(|candidate| {
                    let distance = self.distance(candidate);
                    (
                        !candidate.found,
                        !candidate.tagged,
                        distance,
                        candidate.slot,
                    )
                });
                let mut same = same.into_iter();
                if let Some(first) = same.next() {
                    if !first.tagged {
                        untagged.push((stripe, first));
                    } else if let Some((chunk, words)) = first.record {
                        *sure.entry(chunk).or_default() += words;
                    }
                }
                for other in same {
                    surplus = surplus.saturating_sub(1);
                    self.lose(other.bucket, other.slot, "its key has another entry");
                }
            }
            surpluses.push(surplus);
        }
        untagged.sort_by_key(|(_, candidate)| (candidate.bucket, candidate.slot));
        for (stripe, candidate) in untagged {
            let Candidate { bucket, slot, .. } = candidate;
            // If its stripe counts it, and its chunk counts its words as live, the tag was
            // damaged, and not the slot.
            let counted = surpluses[stripe] == 0
                && candidate.record.is_none_or(|(chunk, words)| {
                    let sure = sure.entry(chunk).or_default();
                    let live = *sure + words <= chunk::live(self.segment, chunk);
                    *sure += if live { words } else { 0 };
                    live
                });
            if counted {
                probe::bucket(self.segment, bucket).repair_tag(slot, candidate.hash.tag());
                self.fixed(
                    FaultPlace::Slot { bucket, slot },
                    format!("bucket {bucket}, slot {slot}: its key's tag was stored again"),
                );
            } else {
                surpluses[stripe] = surpluses[stripe].saturating_sub(1);
                self.lose(
                    bucket,
                    slot,
                    "its tag is not its key's, and nothing counts it as live",
                );
            }
        }
        Ok(unfound)
    }

    /// What a slot holds, if it can be an entry of its stripe.
    fn candidate(
        &self,
        locked: &Locked<'a>,
        bucket: usize,
        slot: usize,
    ) -> Result<(Vec<u8>, Candidate)> {
        let geometry = &self.segment.geometry;
        let place = locked.place(bucket, slot)?;
        let (key, hash) = locked.hash_of(&place)?;
        let record = match place.entry.at() {
            Some(at) => {
                if self.leads_elsewhere(locked, &place, hash) {
                    return Err(Segment::damaged(
                        "it leads to the record of another key than the one whose hash it keeps",
                        at,
                    ));
                }
                let (chunk, words) = (geometry.chunk_of(at), place.entry.lengths().words());
                let begin = geometry.chunk(chunk);
                let fits = if words > geometry.chunk_words {
                    at == begin
                } else {
                    at + words <= begin + geometry.chunk_words
                };
                if !fits {
                    return Err(Segment::damaged(
                        "it leads to a record that lies in two chunks",
                        at,
                    ));
                }
                Some((chunk, words))
            }
            None => None,
        };
        let tags = probe::bucket(self.segment, bucket).tags();
        let tagged = tags.matching(hash.tag()) & 1 << slot != 0;
        let found = locked
            .is_found_in(&key, hash, bucket, slot)
            .unwrap_or(false);
        let candidate = Candidate {
            record,
            bucket,
            slot,
            hash,
            tagged,
            found,
        };
        Ok((key, candidate))
    }

    /// Whether a slot that leads to a key of this hash once led to another key's record: the hash
    /// that the slot keeps is another one, and has the slot's tag and stripe. A difference of one
    /// bit proves nothing: that bit of the kept hash may be the wrong one.
    fn leads_elsewhere(&self, locked: &Locked<'a>, place: &Place<'_>, hash: Hash) -> bool {
        let Some(kept) = locked.kept_hash(place) else {
            return false;
        };
        let tags = probe::bucket(self.segment, place.bucket).tags();
        (kept.bits() ^ hash.bits()).count_ones() > 1
            && tags.matching(kept.tag()) & 1 << place.slot != 0
            && kept.stripe(self.segment) == hash.stripe(self.segment)
    }

    /// The number of buckets from an entry's home bucket to its bucket.
    fn distance(&self, candidate: &Candidate) -> usize {
        probe::distance(self.segment, candidate.hash, candidate.bucket).unwrap_or(usize::MAX)
    }

    /// Empties a slot.
    fn lose(&mut self, bucket: usize, slot: usize, why: &str) {
        probe::bucket(self.segment, bucket).remove(slot);
        crash_point!("repair: slot emptied");
        self.say(
            RepairOutcome::Lost { entries: 1 },
            FaultPlace::Slot { bucket, slot },
            format!("bucket {bucket}, slot {slot}: {why}; the entry is lost"),
        );
    }

    /// Removes one of each two entries whose records share words: the one that fits its
    /// chunk less well.
    pub(super) fn overlaps(&mut self) {
        let census = Census::take(self.segment);
        let mut fit = Fit::default();
        let mut furthest: Option<&Live> = None;
        for record in &census.0 {
            let Some(before) = furthest.filter(|before| before.end() > record.at) else {
                furthest = Some(record);
                continue;
            };
            let wrong = if fit.of(self.segment, record) >= fit.of(self.segment, before) {
                furthest = Some(record);
                before
            } else {
                record
            };
            self.lose(
                wrong.bucket,
                wrong.slot,
                "its record shares words with another one's",
            );
        }
    }
}

/// How well records fit their chunks, with a cache of walks.
#[derive(Default)]
struct Fit {
    /// Whether a walk from a word comes to its chunk's cursor.
    arrives: HashMap<usize, bool>,
}

impl Fit {
    fn of(&mut self, segment: &Segment, record: &Live) -> u32 {
        let geometry = &segment.geometry;
        let chunk = geometry.chunk_of(record.at);
        let run = record.words.div_ceil(geometry.chunk_words);
        let place =
            check::in_use(chunk::state(segment, chunk)) && chunk::run(segment, chunk) == run;
        let end = filled(segment, chunk);
        // A record with a wrong length leads the walk past the next record: so where its
        // own end leads counts for more.
        let arrives = self.arrives(segment, record.at, end);
        2 * u32::from(place) + u32::from(arrives)
    }

    fn arrives(&mut self, segment: &Segment, from: usize, end: usize) -> bool {
        let mut passed = Vec::new();
        let mut at = from;
        let arrives = loop {
            if at >= end {
                break at == end;
            }
            if let Some(known) = self.arrives.get(&at) {
                break *known;
            }
            passed.push(at);
            match check::record_at(segment, at, end) {
                Some(words) => at += words,
                None => break false,
            }
        };
        self.arrives
            .extend(passed.into_iter().map(|at| (at, arrives)));
        arrives
    }
}
