//! The table that is damaged, and a reader of its segment's bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shmtable::{Error, Options};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::common::{Name, assert_sound, bytes, open_file, read_segment, write_at};

pub const WORD: usize = 8;
pub const HEADER_WORDS: usize = 512;
pub const CHECKSUM: usize = 16;
pub const POPULATED: usize = 24;
pub const CHUNK: usize = 4096;
pub const BUCKET_WORDS: usize = 16;
pub const SLOTS: std::ops::RangeInclusive<usize> = 1..=7;
pub const SMALL_BYTES: usize = 15;
/// Bytes of a small entry's key in the head of its slot.
pub const HEAD_BYTES: usize = 7;
/// Bits of a bucket's overflow count.
pub const OVERFLOW_BITS: u32 = 24;

pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

pub fn options() -> Options {
    Options::new()
        .capacity(32)
        .value_space(16_000)
        .stripes(2)
        .chunk_size(CHUNK)
        .max_participants(3)
        .lock_timeout(Duration::from_millis(20))
}

pub fn key(number: usize) -> Vec<u8> {
    // Of several lengths, so that records have all kinds of padding.
    format!("key {number}{}", "x".repeat(number % 9)).into_bytes()
}

/// Lengths of the keys and values of small entries: with keys that the head of a slot holds
/// and with longer ones, with room between and without.
pub const SMALL: [(usize, usize); 14] = [
    (0, 5),
    (1, 8),
    (3, 0),
    (6, 3),
    (7, 8),
    (7, 4),
    (7, 0),
    (8, 7),
    (8, 2),
    (10, 5),
    (11, 1),
    (12, 3),
    (14, 1),
    (15, 0),
];

/// The key of a small entry. Some of the same length differ in one bit.
pub fn small_key(number: usize) -> Vec<u8> {
    let (length, _) = SMALL[number % SMALL.len()];
    let mut key = b"small and short".to_vec();
    key.truncate(length);
    if let Some(last) = key.last_mut() {
        *last = b'0' + number as u8;
    }
    key
}

pub fn is_small(key: &[u8], value: &[u8]) -> bool {
    value.len() <= WORD && key.len() + value.len() <= SMALL_BYTES
}

/// Where things lie in a segment, by `docs/format.md`.
pub struct Image {
    pub bytes: Vec<u8>,
    pub model: Model,
    pub removed: BTreeSet<Vec<u8>>,
    pub participants: usize,
    pub stripes: usize,
    pub stripe_buckets: usize,
    pub chunks: usize,
}

/// Where an entry stands.
pub struct Stand {
    pub bucket: usize,
    pub slot: usize,
    pub passed: Vec<usize>,
    /// Words of the segment; none if its slot holds it.
    pub record: std::ops::Range<usize>,
}

impl Stand {
    pub fn is_small(&self) -> bool {
        self.record.is_empty()
    }

    /// Whether probing for it comes to a bucket.
    pub fn meets(&self, bucket: usize) -> bool {
        self.bucket == bucket || self.passed.contains(&bucket)
    }
}

pub fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at * WORD..][..WORD].try_into().unwrap())
}

pub fn set(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at * WORD..][..WORD].copy_from_slice(&value.to_le_bytes());
}

pub fn fix_checksum(bytes: &mut [u8]) {
    let sum = xxh3_64(&bytes[..CHECKSUM * WORD]);
    set(bytes, CHECKSUM, sum);
}

impl Image {
    /// A table with full buckets, small entries, a record larger than a chunk, garbage and
    /// a free chunk; always the same one.
    pub fn new() -> Self {
        let name = Name::new();
        drop(options().create(&name).unwrap());
        let mut fresh = read_segment(&name);
        set(&mut fresh, 12, 0x5eed);
        fix_checksum(&mut fresh);
        write_at(&open_file(&name.path()), &fresh, 0);
        let table = options().open(&name).unwrap();
        let mut model = Model::new();
        let mut removed = BTreeSet::new();
        let mut put = |key: Vec<u8>, value: Vec<u8>| match table.insert(&key, &value) {
            Ok(_) => drop(model.insert(key, value)),
            Err(Error::TableFull { .. }) => {}
            Err(error) => panic!("{error:?}"),
        };
        for number in 0..48 {
            let length = if number == 7 { 5000 } else { number * 3 };
            for round in 0..=number % 2 {
                put(key(number), bytes(number as u64, length + round));
            }
            if let Some((_, value)) = SMALL.get(number) {
                let value = bytes(number as u64, *value);
                // Some have been a small entry and a record before, so that slots which
                // lead to records have tails that are not zero.
                if number < 10 {
                    put(small_key(number), bytes(number as u64, 3));
                    put(small_key(number), bytes(3, 20));
                }
                put(small_key(number), value);
            }
        }
        let gone = (0..48).step_by(6).map(key);
        for key in gone.chain([6, 9].map(small_key)) {
            if table.remove(&key).unwrap() {
                model.remove(&key);
                removed.insert(key);
            }
        }
        table.fetch_add(b"counter", 5).unwrap();
        model.insert(b"counter".to_vec(), 5_i64.to_le_bytes().to_vec());
        assert_sound(&table);
        drop(table);
        let image = Self::of(&name, model, removed);
        image.has_all_kinds();
        image
    }

    /// Else a case would be one of nothing.
    pub fn has_all_kinds(&self) {
        let stands = self.stands();
        let count = |kind: &dyn Fn(&[u8], &Stand) -> bool| {
            stands
                .iter()
                .filter(|(key, stand)| kind(key, stand))
                .count()
        };
        let tail = |stand: &Stand| word(&self.bytes, self.slot_at(stand.bucket, stand.slot) + 1);
        assert!(count(&|key, stand| stand.is_small() && key.len() < HEAD_BYTES) >= 4);
        assert!(count(&|key, stand| stand.is_small() && key.len() > HEAD_BYTES) >= 4);
        assert!(count(&|_, stand| stand.is_small() && !stand.passed.is_empty()) >= 1);
        assert!(count(&|_, stand| !stand.is_small() && !stand.passed.is_empty()) >= 1);
        assert!(count(&|_, stand| !stand.is_small() && tail(stand) != 0) >= 1);
        assert!(count(&|key, stand| !stand.is_small() && is_small(key, &self.model[key])) >= 1);
        let empty = (0..self.buckets())
            .flat_map(|bucket| SLOTS.map(move |slot| (bucket, slot)))
            .filter(|(bucket, slot)| self.tag(*bucket, *slot) == 0);
        let empty = empty.map(|(bucket, slot)| self.slot_at(bucket, slot));
        let (used, unused): (Vec<usize>, Vec<usize>) =
            empty.partition(|at| word(&self.bytes, *at) != 0);
        assert!(used.len() >= 4 && unused.len() >= 4);
        assert!(self.buckets_at() > self.stripes_end());
    }

    pub fn of(name: &Name, model: Model, removed: BTreeSet<Vec<u8>>) -> Self {
        let bytes = read_segment(name);
        let get = |at| word(&bytes, at) as usize;
        Self {
            participants: get(8),
            stripes: get(6),
            stripe_buckets: get(7),
            chunks: get(9),
            bytes,
            model,
            removed,
        }
    }

    pub fn stripes_at(&self) -> usize {
        HEADER_WORDS + self.participants * 8
    }

    pub fn stripes_end(&self) -> usize {
        self.stripes_at() + self.stripes * 8
    }

    pub fn buckets_at(&self) -> usize {
        self.stripes_end().next_multiple_of(BUCKET_WORDS)
    }

    pub fn buckets(&self) -> usize {
        self.stripes * self.stripe_buckets
    }

    pub fn states_at(&self) -> usize {
        self.buckets_at() + self.buckets() * BUCKET_WORDS
    }

    pub fn details_at(&self) -> usize {
        self.states_at() + self.chunks.next_multiple_of(8)
    }

    pub fn arena_at(&self) -> usize {
        (self.details_at() + self.chunks * 8).next_multiple_of(512)
    }

    pub fn record_words(&self, at: usize) -> usize {
        let header = word(&self.bytes, at);
        let (key, value) = (header >> 4 & 0xf_ffff, header >> 24);
        1 + key.div_ceil(8) as usize + value.div_ceil(8) as usize
    }

    pub fn bucket_at(&self, bucket: usize) -> usize {
        self.buckets_at() + bucket * BUCKET_WORDS
    }

    pub fn overflow(&self, bucket: usize) -> u64 {
        word(&self.bytes, self.bucket_at(bucket)) & ((1 << OVERFLOW_BITS) - 1)
    }

    pub fn tag(&self, bucket: usize, slot: usize) -> u64 {
        word(&self.bytes, self.bucket_at(bucket) + 1) >> (8 * slot) & 0xff
    }

    /// The word of a slot's head; that of its tail follows.
    pub fn slot_at(&self, bucket: usize, slot: usize) -> usize {
        self.bucket_at(bucket) + 2 * slot
    }

    /// The key of the slot's entry, and the words of its record.
    pub fn entry(&self, bucket: usize, slot: usize) -> (Vec<u8>, std::ops::Range<usize>) {
        let at = self.slot_at(bucket, slot);
        let head = word(&self.bytes, at);
        let bytes_at = |byte: usize, length: usize| self.bytes[byte..byte + length].to_vec();
        if head & 0xff == 0xff {
            let record = self.arena_at() + (head >> 8) as usize;
            let length = word(&self.bytes, record) >> 4 & 0xf_ffff;
            let key = bytes_at((record + 1) * WORD, length as usize);
            return (key, record..record + self.record_words(record));
        }
        let length = (head & 0xf) as usize;
        let rest = length.saturating_sub(HEAD_BYTES);
        let mut key = bytes_at(at * WORD + 1, length - rest);
        key.extend(bytes_at((at + 2) * WORD - rest, rest));
        (key, 0..0)
    }

    pub fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, word(&self.bytes, 12))
    }

    pub fn tag_of(&self, key: &[u8]) -> u64 {
        (self.hash(key) & 0xff).max(1)
    }

    /// The bucket where probing begins.
    pub fn home(&self, key: &[u8]) -> usize {
        ((u128::from(self.hash(key)) * self.buckets() as u128) >> 64) as usize
    }

    pub fn stripe_of(&self, bucket: usize) -> usize {
        bucket / self.stripe_buckets
    }

    pub fn stand(&self, key: &[u8]) -> Stand {
        let home = self.home(key);
        let first = self.stripe_of(home) * self.stripe_buckets;
        let mut passed = Vec::new();
        for i in 0..self.stripe_buckets {
            let bucket = first + (home - first + i) % self.stripe_buckets;
            for slot in SLOTS.filter(|slot| self.tag(bucket, *slot) != 0) {
                let (found, record) = self.entry(bucket, slot);
                if found == key {
                    return Stand {
                        bucket,
                        slot,
                        passed,
                        record,
                    };
                }
            }
            passed.push(bucket);
        }
        panic!("{key:?} stands nowhere");
    }

    /// All entries.
    pub fn stands(&self) -> Vec<(&Vec<u8>, Stand)> {
        self.model
            .keys()
            .map(|key| (key, self.stand(key)))
            .collect()
    }

    /// Words before the arena that mean something.
    pub fn meaningful(&self) -> Vec<usize> {
        let header = (0..=CHECKSUM).chain([POPULATED, 32, 33]);
        let three = |at: usize| at..at + 3;
        header
            .chain((0..self.participants).flat_map(|slot| three(HEADER_WORDS + slot * 8)))
            .chain((0..self.stripes).flat_map(|stripe| {
                let at = self.stripes_at() + stripe * 8;
                at..at + 4
            }))
            .chain(self.buckets_at()..self.states_at() + self.chunks)
            .chain((0..self.chunks).flat_map(|chunk| three(self.details_at() + chunk * 8)))
            .collect()
    }

    /// What there is at a word.
    pub fn name_of(&self, at: usize) -> String {
        let regions = [
            (0, 0, "header"),
            (HEADER_WORDS, 8, "participant slot"),
            (self.stripes_at(), 8, "stripe"),
            (self.stripes_end(), 0, "before the buckets"),
            (self.buckets_at(), BUCKET_WORDS, "bucket"),
            (self.states_at(), 1, "state of chunk"),
            (self.details_at(), 8, "details of chunk"),
            (self.arena_at(), CHUNK / WORD, "chunk"),
        ];
        let (begin, size, name) = regions.iter().rfind(|(begin, ..)| *begin <= at).unwrap();
        match size {
            0 => format!("{name}, word {at}"),
            _ => format!(
                "{name} {}, word {}",
                (at - begin) / size,
                (at - begin) % size
            ),
        }
    }
}
