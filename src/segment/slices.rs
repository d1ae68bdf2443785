//! Values in several slices, which are stored and copied as if they were one.

use std::mem::MaybeUninit;

use crate::layout::WORD;
use crate::segment::record::{ValueSource, copy_bytes, store_bytes, word_from};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::memory::copy;
use crate::sys::process_crash_point;

impl ValueSource for &[&[u8]] {
    fn length(self) -> usize {
        let lengths = self.iter().map(|slice| slice.len());
        // The same memory may be there many times.
        lengths.fold(0, usize::saturating_add)
    }

    fn store(self, mut words: &[AtomicU64]) {
        // The last bytes of a slice begin a word that the next slices fill.
        let (mut begun, mut length) = ([0; WORD], 0);
        for slice in self {
            let (first, slice) = slice.split_at(slice.len().min((WORD - length) % WORD));
            begun[length..length + first.len()].copy_from_slice(first);
            length += first.len();
            if length == WORD {
                words = store_word(words, &begun);
            } else if length > 0 {
                continue;
            }
            let (whole, last) = slice.split_at(slice.len() / WORD * WORD);
            let (filled, rest) = words.split_at(words.len().min(whole.len() / WORD));
            store_bytes(filled, whole);
            words = rest;
            begun[..last.len()].copy_from_slice(last);
            length = last.len();
        }
        if length > 0 {
            store_word(words, &begun[..length]);
        }
    }
}

/// Writes up to eight bytes to the first word, and returns the others.
fn store_word<'a>(words: &'a [AtomicU64], bytes: &[u8]) -> &'a [AtomicU64] {
    let Some((word, rest)) = words.split_first() else {
        return words;
    };
    word.store(word_from(bytes), Ordering::Relaxed);
    process_crash_point!("stage: word written");
    rest
}

/// A byte of memory that a value is copied to.
pub(crate) trait Room: Sized {
    fn holding(byte: u8) -> Self;

    /// Fills `out` from the beginning of `words`, as far as they go.
    fn fill(words: &[AtomicU64], out: &mut [Self]);
}

impl Room for u8 {
    fn holding(byte: u8) -> Self {
        byte
    }

    fn fill(words: &[AtomicU64], out: &mut [Self]) {
        copy_bytes(words, out);
    }
}

impl Room for MaybeUninit<u8> {
    fn holding(byte: u8) -> Self {
        Self::new(byte)
    }

    fn fill(words: &[AtomicU64], out: &mut [Self]) {
        copy::fill(words, out);
    }
}

/// Fills the slices, one after another, with the `length` bytes that `words` hold, as far as
/// they go, and returns their number: fewer if `words` are too few.
pub(crate) fn copy_slices<R: Room>(
    words: &[AtomicU64],
    length: usize,
    slices: &mut [&mut [R]],
) -> usize {
    let length = length.min(words.len() * WORD);
    let mut at = 0;
    for slice in slices {
        let fits = slice.len().min(length - at);
        copy_from(words, at, &mut slice[..fits]);
        at += fits;
    }
    length
}

/// Fills `out` with the bytes of `words` from byte `at` on.
fn copy_from<R: Room>(words: &[AtomicU64], at: usize, out: &mut [R]) {
    let words = words.get(at / WORD..).unwrap_or_default();
    let within = at % WORD;
    if within == 0 {
        return R::fill(words, out);
    }
    let Some((word, words)) = words.split_first() else {
        return;
    };
    let bytes = &word.load(Ordering::Relaxed).to_le_bytes()[within..];
    let (first, rest) = out.split_at_mut(out.len().min(bytes.len()));
    for (room, byte) in first.iter_mut().zip(bytes) {
        *room = R::holding(*byte);
    }
    R::fill(words, rest);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::layout::words_of;

    /// The places at which bytes are cut: about words, lines, and the ends.
    const CUTS: [usize; 15] = [0, 1, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 200, 203, 208];

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7 + 1) as u8).collect()
    }

    #[test]
    fn slices_are_stored_and_copied_as_if_they_were_one() {
        for length in CUTS {
            let value = bytes(length);
            let cuts = CUTS.into_iter().filter(|cut| *cut <= length);
            for (one, other) in cuts
                .clone()
                .flat_map(|one| cuts.clone().map(move |other| (one, other)))
            {
                if one > other {
                    continue;
                }
                let slices = [&value[..one], &value[one..other], &value[other..]];
                assert_eq!(slices[..].length(), length);
                let words: Vec<AtomicU64> = (0..30).map(|_| AtomicU64::new(u64::MAX)).collect();
                slices[..].store(&words);
                let used = words_of(length);
                let stored: Vec<u8> = words
                    .iter()
                    .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
                    .collect();
                assert_eq!(stored[..length], value);
                assert!(stored[length..used * WORD].iter().all(|byte| *byte == 0));
                assert!(stored[used * WORD..].iter().all(|byte| *byte == 0xff));

                let mut copy = [0xa5; 250];
                let (first, rest) = copy.split_at_mut(one);
                let (second, third) = rest.split_at_mut(other - one);
                let copied = copy_slices(&words[..used], length, &mut [first, second, third]);
                assert_eq!(copied, length);
                assert_eq!(copy[..length], value);
                assert!(copy[length..].iter().all(|byte| *byte == 0xa5));
                // Slices without room for all of it.
                let mut part = [0xa5; 250];
                let copied = copy_slices(&words[..used], length, &mut [&mut part[..other]]);
                assert_eq!(copied, length);
                assert_eq!(part[..other], value[..other]);
                assert!(part[other..].iter().all(|byte| *byte == 0xa5));
            }
        }
    }
}
