//! A reader of segments that knows the document and nothing of the crate.

use std::ops::{Range, RangeInclusive};

use shmtable::Table;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::common::{self};
use crate::document::Document;

/// Reads a segment by the document.
pub struct DocumentReader {
    pub document: Document,
    pub bytes: Vec<u8>,
    pub stripes_at: usize,
    pub directory_at: usize,
    pub buckets_at: usize,
    pub states_at: usize,
    pub details_at: usize,
    pub reading_at: usize,
    pub arena_at: usize,
}

/// An entry, and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// The bucket and the slot.
    pub slot: (usize, usize),
    /// The word where its record begins; `None`: its slot holds it.
    pub record: Option<usize>,
}

impl DocumentReader {
    pub fn of(table: &Table) -> Self {
        let mut reader = Self {
            document: Document::read(),
            bytes: common::read_segment(table.name()),
            stripes_at: 0,
            directory_at: 0,
            buckets_at: 0,
            states_at: 0,
            details_at: 0,
            reading_at: 0,
            arena_at: 0,
        };
        let get = |name| reader.document.get(name);
        let stripes_at =
            get("HEADER_WORDS") + reader.header("HEADER_PARTICIPANTS") * get("PARTICIPANT_WORDS");
        let stripes = reader.header("HEADER_STRIPES");
        let directory_at = stripes_at + stripes * get("STRIPE_WORDS");
        let directory = if reader.grows() { stripes } else { 0 };
        let buckets_at = (directory_at + directory).next_multiple_of(get("BUCKET_WORDS"));
        let states_at = buckets_at + reader.buckets() * get("BUCKET_WORDS");
        let chunks = reader.header("HEADER_CHUNKS");
        let details_at = states_at + chunks.next_multiple_of(get("LINE"));
        let reading_at = (details_at + chunks * get("CHUNK_WORDS")).next_multiple_of(get("PAGE"));
        let reading = if reader.grows() {
            reader.header("HEADER_PARTICIPANTS") * get("READING_WORDS")
        } else {
            0
        };
        let arena_at = reading_at + reading;
        reader.stripes_at = stripes_at;
        reader.directory_at = directory_at;
        reader.buckets_at = buckets_at;
        reader.states_at = states_at;
        reader.details_at = details_at;
        reader.reading_at = reading_at;
        reader.arena_at = arena_at;
        reader
    }

    pub fn get(&self, name: &str) -> usize {
        self.document.get(name)
    }

    pub fn word(&self, at: usize) -> u64 {
        let at = at * 8;
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    pub fn header(&self, name: &str) -> usize {
        self.word(self.get(name)) as usize
    }

    /// The number of buckets that there may be.
    pub fn buckets(&self) -> usize {
        self.header("HEADER_STRIPES") * self.header("HEADER_MOST_BUCKETS")
    }

    /// Whether stripes get more buckets as they fill.
    pub fn grows(&self) -> bool {
        self.header("HEADER_MOST_BUCKETS") > self.header("HEADER_STRIPE_BUCKETS")
    }

    /// A field of a stripe's word in the directory of a table that grows.
    pub fn directory(&self, stripe: usize, field: &str) -> u64 {
        self.document
            .field(field, self.word(self.directory_at + stripe))
    }

    /// The number of buckets that a stripe has now.
    pub fn stripe_buckets(&self, stripe: usize) -> usize {
        if self.grows() {
            1 << self.directory(stripe, "DIRECTORY_LEVEL")
        } else {
            self.header("HEADER_STRIPE_BUCKETS")
        }
    }

    /// The number of the bucket at a place in a stripe.
    pub fn number_of(&self, stripe: usize, place: usize) -> usize {
        if !self.grows() {
            return stripe * self.header("HEADER_STRIPE_BUCKETS") + place;
        }
        if place == 0 {
            return stripe;
        }
        let mut added = 1;
        while 2 * added <= place {
            added *= 2;
        }
        self.header("HEADER_STRIPES") * added + stripe * added + (place - added)
    }

    /// The buckets that stripes have now.
    pub fn present_buckets(&self) -> Vec<usize> {
        (0..self.header("HEADER_STRIPES"))
            .flat_map(|stripe| {
                let places = 0..self.stripe_buckets(stripe);
                places.map(move |place| self.number_of(stripe, place))
            })
            .collect()
    }

    pub fn chunk_words(&self) -> usize {
        self.header("HEADER_CHUNK_BYTES") / self.get("WORD")
    }

    pub fn participant(&self, slot: usize, word: &str) -> u64 {
        let at = self.get("HEADER_WORDS") + slot * self.get("PARTICIPANT_WORDS");
        self.word(at + self.get(word))
    }

    pub fn generation(&self, slot: usize) -> u64 {
        let state = self.participant(slot, "PARTICIPANT_STATE");
        self.document.field("PARTICIPANT_GENERATION", state)
    }

    pub fn stripe(&self, stripe: usize, word: &str) -> u64 {
        self.word(self.stripes_at + stripe * self.get("STRIPE_WORDS") + self.get(word))
    }

    pub fn lock(&self, stripe: usize, field: &str) -> u64 {
        self.document
            .field(field, self.stripe(stripe, "STRIPE_LOCK"))
    }

    pub fn state(&self, chunk: usize, field: &str) -> u64 {
        self.document
            .field(field, self.word(self.states_at + chunk))
    }

    pub fn is_kind(&self, chunk: usize, kind: &str) -> bool {
        self.state(chunk, "STATE_KIND") == self.get(kind) as u64
    }

    pub fn detail(&self, chunk: usize, word: &str) -> u64 {
        self.word(self.details_at + chunk * self.get("CHUNK_WORDS") + self.get(word))
    }

    pub fn bucket(&self, bucket: usize, word: usize) -> u64 {
        self.word(self.buckets_at + bucket * self.get("BUCKET_WORDS") + word)
    }

    pub fn overflow(&self, bucket: usize) -> u64 {
        self.document
            .field("BUCKET_OVERFLOW", self.bucket(bucket, 0))
    }

    pub fn slots(&self) -> RangeInclusive<usize> {
        1..=self.get("BUCKET_SLOTS")
    }

    pub fn tag(&self, bucket: usize, slot: usize) -> u64 {
        self.bucket(bucket, 1) >> (8 * slot) & 0xff
    }

    /// The head and the tail of a slot.
    pub fn slot(&self, bucket: usize, slot: usize) -> [u64; 2] {
        [0, 1].map(|word| self.bucket(bucket, 2 * slot + word))
    }

    /// What a slot in use holds, or leads to.
    pub fn entry(&self, bucket: usize, slot: usize) -> Entry {
        let [head, tail] = self.slot(bucket, slot);
        let lengths = ["SLOT_KEY_LENGTH", "SLOT_VALUE_LENGTH"];
        let lengths = lengths.map(|field| self.document.field(field, head) as usize);
        let (key, value, record) = if lengths == [15, 15] {
            let at = self.arena_at + self.document.field("SLOT_OFFSET", head) as usize;
            let (key, value, _) = self.record(at);
            assert_eq!(tail, self.hash(key), "the hash that the slot keeps");
            (key.to_vec(), value.to_vec(), Some(at))
        } else {
            let (key, value) = self.small(head, tail, lengths);
            (key, value, None)
        };
        Entry {
            key,
            value,
            slot: (bucket, slot),
            record,
        }
    }

    /// The key and the value of a small entry.
    pub fn small(&self, head: u64, tail: u64, [key, value]: [usize; 2]) -> (Vec<u8>, Vec<u8>) {
        assert!(value <= 8 && key + value <= self.get("SMALL_BYTES"));
        let first = self.document.field("SLOT_KEY", head).to_le_bytes();
        // Byte 0 of the head has the lengths.
        let (first, none) = first.split_at(self.get("HEAD_BYTES"));
        assert_eq!(none, [0]);
        let (first, head_padding) = first.split_at(key.min(first.len()));
        let tail = tail.to_le_bytes();
        let (before, rest) = tail.split_at(tail.len() - (key - first.len()));
        let (value, tail_padding) = before.split_at(value);
        assert!(
            head_padding
                .iter()
                .chain(tail_padding)
                .all(|byte| *byte == 0)
        );
        ([first, rest].concat(), value.to_vec())
    }

    /// The entries of all slots in use.
    pub fn all_entries(&self) -> Vec<Entry> {
        self.present_buckets()
            .into_iter()
            .flat_map(|bucket| self.slots().map(move |slot| (bucket, slot)))
            .filter(|(bucket, slot)| self.tag(*bucket, *slot) != 0)
            .map(|(bucket, slot)| self.entry(bucket, slot))
            .collect()
    }

    /// The key and the value of the record at a word, and the word after it.
    pub fn record(&self, at: usize) -> (&[u8], &[u8], usize) {
        let header = self.word(at);
        let field = |name| self.document.field(name, header) as usize;
        assert_eq!((field("RECORD_PRESENT"), field("RECORD_FLAGS")), (1, 0));
        let (key, value) = (field("RECORD_KEY_LENGTH"), field("RECORD_VALUE_LENGTH"));
        let value_at = at + 1 + key.div_ceil(8);
        let end = value_at + value.div_ceil(8);
        let bytes = |at: usize, length: usize, end: usize| {
            let (bytes, padding) = self.bytes[at * 8..end * 8].split_at(length);
            assert!(padding.iter().all(|byte| *byte == 0));
            bytes
        };
        (
            bytes(at + 1, key, value_at),
            bytes(value_at, value, end),
            end,
        )
    }

    pub fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.header("HEADER_HASH_SEED") as u64)
    }

    pub fn stripe_of(&self, key: &[u8]) -> usize {
        let product = u128::from(self.hash(key)) * self.header("HEADER_STRIPES") as u128;
        (product >> 64) as usize
    }

    /// The buckets in which a key may be, in the order of probing.
    pub fn probe(&self, key: &[u8]) -> impl Iterator<Item = usize> {
        let (hash, stripe) = (self.hash(key), self.stripe_of(key));
        let (grows, length) = (self.grows(), self.stripe_buckets(stripe));
        let first = if grows {
            (hash >> 8) as usize % length
        } else {
            let first = ((u128::from(hash) * self.buckets() as u128) >> 64) as usize;
            assert_eq!(first / length, stripe);
            first % length
        };
        (0..length).map(move |i| {
            let place = if grows {
                first ^ i
            } else {
                (first + i) % length
            };
            self.number_of(stripe, place)
        })
    }

    /// The entry of a key.
    pub fn find(&self, key: &[u8]) -> Option<Entry> {
        let tag = match self.hash(key) & 0xff {
            0 => 1,
            byte => byte,
        };
        for bucket in self.probe(key) {
            let found = self
                .slots()
                .filter(|slot| self.tag(bucket, *slot) == tag)
                .map(|slot| self.entry(bucket, slot))
                .find(|entry| entry.key == key);
            if found.is_some() {
                return found;
            }
            if self.overflow(bucket) == 0 {
                return None;
            }
        }
        None
    }

    pub fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key).map(|entry| entry.value)
    }

    /// The word where the record of a key begins.
    pub fn record_of(&self, key: &[u8]) -> Option<usize> {
        self.find(key)?.record
    }

    /// The versions of all buckets together.
    pub fn versions(&self) -> u64 {
        let version = |bucket| {
            self.document
                .field("BUCKET_VERSION", self.bucket(bucket, 0))
        };
        self.present_buckets().into_iter().map(version).sum()
    }

    /// The words of a chunk, or of the run that begins there, that records fill.
    pub fn filled(&self, chunk: usize) -> Range<usize> {
        let begin = self.arena_at + chunk * self.chunk_words();
        let word = self.detail(chunk, "CHUNK_CURSOR");
        let cursor = self.document.field("CURSOR_WORDS", word);
        let parts = [0, 16, 32].map(|first| cursor >> first & 0xffff);
        let check = parts.into_iter().fold(0, |check, part| check ^ part);
        assert_eq!(self.document.field("CURSOR_CHECK", word), check);
        begin..begin + cursor as usize
    }

    pub fn chunk_of(&self, at: usize) -> usize {
        (at - self.arena_at) / self.chunk_words()
    }

    pub fn entries(&self) -> u64 {
        (0..self.header("HEADER_STRIPES"))
            .map(|stripe| self.stripe(stripe, "STRIPE_ENTRIES"))
            .sum()
    }
}
