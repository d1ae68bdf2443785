//! What a damaged header said before, inferred from its checksum, the segment's length and
//! the rules by which tables are sized.
//!
//! The magic number, the format version and the fingerprint are known, and the segment's
//! length is that of the file. If one more word is wrong, the checksum, which covers all of
//! them, tells when a candidate for it is right. There are few candidates for each word of
//! the geometry, because these words together determine the length.

use super::fault::SalvageFault;
use crate::error::{Error, Result};
use crate::layout::{
    BUCKET_SLOTS, FLAG_ANONYMOUS, HEADER_CAPACITY, HEADER_CHECKSUM, HEADER_CHUNK_BYTES,
    HEADER_CHUNKS, HEADER_CODEC, HEADER_FLAGS, HEADER_MAX_BYTES, HEADER_MOST_BUCKETS,
    HEADER_PARTICIPANTS, HEADER_SECOND_CHECKSUM, HEADER_SEGMENT_BYTES, HEADER_STRIPE_BUCKETS,
    HEADER_STRIPES, HEADER_VALUE_SPACE, MAX_PARTICIPANTS, RECORD_OVERHEAD, RESERVED_CHUNKS, WORD,
};
use crate::layout::{CODEC_NAMES, codec_id};
use crate::segment::geometry::{Geometry, MAX_CHUNKS};
use crate::segment::header::{self, known, unknown_flags};
use crate::segment::sizes::{DEFAULT_MOST, GROWING_SPACE, default_space};

pub(super) const WORDS: usize = HEADER_CHECKSUM + 1;
/// The words that the checksum covers, and the checksum.
pub(super) type HeaderWords = [u64; WORDS];

/// The most candidates that are tried for one word.
const MOST_CANDIDATES: usize = 1 << 21;
/// The most geometries of one length that are compared.
const MOST_READINGS: usize = 64;

/// One way to understand a header.
pub(super) struct Reading {
    pub(super) header: HeaderWords,
    pub(super) geometry: Geometry,
    /// Whether the checksum confirms it.
    pub(super) is_confirmed: bool,
    /// What is wrong with the header.
    pub(super) damage: Vec<SalvageFault>,
}

impl Reading {
    fn new(header: HeaderWords, found: &HeaderWords, is_confirmed: bool) -> Option<Self> {
        let geometry = geometry(&header)?;
        let differs = (0..HEADER_CHECKSUM).filter(|&word| header[word] != found[word]);
        let damage = differs.map(|word| SalvageFault::HeaderWord {
            offset: word * WORD,
            found: found[word],
            expected: header[word],
        });
        let damage = damage.chain((!is_confirmed).then_some(SalvageFault::Unconfirmed));
        let damage = damage.collect();
        Some(Self {
            header,
            geometry,
            is_confirmed,
            damage,
        })
    }
}

/// The words behind those that the checksum covers, which have a checksum of their own.
pub(super) type SecondWords = [u64; HEADER_SECOND_CHECKSUM + 1 - HEADER_MAX_BYTES];

/// The wrong word among those with the second checksum. No entry depends on them: so if no other
/// value of one word, with one bit changed or zero, makes the checksum right, the checksum itself
/// is called wrong.
pub(super) fn second_fault(found: &SecondWords) -> Option<SalvageFault> {
    let last = found.len() - 1;
    let checksum = |words: &SecondWords| {
        header::second_checksum(|at| words.get(at - HEADER_MAX_BYTES).copied().unwrap_or(0))
    };
    let right = checksum(found);
    if found[last] == right {
        return None;
    }
    let candidates = (0..last).flat_map(|word| {
        let flipped = (0..u64::BITS).map(move |bit| found[word] ^ 1 << bit);
        flipped.chain([0]).map(move |value| (word, value))
    });
    let corrected = candidates
        .into_iter()
        .find(|(word, value)| {
            let mut words = *found;
            words[*word] = *value;
            checksum(&words) == found[last]
        })
        .unwrap_or((last, right));
    let (word, expected) = corrected;
    Some(SalvageFault::HeaderWord {
        offset: (HEADER_MAX_BYTES + word) * WORD,
        found: found[word],
        expected,
    })
}

/// The ways to understand a header; usually there is one.
pub(super) fn readings(
    name: &str,
    found: &HeaderWords,
    length: u64,
    codecs: &[u64],
) -> Result<Vec<Reading>> {
    if found[HEADER_CHECKSUM] == checksum(found) {
        let wrong = known()
            .into_iter()
            .find(|(_, word, expected)| found[*word] != *expected)
            .map(|(what, word, expected)| (what, found[word], expected))
            .or_else(|| unknown_flags(found[HEADER_FLAGS]));
        // A whole header of another format: its entries can't be read as ours.
        if let Some((what, found, expected)) = wrong {
            return Err(Error::IncompatibleFormat {
                name: name.to_owned(),
                what,
                found,
                expected,
            });
        }
        if is_sound(found) {
            return Ok(Reading::new(*found, found, true).into_iter().collect());
        }
    }
    if let Some(header) = corrected(found, length, codecs) {
        return Ok(Reading::new(header, found, true).into_iter().collect());
    }
    let readings = by_length(found, length);
    if readings.is_empty() {
        return Err(Error::Corrupted {
            what: "the header's numbers agree neither with its checksum nor with the segment's \
                   length",
            offset: HEADER_CAPACITY * WORD,
        });
    }
    Ok(readings)
}

fn checksum(header: &HeaderWords) -> u64 {
    header::checksum(|word| header[word])
}

fn geometry(header: &HeaderWords) -> Option<Geometry> {
    Geometry::said_by(|word| header[word])
}

/// Whether a header's numbers agree with its checksum and with each other.
fn is_sound(header: &HeaderWords) -> bool {
    header[HEADER_CHECKSUM] == checksum(header) && is_consistent(header)
}

fn is_consistent(header: &HeaderWords) -> bool {
    geometry(header)
        .is_some_and(|geometry| (geometry.words * WORD) as u64 == header[HEADER_SEGMENT_BYTES])
}

/// The header with the known words put in. The length may be the file's, or, if the file was
/// truncated, the header's own.
fn bases(found: &HeaderWords, length: u64) -> [HeaderWords; 2] {
    let mut base = *found;
    for (_, word, value) in known() {
        base[word] = value;
    }
    let mut of_file = base;
    of_file[HEADER_SEGMENT_BYTES] = length;
    [base, of_file]
}

/// The header as it was, if the checksum confirms it.
fn corrected(found: &HeaderWords, length: u64, codecs: &[u64]) -> Option<HeaderWords> {
    let [own, of_file] = bases(found, length);
    let bases = if own == of_file {
        &[own][..]
    } else {
        &[own, of_file]
    };
    if let Some(sound) = bases.iter().find(|base| is_sound(base)) {
        return Some(*sound);
    }
    // The words with the most candidates come last.
    let words = (HEADER_STRIPES..HEADER_CHECKSUM).chain([HEADER_CAPACITY, HEADER_VALUE_SPACE]);
    for (word, base) in words.flat_map(|word| bases.iter().map(move |base| (word, base))) {
        let mut header = *base;
        for candidate in candidates(base, word, codecs).take(MOST_CANDIDATES) {
            header[word] = candidate;
            if header[HEADER_CHECKSUM] == checksum(&header) && is_consistent(&header) {
                return Some(header);
            }
        }
    }
    None
}

/// The values that a word may have had if all others are right.
fn candidates<'a>(
    base: &'a HeaderWords,
    word: usize,
    codecs: &'a [u64],
) -> Box<dyn Iterator<Item = u64> + 'a> {
    let flipped = (0..u64::BITS).map(move |bit| base[word] ^ 1 << bit);
    let others: Box<dyn Iterator<Item = u64>> = match word {
        HEADER_STRIPES => Box::new((0..=16).map(|bits| 1 << bits)),
        HEADER_CHUNK_BYTES => Box::new((12..=30).map(|bits| 1 << bits)),
        // Of a table of fixed capacity both are the same, else powers of two.
        HEADER_STRIPE_BUCKETS | HEADER_MOST_BUCKETS => {
            let other = HEADER_STRIPE_BUCKETS + HEADER_MOST_BUCKETS - word;
            Box::new(std::iter::once(base[other]).chain((0..=40).map(|bits| 1 << bits)))
        }
        HEADER_CHUNKS | HEADER_PARTICIPANTS => Box::new(solutions(base, word).into_iter()),
        HEADER_CAPACITY => Box::new(
            [base[HEADER_VALUE_SPACE] / 64, DEFAULT_MOST as u64]
                .into_iter()
                .chain(sizes(
                    base,
                    base[HEADER_VALUE_SPACE].into(),
                    RECORD_OVERHEAD as u128,
                )),
        ),
        HEADER_VALUE_SPACE => {
            let capacity = base[HEADER_CAPACITY];
            let entries = RECORD_OVERHEAD as u128 * u128::from(capacity);
            // A small table may have been created with 64 bytes for each entry.
            let likely = [
                capacity.saturating_mul(64),
                default_space(capacity as usize) as u64,
                GROWING_SPACE as u64,
            ];
            let of_capacity = sizes(base, entries, 1);
            // In a table that may grow to more entries than fill its value space, these are one
            // for each word of it.
            let of_words = [0, RECORD_OVERHEAD as u128].map(|rest| sizes(base, rest, 4));
            let chunks = of_capacity.chain(of_words.into_iter().flatten());
            Box::new(likely.into_iter().chain(chunks))
        }
        HEADER_CODEC => Box::new(
            codecs.iter().copied().chain(
                CODEC_NAMES
                    .iter()
                    .flat_map(|key| CODEC_NAMES.iter().map(move |value| codec_id(key, value))),
            ),
        ),
        HEADER_FLAGS => Box::new([0, FLAG_ANONYMOUS].into_iter()),
        _ => Box::new(std::iter::empty()),
    };
    Box::new(flipped.chain(others))
}

/// The sizes that may have led to this number of chunks: numbers that need it when
/// multiplied by `factor`, with `rest` added.
fn sizes(base: &HeaderWords, rest: u128, factor: u128) -> impl Iterator<Item = u64> + use<> {
    let chunks = u128::from(base[HEADER_CHUNKS])
        .saturating_sub(u128::from(base[HEADER_PARTICIPANTS]) + RESERVED_CHUNKS as u128);
    let half = u128::from(base[HEADER_CHUNK_BYTES]) / 2;
    let number =
        |payload: u128| u64::try_from(payload.saturating_sub(rest) / factor).unwrap_or(u64::MAX);
    let last = chunks.saturating_mul(half);
    let first = chunks.saturating_sub(1).saturating_mul(half);
    number(first)..=number(last)
}

/// The values of a word of the geometry with which a header has its length.
fn solutions(base: &HeaderWords, word: usize) -> Vec<u64> {
    let most = match word {
        HEADER_PARTICIPANTS => MAX_PARTICIPANTS as u64,
        _ => MAX_CHUNKS as u64,
    };
    let target = base[HEADER_SEGMENT_BYTES];
    let mut header = *base;
    // Words that don't determine the length must at least be in range.
    header[HEADER_CAPACITY] = 1;
    header[HEADER_VALUE_SPACE] = 1;
    header[word] = 1;
    if geometry(&header).is_none() {
        return Vec::new();
    }
    let mut length = |value| {
        header[word] = value;
        // Larger ones are refused as too large.
        geometry(&header).map_or(u64::MAX, |geometry| (geometry.words * WORD) as u64)
    };
    // The length grows with the word: search for the first value that is enough.
    let (mut low, mut high) = (1, most);
    while low < high {
        let middle = low + (high - low) / 2;
        if length(middle) < target {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    (low..=most)
        .take_while(|&value| length(value) == target)
        .take(MOST_CANDIDATES)
        .collect()
}

/// The readings that the segment's length alone allows, if at most one of the geometry's
/// words is wrong. The header's own numbers come first, if they are among them.
fn by_length(found: &HeaderWords, length: u64) -> Vec<Reading> {
    let [own, of_file] = bases(found, length);
    let mut headers: Vec<HeaderWords> = [own, of_file]
        .into_iter()
        .filter(|header| is_consistent(&with_sizes(*header)))
        .collect();
    let words = [
        HEADER_STRIPES,
        HEADER_STRIPE_BUCKETS,
        HEADER_MOST_BUCKETS,
        HEADER_PARTICIPANTS,
        HEADER_CHUNKS,
        HEADER_CHUNK_BYTES,
    ];
    for word in words {
        let candidates = candidates(&of_file, word, &[]).take(MOST_CANDIDATES);
        let fitting = candidates.map(|candidate| {
            let mut header = of_file;
            header[word] = candidate;
            header
        });
        let fitting = fitting.filter(|header| is_consistent(&with_sizes(*header)));
        headers.extend(fitting.take(MOST_READINGS));
    }
    let readings = headers.into_iter();
    readings
        .filter_map(|header| Reading::new(with_sizes(header), found, false))
        .collect()
}

/// The header with a capacity and a value space that are possible.
fn with_sizes(mut header: HeaderWords) -> HeaderWords {
    let slots = header[HEADER_STRIPES]
        .saturating_mul(header[HEADER_MOST_BUCKETS])
        .saturating_mul(BUCKET_SLOTS as u64);
    let arena = header[HEADER_CHUNKS].saturating_mul(header[HEADER_CHUNK_BYTES]);
    if !(1..=slots).contains(&header[HEADER_CAPACITY]) {
        header[HEADER_CAPACITY] = slots.clamp(1, 1 << 40);
    }
    if !(1..=arena).contains(&header[HEADER_VALUE_SPACE]) {
        header[HEADER_VALUE_SPACE] = (arena / 2).clamp(1, 1 << 43);
    }
    header
}
