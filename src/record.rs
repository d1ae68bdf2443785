//! Records: how one key and one value lie in the arena.
//!
//! A header word, the key's bytes, the value's bytes, each padded with zeros to
//! a word. A record is immutable once published, but for a value of one word,
//! which a writer may replace by a single store under the stripe lock.
//!
//! Header word:
//!
//! | bits     | meaning                                   |
//! |----------|-------------------------------------------|
//! | 0        | always 1: a zero word is no record        |
//! | 1 to 3   | zero, for flags of later versions         |
//! | 4 to 23  | key length in bytes                       |
//! | 24 to 63 | value length in bytes                     |

use crate::error::{Error, Result};
use crate::layout::{LINE, WORD};
use crate::sync::{AtomicU64, Ordering, process_crash_point};
use crate::sys::copy::{LINE_BYTES, append_lines, load_line, store_line};

pub(crate) const KEY_SHIFT: u32 = 4;
pub(crate) const VALUE_SHIFT: u32 = 24;
/// Longest key, in bytes: just under 1 MiB.
pub(crate) const MAX_KEY: usize = (1 << (VALUE_SHIFT - KEY_SHIFT)) - 1;

/// Longest value, in bytes: just under 1 TiB.
pub(crate) const MAX_VALUE: usize = (1 << (u64::BITS - VALUE_SHIFT)) - 1;

/// The lengths in a record's header word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) key: usize,
    pub(crate) value: usize,
}

impl Header {
    /// The header word.
    pub(crate) fn pack(self) -> u64 {
        1 | (self.key as u64) << KEY_SHIFT | (self.value as u64) << VALUE_SHIFT
    }

    /// The lengths, if the word can be a header at all.
    #[inline]
    pub(crate) fn unpack(word: u64) -> Option<Self> {
        (word & 0xf == 1).then_some(Self {
            key: (word >> KEY_SHIFT) as usize & MAX_KEY,
            value: (word >> VALUE_SHIFT) as usize,
        })
    }

    /// Words of the record.
    #[inline]
    pub(crate) fn words(self) -> usize {
        self.value_at() + self.value.div_ceil(WORD)
    }

    /// Words before the value.
    #[inline]
    pub(crate) fn value_at(self) -> usize {
        1 + self.key.div_ceil(WORD)
    }

    /// Whether a value of `length` bytes may take this record's value's place by
    /// one store.
    pub(crate) fn replaceable_in_place(self, length: usize) -> bool {
        self.value == length && (1..=WORD).contains(&length)
    }
}

/// Up to eight bytes as a little-endian word, padded with zeros.
///
/// Without a copy of variable length, which would be a call: two loads that overlap.
#[inline]
pub(crate) fn word_from(bytes: &[u8]) -> u64 {
    debug_assert!(bytes.len() <= WORD);
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (bytes.len() - size_of::<u32>()));
    }
    let [first, .., last] = *bytes else {
        return bytes.first().map_or(0, |byte| u64::from(*byte));
    };
    // Two or three: the middle one is one of the others, or between them.
    let middle = bytes.len() / 2;
    u64::from(first)
        | u64::from(bytes[middle]) << (8 * middle)
        | u64::from(last) << (8 * (bytes.len() - 1))
}

/// Fills up to eight bytes from a little-endian word.
///
/// As [`word_from`]: two stores that overlap.
#[inline]
fn word_into(word: u64, bytes: &mut [u8]) {
    let length = bytes.len();
    if let Some(first) = bytes.first_chunk_mut() {
        *first = (word as u32).to_le_bytes();
        let at = length - size_of::<u32>();
        if let Some(last) = bytes.last_chunk_mut() {
            *last = ((word >> (8 * at)) as u32).to_le_bytes();
        }
    } else {
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = (word >> (8 * at)) as u8;
        }
    }
}

/// Writes `bytes`, padded with zeros, to the beginning of `words`.
pub(crate) fn store_bytes(words: &[AtomicU64], bytes: &[u8]) {
    let (lines, rest) = bytes.as_chunks::<LINE_BYTES>();
    let (word_lines, _) = words.as_chunks::<LINE>();
    for (line, words) in lines.iter().zip(word_lines) {
        store_line(words, line);
    }
    let mut words = words.get(lines.len() * LINE..).unwrap_or_default().iter();
    let (whole, rest) = rest.as_chunks::<WORD>();
    for (bytes, word) in whole.iter().zip(&mut words) {
        word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        process_crash_point!("stage: word written");
    }
    if !rest.is_empty()
        && let Some(word) = words.next()
    {
        word.store(word_from(rest), Ordering::Relaxed);
        process_crash_point!("stage: word written");
    }
}

/// Whether the beginning of `words` holds just `bytes`.
#[inline]
pub(crate) fn equal_bytes(words: &[AtomicU64], bytes: &[u8]) -> bool {
    let (whole, rest) = bytes.as_chunks::<WORD>();
    let mut words = words.iter();
    for (bytes, word) in whole.iter().zip(&mut words) {
        if word.load(Ordering::Relaxed) != u64::from_le_bytes(*bytes) {
            return false;
        }
    }
    rest.is_empty()
        || words
            .next()
            .is_some_and(|word| word.load(Ordering::Relaxed) == word_from(rest))
}

/// Replaces the content of `out` by `length` bytes from the beginning of `words`.
#[inline]
pub(crate) fn load_bytes(words: &[AtomicU64], length: usize, out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    if out.capacity() < length {
        out.try_reserve_exact(length).map_err(|_| Error::System {
            action: "allocate memory for a value in this process",
            source: std::io::ErrorKind::OutOfMemory.into(),
        })?;
    }
    let lines = length / LINE_BYTES;
    let (whole, _) = words.as_chunks::<LINE>();
    append_lines(whole.get(..lines).unwrap_or(whole), out);
    let mut rest = [0; LINE_BYTES];
    let rest = &mut rest[..length % LINE_BYTES];
    copy_bytes(words.get(lines * LINE..).unwrap_or_default(), rest);
    out.extend_from_slice(rest);
    Ok(())
}

/// Fills `out` from the beginning of `words`.
#[inline]
pub(crate) fn copy_bytes(words: &[AtomicU64], out: &mut [u8]) {
    let (lines, rest) = out.as_chunks_mut::<LINE_BYTES>();
    let (word_lines, _) = words.as_chunks::<LINE>();
    let mut left = words.get(lines.len() * LINE..).unwrap_or_default().iter();
    for (line, words) in lines.iter_mut().zip(word_lines) {
        load_line(words, line);
    }
    let (whole, rest) = rest.as_chunks_mut::<WORD>();
    for (bytes, word) in whole.iter_mut().zip(&mut left) {
        *bytes = word.load(Ordering::Relaxed).to_le_bytes();
    }
    if !rest.is_empty()
        && let Some(word) = left.next()
    {
        word_into(word.load(Ordering::Relaxed), rest);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_come_back() {
        for length in 0..200 {
            let bytes: Vec<u8> = (1..=length as u8).collect();
            let words: Vec<AtomicU64> = (0..25).map(|_| AtomicU64::new(u64::MAX)).collect();
            store_bytes(&words, &bytes);
            let mut out = vec![9; 3];
            load_bytes(&words, bytes.len(), &mut out).unwrap();
            assert_eq!(out, bytes);
            assert!(equal_bytes(&words, &bytes));
            if let Some(word) = bytes.first_chunk::<WORD>() {
                assert_eq!(word_from(word), u64::from_le_bytes(*word));
            } else {
                let padded = [&bytes[..], &[0; WORD]].concat();
                let word = u64::from_le_bytes(*padded.first_chunk().unwrap());
                assert_eq!(word_from(&bytes), word);
            }
            if length > 0 {
                let mut other = bytes.clone();
                other[length - 1] ^= 1;
                assert!(!equal_bytes(&words, &other));
            }
        }
    }

    #[test]
    fn headers_come_back() {
        for (key, value) in [(0, 0), (1, 0), (MAX_KEY, (1 << 40) - 1), (7, 9)] {
            let header = Header { key, value };
            assert_eq!(Header::unpack(header.pack()), Some(header));
        }
        assert_eq!(Header::unpack(0), None);
    }
}
