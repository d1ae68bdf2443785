//! The records that slots lead to: the live words of chunks.

use super::slots_in_use;
use crate::damage::fault::{Fault, FaultKind, FaultPlace};
use crate::index::entry;
use crate::index::probe;
use crate::layout::WORD;
use crate::segment::Segment;

/// A record that a slot leads to.
#[derive(Clone, Copy)]
pub(crate) struct Live {
    pub(crate) at: usize,
    pub(crate) words: usize,
    pub(crate) bucket: usize,
    pub(crate) slot: usize,
}

impl Live {
    pub(crate) fn end(&self) -> usize {
        self.at + self.words
    }
}

/// All records that slots lead to, in their order in the arena.
pub(crate) struct Census(pub(crate) Vec<Live>);

impl Census {
    /// Collects the records. The caller holds the locks of all stripes. Slots that lead to no
    /// record are left out.
    pub(crate) fn take(segment: &Segment) -> Self {
        let mut records = Vec::new();
        for (bucket, slot) in slots_in_use(segment, segment.all_buckets()) {
            if let Ok(entry) = entry::open(segment, probe::bucket(segment, bucket), slot)
                && let Some(at) = entry.at()
            {
                records.push(Live {
                    at,
                    words: entry.lengths().words(),
                    bucket,
                    slot,
                });
            }
        }
        records.sort_unstable_by_key(|record| record.at);
        Self(records)
    }

    /// The records that begin in a chunk.
    pub(crate) fn of(&self, segment: &Segment, chunk: usize) -> &[Live] {
        let begin = segment.geometry.chunk(chunk);
        let end = begin + segment.geometry.chunk_words;
        let first = self.0.partition_point(|record| record.at < begin);
        let last = self.0.partition_point(|record| record.at < end);
        &self.0[first..last]
    }

    /// Pairs of records that share words, the earlier one of each pair first.
    pub(crate) fn overlapping(&self) -> impl Iterator<Item = (&Live, &Live)> {
        let mut furthest: Option<&Live> = None;
        self.0.iter().filter_map(move |record| {
            let before = furthest.filter(|before| before.end() > record.at);
            if furthest.is_none_or(|before| before.end() < record.end()) {
                furthest = Some(record);
            }
            before.map(|before| (before, record))
        })
    }

    pub(super) fn overlaps(&self) -> Vec<Fault> {
        self.overlapping()
            .map(|(one, other)| {
                let text = format!(
                    "the records at bytes {} and {} overlap",
                    one.at * WORD,
                    other.at * WORD
                );
                let place = FaultPlace::record(other.at);
                Fault::new(FaultKind::Entry, place, other.at, text)
            })
            .collect()
    }
}
