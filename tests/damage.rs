//! Does any damage give an error or a right answer, never a signal, a hang or a panic?
//!
//! A small table is written, closed, and damaged in its file, in one way at a time: each
//! bit before the arena flipped, and random bits of records; words of the index
//! overwritten; the file cut or lengthened; random bytes, behind a valid header or not.
//! Each time it is opened, read, written, checked and repaired. Children do it, so that
//! a signal or a hang is seen, and known whose it is.
//!
//! Every case runs with `SHMTABLE_DAMAGE=full`, as `cargo xtask damage` sets it; else one
//! of some, and fewer for Windows: under wine each takes four times as long.

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{
    Child, Dice, Name, assert_sound, bounded, bytes, contents, open_file, read_at, read_segment,
    write_at,
};
use shmtable::{Error, Options, Result, Table};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const FULL: &str = "SHMTABLE_DAMAGE";
/// No case may take longer, on a very busy machine.
const GUARD: Duration = Duration::from_secs(30);
/// Cases of one child.
const SHARE: usize = 500;

const WORD: usize = 8;
const HEADER_WORDS: usize = 512;
const CHECKSUM: usize = 16;
const POPULATED: usize = 24;
const CHUNK: usize = 4096;
const BUCKET_WORDS: usize = 16;
const SLOTS: std::ops::RangeInclusive<usize> = 1..=7;
const SMALL_BYTES: usize = 15;
/// Bytes of a small entry's key in the head of its slot.
const HEAD_BYTES: usize = 7;
/// Bits of a bucket's overflow count.
const OVERFLOW_BITS: u32 = 24;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options() -> Options {
    Options::new()
        .capacity(32)
        .value_space(16_000)
        .stripes(2)
        .chunk_size(CHUNK)
        .max_participants(3)
        .lock_timeout(Duration::from_millis(20))
}

fn key(number: usize) -> Vec<u8> {
    // Of several lengths, so that records have all kinds of padding.
    format!("key {number}{}", "x".repeat(number % 9)).into_bytes()
}

/// Lengths of the keys and values of small entries: with keys that the head of a slot holds
/// and with longer ones, with room between and without.
const SMALL: [(usize, usize); 14] = [
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
fn small_key(number: usize) -> Vec<u8> {
    let (length, _) = SMALL[number % SMALL.len()];
    let mut key = b"small and short".to_vec();
    key.truncate(length);
    if let Some(last) = key.last_mut() {
        *last = b'0' + number as u8;
    }
    key
}

fn is_small(key: &[u8], value: &[u8]) -> bool {
    value.len() <= WORD && key.len() + value.len() <= SMALL_BYTES
}

/// Where things lie in a segment, by `docs/format.md`.
struct Image {
    bytes: Vec<u8>,
    model: Model,
    removed: BTreeSet<Vec<u8>>,
    participants: usize,
    stripes: usize,
    stripe_buckets: usize,
    chunks: usize,
}

/// Where an entry stands.
struct Stand {
    bucket: usize,
    slot: usize,
    passed: Vec<usize>,
    /// Words of the segment; none if its slot holds it.
    record: std::ops::Range<usize>,
}

impl Stand {
    fn is_small(&self) -> bool {
        self.record.is_empty()
    }

    /// Whether probing for it comes to a bucket.
    fn meets(&self, bucket: usize) -> bool {
        self.bucket == bucket || self.passed.contains(&bucket)
    }
}

/// What a bit of a small entry's slot belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Lengths,
    /// A byte of the key.
    Key(usize),
    Value,
    Padding,
}

fn part_of_small(key: usize, value: usize, is_tail: bool, byte: usize) -> Part {
    if !is_tail {
        return match byte {
            0 => Part::Lengths,
            _ if byte <= key => Part::Key(byte - 1),
            _ => Part::Padding,
        };
    }
    let rest = key.saturating_sub(HEAD_BYTES);
    if byte < value {
        Part::Value
    } else if byte >= WORD - rest {
        Part::Key(key - (WORD - byte))
    } else {
        Part::Padding
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at * WORD..][..WORD].try_into().unwrap())
}

fn set(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at * WORD..][..WORD].copy_from_slice(&value.to_le_bytes());
}

fn fix_checksum(bytes: &mut [u8]) {
    let sum = xxh3_64(&bytes[..CHECKSUM * WORD]);
    set(bytes, CHECKSUM, sum);
}

impl Image {
    /// A table with full buckets, small entries, a record larger than a chunk, garbage and
    /// a free chunk; always the same one.
    fn new() -> Self {
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
    fn has_all_kinds(&self) {
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

    fn of(name: &Name, model: Model, removed: BTreeSet<Vec<u8>>) -> Self {
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

    fn stripes_at(&self) -> usize {
        HEADER_WORDS + self.participants * 8
    }

    fn stripes_end(&self) -> usize {
        self.stripes_at() + self.stripes * 8
    }

    fn buckets_at(&self) -> usize {
        self.stripes_end().next_multiple_of(BUCKET_WORDS)
    }

    fn buckets(&self) -> usize {
        self.stripes * self.stripe_buckets
    }

    fn states_at(&self) -> usize {
        self.buckets_at() + self.buckets() * BUCKET_WORDS
    }

    fn details_at(&self) -> usize {
        self.states_at() + self.chunks.next_multiple_of(8)
    }

    fn arena_at(&self) -> usize {
        (self.details_at() + self.chunks * 8).next_multiple_of(512)
    }

    fn record_words(&self, at: usize) -> usize {
        let header = word(&self.bytes, at);
        let (key, value) = (header >> 4 & 0xf_ffff, header >> 24);
        1 + key.div_ceil(8) as usize + value.div_ceil(8) as usize
    }

    fn bucket_at(&self, bucket: usize) -> usize {
        self.buckets_at() + bucket * BUCKET_WORDS
    }

    fn overflow(&self, bucket: usize) -> u64 {
        word(&self.bytes, self.bucket_at(bucket)) & ((1 << OVERFLOW_BITS) - 1)
    }

    fn tag(&self, bucket: usize, slot: usize) -> u64 {
        word(&self.bytes, self.bucket_at(bucket) + 1) >> (8 * slot) & 0xff
    }

    /// The word of a slot's head; that of its tail follows.
    fn slot_at(&self, bucket: usize, slot: usize) -> usize {
        self.bucket_at(bucket) + 2 * slot
    }

    /// The key of the slot's entry, and the words of its record.
    fn entry(&self, bucket: usize, slot: usize) -> (Vec<u8>, std::ops::Range<usize>) {
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

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, word(&self.bytes, 12))
    }

    fn tag_of(&self, key: &[u8]) -> u64 {
        (self.hash(key) & 0xff).max(1)
    }

    /// The bucket where probing begins.
    fn home(&self, key: &[u8]) -> usize {
        ((u128::from(self.hash(key)) * self.buckets() as u128) >> 64) as usize
    }

    fn stripe_of(&self, bucket: usize) -> usize {
        bucket / self.stripe_buckets
    }

    fn stand(&self, key: &[u8]) -> Stand {
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
    fn stands(&self) -> Vec<(&Vec<u8>, Stand)> {
        self.model
            .keys()
            .map(|key| (key, self.stand(key)))
            .collect()
    }

    /// Words before the arena that mean something.
    fn meaningful(&self) -> Vec<usize> {
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
    fn name_of(&self, at: usize) -> String {
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

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip {
        at: usize,
        bit: u32,
    },
    /// Some words before the arena overwritten.
    Words(u64),
    /// All words of records overwritten.
    Records(u64),
    Length(usize),
    /// Random bytes.
    Noise(u64),
    /// The same behind a valid header.
    NoiseBehindHeader(u64),
    /// Random numbers in the header, with the right checksum.
    Header(u64),
}

fn is_full() -> bool {
    std::env::var(FULL).is_ok_and(|value| value == "full")
}

/// All cases, or some of them.
fn cases(image: &Image) -> Vec<Damage> {
    let full = is_full();
    let (arena, end) = (image.arena_at(), image.bytes.len() / WORD);
    let meaningful: BTreeSet<usize> = image.meaningful().into_iter().collect();
    let mut cases = Vec::new();
    // Primes, so that every bit's turn comes in some word.
    let (often, seldom) = if cfg!(windows) { (37, 2003) } else { (11, 701) };
    for (i, (at, bit)) in (0..arena)
        .flat_map(|at| (0..64).map(move |bit| (at, bit)))
        .enumerate()
    {
        let is_meaningful = meaningful.contains(&at);
        let step = if is_meaningful { often } else { seldom };
        if full || i % common_step(step) == 0 {
            cases.push(Damage::Flip { at, bit });
        }
    }
    let mut dice = Dice::new(5);
    let tenths = match (full, cfg!(windows)) {
        (true, _) => 100,
        (false, true) => 4,
        (false, false) => 10,
    };
    let filled: Vec<usize> = (arena..end)
        .filter(|at| word(&image.bytes, *at) != 0)
        .collect();
    for _ in 0..30 * tenths {
        let at = filled[dice.below(filled.len())];
        let bit = dice.below(64) as u32;
        cases.push(Damage::Flip { at, bit });
    }
    if full {
        // Lengths lead from record to record.
        let records = image.model.keys().map(|key| image.stand(key).record);
        let headers = records.filter(|words| !words.is_empty());
        let flips = headers.flat_map(|words| (0..64).map(move |bit| (words.start, bit)));
        cases.extend(flips.map(|(at, bit)| Damage::Flip { at, bit }));
    }
    for seed in 0..10 * tenths {
        cases.push(Damage::Words(seed));
        cases.push(Damage::Header(seed));
        if seed % 2 == 0 {
            cases.push(Damage::Records(seed));
            cases.push(Damage::Noise(seed));
            cases.push(Damage::NoiseBehindHeader(seed));
        }
    }
    let length = image.bytes.len();
    for page in 0..=length / CHUNK {
        for odd in [0, 1, 8, 4095] {
            cases.push(Damage::Length(page * CHUNK + odd));
        }
    }
    cases.extend([length - 1, length + 1, length + (1 << 24)].map(Damage::Length));
    cases
}

/// A step between cases, larger if the whole test is scaled down.
fn common_step(step: usize) -> usize {
    step.div_ceil(common::scaled(1))
}

fn damaged(image: &Image, damage: Damage) -> Vec<u8> {
    let mut all = image.bytes.clone();
    let arena = image.arena_at();
    match damage {
        Damage::Flip { at, bit } => {
            let flipped = word(&all, at) ^ 1 << bit;
            set(&mut all, at, flipped);
        }
        Damage::Words(seed) => {
            let meaningful = image.meaningful();
            let mut dice = Dice::new(seed);
            for _ in 0..=dice.below(8) {
                let at = meaningful[CHECKSUM + 1 + dice.below(meaningful.len() - CHECKSUM - 1)];
                let value = match dice.below(5) {
                    0 => 0,
                    1 => u64::MAX,
                    2 => 1 << dice.below(64),
                    3 => word(&all, meaningful[dice.below(meaningful.len())]),
                    _ => word(&bytes(seed + at as u64, WORD), 0),
                };
                set(&mut all, at, value);
            }
        }
        Damage::Records(seed) => {
            let mut noise = bytes(seed, all.len() - arena * WORD);
            if seed % 4 == 0 {
                // Headers that look like headers.
                for word in noise.chunks_exact_mut(WORD) {
                    word[0] = word[0] & 0xf0 | 1;
                    word[2..].fill(0);
                }
            }
            all[arena * WORD..].copy_from_slice(&noise);
        }
        Damage::Length(length) => all.resize(length, 0),
        Damage::Noise(seed) => {
            let length = all.len();
            all = bytes(seed, length);
        }
        Damage::NoiseBehindHeader(seed) => {
            let begin = (CHECKSUM + 1) * WORD;
            let noise = bytes(seed, all.len() - begin);
            all[begin..].copy_from_slice(&noise);
        }
        Damage::Header(seed) => {
            let mut dice = Dice::new(seed);
            for _ in 0..=dice.below(3) {
                let at = 3 + dice.below(CHECKSUM - 3);
                let value = match dice.below(4) {
                    0 => word(&all, at) ^ 1 << dice.below(12),
                    1 => 1 << dice.below(64),
                    2 => word(&all, at)
                        .wrapping_add(dice.below(9) as u64)
                        .wrapping_sub(4),
                    _ => word(&bytes(seed, WORD), 0),
                };
                set(&mut all, at, value);
            }
            fix_checksum(&mut all);
        }
    }
    all
}

/// What a case may make of entries.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own"
)]
struct Allowed {
    /// Their own words are damaged: anything.
    damaged: BTreeSet<Vec<u8>>,
    /// Bytes of their values are damaged: another value.
    changed: BTreeSet<Vec<u8>>,
    /// What leads to them is damaged: absence, until the table is repaired.
    unfound: BTreeSet<Vec<u8>>,
    /// They stand beside one that is: an error, until the table is repaired.
    beside: BTreeSet<Vec<u8>>,
    /// A key that was removed may come back.
    comes_back: bool,
    /// An entry's key may be another.
    renamed: bool,
    /// What is damaged is known, and so the rest is whole.
    known: bool,
    /// Check has to notice it.
    noticed: bool,
}

impl Allowed {
    fn of(image: &Image, damage: Damage) -> Self {
        let mut allowed = Self {
            known: true,
            ..Self::default()
        };
        let Damage::Flip { at, bit } = damage else {
            allowed.known = matches!(damage, Damage::Length(_));
            return allowed;
        };
        let stands = image.stands();
        if at == POPULATED {
            let records = stands.iter().filter(|(_, stand)| !stand.is_small());
            allowed.beside = records.map(|(key, _)| (*key).clone()).collect();
        } else if (image.stripes_end()..image.buckets_at()).contains(&at) {
            allowed.noticed = true;
        } else if (image.buckets_at()..image.states_at()).contains(&at) {
            let at = at - image.buckets_at();
            let (bucket, at) = (at / BUCKET_WORDS, at % BUCKET_WORDS);
            allowed.flip_in_bucket(image, &stands, bucket, at, bit);
        } else if at >= image.arena_at() {
            for (key, stand) in &stands {
                if stand.record.contains(&at) {
                    allowed.renamed = true;
                    allowed.damaged.insert((*key).clone());
                    for (other, beside) in &stands {
                        if beside.meets(stand.bucket) {
                            allowed.beside.insert((*other).clone());
                        }
                    }
                }
            }
        }
        allowed
    }

    /// A flip in a word of a bucket.
    fn flip_in_bucket(
        &mut self,
        image: &Image,
        stands: &[(&Vec<u8>, Stand)],
        bucket: usize,
        word: usize,
        bit: u32,
    ) {
        let byte = bit as usize / 8;
        let owner = |slot: usize| {
            let mut here = stands.iter();
            here.find(|(_, stand)| (stand.bucket, stand.slot) == (bucket, slot))
        };
        match word {
            0 if bit < OVERFLOW_BITS => {
                self.noticed = true;
                // Other keys that pass and go may lower it to zero in time.
                if image.overflow(bucket) & 1 << bit != 0 {
                    let passed = stands.iter().filter(|(_, s)| s.passed.contains(&bucket));
                    self.unfound.extend(passed.map(|(key, _)| (*key).clone()));
                }
            }
            // The version.
            0 => {}
            1 => {
                self.noticed = true;
                match owner(byte) {
                    Some((key, _)) if image.tag(bucket, byte).is_power_of_two() => {
                        // Perhaps an empty slot now, whose words mean nothing.
                        self.damaged.insert((*key).clone());
                    }
                    Some((key, _)) => drop(self.unfound.insert((*key).clone())),
                    None if byte == 0 => {}
                    None => {
                        self.comes_back = true;
                        self.disturb_all_that_meet(image, stands, bucket);
                    }
                }
            }
            _ => {
                let is_tail = word % 2 == 1;
                match owner(word / 2) {
                    Some((key, stand)) if stand.is_small() => {
                        self.flip_in_small(image, stands, (key, stand), is_tail, bit);
                    }
                    Some((key, _)) if !is_tail => {
                        self.damaged.insert((*key).clone());
                        self.comes_back = true;
                        self.disturb_all_that_meet(image, stands, bucket);
                    }
                    // The tail beside a record's head, and an empty slot, mean nothing.
                    _ => {}
                }
            }
        }
    }

    /// A flip in the slot that holds a small entry.
    fn flip_in_small(
        &mut self,
        image: &Image,
        stands: &[(&Vec<u8>, Stand)],
        (key, stand): (&Vec<u8>, &Stand),
        is_tail: bool,
        bit: u32,
    ) {
        let byte = bit as usize / 8;
        match part_of_small(key.len(), image.model[key].len(), is_tail, byte) {
            Part::Lengths => {
                self.damaged.insert(key.clone());
                self.renamed = true;
                self.disturb_all_that_meet(image, stands, stand.bucket);
            }
            Part::Key(at) => {
                self.damaged.insert(key.clone());
                self.renamed = true;
                let mut other = key.clone();
                other[at] ^= 1 << (bit % 8);
                let stripe = |key: &[u8]| image.stripe_of(image.home(key));
                self.noticed =
                    image.tag_of(&other) != image.tag_of(key) || stripe(&other) != stripe(key);
            }
            Part::Value => drop(self.changed.insert(key.clone())),
            Part::Padding => {
                self.noticed = true;
                // Keys are compared with whole heads.
                if !is_tail {
                    self.unfound.insert(key.clone());
                }
            }
        }
    }

    /// A slot of this bucket may be none that holds an entry.
    fn disturb_all_that_meet(
        &mut self,
        image: &Image,
        stands: &[(&Vec<u8>, Stand)],
        bucket: usize,
    ) {
        let present = stands.iter().filter(|(_, stand)| stand.meets(bucket));
        self.beside.extend(present.map(|(key, _)| (*key).clone()));
        let never = NEVER.to_vec();
        let absent = image.removed.iter().chain([&never]);
        let absent =
            absent.filter(|key| image.stripe_of(image.home(key)) == image.stripe_of(bucket));
        self.beside.extend(absent.cloned());
    }

    /// Whether this may be a key's value, before the table is repaired.
    fn may_be(&self, key: &[u8], expected: Option<&Vec<u8>>, found: Option<&Vec<u8>>) -> bool {
        !self.known
            || found == expected
            || self.damaged.contains(key)
            || (expected.is_none() && self.comes_back)
            || (found.is_none() && self.unfound.contains(key))
            || (found.map(Vec::len) == expected.map(Vec::len) && self.changed.contains(key))
    }
}

/// A key that is never written.
const NEVER: &[u8] = b"never";

/// What may go wrong with a damaged table; the rest would be a defect of ours.
#[track_caller]
fn admissible(error: &Error) {
    assert!(
        matches!(
            error,
            Error::Corrupted { .. }
                | Error::LockTimeout { .. }
                | Error::TableFull { .. }
                | Error::ValueSpaceFull { .. }
                | Error::KeyTooLarge { .. }
                | Error::ValueTooLarge { .. }
                | Error::NotACounter { .. }
                | Error::CounterOverflow { .. }
        ),
        "{error:?}"
    );
}

#[track_caller]
fn tolerate<T>(result: Result<T>) -> Option<T> {
    result.inspect_err(admissible).ok()
}

#[derive(Default)]
struct Count {
    opened: usize,
    refused: usize,
    errors: usize,
    noticed: usize,
    slowest: Duration,
}

struct Trial<'a> {
    image: &'a Image,
    allowed: Allowed,
    name: &'a str,
    count: &'a mut Count,
}

impl Trial<'_> {
    /// Whether a read is one that the damage allows.
    fn judge(&mut self, key: &[u8], expected: Option<&Vec<u8>>, read: &Result<Option<Vec<u8>>>) {
        match read {
            Err(error) => {
                admissible(error);
                self.count.errors += 1;
                let Allowed {
                    damaged, beside, ..
                } = &self.allowed;
                assert!(
                    !self.allowed.known || damaged.contains(key) || beside.contains(key),
                    "key {:?}, which is whole: {error:?}",
                    String::from_utf8_lossy(key)
                );
            }
            Ok(found) => assert!(
                self.allowed.may_be(key, expected, found.as_ref()),
                "key {:?}, which is whole, has {:?} bytes for {:?}",
                String::from_utf8_lossy(key),
                found.as_ref().map(Vec::len),
                expected.map(Vec::len)
            ),
        }
    }

    /// Reads everything in every way.
    fn read(&mut self, table: &Table, model: &Model) {
        let mut keys: Vec<Vec<u8>> = model.keys().cloned().collect();
        keys.extend(self.image.removed.iter().cloned());
        keys.push(NEVER.to_vec());
        let mut buffer = [0; 64];
        for key in &keys {
            let read = table.get(key);
            self.judge(key, model.get(key), &read);
            tolerate(table.contains_key(key));
            tolerate(table.get_into_slice(key, &mut buffer));
        }
        if let Some(values) = tolerate(table.get_many(&keys)) {
            for (key, value) in keys.iter().zip(values) {
                self.judge(key, model.get(key), &Ok(value));
            }
        }
        let mut met: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut whole = true;
        for entry in table {
            match tolerate(entry) {
                Some((key, value))
                    if !met.contains_key(&key) || model.get(&key) == Some(&value) =>
                {
                    met.insert(key, value);
                }
                Some(_) => {}
                None => whole = false,
            }
        }
        if whole {
            for (key, value) in model {
                self.judge(key, Some(value), &Ok(met.get(key).cloned()));
            }
        }
        tolerate(table.keys().collect::<Result<Vec<_>>>());
        let _ = (
            table.len(),
            table.stats().expect("figures are always given"),
        );
    }

    /// All is well again, and entries that were not damaged are there.
    fn is_whole(&self, table: &Table, model: &Model) {
        assert_sound(table);
        let found = contents(table);
        assert_eq!(table.len(), found.len());
        assert_eq!(table.snapshot().unwrap(), found);
        for (key, value) in &found {
            assert_eq!(table.get(key).unwrap().as_ref(), Some(value));
            if !model.contains_key(key)
                && (self.allowed.renamed
                    || self.allowed.comes_back && self.image.removed.contains(key))
            {
                // Another key than it was, or a slot that leads to a record of the past
                // which is as good as the one that it led to.
                continue;
            }
            if self.allowed.known && !self.allowed.damaged.contains(key) {
                let expected = model.get(key);
                let changed = self.allowed.changed.contains(key)
                    && expected.is_some_and(|expected| expected.len() == value.len());
                assert!(
                    changed || expected == Some(value),
                    "{:?} has another value",
                    String::from_utf8_lossy(key)
                );
            }
        }
        if self.allowed.known {
            for key in model
                .keys()
                .filter(|key| !self.allowed.damaged.contains(*key))
            {
                assert!(
                    found.contains_key(key),
                    "{:?} was lost",
                    String::from_utf8_lossy(key)
                );
            }
        }
    }

    /// Writes in every way; what was acknowledged goes into the model.
    fn write(table: &Table, model: &mut Model) {
        let mut insert = |key: Vec<u8>, value: Vec<u8>| {
            if tolerate(table.insert(&key, &value)).is_some() {
                model.insert(key, value);
            }
        };
        for number in 0..6 {
            insert(key(100 + number), bytes(7, number * 40));
        }
        // Small ones: new; of the same length, which is in place; of another one; by way of
        // a record.
        insert(small_key(20), bytes(7, 2));
        insert(small_key(36), bytes(7, 3));
        for (number, lengths) in [(1, &[8][..]), (3, &[5, 5]), (5, &[2, 1, 8]), (8, &[7, 60])] {
            for length in lengths {
                insert(small_key(number), bytes(7, *length));
            }
        }
        for number in [1, 2, 3, 7, 9] {
            let (key, value) = (key(number), bytes(8, 90 + number));
            if tolerate(table.replace(&key, &value)).is_some() {
                model.insert(key, value);
            }
        }
        for key in [11, 13, 14]
            .map(key)
            .into_iter()
            .chain([0, 11].map(small_key))
        {
            if tolerate(table.take(&key)).is_some() {
                model.remove(&key);
            }
        }
        if let Some(before) = tolerate(table.fetch_add(b"counter", 1)) {
            model.insert(
                b"counter".to_vec(),
                (before.wrapping_add(1)).to_le_bytes().to_vec(),
            );
        }
        let (large, value) = (key(200), bytes(9, 4500));
        if tolerate(table.insert(&large, &value)).is_some() {
            model.insert(large, value);
        }
        // Enough for chunks to be opened again, taken and cleaned.
        for round in 0..40 {
            let (key, value) = (key(300 + round % 2), bytes(round as u64, 400));
            if tolerate(table.insert(&key, &value)).is_some() {
                model.insert(key, value);
            }
        }
    }

    fn open(&mut self) -> Option<Table> {
        let opened = options().open(self.name);
        let read_only = options().open_read_only(self.name);
        match (&opened, &read_only) {
            (Ok(_), Ok(reader)) => {
                let expected = self.image.model.clone();
                self.count.opened += 2;
                self.read(reader, &expected);
                assert!(matches!(reader.check(), Err(Error::ReadOnly)));
                assert!(matches!(reader.repair(), Err(Error::ReadOnly)));
            }
            (Err(error), Err(other)) => {
                for error in [error, other] {
                    assert!(
                        matches!(
                            error,
                            Error::Corrupted { .. } | Error::IncompatibleFormat { .. }
                        ),
                        "{error:?}"
                    );
                }
                self.count.refused += 2;
            }
            (one, other) => panic!("{one:?} and {other:?}"),
        }
        opened.ok()
    }

    /// The file as it is now: read, checked, repaired, then written to.
    fn repair_first(&mut self) {
        let Some(table) = self.open() else { return };
        let mut model = self.image.model.clone();
        let before = self.count.errors;
        self.read(&table, &model);
        let Some(wrong) = tolerate(table.check()) else {
            return;
        };
        self.count.noticed += usize::from(!wrong.is_empty());
        assert!(
            self.count.errors == before || !wrong.is_empty(),
            "reads fail, and check says nothing"
        );
        assert!(
            !self.allowed.noticed || !wrong.is_empty(),
            "check does not notice it"
        );
        let done = table.repair().unwrap();
        // Who locks a stripe takes its lock over from nobody: check has mended that.
        let left = wrong.iter().any(|fault| !fault.ends_with("names nobody"));
        assert!(!left || !done.is_empty(), "{wrong:?}");
        self.is_whole(&table, &model);
        assert_eq!(table.repair().unwrap(), Vec::<String>::new());
        for key in self
            .allowed
            .damaged
            .iter()
            .chain(&self.allowed.changed)
            .cloned()
        {
            // Whatever became of it.
            match table.get(&key).unwrap() {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        if !self.allowed.known || self.allowed.renamed || self.allowed.comes_back {
            model = contents(&table).into_iter().collect();
        }
        let mut known = Allowed::of(self.image, Damage::Length(0));
        std::mem::swap(&mut known, &mut self.allowed);
        Self::write(&table, &mut model);
        self.is_whole(&table, &model);
        drop(table);
        self.is_whole(&options().open(self.name).unwrap(), &model);
        self.allowed = known;
    }

    /// The file as it is now: written to by who knows of no damage.
    fn write_first(&mut self) {
        let Some(table) = self.open() else { return };
        let mut model = self.image.model.clone();
        Self::write(&table, &mut model);
        // Whoever takes a key that is not found takes nothing: repair brings it back. Whoever
        // writes it writes another entry, which is the one that stays.
        let unfound = self.allowed.unfound.iter();
        let taken = unfound.filter(|key| !model.contains_key(*key)).cloned();
        self.allowed.damaged.extend(taken);
        if self.allowed.comes_back {
            // Of the same key there may be two, of which writes met one.
            self.allowed
                .damaged
                .extend(self.image.removed.iter().cloned());
        }
        self.read(&table, &model);
        if let Some(retained) = tolerate(table.retain(|_, _| true)) {
            assert_eq!(retained, 0);
        }
        tolerate(table.snapshot());
        if tolerate(table.check()).is_none() {
            return;
        }
        table.repair().unwrap();
        self.is_whole(&table, &model);
        assert_eq!(table.repair().unwrap(), Vec::<String>::new());
        table.clear().unwrap();
        assert_sound(&table);
        assert!(table.is_empty());
        drop(table);
        assert_sound(&options().open(self.name).unwrap());
    }
}

fn run(image: &Image, damage: Damage, name: &str, count: &mut Count) {
    let all = damaged(image, damage);
    let begin = Instant::now();
    for writes_first in [false, true] {
        common::plant(name, &all);
        let mut trial = Trial {
            image,
            allowed: Allowed::of(image, damage),
            name,
            count: &mut *count,
        };
        if writes_first {
            trial.write_first();
        } else {
            trial.repair_first();
        }
    }
    count.slowest = count.slowest.max(begin.elapsed());
    assert!(begin.elapsed() < GUARD, "took {:?}", begin.elapsed());
}

/// Where a child notes what it is at.
fn progress_of(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{name}.progress"))
}

/// What a child was at.
fn last_case(name: &str) -> usize {
    let text = std::fs::read(progress_of(name)).unwrap_or_default();
    text.first_chunk()
        .map_or(0, |bytes| usize::from_le_bytes(*bytes))
}

fn description(image: &Image, damage: Damage) -> String {
    match damage {
        Damage::Flip { at, .. } => format!("{damage:?} ({})", image.name_of(at)),
        _ => format!("{damage:?}"),
    }
}

#[test]
fn no_damage_gives_a_wrong_answer_a_signal_or_a_hang() {
    let test = "no_damage_gives_a_wrong_answer_a_signal_or_a_hang";
    let image = Image::new();
    let cases = cases(&image);
    if let Some(role) = common::role() {
        let name = role.argument(0);
        let progress = File::create(progress_of(name)).unwrap();
        let mut count = Count::default();
        let (from, to) = (role.number(1), role.number(2));
        for (number, case) in cases.iter().enumerate().take(to).skip(from) {
            write_at(&progress, &number.to_le_bytes(), 0);
            run(&image, *case, name, &mut count);
        }
        role.tell(&format!(
            "{} {} {} {} {}",
            count.opened,
            count.refused,
            count.errors,
            count.noticed,
            count.slowest.as_millis()
        ));
        return;
    }
    let begin = Instant::now();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut sums = [0; 5];
        loop {
            let from = next.fetch_add(SHARE, Ordering::Relaxed);
            if from >= cases.len() {
                return sums;
            }
            let to = cases.len().min(from + SHARE);
            let name = Name::new();
            let (first, last) = (from.to_string(), to.to_string());
            let mut child = Child::start(test, "damager", &[&name, &first, &last]);
            let mut seen = (from, Instant::now());
            let (said, hangs) = loop {
                let asked = Instant::now();
                if let Some(line) = child.hear_within(Duration::from_secs(1)) {
                    break (Some(line), false);
                }
                if asked.elapsed() < Duration::from_millis(900) {
                    // It cannot say more.
                    break (None, false);
                }
                let at = last_case(&name);
                if at != seen.0 {
                    seen = (at, Instant::now());
                }
                if seen.1.elapsed() > 2 * GUARD {
                    break (None, true);
                }
            };
            let Some(said) = said else {
                let kept = std::env::temp_dir().join(format!("{}.segment", &*name));
                let _ = std::fs::copy(name.path(), &kept);
                let how = if hangs {
                    "a hang".to_owned()
                } else {
                    child.exit_status().to_string()
                };
                let number = last_case(&name);
                panic!(
                    "case {number}, {}: {how}; the segment as it was then: {}",
                    description(&image, cases[number]),
                    kept.display()
                );
            };
            let _ = std::fs::remove_file(progress_of(&name));
            let numbers: Vec<usize> = said.split(' ').map(|n| n.parse().unwrap()).collect();
            for (sum, number) in sums.iter_mut().zip(&numbers).take(4) {
                *sum += number;
            }
            sums[4] = sums[4].max(numbers[4]);
        }
    };
    let sums: Vec<[usize; 5]> = common::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let [opened, refused, errors, noticed] =
        [0, 1, 2, 3].map(|i| sums.iter().map(|sum| sum[i]).sum::<usize>());
    let flips = cases
        .iter()
        .filter(|case| matches!(case, Damage::Flip { .. }))
        .count();
    println!(
        "{} cases, of them {flips} flipped bits: {opened} opens, {refused} refused, {errors} reads \
         failed, check noticed {noticed}; the slowest case took {} ms, all {:?}",
        cases.len(),
        sums.iter().map(|sum| sum[4]).max().unwrap_or(0),
        begin.elapsed()
    );
    assert!(opened > 1000 && refused > 100 && errors > 100 && noticed > 100);
}

/// A segment's file with the always same table in it, and a writer to its words.
struct Patched {
    image: Image,
    name: Name,
    file: File,
}

impl Patched {
    fn new() -> Self {
        let image = Image::new();
        let name = Name::new();
        common::plant(&name, &image.bytes);
        let file = open_file(&name.path());
        Self { image, name, file }
    }

    fn open(&self) -> Table {
        options().open(&self.name).unwrap()
    }

    fn get(&self, at: usize) -> u64 {
        let mut bytes = [0; WORD];
        read_at(&self.file, &mut bytes, (at * WORD) as u64);
        u64::from_le_bytes(bytes)
    }

    fn set(&self, at: usize, value: u64) {
        write_at(&self.file, &value.to_le_bytes(), (at * WORD) as u64);
    }

    /// Makes the slot of one key that of another key of another stripe. Both are small
    /// entries, or both have records.
    fn cross(&self, small: bool) {
        let image = &self.image;
        let mut stands = image.stands();
        stands.retain(|(_, stand)| stand.is_small() == small);
        let stripe = |stand: &Stand| image.stripe_of(stand.bucket);
        let (one, other) = stands
            .iter()
            .find_map(|(_, one)| {
                let other = stands.iter().find(|(_, s)| stripe(s) != stripe(one));
                Some((one, &other?.1))
            })
            .unwrap();
        let at = |stand: &Stand| image.slot_at(stand.bucket, stand.slot);
        for word in 0..2 {
            self.set(at(one) + word, self.get(at(other) + word));
        }
    }

    fn state(&self, chunk: usize) -> u64 {
        self.get(self.image.states_at() + chunk)
    }

    fn set_detail(&self, chunk: usize, detail: usize, value: u64) {
        self.set(self.image.details_at() + chunk * 8 + detail, value);
    }

    fn sealed_chunks(&self) -> Vec<usize> {
        (0..self.image.chunks)
            .filter(|chunk| self.state(*chunk) == 2 << 16)
            .collect()
    }
}

/// Probing for such a key would never come to the bucket it stands in.
#[test]
fn clear_and_retain_come_back_from_a_slot_of_another_stripe() {
    for small in [false, true] {
        let patched = Patched::new();
        patched.cross(small);
        let table = patched.open();
        bounded("clear and retain", move || {
            assert!(matches!(
                table.retain(|_, _| false),
                Err(Error::Corrupted { .. })
            ));
            assert!(matches!(table.clear(), Err(Error::Corrupted { .. })));
        });
    }
}

/// It was the size of an allocation.
#[test]
fn a_damaged_count_of_entries_is_no_size_of_anything() {
    for bit in [40, 47, 60, 63] {
        let patched = Patched::new();
        let at = patched.image.stripes_at() + 2;
        patched.set(at, patched.get(at) ^ 1 << bit);
        let table = patched.open();
        assert_eq!(table.snapshot().unwrap().len(), patched.image.model.len());
        assert!(table.iter().count() > 0 && table.stats().is_ok());
    }
}

#[test]
fn counts_that_are_too_large_overflow_nothing() {
    let patched = Patched::new();
    for chunk in 0..patched.image.chunks {
        patched.set_detail(chunk, 1, i64::MAX as u64 - 1);
    }
    for stripe in 0..patched.image.stripes {
        patched.set(patched.image.stripes_at() + stripe * 8 + 3, u64::MAX);
    }
    let table = patched.open();
    assert!(table.stats().is_ok());
    // Until there is no room, which has to be made and then to be told of.
    let mut full = false;
    for number in 0..200 {
        match table.insert(&key(400 + number % 4), &bytes(number as u64, 3000)) {
            Ok(_) => {}
            Err(Error::ValueSpaceFull { .. } | Error::TableFull { .. }) => full = true,
            Err(error) => admissible(&error),
        }
    }
    assert!(table.insert(b"large", &bytes(1, 15_000)).is_ok() || full || table.stats().is_ok());
    // A lock that was found taken is counted.
    table
        .update(b"counter", |value| {
            common::scope(|scope| {
                scope.spawn(|| patched.open().remove(b"counter"));
                std::thread::sleep(Duration::from_millis(5));
            });
            value.map(<[u8]>::to_vec)
        })
        .unwrap();
    for stripe in 0..patched.image.stripes {
        patched.set(patched.image.stripes_at() + stripe * 8 + 3, u64::MAX);
    }
    let waiter = common::scope(|scope| {
        let mut waiter = None;
        table
            .update(b"counter", |value| {
                let patient = Options::new().open(&patched.name).unwrap();
                waiter =
                    Some(scope.spawn(move || patient.get(b"x").and(patient.remove(b"counter"))));
                std::thread::sleep(Duration::from_millis(50));
                value.map(<[u8]>::to_vec)
            })
            .unwrap();
        waiter.unwrap().join()
    });
    assert!(waiter.expect("no panic").unwrap());
}

/// One flipped bit makes a sealed chunk a free one.
#[test]
fn a_chunk_that_is_said_to_be_free_is_not_overwritten() {
    let patched = Patched::new();
    for chunk in patched.sealed_chunks() {
        patched.set(patched.image.states_at() + chunk, 0);
    }
    let table = patched.open();
    let mut model = patched.image.model.clone();
    Trial::write(&table, &mut model);
    for (key, value) in &model {
        assert_eq!(table.get(key).unwrap().as_ref(), Some(value));
    }
}

/// Whoever goes on filling the chunk would write over its records.
#[test]
fn a_chunk_is_not_filled_from_a_cursor_before_its_records() {
    let patched = Patched::new();
    for chunk in patched.sealed_chunks() {
        if patched.get(patched.image.details_at() + chunk * 8 + 2) == 0 {
            patched.set_detail(chunk, 0, 0);
        }
    }
    let table = patched.open();
    assert!(!table.check().unwrap().is_empty());
    for number in 0..30 {
        let _ = table.insert(&key(400 + number), &bytes(1, 60));
    }
    for (key, value) in &patched.image.model {
        assert_eq!(table.get(key).unwrap().as_ref(), Some(value));
    }
}

/// No exchange from such a state succeeds, so nobody could ever give it back.
#[test]
fn a_state_with_bits_that_mean_nothing_is_none() {
    let patched = Patched::new();
    let tail = (0..patched.image.chunks)
        .find(|chunk| patched.state(*chunk) & 0xf_0000 == 4 << 16)
        .unwrap();
    patched.set(
        patched.image.states_at() + tail,
        patched.state(tail) | 1 << 26,
    );
    let table = patched.open();
    assert!(!table.check().unwrap().is_empty());
}

/// A handle that was open before knows what the header said.
#[test]
fn a_header_that_is_damaged_under_an_open_handle_is_written_again() {
    let patched = Patched::new();
    let table = patched.open();
    for at in 0..=CHECKSUM {
        for bit in (at % 5..64).step_by(5) {
            let good = patched.get(at);
            patched.set(at, good ^ 1 << bit);
            assert!(options().open(&patched.name).is_err());
            assert_eq!(table.check().unwrap().len(), 1);
            assert_eq!(table.repair().unwrap().len(), 1);
            assert_eq!(table.check().unwrap(), Vec::<String>::new());
            if at != 14 {
                // When it was created nobody knows.
                assert_eq!(patched.get(at), good);
            }
            assert_eq!(patched.open().len(), patched.image.model.len());
            patched.set(at, good);
            table.repair().unwrap();
        }
    }
}

/// It is not robbed, whatever the reason; nobody waits for longer than the timeout.
#[test]
fn a_lock_that_names_a_living_participant_is_waited_for_and_no_longer() {
    let patched = Patched::new();
    let named = patched.open();
    let generation = patched.get(HEADER_WORDS) >> 32;
    for stripe in 0..patched.image.stripes {
        patched.set(
            patched.image.stripes_at() + stripe * 8,
            generation << 32 | 1,
        );
    }
    let table = patched.open();
    let begin = Instant::now();
    for (key, value) in &patched.image.model {
        assert_eq!(table.get(key).unwrap().as_ref(), Some(value));
        assert!(matches!(
            table.insert(key, b"longer than a word"),
            Err(Error::LockTimeout { participant: 0, .. })
        ));
    }
    for error in [table.check().err(), table.repair().err()] {
        assert!(matches!(error, Some(Error::LockTimeout { .. })));
    }
    // Each waited 20 ms.
    assert!(begin.elapsed() < GUARD);
    drop(named);
    table.repair().unwrap();
    assert_sound(&table);
    for key in patched.image.model.keys() {
        table.insert(key, b"longer than a word").unwrap();
    }
}

/// While others write, clean and take runs, check reports nothing, and repair nothing
/// but what it finds of the dead.
#[test]
fn check_and_repair_beside_writers_find_nothing_wrong() {
    let patched = Patched::new();
    let write = |number: u64| {
        let table = Options::new().open(&patched.name).unwrap();
        let mut dice = Dice::new(number);
        let begin = Instant::now();
        let mut writes = 0_usize;
        while begin.elapsed() < Duration::from_millis(1500) {
            let key = key(dice.below(40));
            let value = bytes(number, [20, 300, 900, 5000][dice.below(4)] - dice.below(20));
            let outcome = if dice.below(4) == 0 {
                table.remove(&key).map(drop)
            } else {
                table.insert(&key, &value).map(drop)
            };
            match outcome {
                Ok(()) => writes += 1,
                Err(Error::ValueSpaceFull { .. } | Error::TableFull { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        writes
    };
    let (looks, written) = common::scope(|scope| {
        let writers = [1, 2].map(|number| scope.spawn(move || write(number)));
        let table = Options::new().open(&patched.name).unwrap();
        let mut looks = 0;
        while !writers
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            assert_sound(&table);
            assert_eq!(table.repair().unwrap(), Vec::<String>::new());
            looks += 1;
        }
        (looks, writers.map(|writer| writer.join().unwrap()))
    });
    println!("{looks} looks beside {written:?} writes");
    assert!(looks > 3 && written.iter().all(|writes| *writes > 20));
}
