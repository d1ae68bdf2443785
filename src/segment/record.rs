//! Records: the form of a key and its value in the arena.
//!
//! A record has a header word, the key's bytes and the value's bytes, each padded with
//! zeros to a word. A record is immutable once published, except that a writer may replace a
//! value of at most one word by a single store under the stripe lock. Small entries
//! have no record: see `index::slot`.
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
use crate::layout::{KEY_SHIFT, LINE, MAX_KEY, MAX_VALUE, VALUE_SHIFT, WORD, words_of};
use crate::segment::Segment;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::sys::memory::copy::{self, LINE_BYTES, load_lines, store_lines};
use crate::sys::{crash_point, process_crash_point};

/// Bytes of key and value up to which a record is short: writing so little under a stripe's lock
/// costs less than staging it for nothing when nothing is stored after all. Models have both kinds.
pub(crate) const SHORT: usize = if cfg!(loom) { 9 } else { 256 };

/// Words of a record before its key: the header.
pub(crate) const KEY_AT: usize = 1;

/// The lengths of an entry's key and value, in bytes: what a record's header word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) key: usize,
    pub(crate) value: usize,
}

impl Lengths {
    /// The lengths of this key and value.
    #[inline]
    pub(crate) fn of(key: &[u8], value: impl ValueSource) -> Self {
        Self {
            key: key.len(),
            value: value.length(),
        }
    }

    /// The lengths of a dead record that takes this many words, which are at least one.
    pub(crate) fn of_filler(words: usize) -> Self {
        Self {
            key: 0,
            value: (words - KEY_AT) * WORD,
        }
    }

    /// The header word of a record of these lengths.
    #[inline]
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

    /// The number of words of the record.
    #[inline]
    pub(crate) fn words(self) -> usize {
        self.value_at() + words_of(self.value)
    }

    /// The number of words before the value.
    #[inline]
    pub(crate) fn value_at(self) -> usize {
        KEY_AT + words_of(self.key)
    }

    /// Whether key and value are so short that they may be copied while others wait for a lock.
    #[inline]
    pub(crate) fn are_short(self) -> bool {
        self.key + self.value <= SHORT
    }

    /// Whether a single store may replace this record's value by one of `length` bytes.
    pub(crate) fn replaceable_in_place(self, length: usize) -> bool {
        self.value == length && length <= WORD
    }
}

/// A record that was found.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) lengths: Lengths,
    /// The key's words.
    pub(crate) key: &'a [AtomicU64],
    /// The value's words.
    pub(crate) value: &'a [AtomicU64],
}

/// The words of the key and of the value, which has `length` bytes, of the record that begins
/// with these words.
#[inline]
pub(crate) fn split(
    record: &[AtomicU64],
    key_words: usize,
    length: usize,
) -> Option<(&[AtomicU64], &[AtomicU64])> {
    let both = record.get(KEY_AT..KEY_AT + key_words + words_of(length))?;
    both.split_at_checked(key_words)
}

/// The words of the key and of the value of the record at `at`, which may reach into chunks
/// that have got pages since the end was last read.
#[inline]
pub(crate) fn split_beyond<'a>(
    segment: &'a Segment,
    at: usize,
    record: &'a [AtomicU64],
    key_words: usize,
    length: usize,
) -> Option<(&'a [AtomicU64], &'a [AtomicU64])> {
    split(record, key_words, length)
        .or_else(|| split(segment.record_beyond(at)?.1, key_words, length))
}

/// Opens the record at `at`; `None` if its header can't be right.
#[inline]
pub(crate) fn open(segment: &Segment, at: usize) -> Option<Record<'_>> {
    let (header, words) = segment.record(at)?;
    let lengths = Lengths::unpack(header.load(Ordering::Relaxed))?;
    #[cfg(loom)]
    segment.map.touch(at);
    let (key, value) = split_beyond(segment, at, words, words_of(lengths.key), lengths.value)?;
    Some(Record {
        lengths,
        key,
        value,
    })
}

/// A value on its way into a record.
pub(crate) trait ValueSource: Copy {
    /// The number of its bytes.
    fn length(self) -> usize;

    /// Writes it, padded with zeros, to the beginning of `words`, as far as they go.
    fn store(self, words: &[AtomicU64]);
}

impl ValueSource for &[u8] {
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn length(self) -> usize {
        self.len()
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn store(self, words: &[AtomicU64]) {
        store_bytes(words, self);
    }
}

/// Writes the key and the value of the record that begins with these words. Its header is
/// stored already.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn write_body(
    record: &[AtomicU64],
    lengths: Lengths,
    key: &[u8],
    value: impl ValueSource,
) {
    let (key_words, value_words) = record.split_at(lengths.value_at());
    store_bytes(&key_words[KEY_AT..], key);
    crash_point!("stage: key written");
    value.store(value_words);
    crash_point!("stage: value written");
}

/// Copies the key and the value of a record to another one with the same header, which is
/// stored already.
pub(crate) fn copy_body(from: Record<'_>, to: &[AtomicU64]) {
    let target = &to[KEY_AT..from.lengths.words()];
    for (from, to) in from.key.iter().chain(from.value).zip(target) {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        process_crash_point!("clean: word copied");
    }
    crash_point!("clean: record copied");
}

/// Copies the value of a record to another one with the same key and the same lengths, which readers
/// may still be reading: the version of its bucket must have been bumped since a slot led to it.
pub(crate) fn copy_value(segment: &Segment, lengths: Lengths, from: usize, to: usize) {
    let words = segment.words();
    // A reader that sees a word stored from here on also sees that bump: see `index::fast_path`.
    fence(Ordering::Release);
    for at in lengths.value_at()..lengths.words() {
        words[to + at].store(words[from + at].load(Ordering::Relaxed), Ordering::Relaxed);
        process_crash_point!("rewrite: word copied");
    }
}

/// Returns up to eight bytes as a little-endian word, padded with zeros.
///
/// A copy of variable length would be a call; two loads that overlap are not.
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
    // Two or three bytes: the middle one is one of the others, or between them.
    let middle = bytes.len() / 2;
    u64::from(first)
        | u64::from(bytes[middle]) << (8 * middle)
        | u64::from(last) << (8 * (bytes.len() - 1))
}

/// Fills up to eight bytes from a little-endian word.
///
/// Uses two stores that overlap, as [`word_from`] does with loads.
#[inline]
fn word_into(word: u64, bytes: &mut [u8]) {
    let length = bytes.len();
    if let Some(first) = bytes.first_chunk_mut() {
        *first = (word as u32).to_le_bytes();
        let at = length - size_of::<u32>();
        if let Some(last) = bytes.last_chunk_mut() {
            *last = ((word >> (8 * at)) as u32).to_le_bytes();
        }
    } else if let [first, .., last] = bytes {
        *first = word as u8;
        *last = (word >> (8 * (length - 1))) as u8;
        // Two or three: as in `word_from`.
        bytes[length / 2] = (word >> (8 * (length / 2))) as u8;
    } else if let Some(only) = bytes.first_mut() {
        *only = word as u8;
    }
}

/// Writes `bytes`, padded with zeros, to the beginning of `words`, as far as they go.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn store_bytes(words: &[AtomicU64], bytes: &[u8]) {
    // As in `copy_bytes`.
    if let ([word, ..], 1..=WORD) = (words, bytes.len()) {
        word.store(word_from(bytes), Ordering::Relaxed);
        process_crash_point!("stage: word written");
    } else {
        store_many_bytes(words, bytes);
    }
}

#[inline(never)]
fn store_many_bytes(words: &[AtomicU64], bytes: &[u8]) {
    let (lines, rest) = bytes.as_chunks::<LINE_BYTES>();
    let (line_words, _) = words.as_chunks::<LINE>();
    let words = words.get(lines.len() * LINE..).unwrap_or_default();
    let (whole, rest) = rest.as_chunks::<WORD>();
    // Both have one length, so the loop need not check it for each word.
    let (words, last) = words.split_at(whole.len().min(words.len()));
    for (word, bytes) in words.iter().zip(whole) {
        word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        process_crash_point!("stage: word written");
    }
    if let (Some(word), false) = (last.first(), rest.is_empty()) {
        word.store(word_from(rest), Ordering::Relaxed);
        process_crash_point!("stage: word written");
    }
    // Last: copying many lines is a call, and nothing needs to be kept across it here.
    store_lines(line_words, lines);
}

/// Whether the beginning of `words` equals `bytes`.
#[inline]
pub(crate) fn equal_bytes(words: &[AtomicU64], bytes: &[u8]) -> bool {
    let wanted = LookupKey::new(bytes);
    words
        .get(..wanted.words())
        .is_some_and(|words| wanted.equals(words))
}

/// A key that is looked up, in the form in which it is compared with the words of records.
#[derive(Clone, Copy)]
pub(crate) struct LookupKey<'a> {
    key: &'a [u8],
    /// The key's last word, padded; 0 if it has none.
    last: u64,
}

impl<'a> LookupKey<'a> {
    #[inline]
    pub(crate) fn new(key: &'a [u8]) -> Self {
        let last = match key.last_chunk::<WORD>() {
            // The highest of the last eight bytes belong to the key's last word.
            Some(bytes) => {
                let before = key.len().wrapping_neg() % WORD;
                u64::from_le_bytes(*bytes) >> (8 * before)
            }
            None => word_from(key),
        };
        Self { key, last }
    }

    /// How much longer than one byte the value of a record with this header word is, if its
    /// key is as long as this one; else more than a length can be.
    #[inline]
    fn surplus(self, header: u64) -> u64 {
        let (key, value) = (self.key.len(), 1);
        if key > MAX_KEY {
            return u64::MAX;
        }
        // The bits below the value's length become the highest: all are 0 if they are the
        // same. No byte at all is the greatest length, as subtraction goes.
        header
            .wrapping_sub(Lengths { key, value }.pack())
            .rotate_right(VALUE_SHIFT)
    }

    /// The length of the value of a record with this header word, if its key is as long as
    /// this one.
    #[inline]
    pub(crate) fn length_of_value(self, header: u64) -> Option<usize> {
        let surplus = self.surplus(header);
        (surplus <= MAX_VALUE as u64).then(|| (surplus as usize + 1) & MAX_VALUE)
    }

    /// The length of the key in bytes.
    #[inline]
    pub(crate) fn key_length(self) -> usize {
        self.key.len()
    }

    /// The number of words of the key.
    #[inline]
    pub(crate) fn words(self) -> usize {
        words_of(self.key.len())
    }

    /// Whether these words, of which there are as many as the key has, equal the key's.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn equals(self, words: &[AtomicU64]) -> bool {
        // A short path of its own: most keys are short, and the general one costs more.
        if let [only] = words {
            return only.load(Ordering::Relaxed) == self.last;
        }
        let Some((last, before)) = words.split_last() else {
            return true;
        };
        last.load(Ordering::Relaxed) == self.last && self.begins_with(before)
    }

    #[inline]
    fn begins_with(self, words: &[AtomicU64]) -> bool {
        let (whole, _) = self.key.as_chunks();
        words
            .iter()
            .zip(whole)
            .all(|(word, bytes)| word.load(Ordering::Relaxed) == u64::from_le_bytes(*bytes))
    }
}

/// Replaces the content of `out` by the `length` bytes that `words` hold.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn load_bytes(words: &[AtomicU64], length: usize, out: &mut Vec<u8>) -> Result<()> {
    if copy::load_bytes(words, length, out) {
        return Ok(());
    }
    grow(words, out)?;
    copy::load_bytes(words, length, out);
    Ok(())
}

#[cold]
fn grow(words: &[AtomicU64], out: &mut Vec<u8>) -> Result<()> {
    out.try_reserve_exact(words.len() * WORD)
        .map_err(|_| Error::System {
            action: "allocate memory for a value in this process",
            source: std::io::ErrorKind::OutOfMemory.into(),
        })
}

/// Fills `out` from the beginning of `words`.
#[inline]
pub(crate) fn copy_bytes(words: &[AtomicU64], out: &mut [u8]) {
    // A short path of its own: short keys and values are common, and lines cost more.
    if let ([word, ..], 1..=WORD) = (words, out.len()) {
        return word_into(word.load(Ordering::Relaxed), out);
    }
    let (lines, rest) = out.as_chunks_mut::<LINE_BYTES>();
    let (word_lines, _) = words.as_chunks::<LINE>();
    let mut left = words.get(lines.len() * LINE..).unwrap_or_default().iter();
    load_lines(word_lines, lines);
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
        for length in 0..200_usize {
            let bytes: Vec<u8> = (1..=length as u8).collect();
            let words: Vec<AtomicU64> = (0..25).map(|_| AtomicU64::new(u64::MAX)).collect();
            store_bytes(&words, &bytes);
            let mut out = vec![9; 3];
            let used = &words[..words_of(length)];
            load_bytes(used, length, &mut out).unwrap();
            assert_eq!(out, bytes);
            for cut in [length, length / 2, length.min(7), length.min(1)] {
                let mut part = vec![9; cut];
                copy_bytes(used, &mut part);
                assert_eq!(part, bytes[..cut]);
            }
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
    fn a_wanted_key_is_itself_and_no_other() {
        for length in 0..50_usize {
            let key: Vec<u8> = (1..=length as u8).collect();
            let words: Vec<AtomicU64> = (0..words_of(length)).map(|_| AtomicU64::new(0)).collect();
            store_bytes(&words, &key);
            let wanted = LookupKey::new(&key);
            assert_eq!(wanted.words(), words.len());
            assert!(wanted.equals(&words));
            for at in 0..length {
                let mut other = key.clone();
                other[at] ^= 0x80;
                assert!(!LookupKey::new(&other).equals(&words));
            }
            for value in (0..2 * WORD).chain([MAX_VALUE - WORD, MAX_VALUE]) {
                for key in [0, length, length + 1, MAX_KEY] {
                    let header = Lengths { key, value }.pack();
                    let right = (key == length).then_some(value);
                    assert_eq!(wanted.length_of_value(header), right);
                    // What is no header agrees with no key.
                    for bit in 0..KEY_SHIFT {
                        assert_eq!(wanted.length_of_value(header ^ 1 << bit), None);
                    }
                }
            }
        }
    }

    #[test]
    fn no_header_agrees_with_a_key_that_is_too_long() {
        let key = vec![0; MAX_KEY + 1 + 3];
        let wanted = LookupKey::new(&key);
        for key in [0, 3, MAX_KEY] {
            for value in 0..2 * WORD {
                let header = Lengths { key, value }.pack();
                assert_eq!(wanted.length_of_value(header), None);
            }
        }
    }

    #[test]
    fn headers_come_back() {
        for (key, value) in [(0, 0), (1, 0), (MAX_KEY, (1 << 40) - 1), (7, 9)] {
            let lengths = Lengths { key, value };
            assert_eq!(Lengths::unpack(lengths.pack()), Some(lengths));
        }
        assert_eq!(Lengths::unpack(0), None);
    }
}
