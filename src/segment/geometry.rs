//! The geometry of a segment: the sizes of its parts, and where they begin.

use std::ops::{Range, RangeInclusive};

use crate::layout::{
    BUCKET_WORDS, CHUNK_WORDS, HEADER_WORDS, LINE, MAX_KEY, MAX_VALUE, PAGE, PARTICIPANT_WORDS,
    READING_WORDS, STRIPE_WORDS, WORD,
};
use crate::segment::record;

/// The most chunks of a segment: searches scan their states.
pub(crate) const MAX_CHUNKS: u128 = 1 << 20;
/// The most bytes of a segment: a 47-bit address space can map this many with ease.
const MAX_SEGMENT_BYTES: u128 = 1 << 45;
/// The position of a word of the arena, in words from the arena's beginning: a slot has that of
/// its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArenaOffset(pub(crate) usize);

/// The shape of a segment: everything that follows from the options it was
/// created with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) capacity: usize,
    pub(crate) value_space: usize,
    /// The number of stripes, a power of two.
    pub(crate) stripes: usize,
    /// The number of buckets that each stripe has from the beginning.
    pub(crate) stripe_buckets: usize,
    /// The number of buckets that a stripe may grow to; in a table that doesn't grow, the same.
    pub(crate) most_buckets: usize,
    pub(crate) participants: usize,
    pub(crate) chunks: usize,
    pub(crate) chunk_words: usize,
    /// The most bytes of memory that the table may take.
    pub(crate) max_bytes: Option<usize>,

    // Derived, so that no hot path adds them up.
    /// The most bytes that a key and its value may have together.
    pub(crate) max_entry: usize,
    /// The most bytes of a key.
    pub(crate) max_key: usize,
    /// The position of the first stripe's header, counted in stripe headers.
    pub(crate) first_stripe: usize,
    /// The position of the directory's first word.
    pub(crate) directory_at: usize,
    /// The position of the first bucket, counted in buckets.
    pub(crate) first_bucket: usize,
    /// The number of all buckets that there may ever be.
    pub(crate) buckets: usize,
    pub(crate) states_at: usize,
    pub(crate) details_at: usize,
    /// The position of the first reading word, if the table grows.
    pub(crate) reading_at: usize,
    pub(crate) arena_at: usize,
    pub(crate) words: usize,
}

/// The numbers that say all about a geometry: those of a segment's header.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) capacity: usize,
    pub(crate) value_space: usize,
    pub(crate) stripes: usize,
    pub(crate) stripe_buckets: usize,
    pub(crate) most_buckets: usize,
    pub(crate) participants: usize,
    pub(crate) chunks: usize,
    pub(crate) chunk_words: usize,
}

impl Geometry {
    /// A tiny geometry for models: one stripe, whose buckets may become `most_buckets`, and chunks
    /// of `chunk_words`.
    #[cfg(loom)]
    pub(crate) fn tiny(
        stripe_buckets: usize,
        most_buckets: usize,
        participants: usize,
        chunks: usize,
        chunk_words: usize,
    ) -> Self {
        Self::derive(&Shape {
            capacity: 8,
            value_space: 1 << 10,
            stripes: 1,
            stripe_buckets,
            most_buckets,
            participants,
            chunks,
            chunk_words,
        })
        .unwrap()
    }

    /// Adds up the offsets; `None` if the segment would be too large.
    pub(crate) fn derive(shape: &Shape) -> Option<Self> {
        let Shape {
            capacity,
            value_space,
            stripes,
            stripe_buckets,
            most_buckets,
            participants,
            chunks,
            chunk_words,
        } = *shape;
        let (wide_stripes, wide_chunks) = (stripes as u128, chunks as u128);
        let stripes_at = HEADER_WORDS as u128 + (participants * PARTICIPANT_WORDS) as u128;
        let directory_at = stripes_at + wide_stripes * STRIPE_WORDS as u128;
        let directory = if most_buckets > stripe_buckets {
            wide_stripes
        } else {
            0
        };
        let buckets_at = (directory_at + directory).next_multiple_of(BUCKET_WORDS as u128);
        let states_at = buckets_at + wide_stripes * most_buckets as u128 * BUCKET_WORDS as u128;
        let details_at = states_at + wide_chunks.next_multiple_of(LINE as u128);
        let reading_at =
            (details_at + wide_chunks * CHUNK_WORDS as u128).next_multiple_of(PAGE as u128);
        let reading = if most_buckets > stripe_buckets {
            participants * READING_WORDS
        } else {
            0
        };
        let arena_at = reading_at + reading as u128;
        let arena = wide_chunks * chunk_words as u128;
        let words = arena_at + arena;
        if words * WORD as u128 > MAX_SEGMENT_BYTES {
            return None;
        }
        let max_entry = value_space.min(MAX_VALUE);
        Some(Self {
            max_entry,
            max_key: max_entry.min(MAX_KEY),
            capacity,
            value_space,
            stripes,
            stripe_buckets,
            most_buckets,
            participants,
            chunks,
            chunk_words,
            max_bytes: None,
            first_stripe: stripes_at as usize / STRIPE_WORDS,
            directory_at: directory_at as usize,
            first_bucket: buckets_at as usize / BUCKET_WORDS,
            buckets: stripes * most_buckets,
            states_at: states_at as usize,
            details_at: details_at as usize,
            reading_at: reading_at as usize,
            arena_at: arena_at as usize,
            words: words as usize,
        })
    }

    /// Whether stripes get more buckets as they fill.
    #[inline]
    pub(crate) fn grows(&self) -> bool {
        self.most_buckets > self.stripe_buckets
    }

    /// The number of words at the segment's beginning that have memory from its creation on.
    pub(crate) fn first_words(&self) -> usize {
        if self.grows() {
            self.bucket(self.stripes * self.stripe_buckets)
        } else {
            self.arena_at
        }
    }

    /// The levels that a stripe of a growing table may have: its buckets are 2 to the power of
    /// its level.
    pub(crate) fn levels(&self) -> RangeInclusive<u32> {
        self.stripe_buckets.ilog2()..=self.most_buckets.ilog2()
    }

    /// The stripe that a bucket belongs to, and the bucket's place in the stripe.
    pub(crate) fn place_of(&self, bucket: usize) -> (usize, usize) {
        if !self.grows() {
            let length = self.stripe_buckets;
            return (bucket / length, bucket % length);
        }
        let Some(doubling) = (bucket / self.stripes).checked_ilog2() else {
            return (bucket, 0);
        };
        // The doubling that added it added so many buckets to each stripe, which had as many.
        let added = 1 << doubling;
        let among_added = bucket - self.stripes * added;
        (among_added / added, added + among_added % added)
    }

    /// Position of a stripe's directory word, in a growing table.
    pub(crate) fn directory(&self, stripe: usize) -> usize {
        self.directory_at + stripe
    }

    /// Position of the first word behind the directory.
    pub(crate) fn directory_end(&self) -> usize {
        self.directory_at + if self.grows() { self.stripes } else { 0 }
    }

    /// Position of a participant slot's first word.
    #[expect(
        clippy::unused_self,
        reason = "asked like its neighbors, which need it"
    )]
    pub(crate) fn participant(&self, slot: usize) -> usize {
        HEADER_WORDS + slot * PARTICIPANT_WORDS
    }

    /// Position of a stripe header's first word.
    pub(crate) fn stripe(&self, stripe: usize) -> usize {
        (self.first_stripe + stripe) * STRIPE_WORDS
    }

    /// The range of the stripe headers, counted in stripe headers from the segment's beginning.
    pub(crate) fn stripe_headers(&self) -> Range<usize> {
        self.first_stripe..self.first_stripe + self.stripes
    }

    /// The range of the buckets, counted in buckets from the segment's beginning.
    pub(crate) fn all_buckets(&self) -> Range<usize> {
        self.first_bucket..self.first_bucket + self.buckets
    }

    /// Position of a bucket's first word.
    pub(crate) fn bucket(&self, bucket: usize) -> usize {
        (self.first_bucket + bucket) * BUCKET_WORDS
    }

    /// Position of a chunk's state word.
    pub(crate) fn state(&self, chunk: usize) -> usize {
        self.states_at + chunk
    }

    /// Position of a chunk's details.
    pub(crate) fn details(&self, chunk: usize) -> usize {
        self.details_at + chunk * CHUNK_WORDS
    }

    /// The reading words of a participant slot, in a growing table.
    pub(crate) fn reading(&self, slot: usize) -> Range<usize> {
        let at = self.reading_at + slot * READING_WORDS;
        at..at + READING_WORDS
    }

    /// Position of a chunk's first word.
    pub(crate) fn chunk(&self, chunk: usize) -> usize {
        self.arena_at + chunk * self.chunk_words
    }

    /// The chunk that a word of the arena is in.
    pub(crate) fn chunk_of(&self, at: usize) -> usize {
        (at - self.arena_at) >> self.chunk_words.trailing_zeros()
    }

    /// The position in the segment of a word of the arena.
    pub(crate) fn word_of(&self, offset: ArenaOffset) -> usize {
        self.arena_at + offset.0
    }

    /// The position in the arena of a word of the segment.
    pub(crate) fn offset_of(&self, at: usize) -> ArenaOffset {
        ArenaOffset(at - self.arena_at)
    }

    /// Whether a record of these lengths can be at this place of the arena: in one chunk, or at the
    /// beginning of a run.
    pub(crate) fn fits(&self, place: ArenaOffset, lengths: record::Lengths) -> bool {
        let (inside, words) = (place.0 % self.chunk_words, lengths.words());
        if self.needs_run(lengths) {
            inside == 0 && place.0 + words <= self.chunks * self.chunk_words
        } else {
            inside + words <= self.chunk_words
        }
    }

    /// Whether a record of these lengths is too large for one chunk.
    pub(crate) fn needs_run(&self, lengths: record::Lengths) -> bool {
        lengths.words() > self.chunk_words
    }
}
