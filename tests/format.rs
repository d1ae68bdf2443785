//! Is a segment what `docs/format.md` says?
//!
//! The reader below knows nothing of the crate. It takes every number from the
//! document's tables and follows its prose, on the bytes of the segment's file. Which
//! bytes are locked is asked on Linux alone: Windows tells nobody.

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

use common::{LIMIT, eventually};
#[cfg(target_os = "linux")]
use shmtable::Claimed;
use shmtable::{Error, Options, Table, TypedTable};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const DOCUMENT: &str = include_str!("../docs/format.md");

/// The tables of the document.
struct Document {
    values: HashMap<&'static str, u64>,
    /// First bit and number of bits.
    fields: HashMap<&'static str, (u32, u32)>,
}

impl Document {
    fn read() -> Self {
        let mut document = Self {
            values: HashMap::new(),
            fields: HashMap::new(),
        };
        for line in DOCUMENT.lines().filter(|line| line.starts_with('|')) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let name = cells[0].strip_prefix('`').and_then(|c| c.strip_suffix('`'));
            // Names in capitals are constants; the others are those of codecs.
            let is_ours = |name: &&str| !name.contains(|c: char| c.is_ascii_lowercase());
            let Some(name) = name.filter(is_ours) else {
                continue;
            };
            let value = cells[1]
                .parse()
                .unwrap_or_else(|_| panic!("no number: {line}"));
            let first = match cells[2].parse() {
                Ok(bits) => document
                    .fields
                    .insert(name, (value as u32, bits))
                    .map(|_| ()),
                Err(_) => document.values.insert(name, value).map(|_| ()),
            };
            assert_eq!(first, None, "{name} stands twice in the document");
        }
        document
    }

    fn get(&self, name: &str) -> usize {
        *self
            .values
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in the document")) as usize
    }

    fn field(&self, name: &str, word: u64) -> u64 {
        let (first, bits) = *self
            .fields
            .get(name)
            .unwrap_or_else(|| panic!("no field {name} in the document"));
        word >> first & (u64::MAX >> (64 - bits))
    }

    fn fingerprint(&self) -> u64 {
        let (_, block) = DOCUMENT.split_once("```fingerprint\n").unwrap();
        let (names, _) = block.split_once("```").unwrap();
        let bytes: Vec<u8> = names
            .split_whitespace()
            .flat_map(|name| (self.get(name) as u64).to_le_bytes())
            .collect();
        xxh3_64(&bytes)
    }
}

/// Reads a segment by the document.
struct Reader {
    document: Document,
    bytes: Vec<u8>,
    stripes_at: usize,
    buckets_at: usize,
    states_at: usize,
    details_at: usize,
    arena_at: usize,
}

/// An entry, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    key: Vec<u8>,
    value: Vec<u8>,
    /// The bucket and the slot.
    slot: (usize, usize),
    /// The word where its record begins; `None`: its slot holds it.
    record: Option<usize>,
}

impl Reader {
    fn of(table: &Table) -> Self {
        let mut reader = Self {
            document: Document::read(),
            bytes: common::read_segment(table.name()),
            stripes_at: 0,
            buckets_at: 0,
            states_at: 0,
            details_at: 0,
            arena_at: 0,
        };
        let get = |name| reader.document.get(name);
        let stripes_at =
            get("HEADER_WORDS") + reader.header("HEADER_PARTICIPANTS") * get("PARTICIPANT_WORDS");
        let stripes_end = stripes_at + reader.header("HEADER_STRIPES") * get("STRIPE_WORDS");
        let buckets_at = stripes_end.next_multiple_of(get("BUCKET_WORDS"));
        let states_at = buckets_at + reader.buckets() * get("BUCKET_WORDS");
        let chunks = reader.header("HEADER_CHUNKS");
        let details_at = states_at + chunks.next_multiple_of(get("LINE"));
        let arena_at = (details_at + chunks * get("CHUNK_WORDS")).next_multiple_of(get("PAGE"));
        reader.stripes_at = stripes_at;
        reader.buckets_at = buckets_at;
        reader.states_at = states_at;
        reader.details_at = details_at;
        reader.arena_at = arena_at;
        reader
    }

    fn get(&self, name: &str) -> usize {
        self.document.get(name)
    }

    fn word(&self, at: usize) -> u64 {
        let at = at * 8;
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    fn header(&self, name: &str) -> usize {
        self.word(self.get(name)) as usize
    }

    fn buckets(&self) -> usize {
        self.header("HEADER_STRIPES") * self.header("HEADER_STRIPE_BUCKETS")
    }

    fn chunk_words(&self) -> usize {
        self.header("HEADER_CHUNK_BYTES") / self.get("WORD")
    }

    fn participant(&self, slot: usize, word: &str) -> u64 {
        let at = self.get("HEADER_WORDS") + slot * self.get("PARTICIPANT_WORDS");
        self.word(at + self.get(word))
    }

    fn generation(&self, slot: usize) -> u64 {
        let state = self.participant(slot, "PARTICIPANT_STATE");
        self.document.field("PARTICIPANT_GENERATION", state)
    }

    fn stripe(&self, stripe: usize, word: &str) -> u64 {
        self.word(self.stripes_at + stripe * self.get("STRIPE_WORDS") + self.get(word))
    }

    fn lock(&self, stripe: usize, field: &str) -> u64 {
        self.document
            .field(field, self.stripe(stripe, "STRIPE_LOCK"))
    }

    fn state(&self, chunk: usize, field: &str) -> u64 {
        self.document
            .field(field, self.word(self.states_at + chunk))
    }

    fn is_kind(&self, chunk: usize, kind: &str) -> bool {
        self.state(chunk, "STATE_KIND") == self.get(kind) as u64
    }

    fn detail(&self, chunk: usize, word: &str) -> u64 {
        self.word(self.details_at + chunk * self.get("CHUNK_WORDS") + self.get(word))
    }

    fn bucket(&self, bucket: usize, word: usize) -> u64 {
        self.word(self.buckets_at + bucket * self.get("BUCKET_WORDS") + word)
    }

    fn overflow(&self, bucket: usize) -> u64 {
        self.document
            .field("BUCKET_OVERFLOW", self.bucket(bucket, 0))
    }

    fn slots(&self) -> RangeInclusive<usize> {
        1..=self.get("BUCKET_SLOTS")
    }

    fn tag(&self, bucket: usize, slot: usize) -> u64 {
        self.bucket(bucket, 1) >> (8 * slot) & 0xff
    }

    /// The head and the tail of a slot.
    fn slot(&self, bucket: usize, slot: usize) -> [u64; 2] {
        [0, 1].map(|word| self.bucket(bucket, 2 * slot + word))
    }

    /// What a slot in use holds, or leads to.
    fn entry(&self, bucket: usize, slot: usize) -> Entry {
        let [head, tail] = self.slot(bucket, slot);
        let lengths = ["SLOT_KEY_LENGTH", "SLOT_VALUE_LENGTH"];
        let lengths = lengths.map(|field| self.document.field(field, head) as usize);
        let (key, value, record) = if lengths == [15, 15] {
            let at = self.arena_at + self.document.field("SLOT_OFFSET", head) as usize;
            let (key, value, _) = self.record(at);
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
    fn small(&self, head: u64, tail: u64, [key, value]: [usize; 2]) -> (Vec<u8>, Vec<u8>) {
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
    fn all_entries(&self) -> Vec<Entry> {
        (0..self.buckets())
            .flat_map(|bucket| self.slots().map(move |slot| (bucket, slot)))
            .filter(|(bucket, slot)| self.tag(*bucket, *slot) != 0)
            .map(|(bucket, slot)| self.entry(bucket, slot))
            .collect()
    }

    /// The key and the value of the record at a word, and the word after it.
    fn record(&self, at: usize) -> (&[u8], &[u8], usize) {
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

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.header("HEADER_HASH_SEED") as u64)
    }

    fn stripe_of(&self, key: &[u8]) -> usize {
        let product = u128::from(self.hash(key)) * self.header("HEADER_STRIPES") as u128;
        (product >> 64) as usize
    }

    /// The buckets in which a key may be, in the order of probing.
    fn probe(&self, key: &[u8]) -> impl Iterator<Item = usize> {
        let first = (u128::from(self.hash(key)) * self.buckets() as u128) >> 64;
        let length = self.header("HEADER_STRIPE_BUCKETS");
        let (stripe, first) = (first as usize / length, first as usize % length);
        assert_eq!(stripe, self.stripe_of(key));
        (0..length).map(move |i| stripe * length + (first + i) % length)
    }

    /// The entry of a key.
    fn find(&self, key: &[u8]) -> Option<Entry> {
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

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key).map(|entry| entry.value)
    }

    /// The word where the record of a key begins.
    fn record_of(&self, key: &[u8]) -> Option<usize> {
        self.find(key)?.record
    }

    /// The versions of all buckets together.
    fn versions(&self) -> u64 {
        let version = |bucket| {
            self.document
                .field("BUCKET_VERSION", self.bucket(bucket, 0))
        };
        (0..self.buckets()).map(version).sum()
    }

    /// The words of a chunk, or of the run that begins there, that records fill.
    fn filled(&self, chunk: usize) -> Range<usize> {
        let begin = self.arena_at + chunk * self.chunk_words();
        let word = self.detail(chunk, "CHUNK_CURSOR");
        let cursor = self.document.field("CURSOR_WORDS", word);
        let parts = [0, 16, 32].map(|first| cursor >> first & 0xffff);
        let check = parts.into_iter().fold(0, |check, part| check ^ part);
        assert_eq!(self.document.field("CURSOR_CHECK", word), check);
        begin..begin + cursor as usize
    }

    fn chunk_of(&self, at: usize) -> usize {
        (at - self.arena_at) / self.chunk_words()
    }

    fn entries(&self) -> u64 {
        (0..self.header("HEADER_STRIPES"))
            .map(|stripe| self.stripe(stripe, "STRIPE_ENTRIES"))
            .sum()
    }
}

fn table(capacity: usize, value_space: usize) -> Table {
    Options::new()
        .capacity(capacity)
        .value_space(value_space)
        .chunk_size(4096)
        .stripes(4)
        .max_participants(5)
        .create_anonymous()
        .unwrap()
}

/// Bytes that differ from one another.
fn bytes(length: usize, first: u8) -> Vec<u8> {
    (first..).take(length).collect()
}

/// The lengths of keys and of values on both sides of what a slot can hold, and whether it
/// can.
fn small_and_large() -> impl Iterator<Item = (usize, usize, bool)> {
    (0..=17)
        .flat_map(|key| (0..=10).map(move |value| (key, value, value <= 8 && key + value <= 15)))
}

/// The locked bytes of a table, whoever has them.
#[cfg(target_os = "linux")]
struct Locks {
    inode: u64,
}

#[cfg(target_os = "linux")]
impl Locks {
    fn of(table: &Table) -> Self {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::metadata(common::access_path_of(table.name()));
        let inode = file.unwrap().ino();
        Self { inode }
    }

    /// Whether anybody has an open-file-description lock on a byte.
    fn has(&self, byte: usize) -> bool {
        // 7: OFDLCK ADVISORY WRITE -1 00:1b:7072 4096 4096
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| {
            let parts: Vec<&str> = line.split_whitespace().collect();
            let [_, "OFDLCK", _, _, _, file, first, last] = parts[..] else {
                return false;
            };
            let bytes = first.parse().unwrap()..=last.parse().unwrap_or(usize::MAX);
            file.ends_with(&format!(":{}", self.inode)) && bytes.contains(&byte)
        })
    }
}

#[test]
fn the_header_is_as_documented() {
    let typed = TypedTable::<str, u64>::create_anonymous(
        Options::new()
            .capacity(1000)
            .value_space(50_000)
            .chunk_size(8192)
            .stripes(8)
            .max_participants(7),
    )
    .unwrap();
    let reader = Reader::of(typed.as_table());
    assert_eq!(&reader.bytes[..8], b"shmtable");
    let words = [
        ("HEADER_VERSION", 2),
        ("HEADER_FINGERPRINT", reader.document.fingerprint() as usize),
        ("HEADER_SEGMENT_BYTES", reader.bytes.len()),
        ("HEADER_CAPACITY", 1000),
        ("HEADER_VALUE_SPACE", 50_000),
        ("HEADER_STRIPES", 8),
        ("HEADER_PARTICIPANTS", 7),
        ("HEADER_CHUNK_BYTES", 8192),
        ("HEADER_CODEC", xxh3_64(b"str\0u64") as usize),
        ("HEADER_FLAGS", reader.get("FLAG_ANONYMOUS")),
        ("HEADER_TAKE_OVERS", 0),
        ("HEADER_CLEANINGS", 0),
    ];
    for (name, expected) in words {
        assert_eq!(reader.header(name), expected, "{name}");
    }
    let checked = reader.get("HEADER_CHECKSUM") * 8;
    assert_eq!(
        reader.header("HEADER_CHECKSUM") as u64,
        xxh3_64(&reader.bytes[..checked])
    );
    assert!(reader.buckets() * reader.get("BUCKET_SLOTS") >= 1000);
    let arena = reader.header("HEADER_CHUNKS") * reader.chunk_words();
    assert_eq!((reader.arena_at + arena) * 8, reader.bytes.len());
    assert_eq!(
        reader.header("HEADER_CREATED") as u64,
        typed.stats().unwrap().created
    );
    // A word that the document does not name is zero.
    let named: Vec<usize> = reader
        .document
        .values
        .iter()
        .filter(|(name, _)| name.starts_with("HEADER_") && **name != "HEADER_WORDS")
        .map(|(_, at)| *at as usize)
        .collect();
    for at in (0..reader.get("HEADER_WORDS")).filter(|at| !named.contains(at)) {
        assert_eq!(reader.word(at), 0, "word {at}");
    }
}

#[test]
fn a_segment_of_version_1_is_refused() {
    let name = common::Name::new();
    drop(
        Options::new()
            .capacity(10)
            .value_space(1000)
            .create(&name)
            .unwrap(),
    );
    let file = common::open_file(&name.path());
    let mut bytes = common::read_segment(&name);
    bytes[8..16].copy_from_slice(&1_u64.to_le_bytes());
    let sum = xxh3_64(&bytes[..128]);
    bytes[128..136].copy_from_slice(&sum.to_le_bytes());
    common::write_at(&file, &bytes[..136], 0);
    for opened in [Table::open(&name), Table::open_read_only(&name)] {
        assert!(matches!(
            opened,
            Err(Error::IncompatibleFormat {
                what: "the format version",
                found: 1,
                expected: 2,
                ..
            })
        ));
    }
}

#[test]
fn buckets_are_aligned_and_the_words_before_them_zero() {
    let mut gaps = Vec::new();
    for (participants, stripes) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (6, 16)] {
        let table = Options::new()
            .capacity(100)
            .value_space(10_000)
            .chunk_size(4096)
            .stripes(stripes)
            .max_participants(participants)
            .create_anonymous()
            .unwrap();
        for i in 0..50 {
            table.insert(format!("{i}").as_bytes(), b"small").unwrap();
            let large = format!("{i}, whose entry has a record");
            table.insert(large.as_bytes(), b"").unwrap();
        }
        let reader = Reader::of(&table);
        assert_eq!(reader.buckets_at % reader.get("BUCKET_WORDS"), 0);
        let end = reader.stripes_at + stripes * reader.get("STRIPE_WORDS");
        for at in end..reader.buckets_at {
            assert_eq!(reader.word(at), 0, "word {at}");
        }
        gaps.push(reader.buckets_at - end);
        assert_eq!(reader.all_entries().len(), 100);
    }
    assert_eq!(gaps, [0, 8, 8, 0, 8, 0]);
}

#[test]
fn every_entry_is_found_by_the_document_alone() {
    let table = table(600, 200_000);
    let mut expected: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut put = |key: Vec<u8>, value: Vec<u8>| {
        table.insert(&key, &value).unwrap();
        expected.insert(key, value);
    };
    put(Vec::new(), b"the value of the empty key".to_vec());
    put(b"of no bytes".to_vec(), Vec::new());
    put(vec![7; 5000], b"of a key larger than a chunk".to_vec());
    put(
        b"larger than two chunks".to_vec(),
        (0..250).cycle().take(10_000).collect(),
    );
    for i in 0..450_usize {
        let key = format!("key {i}").repeat(1 + i % 5).into_bytes();
        put(key, (0..=255).cycle().skip(i).take(i % 100).collect());
    }
    for i in 0..50_usize {
        put(bytes(i % 8, i as u8), bytes(i % 9, 7));
    }
    // Other values, of other and of the same lengths.
    for i in (0..450_usize).step_by(3) {
        let key = format!("key {i}").repeat(1 + i % 5).into_bytes();
        put(key, (0..=255).cycle().skip(i).take(i % 70).collect());
    }
    assert_eq!(table.fetch_add(b"counter", 1_000_000).unwrap(), 0);
    assert_eq!(table.fetch_add(b"counter", -1_000_001).unwrap(), 1_000_000);
    expected.insert(b"counter".to_vec(), (-1_i64).to_le_bytes().to_vec());
    for i in 0..20 {
        let key = format!("key {}", i * 5).into_bytes();
        assert!(table.remove(&key).unwrap());
        expected.remove(&key);
    }

    let reader = Reader::of(&table);
    assert_eq!(reader.entries(), expected.len() as u64);
    for (key, value) in &expected {
        assert_eq!(reader.value(key).as_ref(), Some(value), "{key:?}");
    }
    let small = expected
        .keys()
        .filter(|key| reader.record_of(key).is_none());
    let small = small.count();
    assert!(small > 40 && expected.len() - small > 300, "{small}");
    for i in 0..20 {
        let key = format!("key {}", i * 5).into_bytes();
        assert_eq!(reader.value(&key), None);
        assert_eq!(reader.value(format!("never {i}").as_bytes()), None);
    }
}

#[test]
fn keys_and_values_lie_where_the_document_says_whatever_their_lengths() {
    let table = table(10, 10_000);
    for (key, value, is_small) in small_and_large() {
        let (key, value) = (bytes(key, 0x81), bytes(value, 0xc1));
        table.insert(&key, &value).unwrap();
        let found = Reader::of(&table).find(&key).unwrap();
        assert_eq!(found.value, value, "of {key:?}");
        assert_eq!(found.record.is_none(), is_small, "{key:?} {value:?}");
        assert!(table.remove(&key).unwrap());
    }
}

/// Words that are used again would show what was there before.
#[test]
fn what_no_key_or_value_takes_of_its_words_is_zero() {
    let table = table(4, 1000);
    for round in 0..200_usize {
        // Long ones first, so that short ones follow in their slots and their records.
        for number in 0..3 {
            let length = (19 - round % 20 + 7 * number) % 20;
            let key = bytes(length, 0x81 + number as u8);
            table.insert(&key, &bytes((3 * round) % 9, 0xc1)).unwrap();
            table.insert(&key, &bytes(round % 20, 0xc1)).unwrap();
            // In place if it is short, by bytes with no bit in common.
            table.insert(&key, &bytes(round % 20, 0x02)).unwrap();
            let reader = Reader::of(&table);
            // It looks at the padding of each.
            let entries = reader.all_entries();
            assert_eq!(entries.len(), 1 + number);
            assert_eq!(reader.value(&key), Some(bytes(round % 20, 0x02)));
            // No tag stands where there is no slot.
            for bucket in 0..reader.buckets() {
                assert_eq!(reader.tag(bucket, 0), 0);
            }
        }
        table.clear().unwrap();
    }
    assert!(Reader::of(&table).header("HEADER_CLEANINGS") > 0);
}

#[test]
fn overflow_counts_are_as_documented() {
    let table = table(8000, 200_000);
    for i in 0..8000 {
        let value: &[u8] = if i % 2 == 0 {
            b""
        } else {
            b"larger than a slot"
        };
        table.insert(format!("{i}").as_bytes(), value).unwrap();
    }
    for i in (0..8000).step_by(7) {
        table.remove(format!("{i}").as_bytes()).unwrap();
    }
    let reader = Reader::of(&table);
    let mut passed = vec![0; reader.buckets()];
    let mut passed_by = [0; 2];
    let entries = reader.all_entries();
    for entry in &entries {
        assert_eq!(reader.find(&entry.key).as_ref(), Some(entry));
        let (bucket, _) = entry.slot;
        for before in reader
            .probe(&entry.key)
            .take_while(|probed| *probed != bucket)
        {
            passed[before] += 1;
            passed_by[usize::from(entry.record.is_some())] += 1;
        }
    }
    assert_eq!(entries.len(), table.len());
    assert!(
        passed_by.into_iter().all(|count| count > 20),
        "too few keys to probe: {passed_by:?}"
    );
    for (bucket, passed) in passed.into_iter().enumerate() {
        assert_eq!(reader.overflow(bucket), passed);
    }
}

/// How many keys passed is not known any more.
#[test]
fn an_overflow_count_stays_at_its_greatest_number() {
    // The chance that none of so many passes a full bucket is below 10^-15.
    const COUNT: usize = 2000;
    let name = common::Name::new();
    let table = Options::new()
        .capacity(COUNT)
        .stripes(1)
        .create(&name)
        .unwrap();
    let greatest = (1 << Document::read().get("OVERFLOW_BITS")) - 1;
    let reader = Reader::of(&table);
    let file = common::open_file(&name.path());
    // One below in every second bucket.
    for bucket in 0..reader.buckets() {
        let at = reader.buckets_at + bucket * reader.get("BUCKET_WORDS");
        let count: u64 = greatest - bucket as u64 % 2;
        common::write_at(&file, &count.to_le_bytes(), (at * 8) as u64);
    }
    let key = |i: usize| format!("{i}").into_bytes();
    for i in 0..COUNT {
        table.insert(&key(i), b"").unwrap();
    }
    let before = Reader::of(&table);
    let passes = |entry: &Entry| before.probe(&entry.key).next() != Some(entry.slot.0);
    assert!(before.all_entries().iter().any(passes), "no key passed any");
    for i in 0..COUNT {
        assert!(table.contains_key(&key(i)).unwrap());
        assert!(table.remove(&key(i)).unwrap());
    }
    let after = Reader::of(&table);
    for bucket in 0..after.buckets() {
        let counts = [before.overflow(bucket), after.overflow(bucket)];
        let first = greatest - bucket as u64 % 2;
        if first == greatest || counts[0] == greatest {
            assert_eq!(counts, [greatest; 2]);
        } else {
            assert_eq!(counts, [first; 2]);
        }
    }
}

#[test]
fn versions_rise_when_an_entry_is_unlinked() {
    let table = table(100, 10_000);
    let key = |i: usize| format!("{i}").into_bytes();
    // What all 50 keys have then: the versions' sum, and how many of them have records.
    let put = |value: &[u8]| {
        for i in 0..50 {
            table.insert(&key(i), value).unwrap();
        }
        let reader = Reader::of(&table);
        let entries = reader.all_entries();
        assert_eq!(entries.len(), 50);
        assert!(entries.iter().all(|entry| entry.value == value));
        let records = entries.iter().filter(|entry| entry.record.is_some());
        (reader.versions(), records.count())
    };
    assert_eq!(put(b"larger than a slot"), (0, 50), "nobody is disturbed");
    assert_eq!(put(b"of another length than before"), (50, 50));
    assert_eq!(put(b"of the very length of the one"), (100, 50));
    assert_eq!(put(b"a small"), (150, 0), "from a record to a small entry");
    assert_eq!(put(b"of same"), (150, 0), "a small value, in place");
    assert_eq!(put(b"other"), (200, 50), "a small one of other length");
    assert_eq!(put(b"alike"), (200, 50), "the value of a record, in place");
    assert_eq!(put(b""), (250, 0));
    assert_eq!(put(b""), (250, 0), "of no bytes, in place");
    assert_eq!(put(b"from a small entry to a record"), (300, 50));
    assert_eq!(put(b"small"), (350, 0));
    for i in 0..25 {
        table.remove(&key(i)).unwrap();
    }
    assert_eq!(Reader::of(&table).versions(), 375, "small ones are removed");
    for i in 25..50 {
        table.insert(&key(i), b"larger than a slot").unwrap();
    }
    for i in 25..50 {
        table.remove(&key(i)).unwrap();
    }
    assert_eq!(Reader::of(&table).versions(), 425, "so are records");
    assert_eq!(put(b"new"), (425, 0), "an insertion disturbs nobody");
}

#[test]
fn a_value_is_replaced_in_place_if_it_has_a_word_at_most_and_keeps_its_length() {
    let table = table(10, 10_000);
    for (key, value, is_small) in small_and_large() {
        let key = bytes(key, 0x81);
        table.insert(&key, &bytes(value, 0xc1)).unwrap();
        let before = Reader::of(&table);
        table.insert(&key, &bytes(value, 0x11)).unwrap();
        let after = Reader::of(&table);
        let in_place = value <= 8;
        let raised = after.versions() - before.versions();
        assert_eq!(raised, u64::from(!in_place), "{key:?}, {value} bytes");
        let (before, after) = (before.find(&key).unwrap(), after.find(&key).unwrap());
        assert_eq!(
            (&before.value, &after.value),
            (&bytes(value, 0xc1), &bytes(value, 0x11))
        );
        assert_eq!(before.record == after.record, in_place);
        assert_eq!(after.record.is_none(), is_small);
        table.remove(&key).unwrap();
    }
}

/// No one store leads from the one to the other.
#[test]
fn a_small_entry_becomes_one_of_another_length_only_by_way_of_a_record() {
    let table = table(10, 100_000);
    for key in (0..=15).map(|length| bytes(length, 0x81)) {
        let lengths = 0..=8.min(15 - key.len());
        for (from, to) in lengths
            .clone()
            .flat_map(|from| lengths.clone().map(move |to| (from, to)))
            .filter(|(from, to)| from != to)
        {
            // By each way of writing.
            let put = |value: &[u8]| match to % 3 {
                0 => drop(table.insert(&key, value).unwrap()),
                1 => drop(table.replace(&key, value).unwrap()),
                _ => drop(table.update(&key, |_| Some(value.to_vec())).unwrap()),
            };
            let mut last_version = Reader::of(&table).versions();
            for (length, rises, is_small) in [
                (from, 0, true),
                (to, 1, false),
                (from, 1, true),
                (to, 1, false),
                (to, 0, false),
            ] {
                let value = bytes(length, 0xc1);
                put(&value);
                let reader = Reader::of(&table);
                let found = reader.find(&key).unwrap();
                assert_eq!(found.value, value);
                assert_eq!(found.record.is_none(), is_small, "{key:?}: {from}, {to}");
                assert_eq!(reader.versions() - last_version, rises);
                last_version = reader.versions();
            }
            table.remove(&key).unwrap();
        }
    }
}

#[test]
fn records_follow_one_another_in_every_chunk() {
    let table = table(300, 100_000);
    for i in 0..900_usize {
        let value = vec![i as u8; i % 90];
        table
            .insert(format!("{}", i % 300).as_bytes(), &value)
            .unwrap();
    }
    let large = vec![1; 9000];
    table.insert(b"large", &large).unwrap();

    let reader = Reader::of(&table);
    assert_eq!(reader.value(b"large").unwrap(), large);
    let head = reader.chunk_of(reader.record_of(b"large").unwrap());
    assert_eq!(reader.detail(head, "CHUNK_RUN"), 3);
    for distance in 1..3 {
        assert!(reader.is_kind(head + distance, "KIND_TAIL"));
        assert_eq!(
            reader.state(head + distance, "STATE_OWNER_GENERATION"),
            distance as u64
        );
    }
    let mut live_entries = 0;
    for chunk in 0..reader.header("HEADER_CHUNKS") {
        if reader.is_kind(chunk, "KIND_FREE") || reader.is_kind(chunk, "KIND_TAIL") {
            continue;
        }
        assert!(chunk < reader.header("HEADER_POPULATED"));
        let Range { start, end } = reader.filled(chunk);
        let (mut at, mut live) = (start, 0);
        while at < end {
            let (key, _, next) = reader.record(at);
            if reader.record_of(key) == Some(at) {
                live += next - at;
                live_entries += 1;
            }
            at = next;
        }
        assert_eq!(at, end);
        assert_eq!(reader.detail(chunk, "CHUNK_LIVE"), live as u64);
    }
    let entries = reader.all_entries();
    assert_eq!(entries.len(), 301);
    let records = entries.iter().filter(|entry| entry.record.is_some());
    assert_eq!(live_entries, records.count());
    assert!((200..300).contains(&live_entries), "{live_entries}");
}

#[test]
fn participants_and_their_chunks_are_as_documented() {
    let first = table(100, 10_000);
    let second = Table::open(first.name()).unwrap();
    first.insert(b"by the first", b"a value").unwrap();
    second.insert(b"by the second", b"a value").unwrap();
    let reader = Reader::of(&first);
    for slot in 0..2 {
        let state = reader.participant(slot, "PARTICIPANT_STATE");
        assert_eq!(reader.document.field("PARTICIPANT_ATTACHED", state), 1);
        assert_eq!(reader.generation(slot), 1);
        assert_eq!(
            reader.participant(slot, "PARTICIPANT_PID"),
            u64::from(std::process::id())
        );
        assert!(
            reader.participant(slot, "PARTICIPANT_SINCE") >= reader.header("HEADER_CREATED") as u64
        );
    }
    assert_eq!(reader.participant(2, "PARTICIPANT_STATE"), 0);
    for (slot, key) in [(0, &b"by the first"[..]), (1, b"by the second")] {
        let chunk = reader.chunk_of(reader.record_of(key).unwrap());
        assert!(reader.is_kind(chunk, "KIND_OPEN"));
        assert_eq!(reader.state(chunk, "STATE_OWNER_SLOT"), slot + 1);
        assert_eq!(reader.state(chunk, "STATE_OWNER_GENERATION"), 1);
    }

    drop(second);
    let reader = Reader::of(&first);
    let state = reader.participant(1, "PARTICIPANT_STATE");
    assert_eq!(reader.document.field("PARTICIPANT_ATTACHED", state), 0);
    assert_eq!(reader.generation(1), 1);
    let chunk = reader.chunk_of(reader.record_of(b"by the second").unwrap());
    assert!(reader.is_kind(chunk, "KIND_SEALED"));
    let third = Table::open(first.name()).unwrap();
    assert_eq!(Reader::of(&third).generation(1), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn who_is_alive_holds_its_byte() {
    let first = table(100, 10_000);
    let second = Table::open(first.name()).unwrap();
    let (reader, locks) = (Reader::of(&first), Locks::of(&first));
    let byte = |slot| (reader.get("HEADER_WORDS") + slot * reader.get("PARTICIPANT_WORDS")) * 8;
    let readers = reader.get("READERS_BYTE");
    let held = [0, 1, 2].map(|slot| locks.has(byte(slot)));
    assert_eq!(held, [true, true, false]);
    assert!(!locks.has(byte(0) - 1) && !locks.has(byte(0) + 1) && !locks.has(readers));
    let read_only = Table::open_read_only(first.name()).unwrap();
    assert!(locks.has(readers));
    drop(read_only);
    assert!(!locks.has(readers));
    drop(second);
    assert!(locks.has(byte(0)) && !locks.has(byte(1)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_claim_is_where_the_document_says() {
    let table = table(100, 10_000);
    let (reader, locks) = (Reader::of(&table), Locks::of(&table));
    for key in [&b""[..], b"key", b"another key"] {
        let hash = xxh3_64_with_seed(key, reader.header("HEADER_HASH_SEED") as u64);
        let byte = reader.get("CLAIM_BYTES") + hash as usize / 4;
        assert!(!locks.has(byte));
        let Claimed::Mine(claim) = table.get_or_claim(key).unwrap() else {
            panic!("nobody else claims");
        };
        assert!(locks.has(byte));
        assert!(!locks.has(byte - 1) && !locks.has(byte + 1));
        drop(claim);
        assert!(!locks.has(byte));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_claims_holder_waits_for_is_where_the_document_says() {
    let table = table(100, 10_000);
    let (reader, locks) = (Reader::of(&table), Locks::of(&table));
    let seed = reader.header("HEADER_HASH_SEED") as u64;
    let node = |key: &[u8]| {
        let claim = xxh3_64_with_seed(key, seed) / 4;
        ((claim ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 34) as usize
    };
    let byte = reader.get("WAIT_BYTES") + (node(b"held") << 30) + node(b"wanted");
    let held = table.claim(b"held").unwrap().expect("nobody else claims");
    let wanted = table.claim(b"wanted").unwrap().expect("nobody else claims");
    let Claimed::Others(other) = table.get_or_claim(b"wanted").unwrap() else {
        panic!("it is claimed");
    };
    common::scope(|scope| {
        let waiter = scope.spawn(|| other.wait_holding(LIMIT, &[&held]));
        eventually("it tells what it waits for", || locks.has(byte));
        assert!(!locks.has(byte - 1) && !locks.has(byte + 1));
        drop(wanted);
        let found = waiter.join().unwrap().unwrap();
        assert!(matches!(found, Claimed::Mine(_)), "{found:?}");
    });
    assert!(!locks.has(byte));
}

#[test]
fn the_lock_word_is_as_documented() {
    let table = table(100, 10_000);
    let stripe = Reader::of(&table).stripe_of(b"key");
    let owner = |reader: &Reader| {
        ["LOCK_OWNER_SLOT", "LOCK_OWNER_GENERATION"].map(|field| reader.lock(stripe, field))
    };
    assert_eq!(owner(&Reader::of(&table)), [0, 0]);
    let mut seen = [0, 0];
    table
        .update(b"key", |_| {
            seen = owner(&Reader::of(&table));
            Some(Vec::new())
        })
        .unwrap();
    assert_eq!(seen, [1, 1]);
    assert_eq!(owner(&Reader::of(&table)), [0, 0]);

    // Somebody sleeps for a key until it is published.
    table.remove(b"key").unwrap();
    common::scope(|scope| {
        let waiter = scope.spawn(|| table.wait(b"key", LIMIT));
        eventually("it waits for the key", || {
            Reader::of(&table).lock(stripe, "LOCK_SLEEPERS") == 1
        });
        let before = Reader::of(&table).stripe(stripe, "STRIPE_EVENT");
        table.insert(b"key", b"published").unwrap();
        assert_eq!(
            waiter.join().unwrap().unwrap().as_deref(),
            Some(&b"published"[..])
        );
        assert!(Reader::of(&table).stripe(stripe, "STRIPE_EVENT") > before);
    });

    // Somebody sleeps for the lock while it is held.
    common::scope(|scope| {
        let mut waiter = None;
        table
            .update(b"key", |value| {
                waiter = Some(scope.spawn(|| table.remove(b"key")));
                eventually("it waits for the lock", || {
                    Reader::of(&table).lock(stripe, "LOCK_WAITERS") == 1
                });
                value.map(<[u8]>::to_vec)
            })
            .unwrap();
        assert!(waiter.unwrap().join().unwrap().unwrap());
    });
    assert_eq!(Reader::of(&table).stripe(stripe, "STRIPE_CONTENDED"), 1);
}
