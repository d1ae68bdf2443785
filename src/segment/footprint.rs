//! How much of a segment has memory.

use std::ops::Range;

use crate::layout::{BUCKET_SLOTS, PAGE, PARTICIPANT_STATE, WORD, is_without_memory};
use crate::segment::Segment;
use crate::sync::{AtomicU64, Ordering};

/// Counts pages that have memory, of ranges of words in ascending order.
#[derive(Default)]
struct Pages {
    count: usize,
    /// The first page that isn't counted yet.
    next: usize,
}

impl Pages {
    fn add(&mut self, words: Range<usize>) {
        if words.is_empty() {
            return;
        }
        let end = words.end.div_ceil(PAGE);
        let first = (words.start / PAGE).max(self.next);
        self.count += end.saturating_sub(first);
        self.next = self.next.max(end);
    }
}

impl Segment {
    /// How many buckets each stripe has now.
    fn bucket_counts(&self) -> impl Iterator<Item = usize> {
        (0..self.geometry.stripes).map(|stripe| self.bucket_count(stripe))
    }

    /// The number of slots that all buckets have now.
    pub(crate) fn slots(&self) -> usize {
        self.bucket_counts().sum::<usize>() * BUCKET_SLOTS
    }

    /// The bytes of memory that the table takes: its index and its chunks.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.index_bytes() + self.chunks_with_memory() * self.geometry.chunk_words * WORD
    }

    /// The number of chunks that have memory.
    pub(crate) fn chunks_with_memory(&self) -> usize {
        let populated = self.populated();
        if !self.geometry.grows() {
            return populated;
        }
        let states = &self.words()[self.geometry.state(0)..self.geometry.state(populated)];
        let has_memory = |state: &&AtomicU64| !is_without_memory(state.load(Ordering::Relaxed));
        states.iter().filter(has_memory).count()
    }

    /// The bytes in front of the arena that have memory, in whole pages.
    pub(crate) fn index_bytes(&self) -> usize {
        let geometry = &self.geometry;
        let mut pages = Pages::default();
        pages.add(0..geometry.first_words());
        if geometry.grows() {
            let counts: Vec<usize> = self.bucket_counts().collect();
            // What a doubling adds to a stripe lies together, stripe by stripe.
            for level in geometry.levels().skip(1) {
                let before = 1 << (level - 1);
                let doubled = counts.iter().enumerate().filter(|(_, n)| **n > before);
                for (stripe, _) in doubled {
                    let first = geometry.bucket(self.map.bucket_in_stripe(stripe, before));
                    let words = geometry.bucket(before) - geometry.bucket(0);
                    pages.add(first..first + words);
                }
            }
            let chunks = self.populated();
            pages.add(geometry.state(0)..geometry.state(chunks));
            pages.add(geometry.details(0)..geometry.details(chunks));
            for slot in 0..geometry.participants {
                let state = &self.words()[geometry.participant(slot) + PARTICIPANT_STATE];
                // Each slot that ever had an owner.
                if state.load(Ordering::Relaxed) != 0 {
                    pages.add(geometry.reading(slot));
                }
            }
        }
        pages.count * PAGE * WORD
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_counted_once() {
        let mut pages = Pages::default();
        for words in [0..1, 0..PAGE, 5..5, PAGE - 1..PAGE + 1, 4 * PAGE..5 * PAGE] {
            pages.add(words);
        }
        assert_eq!(pages.count, 3);
    }
}
