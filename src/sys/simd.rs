//! Instructions that the language has no word for.

use crate::sync::AtomicU64;
#[cfg(any(test, not(all(target_arch = "x86_64", not(any(loom, miri))))))]
use crate::sync::Ordering;

/// The tags of a bucket: eight in its second word, three in its first.
const TAGS: u32 = (1 << 11) - 1;

/// A bit for each of a bucket's eleven tags that equals `tag`: tags 0 to 7 are
/// the bytes of `word1` from the lowest, tags 8 to 10 the three lowest bytes of
/// `word0`.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn match_tags(word0: u64, word1: u64, tag: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    return match_tags_sse2(word0, word1, tag);
    #[cfg(not(target_arch = "x86_64"))]
    return match_tags_portable(word0, word1, tag);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(clippy::inline_always)]
fn match_tags_sse2(word0: u64, word1: u64, tag: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    // SAFETY: every x86_64 processor has SSE2, here and in the three below.
    let tags = unsafe { _mm_set_epi64x(word0.cast_signed(), word1.cast_signed()) };
    // SAFETY: as above.
    let wanted = unsafe { _mm_set1_epi8(tag.cast_signed()) };
    // SAFETY: as above.
    let equal = unsafe { _mm_cmpeq_epi8(tags, wanted) };
    // SAFETY: as above.
    let bits = unsafe { _mm_movemask_epi8(equal) };
    bits.cast_unsigned() & TAGS
}

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
#[allow(clippy::inline_always)]
fn match_tags_portable(word0: u64, word1: u64, tag: u8) -> u32 {
    (equal_bytes(word1, tag) | equal_bytes(word0, tag) << 8) & TAGS
}

/// A bit for each byte of the word that equals `byte`, exactly.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
#[allow(clippy::inline_always)]
fn equal_bytes(word: u64, byte: u8) -> u32 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // Equal bytes become zero. The sum of a byte's low seven bits with 0x7f has
    // the high bit exactly if one of them is set, and carries into no other
    // byte; so `zero` has the high bit of the zero bytes and nothing else.
    let differs = word ^ u64::from_ne_bytes([byte; 8]);
    let zero = !(((differs & LOW) + LOW) | differs | LOW);
    // Byte i's bit is at 8i now. The factor has the bits 56 - 7j: products with
    // i = j land at 56 + i, all others below 56 or past 63, no two together.
    ((zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

/// Half a word, loaded as an acquire load of its word would: the low half of word 0, its
/// high half, the low half of word 1, and so on.
///
/// It leads a look-up from its first cache miss to its second, so it is one instruction
/// where there is one.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn load_half<const N: usize>(words: &[AtomicU64; N], half: usize) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
    return load_half_x86(words, half);
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, miri)))))]
    return load_half_portable(words, half);
}

#[cfg(all(target_arch = "x86_64", not(any(loom, miri))))]
#[inline(always)]
#[allow(clippy::inline_always)]
fn load_half_x86<const N: usize>(words: &[AtomicU64; N], half: usize) -> u32 {
    assert!(half < 2 * N);
    let value: u32;
    // SAFETY: the four bytes lie in `words`, as was just seen, and are aligned: the
    // processor loads them in one access, which sees a store of their word or does not, and
    // before which no later load is done. Nothing but the register changes.
    unsafe {
        std::arch::asm!(
            "mov {value:e}, dword ptr [{words} + 4 * {half}]",
            words = in(reg) words.as_ptr(),
            half = in(reg) half,
            value = lateout(reg) value,
            options(nostack, preserves_flags),
        );
    }
    value
}

#[cfg(any(test, not(all(target_arch = "x86_64", not(any(loom, miri))))))]
#[inline(always)]
#[allow(clippy::inline_always)]
fn load_half_portable<const N: usize>(words: &[AtomicU64; N], half: usize) -> u32 {
    (words[half / 2].load(Ordering::Acquire) >> (32 * (half % 2))) as u32
}

/// Asks for the cache line of a word that will be read soon. Nothing happens if
/// there is no such word.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn prefetch(words: &[AtomicU64], index: usize) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    if let Some(word) = words.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = std::ptr::from_ref(word).cast();
        // SAFETY: every x86_64 processor has SSE; a prefetch reads nothing in
        // the sense of the language and cannot fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = (words, index);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn naive(word0: u64, word1: u64, tag: u8) -> u32 {
        let tags = word1.to_le_bytes().into_iter().chain(word0.to_le_bytes());
        tags.take(11)
            .enumerate()
            .filter(|(_, other)| *other == tag)
            .fold(0, |bits, (index, _)| bits | 1 << index)
    }

    fn check(word0: u64, word1: u64, tag: u8) {
        let right = naive(word0, word1, tag);
        assert_eq!(
            match_tags(word0, word1, tag),
            right,
            "{word0:x} {word1:x} {tag:x}"
        );
        assert_eq!(
            match_tags_portable(word0, word1, tag),
            right,
            "portable {word0:x} {word1:x} {tag:x}"
        );
    }

    #[test]
    fn every_byte_in_every_place_against_every_tag() {
        for place in 0..16 {
            for byte in 0..=255_u8 {
                for around in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut bytes = [around; 16];
                    bytes[place] = byte;
                    let word1 = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                    let word0 = u64::from_le_bytes(bytes[8..].try_into().unwrap());
                    for tag in [byte, byte ^ 1, byte ^ 0x80, byte.wrapping_sub(1), around] {
                        check(word0, word1, tag);
                    }
                }
            }
        }
    }

    #[test]
    fn neighbours_that_carry_or_borrow_do_not_confuse_it() {
        // All words over bytes that differ from the tag by the values where
        // inexact zero-byte tests fail.
        let differences = [0_u8, 1, 0x7f, 0x80, 0xff];
        for tag in [0_u8, 1, 0x5a, 0x80, 0xff] {
            for mut code in 0..differences.len().pow(5) {
                let mut bytes = [0; 8];
                for byte in &mut bytes[..5] {
                    *byte = tag ^ differences[code % differences.len()];
                    code /= differences.len();
                }
                let word = u64::from_le_bytes(bytes);
                check(word, word.rotate_left(24), tag);
            }
        }
    }

    #[test]
    fn words_at_random() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..100_000 {
            let (word0, word1, pick) = (next(), next(), next());
            check(word0, word1, (word1 >> (pick % 8 * 8)) as u8);
            check(word0, word1, pick as u8);
        }
    }

    #[test]
    fn halves_are_those_of_the_words_in_turn() {
        let words = [0x2222_2222_1111_1111, 0x4444_4444_3333_3333].map(AtomicU64::new);
        let halves = [0x1111_1111, 0x2222_2222, 0x3333_3333, 0x4444_4444];
        for (half, right) in halves.into_iter().enumerate() {
            assert_eq!(load_half(&words, half), right);
            assert_eq!(load_half_portable(&words, half), right);
        }
    }

    #[test]
    #[should_panic]
    #[allow(
        clippy::should_panic_without_expect,
        reason = "each way says it differently"
    )]
    fn a_half_out_of_range_is_not_loaded() {
        load_half(&[AtomicU64::new(0)], 2);
    }

    #[test]
    fn prefetching_out_of_range_is_nothing() {
        let words = [AtomicU64::new(0)];
        prefetch(&words, 0);
        prefetch(&words, 1);
        prefetch(&words, usize::MAX);
        prefetch(&[], 0);
    }
}
