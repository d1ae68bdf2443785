//! A reader of a segment's bytes, by `docs/format.md`.
//!
//! Tests that damage a table look up here where its words are. `tests/format/` has a reader
//! of its own, which takes every number from the document, and so tests the document.

use std::ops::Range;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::place::{open_file, path_of, read_segment, write_at};

/// Where words are, and how many there are of them.
pub mod layout {
    use std::ops::RangeInclusive;

    /// Bytes of a word.
    pub const WORD: usize = 8;
    /// Words of the header.
    pub const HEADER_WORDS: usize = 512;
    /// The header's word for the segment's bytes.
    pub const SEGMENT_BYTES: usize = 3;
    /// The header's word for the number of stripes.
    pub const STRIPES: usize = 6;
    /// The header's word for the number of buckets that a stripe begins with.
    pub const STRIPE_BUCKETS: usize = 7;
    /// The header's word for the number of participants.
    pub const PARTICIPANTS: usize = 8;
    /// The header's word for the number of chunks.
    pub const CHUNKS: usize = 9;
    /// The header's word for the bytes of a chunk.
    pub const CHUNK_BYTES: usize = 10;
    /// The header's word for the most buckets of a stripe.
    pub const MOST_BUCKETS: usize = 11;
    /// The header's word for the hash seed.
    pub const SEED: usize = 12;
    /// The header's word for the checksum of the words before it.
    pub const CHECKSUM: usize = 16;
    /// The header's word for the number of chunks that may have been written to.
    pub const POPULATED: usize = 24;
    /// Words of a participant slot.
    pub const PARTICIPANT_WORDS: usize = 8;
    /// Words of a stripe. The first one is its lock.
    pub const STRIPE_WORDS: usize = 8;
    /// Words of a bucket: its overflow count and version, its tags, and two of each slot.
    pub const BUCKET_WORDS: usize = 16;
    /// The slots of a bucket.
    pub const SLOTS: RangeInclusive<usize> = 1..=7;
    /// Bits of a bucket's overflow count.
    pub const OVERFLOW_BITS: u32 = 24;
    /// The most bytes of a small entry's key and value.
    pub const SMALL_BYTES: usize = 15;
    /// Bytes of a small entry's key in the head of its slot.
    pub const HEAD_BYTES: usize = 7;
    /// Words of what a chunk's owner keeps: its cursor, its live bytes, its run.
    pub const CHUNK_WORDS: usize = 8;
    /// Words of a page, at which the arena begins.
    pub const PAGE_WORDS: usize = 512;
}

use layout::{
    BUCKET_WORDS, CHECKSUM, CHUNK_BYTES, CHUNK_WORDS, CHUNKS, HEAD_BYTES, HEADER_WORDS,
    MOST_BUCKETS, OVERFLOW_BITS, PAGE_WORDS, PARTICIPANT_WORDS, PARTICIPANTS, POPULATED, SEED,
    SLOTS, STRIPE_BUCKETS, STRIPE_WORDS, STRIPES, WORD,
};

/// A word of these bytes.
pub fn word(bytes: &[u8], at: usize) -> u64 {
    let bytes = &bytes[at * WORD..][..WORD];
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// Overwrites a word of these bytes.
pub fn set_word(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at * WORD..][..WORD].copy_from_slice(&value.to_le_bytes());
}

/// Makes the checksum that of the header's words as they are. Bytes that are too few for
/// one have none.
pub fn fix_checksum(bytes: &mut [u8]) {
    let checked = CHECKSUM * WORD;
    if bytes.len() >= checked + WORD {
        let sum = xxh3_64(&bytes[..checked]);
        set_word(bytes, CHECKSUM, sum);
    }
}

/// The bytes of a segment, and where in them everything is. Places are words.
#[derive(Debug, Clone)]
pub struct SegmentBytes {
    /// All of its bytes.
    pub bytes: Vec<u8>,
    /// How many participants there may be.
    pub participants: usize,
    /// How many stripes there are.
    pub stripes: usize,
    /// How many buckets a stripe has, or begins with in a table that grows.
    pub stripe_buckets: usize,
    /// How many buckets a stripe may have.
    pub most_buckets: usize,
    /// How many chunks there are.
    pub chunks: usize,
    /// How many words a chunk has.
    pub chunk_words: usize,
}

impl SegmentBytes {
    /// The segment of this name.
    pub fn read(name: &str) -> Self {
        Self::of(read_segment(name))
    }

    /// The segment that these bytes are. Its header must not be damaged.
    pub fn of(bytes: Vec<u8>) -> Self {
        let get = |at| word(&bytes, at) as usize;
        Self {
            participants: get(PARTICIPANTS),
            stripes: get(STRIPES),
            stripe_buckets: get(STRIPE_BUCKETS),
            most_buckets: get(MOST_BUCKETS),
            chunks: get(CHUNKS),
            chunk_words: get(CHUNK_BYTES) / WORD,
            bytes,
        }
    }

    /// Writes it over the segment of this name.
    pub fn write(&self, name: &str) {
        write_at(&open_file(&path_of(name)), &self.bytes, 0);
    }

    /// A word.
    pub fn get(&self, at: usize) -> u64 {
        word(&self.bytes, at)
    }

    /// Overwrites a word.
    pub fn set(&mut self, at: usize, value: u64) {
        set_word(&mut self.bytes, at, value);
    }

    /// Changes a word.
    pub fn change(&mut self, at: usize, change: impl FnOnce(u64) -> u64) {
        self.set(at, change(self.get(at)));
    }

    /// The first stripe.
    pub fn stripes_at(&self) -> usize {
        HEADER_WORDS + self.participants * PARTICIPANT_WORDS
    }

    /// The end of the last stripe.
    pub fn stripes_end(&self) -> usize {
        self.stripe_at(self.stripes)
    }

    /// A stripe.
    pub fn stripe_at(&self, stripe: usize) -> usize {
        self.stripes_at() + stripe * STRIPE_WORDS
    }

    /// Whether stripes get more buckets as they fill.
    pub fn grows(&self) -> bool {
        self.most_buckets > self.stripe_buckets
    }

    /// The word of a stripe in the directory of a table that grows.
    pub fn directory_at(&self, stripe: usize) -> usize {
        self.stripes_end() + stripe
    }

    /// The end of the directory.
    pub fn directory_end(&self) -> usize {
        self.directory_at(if self.grows() { self.stripes } else { 0 })
    }

    /// The first bucket.
    pub fn buckets_at(&self) -> usize {
        self.directory_end().next_multiple_of(BUCKET_WORDS)
    }

    /// How many buckets there may be.
    pub fn buckets(&self) -> usize {
        self.stripes * self.most_buckets
    }

    /// The state of the first chunk.
    pub fn states_at(&self) -> usize {
        self.buckets_at() + self.buckets() * BUCKET_WORDS
    }

    /// The state of a chunk.
    pub fn state_at(&self, chunk: usize) -> usize {
        self.states_at() + chunk
    }

    /// The details of the first chunk.
    pub fn details_at(&self) -> usize {
        self.states_at() + self.chunks.next_multiple_of(CHUNK_WORDS)
    }

    /// The details of a chunk.
    pub fn detail_at(&self, chunk: usize) -> usize {
        self.details_at() + chunk * CHUNK_WORDS
    }

    /// The first reading word, in a table that grows.
    pub fn reading_at(&self) -> usize {
        self.detail_at(self.chunks).next_multiple_of(PAGE_WORDS)
    }

    /// The first chunk.
    pub fn arena_at(&self) -> usize {
        let participants = if self.most_buckets > self.stripe_buckets {
            self.participants
        } else {
            0
        };
        self.reading_at() + participants * PAGE_WORDS
    }

    /// The kind in a chunk's state: 0 free, 2 sealed, 4 a tail, 15 without memory.
    pub fn kind(&self, chunk: usize) -> u64 {
        self.get(self.state_at(chunk)) >> 16 & 0xf
    }

    /// The chunks of a kind.
    pub fn chunks_of_kind(&self, kind: u64) -> Vec<usize> {
        (0..self.chunks)
            .filter(|chunk| self.kind(*chunk) == kind)
            .collect()
    }

    /// How many words the record at a word has.
    pub fn record_words(&self, at: usize) -> usize {
        let header = self.get(at);
        let (key, value) = (header >> 4 & 0xf_ffff, header >> 24);
        1 + key.div_ceil(8) as usize + value.div_ceil(8) as usize
    }

    /// The chunks whose states and details have memory.
    pub fn chunks_with_state(&self) -> usize {
        if self.grows() {
            self.get(POPULATED) as usize
        } else {
            self.chunks
        }
    }

    /// The stripe of a bucket.
    pub fn stripe_of(&self, bucket: usize) -> usize {
        if !self.grows() {
            return bucket / self.stripe_buckets;
        }
        match (bucket / self.stripes).checked_ilog2() {
            None => bucket,
            Some(doubling) => (bucket >> doubling) - self.stripes,
        }
    }

    /// How many buckets a stripe has now.
    pub fn count_of(&self, stripe: usize) -> usize {
        if self.grows() {
            1 << (self.get(self.directory_at(stripe)) >> 40 & 0xff)
        } else {
            self.stripe_buckets
        }
    }

    /// The bucket at a place in a stripe.
    pub fn bucket_of(&self, stripe: usize, place: usize) -> usize {
        if !self.grows() {
            return stripe * self.stripe_buckets + place;
        }
        match place.checked_ilog2() {
            None => stripe,
            Some(doubling) => ((self.stripes + stripe - 1) << doubling) + place,
        }
    }

    /// The buckets of a stripe.
    pub fn buckets_of(&self, stripe: usize) -> Vec<usize> {
        let places = 0..self.count_of(stripe);
        places.map(|place| self.bucket_of(stripe, place)).collect()
    }

    /// The buckets that there are now.
    pub fn all_buckets(&self) -> Vec<usize> {
        (0..self.stripes)
            .flat_map(|stripe| self.buckets_of(stripe))
            .collect()
    }

    /// A bucket.
    pub fn bucket_at(&self, bucket: usize) -> usize {
        self.buckets_at() + bucket * BUCKET_WORDS
    }

    /// How many keys passed a bucket.
    pub fn overflow(&self, bucket: usize) -> u64 {
        self.get(self.bucket_at(bucket)) & ((1 << OVERFLOW_BITS) - 1)
    }

    /// The version of a bucket.
    pub fn version(&self, bucket: usize) -> u64 {
        self.get(self.bucket_at(bucket)) >> OVERFLOW_BITS
    }

    /// The tag of a slot; 0: it is empty.
    pub fn tag(&self, bucket: usize, slot: usize) -> u64 {
        self.get(self.bucket_at(bucket) + 1) >> (8 * slot) & 0xff
    }

    /// The slots of a bucket that have entries.
    pub fn slots_in_use(&self, bucket: usize) -> impl Iterator<Item = usize> {
        SLOTS.filter(move |slot| self.tag(bucket, *slot) != 0)
    }

    /// The head of a slot. Its tail follows.
    pub fn slot_at(&self, bucket: usize, slot: usize) -> usize {
        self.bucket_at(bucket) + 2 * slot
    }

    /// Whether a slot leads to a record, and holds no small entry.
    pub fn has_record(&self, bucket: usize, slot: usize) -> bool {
        self.get(self.slot_at(bucket, slot)) & 0xff == 0xff
    }

    /// The key of a slot's entry, and the words of its record: none if it is small.
    pub fn entry(&self, bucket: usize, slot: usize) -> (Vec<u8>, Range<usize>) {
        let at = self.slot_at(bucket, slot);
        let head = self.get(at);
        let bytes_at = |byte: usize, length: usize| self.bytes[byte..byte + length].to_vec();
        if self.has_record(bucket, slot) {
            let record = self.arena_at() + (head >> 8) as usize;
            let length = self.get(record) >> 4 & 0xf_ffff;
            let key = bytes_at((record + 1) * WORD, length as usize);
            return (key, record..record + self.record_words(record));
        }
        let length = (head & 0xf) as usize;
        let rest = length.saturating_sub(HEAD_BYTES);
        let mut key = bytes_at(at * WORD + 1, length - rest);
        key.extend(bytes_at((at + 2) * WORD - rest, rest));
        (key, 0..0)
    }

    /// The hash of a key.
    pub fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.get(SEED))
    }

    /// The tag of a key.
    pub fn tag_of(&self, key: &[u8]) -> u64 {
        (self.hash(key) & 0xff).max(1)
    }

    /// The stripe of a key.
    pub fn stripe_of_key(&self, key: &[u8]) -> usize {
        ((u128::from(self.hash(key)) * self.stripes as u128) >> 64) as usize
    }

    /// The buckets in which a key may be, in the order of probing.
    pub fn probe(&self, key: &[u8]) -> Vec<usize> {
        let (hash, stripe) = (self.hash(key), self.stripe_of_key(key));
        let count = self.count_of(stripe);
        let places = 0..count;
        if self.grows() {
            let home = (hash >> 8) as usize % count;
            return places
                .map(|step| self.bucket_of(stripe, home ^ step))
                .collect();
        }
        let home = ((u128::from(hash) * self.buckets() as u128) >> 64) as usize % count;
        places
            .map(|step| self.bucket_of(stripe, (home + step) % count))
            .collect()
    }

    /// The home bucket of a key.
    pub fn home(&self, key: &[u8]) -> usize {
        self.probe(key)[0]
    }

    /// The stripes whose locks have an owner.
    pub fn locked_stripes(&self) -> impl Iterator<Item = usize> {
        (0..self.stripes).filter(|stripe| self.get(self.stripe_at(*stripe)) & 0xffff != 0)
    }
}
