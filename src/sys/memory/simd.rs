//! Processor instructions: comparing the bytes of a word at once, and prefetching.

use crate::sync::AtomicU64;

/// A mask of the bytes of the word that equal `byte`: bit 0 stands for the lowest byte.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn match_bytes(word: u64, byte: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    return match_bytes_sse2(word, byte);
    #[cfg(not(target_arch = "x86_64"))]
    return match_bytes_portable(word, byte);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(clippy::inline_always)]
fn match_bytes_sse2(word: u64, byte: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_cvtsi64_si128, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: every x86_64 processor has SSE2, here and in the three below.
    let bytes = unsafe { _mm_cvtsi64_si128(word.cast_signed()) };
    // SAFETY: as above.
    let wanted = unsafe { _mm_set1_epi8(byte.cast_signed()) };
    // SAFETY: as above.
    let equal = unsafe { _mm_cmpeq_epi8(bytes, wanted) };
    // SAFETY: as above.
    let bits = unsafe { _mm_movemask_epi8(equal) };
    bits.cast_unsigned() & 0xff
}

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
#[allow(clippy::inline_always)]
fn match_bytes_portable(word: u64, byte: u8) -> u32 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // Equal bytes become zero. The sum of a byte's low seven bits with 0x7f has
    // the high bit exactly if one of them is set, and carries into no other
    // byte; so `zero` has the high bit of the zero bytes and nothing else.
    let differs = word ^ u64::from_ne_bytes([byte; 8]);
    let zero = !(((differs & LOW) + LOW) | differs | LOW);
    // After the shift byte i's bit is bit 8i. The factor has the bits 56 - 7j: products
    // with i = j are at bit 56 + i, all others below 56 or above 63, and no two at the same.
    ((zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

/// Prefetches the cache line of the word at `index`. `index` may be out of range: then it
/// does nothing that can be noticed.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn prefetch(words: &[AtomicU64], index: usize) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = words.as_ptr().wrapping_add(index).cast();
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

    fn naive(word: u64, byte: u8) -> u32 {
        let bytes = word.to_le_bytes().into_iter().enumerate();
        bytes
            .filter(|(_, other)| *other == byte)
            .fold(0, |bits, (index, _)| bits | 1 << index)
    }

    fn check(word: u64, byte: u8) {
        let right = naive(word, byte);
        assert_eq!(match_bytes(word, byte), right, "{word:x} {byte:x}");
        assert_eq!(match_bytes_portable(word, byte), right, "{word:x} {byte:x}");
    }

    #[test]
    fn every_byte_in_every_place_against_every_byte() {
        for place in 0..8 {
            for byte in 0..=255_u8 {
                for around in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut bytes = [around; 8];
                    bytes[place] = byte;
                    let word = u64::from_le_bytes(bytes);
                    for wanted in [byte, byte ^ 1, byte ^ 0x80, byte.wrapping_sub(1), around] {
                        check(word, wanted);
                    }
                }
            }
        }
    }

    #[test]
    fn neighbors_that_carry_or_borrow_do_not_confuse_it() {
        // All words over bytes that differ from the wanted one by the values where
        // inexact zero-byte tests fail.
        let differences = [0_u8, 1, 0x7f, 0x80, 0xff];
        for wanted in [0_u8, 1, 0x5a, 0x80, 0xff] {
            for mut code in 0..differences.len().pow(5) {
                let mut bytes = [0; 8];
                for byte in &mut bytes[..5] {
                    *byte = wanted ^ differences[code % differences.len()];
                    code /= differences.len();
                }
                let word = u64::from_le_bytes(bytes);
                check(word, wanted);
                check(word.rotate_left(24), wanted);
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
            let (word, pick) = (next(), next());
            check(word, (word >> (pick % 8 * 8)) as u8);
            check(word, pick as u8);
        }
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
