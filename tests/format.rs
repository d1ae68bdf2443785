//! Is a segment what `docs/format.md` says?
//!
//! The reader below knows nothing of the crate. It takes every number from the
//! document's tables and follows its prose, on the bytes of the segment's file. Which
//! bytes are locked is asked on Linux alone: Windows tells nobody.

#![cfg(any(target_os = "linux", windows))]

mod common;

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use shmtable::Claimed;
use shmtable::{Options, Table, TypedTable};
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
        let buckets_at = stripes_at + reader.header("HEADER_STRIPES") * get("STRIPE_WORDS");
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

    fn tag(&self, bucket: usize, slot: usize) -> u64 {
        if slot < 8 {
            return self.bucket(bucket, 1) >> (8 * slot) & 0xff;
        }
        let high = self
            .document
            .field("BUCKET_HIGH_TAGS", self.bucket(bucket, 0));
        high >> (8 * (slot - 8)) & 0xff
    }

    /// The word where the record of a slot begins.
    fn slot(&self, bucket: usize, slot: usize) -> usize {
        let offset = match slot {
            10 => self
                .document
                .field("BUCKET_LAST_SLOT", self.bucket(bucket, 7)),
            _ => self.bucket(bucket, 2 + slot / 2) >> (32 * (slot % 2)) & 0xffff_ffff,
        };
        self.arena_at + offset as usize * self.header("HEADER_UNIT_BYTES") / self.get("WORD")
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
        let unit = self.header("HEADER_UNIT_BYTES") / self.get("WORD");
        let next = self.arena_at + (end - self.arena_at).next_multiple_of(unit);
        (
            bytes(at + 1, key, value_at),
            bytes(value_at, value, end),
            next,
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

    /// The value of a key, and the word where its record begins.
    fn find(&self, key: &[u8]) -> Option<(&[u8], usize)> {
        let tag = match self.hash(key) & 0xff {
            0 => 1,
            byte => byte,
        };
        for bucket in self.probe(key) {
            for slot in 0..self.get("BUCKET_SLOTS") {
                if self.tag(bucket, slot) == tag {
                    let at = self.slot(bucket, slot);
                    let (found, value, _) = self.record(at);
                    if found == key {
                        return Some((value, at));
                    }
                }
            }
            let overflow = self
                .document
                .field("BUCKET_OVERFLOW", self.bucket(bucket, 7));
            if overflow == 0 {
                return None;
            }
        }
        None
    }

    fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.find(key).map(|(value, _)| value)
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

/// Longer than anything here takes on a very busy machine.
const LIMIT: Duration = Duration::from_secs(30);

fn eventually(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LIMIT, "never happened");
        std::thread::yield_now();
    }
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
        ("HEADER_VERSION", 1),
        ("HEADER_FINGERPRINT", reader.document.fingerprint() as usize),
        ("HEADER_SEGMENT_BYTES", reader.bytes.len()),
        ("HEADER_CAPACITY", 1000),
        ("HEADER_VALUE_SPACE", 50_000),
        ("HEADER_STRIPES", 8),
        ("HEADER_PARTICIPANTS", 7),
        ("HEADER_CHUNK_BYTES", 8192),
        ("HEADER_UNIT_BYTES", 8),
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
fn every_entry_is_found_by_the_document_alone() {
    let table = table(500, 200_000);
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
        assert_eq!(reader.value(key), Some(&value[..]), "{key:?}");
    }
    for i in 0..20 {
        let key = format!("key {}", i * 5).into_bytes();
        assert_eq!(reader.value(&key), None);
        assert_eq!(reader.value(format!("never {i}").as_bytes()), None);
    }
}

#[test]
fn overflow_counts_are_as_documented() {
    let table = table(8000, 100_000);
    for i in 0..8000 {
        table.insert(format!("{i}").as_bytes(), b"").unwrap();
    }
    for i in (0..8000).step_by(7) {
        table.remove(format!("{i}").as_bytes()).unwrap();
    }
    let reader = Reader::of(&table);
    let mut passed = vec![0; reader.buckets()];
    let mut entries = 0;
    for bucket in 0..reader.buckets() {
        for slot in 0..reader.get("BUCKET_SLOTS") {
            if reader.tag(bucket, slot) != 0 {
                entries += 1;
                let at = reader.slot(bucket, slot);
                let (key, value, _) = reader.record(at);
                assert_eq!(reader.find(key), Some((value, at)));
                for before in reader.probe(key).take_while(|probed| *probed != bucket) {
                    passed[before] += 1;
                }
            }
        }
    }
    assert_eq!(entries, table.len());
    assert!(passed.iter().sum::<u64>() > 20, "too few keys to probe");
    for (bucket, passed) in passed.into_iter().enumerate() {
        let word = reader.bucket(bucket, 7);
        assert_eq!(reader.document.field("BUCKET_OVERFLOW", word), passed);
    }
}

#[test]
fn versions_rise_when_a_record_is_unlinked() {
    let table = table(100, 10_000);
    let version = || {
        let reader = Reader::of(&table);
        let versions = (0..reader.buckets()).map(|bucket| {
            reader
                .document
                .field("BUCKET_VERSION", reader.bucket(bucket, 0))
        });
        versions.sum::<u64>()
    };
    for i in 0..50 {
        table
            .insert(format!("{i}").as_bytes(), b"some value")
            .unwrap();
    }
    assert_eq!(version(), 0, "an insertion disturbs nobody");
    for i in 0..50 {
        table.insert(format!("{i}").as_bytes(), b"another").unwrap();
    }
    assert_eq!(version(), 50);
    for i in 0..50 {
        table.insert(format!("{i}").as_bytes(), b"of same").unwrap();
    }
    assert_eq!(version(), 50, "a value of one word is replaced in place");
    for i in 0..50 {
        table.remove(format!("{i}").as_bytes()).unwrap();
    }
    assert_eq!(version(), 100);
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
    let (value, at) = reader.find(b"large").unwrap();
    assert_eq!(value, large);
    let head = reader.chunk_of(at);
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
            if reader.find(key).is_some_and(|(_, found)| found == at) {
                live += next - at;
                live_entries += 1;
            }
            at = next;
        }
        assert_eq!(at, end);
        assert_eq!(reader.detail(chunk, "CHUNK_LIVE"), live as u64);
    }
    assert_eq!(live_entries, 301);
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
        let chunk = reader.chunk_of(reader.find(key).unwrap().1);
        assert!(reader.is_kind(chunk, "KIND_OPEN"));
        assert_eq!(reader.state(chunk, "STATE_OWNER_SLOT"), slot + 1);
        assert_eq!(reader.state(chunk, "STATE_OWNER_GENERATION"), 1);
    }

    drop(second);
    let reader = Reader::of(&first);
    let state = reader.participant(1, "PARTICIPANT_STATE");
    assert_eq!(reader.document.field("PARTICIPANT_ATTACHED", state), 0);
    assert_eq!(reader.generation(1), 1);
    let chunk = reader.chunk_of(reader.find(b"by the second").unwrap().1);
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
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| table.wait(b"key", LIMIT));
        eventually(|| Reader::of(&table).lock(stripe, "LOCK_SLEEPERS") == 1);
        let before = Reader::of(&table).stripe(stripe, "STRIPE_EVENT");
        table.insert(b"key", b"published").unwrap();
        assert_eq!(
            waiter.join().unwrap().unwrap().as_deref(),
            Some(&b"published"[..])
        );
        assert!(Reader::of(&table).stripe(stripe, "STRIPE_EVENT") > before);
    });

    // Somebody sleeps for the lock while it is held.
    std::thread::scope(|scope| {
        let mut waiter = None;
        table
            .update(b"key", |value| {
                waiter = Some(scope.spawn(|| table.remove(b"key")));
                eventually(|| Reader::of(&table).lock(stripe, "LOCK_WAITERS") == 1);
                value.map(<[u8]>::to_vec)
            })
            .unwrap();
        assert!(waiter.unwrap().join().unwrap().unwrap());
    });
    assert_eq!(Reader::of(&table).stripe(stripe, "STRIPE_CONTENDED"), 1);
}
