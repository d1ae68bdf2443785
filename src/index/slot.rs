//! The content of a slot: a whole small entry, or the offset of a record.
//!
//! A slot has two words. The head:
//!
//! | bits    | small entry                    | record                                   |
//! |---------|--------------------------------|------------------------------------------|
//! | 0 to 3  | key length in bytes            | 15                                       |
//! | 4 to 7  | value length in bytes, 0 to 8  | 15                                       |
//! | 8 to 63 | the key's first 7 bytes        | its offset in the arena, in words        |
//!
//! The tail of a small entry has the value's bytes from its lowest byte up, and the rest of
//! the key down from its highest byte, with zeros between: key and value together have at
//! most 15 bytes. The tail of a slot that leads to a record has the hash of its key, so that a
//! stripe can be doubled without a look at its records.
//!
//! So one store of the head takes a slot from a record to another record, from a small entry
//! to a record, and, if its tail has been stored before, from a record to a small entry. One
//! store of the tail replaces a small entry's value by another of the same length. No single
//! store replaces a small entry by one of another length: that would take two. Nor does one take a
//! slot from a small entry to a record and its hash: the hash is stored when readers know that
//! the small entry is gone, and a death before that leaves it to recovery.

use crate::layout::{HEAD_BYTES, SMALL_BYTES, WORD};
use crate::segment::geometry::ArenaOffset;
use crate::segment::record::{Lengths, word_from};

pub(super) const LENGTH_BITS: u32 = 4;
const LENGTH: u64 = (1 << LENGTH_BITS) - 1;
/// The value of both lengths in a slot that leads to a record.
const RECORD: u64 = LENGTH << LENGTH_BITS | LENGTH;
const REST_SHIFT: u32 = 2 * LENGTH_BITS;

/// What a slot holds, by its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotContent {
    /// A small entry of these lengths.
    Small(Lengths),
    /// A record at this offset.
    Record(ArenaOffset),
    /// Nothing that a writer of this format stored.
    Nothing,
}

/// The words to store in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) head: u64,
    pub(crate) tail: u64,
}

impl Content {
    /// The words of a small entry; `None` if the entry is too large to be one.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn small(key: &[u8], value: &[u8]) -> Option<Self> {
        if value.len() > WORD || key.len() + value.len() > SMALL_BYTES {
            return None;
        }
        let (first, rest) = match key_words(key)? {
            (first, None) => (first, 0),
            (first, Some((rest, shift))) => (first, rest >> shift << shift),
        };
        Some(Self {
            head: first | (value.len() as u64) << LENGTH_BITS,
            tail: word_from(value) | rest,
        })
    }

    /// The words that lead to the record at this offset, whose key has this hash.
    #[inline]
    pub(crate) fn record(offset: ArenaOffset, hash: u64) -> Self {
        Self {
            head: head_of_record(offset),
            tail: hash,
        }
    }
}

/// The head that leads to the record at this offset.
#[inline]
pub(crate) fn head_of_record(offset: ArenaOffset) -> u64 {
    (offset.0 as u64) << REST_SHIFT | RECORD
}

/// Returns what a slot with this head holds.
#[inline]
pub(crate) fn holds(head: u64) -> SlotContent {
    if head & RECORD == RECORD {
        return SlotContent::Record(ArenaOffset((head >> REST_SHIFT) as usize));
    }
    let key = (head & LENGTH) as usize;
    let value = (head >> LENGTH_BITS & LENGTH) as usize;
    if value <= WORD && key + value <= SMALL_BYTES {
        SlotContent::Small(Lengths { key, value })
    } else {
        SlotContent::Nothing
    }
}

/// The words with which a small entry's key is compared; `None` if no small entry has such a
/// key.
///
/// The first is the head of a small entry with this key and an empty value. If the key has
/// more bytes than a head takes, there is also a word whose high bytes are those further bytes,
/// and the number of low bits in it that are not theirs.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(super) fn key_words(key: &[u8]) -> Option<(u64, Option<(u64, u32)>)> {
    let length = key.len() as u64;
    if key.len() <= HEAD_BYTES {
        return Some((word_from(key) << REST_SHIFT | length, None));
    }
    let (first, last) = (key.first_chunk()?, key.last_chunk()?);
    if key.len() > SMALL_BYTES {
        return None;
    }
    let head = u64::from_le_bytes(*first) << REST_SHIFT | length;
    let before = u8::BITS * (SMALL_BYTES - key.len()) as u32;
    Some((head, Some((u64::from_le_bytes(*last), before))))
}

/// A mask of the bits of a tail in which a value of this length is.
#[inline]
fn mask(length: usize) -> u64 {
    u64::MAX
        .checked_shr(u64::BITS - u8::BITS * length as u32)
        .unwrap_or(0)
}

/// The value in a tail, as a word padded with zeros at its high end.
#[inline]
pub(crate) fn value_in(tail: u64, length: usize) -> u64 {
    tail & mask(length)
}

/// Returns the tail with another value of the same length.
#[inline]
pub(crate) fn with_value(tail: u64, length: usize, value: u64) -> u64 {
    tail & !mask(length) | value
}

/// The key of the small entry in these words. Only the first `length` bytes are the key's.
#[inline]
pub(crate) fn key_in(head: u64, tail: u64, length: usize) -> [u8; 2 * WORD] {
    let rest = length.saturating_sub(HEAD_BYTES).min(WORD) as u32;
    let last = u128::from(tail) >> (u64::BITS - u8::BITS * rest);
    let bytes = u128::from(head >> REST_SHIFT) | last << (u8::BITS * HEAD_BYTES as u32);
    bytes.to_le_bytes()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::index::fast_path::compare_small;
    use crate::sync::AtomicU64;

    fn length_of_value(key: &[u8], head: u64, tail: &AtomicU64) -> Option<usize> {
        compare_small(head, tail, key).map(|entry| entry.lengths().value)
    }

    fn bytes(length: usize, first: u8) -> Vec<u8> {
        (first..).take(length).collect()
    }

    #[test]
    fn small_entries_of_all_lengths_come_back() {
        for key_length in 0..20 {
            for value_length in 0..20 {
                let (key, value) = (bytes(key_length, 0x81), bytes(value_length, 0xc1));
                let fits = value_length <= 8 && key_length + value_length <= 15;
                let content = Content::small(&key, &value);
                assert_eq!(content.is_some(), fits, "{key_length} {value_length}");
                let Some(Content { head, tail }) = content else {
                    continue;
                };
                let lengths = Lengths::of(&key, &value[..]);
                assert_eq!(holds(head), SlotContent::Small(lengths));
                assert_eq!(key_in(head, tail, key_length)[..key_length], key);
                let found = length_of_value(&key, head, &AtomicU64::new(tail));
                assert_eq!(found, Some(value_length));
                let mut padded = value.clone();
                padded.resize(8, 0);
                let word = u64::from_le_bytes(padded.try_into().unwrap());
                assert_eq!(value_in(tail, value_length), word);
                // Another value of the same length.
                let other = bytes(value_length, 0x11);
                let replaced = with_value(tail, value_length, word_from(&other));
                let expected = Content::small(&key, &other).unwrap();
                assert_eq!((expected.head, expected.tail), (head, replaced));
            }
        }
    }

    #[test]
    fn a_key_is_itself_and_no_other() {
        for length in 0..=15_usize {
            for value_length in 0..=8.min(15 - length) {
                let (key, value) = (bytes(length, 1), bytes(value_length, 0xc1));
                let content = Content::small(&key, &value).unwrap();
                let tail = AtomicU64::new(content.tail);
                let found = |key: &[u8]| length_of_value(key, content.head, &tail);
                for at in 0..length {
                    for bit in 0..8 {
                        let mut other = key.clone();
                        other[at] ^= 1 << bit;
                        assert_eq!(found(&other), None, "{other:?}");
                    }
                }
                for other in (0..30).filter(|other| *other != length) {
                    assert_eq!(found(&bytes(other, 1)), None, "{length} {other}");
                    assert_eq!(found(&vec![0; other]), None);
                }
            }
        }
    }

    #[test]
    fn records_are_no_small_entries_whatever_their_offset() {
        for offset in [0, 1, 0x3030_3030_3030, (1 << 56) - 1].map(ArenaOffset) {
            let head = Content::record(offset, 7).head;
            assert_eq!(holds(head), SlotContent::Record(offset));
            for length in 0..30 {
                let mut key = vec![0x30; length];
                key.truncate(length);
                for tail in [0, 0x3030_3030_3030_3030, u64::MAX] {
                    assert_eq!(length_of_value(&key, head, &AtomicU64::new(tail)), None);
                }
            }
        }
    }

    #[test]
    fn lengths_that_no_entry_has_are_nothing() {
        for low in 0..=255_u64 {
            let (key, value) = (low & 15, low >> 4);
            let right = match (key, value) {
                (15, 15) => SlotContent::Record(ArenaOffset(7)),
                _ if value <= 8 && key + value <= 15 => SlotContent::Small(Lengths {
                    key: key as usize,
                    value: value as usize,
                }),
                _ => SlotContent::Nothing,
            };
            assert_eq!(holds(7 << 8 | low), right);
        }
    }
}
