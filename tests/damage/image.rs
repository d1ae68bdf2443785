//! The table that is damaged, and a reader of its segment's bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shmtable::{Error, Options};

use crate::common::layout::{
    BUCKET_WORDS, CHECKSUM, HEAD_BYTES, HEADER_WORDS, POPULATED, SEED, SLOTS, SMALL_BYTES, WORD,
};
use crate::common::{
    Name, SegmentBytes, assert_sound, bytes, fix_checksum, open_file, read_segment, set_word,
    write_at,
};

pub const CHUNK: usize = 4096;

/// A key that is never written.
pub const NEVER: &[u8] = b"never";

pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Which table is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of fixed capacity.
    Fixed,
    /// One that has grown, and can grow further.
    Grown,
}

impl Kind {
    /// All that there are here.
    pub fn all() -> &'static [Self] {
        // Elsewhere no table grows.
        if cfg!(all(target_os = "linux", not(shmtable_portable))) {
            &[Self::Fixed, Self::Grown]
        } else {
            &[Self::Fixed]
        }
    }

    fn options(self) -> Options {
        match self {
            Self::Fixed => options(),
            Self::Grown => options().capacity(2).max_capacity(200),
        }
    }
}

/// Options that open both kinds.
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

/// A table that was closed: its segment, what it holds, and what was removed from it.
pub struct Image {
    pub kind: Kind,
    pub segment: SegmentBytes,
    pub model: Model,
    pub removed: BTreeSet<Vec<u8>>,
}

impl Deref for Image {
    type Target = SegmentBytes;

    fn deref(&self) -> &SegmentBytes {
        &self.segment
    }
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

impl Image {
    /// A table with full buckets, small entries, a record larger than a chunk, garbage and
    /// a free chunk; always the same one.
    pub fn new(kind: Kind) -> Self {
        // The first of which the table has all kinds of entries.
        static SEED_OF_GROWN: AtomicU64 = AtomicU64::new(33);
        if kind == Kind::Fixed {
            let image = Self::of_seed(kind, 0x5eed);
            assert_eq!(image.lacks(), None);
            return image;
        }
        loop {
            let seed = SEED_OF_GROWN.load(Ordering::Relaxed);
            let image = Self::of_seed(kind, seed);
            let Some(lacks) = image.lacks() else {
                return image;
            };
            assert!(seed < 500, "{lacks}");
            SEED_OF_GROWN.store(seed + 1, Ordering::Relaxed);
        }
    }

    fn of_seed(kind: Kind, seed: u64) -> Self {
        let name = Name::new();
        drop(kind.options().create(&name).unwrap());
        let mut fresh = read_segment(&name);
        set_word(&mut fresh, SEED, seed);
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
                // Some have been a small entry and a record before.
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
        Self {
            kind,
            segment: SegmentBytes::read(&name),
            model,
            removed,
        }
    }

    /// What it lacks that it must have: a case would be one of nothing.
    fn lacks(&self) -> Option<&'static str> {
        let stands = self.stands();
        let count = |kind: &dyn Fn(&[u8], &Stand) -> bool| {
            stands
                .iter()
                .filter(|(key, stand)| kind(key, stand))
                .count()
        };
        let present = self.all_buckets();
        let empty = present
            .iter()
            .copied()
            .flat_map(|bucket| SLOTS.map(move |slot| (bucket, slot)))
            .filter(|(bucket, slot)| self.tag(*bucket, *slot) == 0);
        let empty = empty.map(|(bucket, slot)| self.slot_at(bucket, slot));
        let (used, unused): (Vec<usize>, Vec<usize>) = empty.partition(|at| self.get(*at) != 0);
        let has_room = self.kind == Kind::Fixed
            || (present.len() > self.stripes * self.stripe_buckets
                && present.len() < self.buckets()
                && self.chunks_with_state() < self.chunks);
        let small = |kind: &dyn Fn(&[u8], &Stand) -> bool| {
            count(&|key, stand| stand.is_small() && kind(key, stand))
        };
        let records = |kind: &dyn Fn(&[u8], &Stand) -> bool| {
            count(&|key, stand| !stand.is_small() && kind(key, stand))
        };
        let passed = |_: &[u8], stand: &Stand| !stand.passed.is_empty();
        [
            (small(&|key, _| key.len() < HEAD_BYTES) >= 4, "short keys"),
            (small(&|key, _| key.len() > HEAD_BYTES) >= 4, "long keys"),
            (small(&passed) >= 1, "a small entry outside its home"),
            (records(&passed) >= 1, "a record's slot outside its home"),
            (
                records(&|key, _| is_small(key, &self.model[key])) >= 1,
                "a small entry that has a record",
            ),
            (used.len() >= 4 && unused.len() >= 4, "empty slots"),
            (self.buckets_at() > self.directory_end(), "a gap"),
            (has_room, "growth, and room for more"),
        ]
        .into_iter()
        .find_map(|(has, what)| (!has).then_some(what))
    }

    pub fn stand(&self, key: &[u8]) -> Stand {
        let mut passed = Vec::new();
        for bucket in self.probe(key) {
            for slot in self.slots_in_use(bucket) {
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

    /// The keys that are read though they are absent.
    pub fn absent(&self) -> impl Iterator<Item = Vec<u8>> {
        self.removed.iter().cloned().chain([NEVER.to_vec()])
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
        let present = self.all_buckets().into_iter();
        let chunks = self.chunks_with_state();
        header
            .chain((0..self.participants).flat_map(|slot| three(HEADER_WORDS + slot * 8)))
            .chain((0..self.stripes).flat_map(|stripe| {
                let at = self.stripes_at() + stripe * 8;
                at..at + 4
            }))
            .chain(self.stripes_end()..self.directory_end())
            .chain(present.flat_map(|bucket| {
                let at = self.bucket_at(bucket);
                at..at + BUCKET_WORDS
            }))
            .chain(self.states_at()..self.states_at() + chunks)
            .chain((0..chunks).flat_map(|chunk| three(self.details_at() + chunk * 8)))
            .collect()
    }

    /// What there is at a word.
    pub fn name_of(&self, at: usize) -> String {
        let regions = [
            (0, 0, "header"),
            (HEADER_WORDS, 8, "participant slot"),
            (self.stripes_at(), 8, "stripe"),
            (self.stripes_end(), 1, "directory word"),
            (self.directory_end(), 0, "before the buckets"),
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
