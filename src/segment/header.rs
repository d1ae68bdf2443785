//! The header of a segment, which has its geometry: writing it once, and the checks that a
//! segment must pass before any other code reads it.

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::layout::{
    FORMAT_VERSION, HEADER_CAPACITY, HEADER_CHECKSUM, HEADER_CHUNK_BYTES, HEADER_CHUNKS,
    HEADER_CODEC, HEADER_CREATED, HEADER_FINGERPRINT, HEADER_FLAGS, HEADER_HASH_SEED, HEADER_MAGIC,
    HEADER_MAX_BYTES, HEADER_MOST_BUCKETS, HEADER_PARTICIPANTS, HEADER_SECOND_CHECKSUM,
    HEADER_SEGMENT_BYTES, HEADER_STRIPE_BUCKETS, HEADER_STRIPES, HEADER_VALUE_SPACE,
    HEADER_VERSION, HEADER_WORDS, KNOWN_FLAGS, MAGIC, MAX_PARTICIPANTS, WORD, fingerprint,
};
use crate::segment::geometry::{Geometry, MAX_CHUNKS, Shape};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::process_crash_point;

impl Geometry {
    /// Writes the header of a new segment, except the words that change later.
    pub(crate) fn write(
        &self,
        words: &[AtomicU64],
        seed: u64,
        codec: u64,
        created: u64,
        flags: u64,
    ) {
        let put = |at: usize, value: u64| {
            words[at].store(value, Ordering::Relaxed);
            process_crash_point!("create: header word written");
        };
        put(HEADER_MAGIC, MAGIC);
        put(HEADER_VERSION, FORMAT_VERSION);
        put(HEADER_FINGERPRINT, fingerprint());
        put(HEADER_SEGMENT_BYTES, (self.words * WORD) as u64);
        put(HEADER_CAPACITY, self.capacity as u64);
        put(HEADER_VALUE_SPACE, self.value_space as u64);
        put(HEADER_STRIPES, self.stripes as u64);
        put(HEADER_STRIPE_BUCKETS, self.stripe_buckets as u64);
        put(HEADER_PARTICIPANTS, self.participants as u64);
        put(HEADER_CHUNKS, self.chunks as u64);
        put(HEADER_CHUNK_BYTES, (self.chunk_words * WORD) as u64);
        put(HEADER_MOST_BUCKETS, self.most_buckets as u64);
        put(HEADER_HASH_SEED, seed);
        put(HEADER_CODEC, codec);
        put(HEADER_CREATED, created);
        put(HEADER_FLAGS, flags);
        put(
            HEADER_CHECKSUM,
            checksum(|at| words[at].load(Ordering::Relaxed)),
        );
        put(
            HEADER_MAX_BYTES,
            self.max_bytes.map_or(0, |most| most as u64),
        );
        put(
            HEADER_SECOND_CHECKSUM,
            second_checksum(|at| words[at].load(Ordering::Relaxed)),
        );
    }

    /// Checks that these words are a segment's, of any version, damaged or not.
    pub(crate) fn check_magic(name: &str, words: &[AtomicU64]) -> Result<()> {
        let found = words
            .get(HEADER_MAGIC)
            .map(|word| word.load(Ordering::Relaxed));
        if found == Some(MAGIC) {
            return Ok(());
        }
        Err(Error::IncompatibleFormat {
            name: name.to_owned(),
            what: "the magic number",
            found: found.unwrap_or_default(),
            expected: MAGIC,
        })
    }

    /// Validates a segment's whole header, and returns its geometry.
    pub(crate) fn read(name: &str, words: &[AtomicU64]) -> Result<Self> {
        let differs = |what, found, expected| Error::IncompatibleFormat {
            name: name.to_owned(),
            what,
            found,
            expected,
        };
        let damaged = |what, at: usize| Error::Corrupted {
            what,
            offset: at * WORD,
        };
        if words.len() < HEADER_WORDS {
            return Err(differs(
                "the length in bytes",
                (words.len() * WORD) as u64,
                (HEADER_WORDS * WORD) as u64,
            ));
        }
        let get = |at: usize| words[at].load(Ordering::Relaxed);
        for (what, at, expected) in known() {
            if get(at) != expected {
                return Err(differs(what, get(at), expected));
            }
        }
        if get(HEADER_CHECKSUM) != checksum(get) {
            return Err(damaged("the header's checksum is wrong", HEADER_CHECKSUM));
        }
        if let Some((what, found, expected)) = unknown_flags(get(HEADER_FLAGS)) {
            return Err(differs(what, found, expected));
        }
        // The checksum is right, so a writer of this format wrote these words. The
        // ranges are checked nevertheless, before any arithmetic with them.
        let mut geometry = Self::said_by(get)
            .ok_or_else(|| damaged("the geometry is out of range", HEADER_CAPACITY))?;
        if get(HEADER_SECOND_CHECKSUM) != second_checksum(get) {
            return Err(damaged(
                "the header's second checksum is wrong",
                HEADER_SECOND_CHECKSUM,
            ));
        }
        geometry.max_bytes = Some(get(HEADER_MAX_BYTES) as usize).filter(|most| *most > 0);
        if get(HEADER_SEGMENT_BYTES) != (geometry.words * WORD) as u64 {
            return Err(damaged(
                "the geometry contradicts itself",
                HEADER_SEGMENT_BYTES,
            ));
        }
        if words.len() < geometry.words {
            return Err(damaged(
                "the segment is shorter than its header says",
                words.len(),
            ));
        }
        Ok(geometry)
    }

    /// The geometry in a header's words, if they are in range. The header's other words are
    /// not read.
    pub(crate) fn said_by(get: impl Fn(usize) -> u64) -> Option<Self> {
        let stripes = get(HEADER_STRIPES);
        let chunk_bytes = get(HEADER_CHUNK_BYTES);
        let in_range = stripes.is_power_of_two()
            && stripes <= 1 << 16
            && (1..=1 << 40).contains(&get(HEADER_CAPACITY))
            && (1..=1 << 43).contains(&get(HEADER_VALUE_SPACE))
            && are_possible(get(HEADER_STRIPE_BUCKETS), get(HEADER_MOST_BUCKETS))
            && (1..=MAX_PARTICIPANTS as u64).contains(&get(HEADER_PARTICIPANTS))
            && (1..=MAX_CHUNKS as u64).contains(&get(HEADER_CHUNKS))
            && chunk_bytes.is_power_of_two()
            && (4096..=1 << 30).contains(&chunk_bytes);
        if !in_range {
            return None;
        }
        Self::derive(&Shape {
            capacity: get(HEADER_CAPACITY) as usize,
            value_space: get(HEADER_VALUE_SPACE) as usize,
            stripes: stripes as usize,
            stripe_buckets: get(HEADER_STRIPE_BUCKETS) as usize,
            most_buckets: get(HEADER_MOST_BUCKETS) as usize,
            participants: get(HEADER_PARTICIPANTS) as usize,
            chunks: get(HEADER_CHUNKS) as usize,
            chunk_words: chunk_bytes as usize / WORD,
        })
    }
}

/// Whether stripes can begin with so many buckets and end with so many: the same number, or
/// powers of two.
fn are_possible(first: u64, most: u64) -> bool {
    let is_in_range = (1..=1 << 40).contains(&first) && most <= 1 << 40;
    let doubles = first < most && first.is_power_of_two() && most.is_power_of_two();
    is_in_range && (first == most || doubles)
}

/// The words that tell whether a segment has this format: for each its name in messages, its
/// number and its value.
pub(crate) fn known() -> [(&'static str, usize, u64); 3] {
    [
        ("the magic number", HEADER_MAGIC, MAGIC),
        ("the format version", HEADER_VERSION, FORMAT_VERSION),
        ("the layout fingerprint", HEADER_FINGERPRINT, fingerprint()),
    ]
}

/// What is wrong with flags of which this version doesn't know all: its name in messages, the
/// flags and those that are known.
pub(crate) fn unknown_flags(flags: u64) -> Option<(&'static str, u64, u64)> {
    (flags & !KNOWN_FLAGS != 0).then_some(("the set of features", flags, KNOWN_FLAGS))
}

/// The checksum of a header's words.
pub(crate) fn checksum(get: impl Fn(usize) -> u64) -> u64 {
    let mut bytes = [0; HEADER_CHECKSUM * WORD];
    for (at, to) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
        *to = get(at).to_le_bytes();
    }
    xxh3_64(&bytes)
}

/// The checksum of the words behind the first one.
pub(crate) fn second_checksum(get: impl Fn(usize) -> u64) -> u64 {
    let mut bytes = [0; (HEADER_SECOND_CHECKSUM - HEADER_MAX_BYTES) * WORD];
    for (at, to) in (HEADER_MAX_BYTES..).zip(bytes.as_chunks_mut().0) {
        *to = get(at).to_le_bytes();
    }
    xxh3_64(&bytes)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::segment::sizes::Request;

    fn geometry(capacity: usize) -> Geometry {
        Geometry::plan(&Request {
            capacity: Some(capacity),
            value_space: Some(capacity * 64),
            participants: Some(128),
            ..Request::default()
        })
        .unwrap()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let geometry = geometry(1000);
        let words: Vec<AtomicU64> = (0..geometry.words).map(|_| AtomicU64::new(0)).collect();
        geometry.write(&words, 1, 2, 3, 0);
        assert_eq!(Geometry::read("x", &words).unwrap(), geometry);
    }

    #[test]
    fn every_flipped_bit_of_the_header_is_noticed() {
        let geometry = geometry(10);
        let words: Vec<AtomicU64> = (0..geometry.words).map(|_| AtomicU64::new(0)).collect();
        geometry.write(&words, 1, 2, 3, 0);
        for word in 0..=HEADER_SECOND_CHECKSUM {
            for bit in 0..64 {
                let good = words[word].fetch_xor(1 << bit, Ordering::Relaxed);
                assert!(
                    Geometry::read("x", &words).is_err(),
                    "word {word} bit {bit}"
                );
                words[word].store(good, Ordering::Relaxed);
            }
        }
    }
}
