//! Copies between shared words and this process's bytes, a cache line at a time.
//!
//! The language has relaxed loads and stores of a word for memory that others
//! change; the compiler neither joins nor unrolls them. On x86-64 a line takes four
//! moves of 16 bytes instead of eight of 8.
//! A build with crash points goes by words, so that a death may fall between any two.
//!
//! # Why wider moves are right
//! They do what relaxed accesses of the line's words in their order would do. The
//! processor neither moves a load before an earlier load nor a store before an earlier
//! one, whatever their widths, so fences and releases order them as they order words.
//! A wide access that falls apart does so into pieces that are no worse than the words
//! that the loop would have read at different moments: what was read while somebody
//! wrote is not believed (`index::read`), and the one word that is written under a
//! reader's eyes, a value replaced in place, is shorter than a line.

use std::mem::MaybeUninit;

use crate::layout::{LINE, WORD, words_of};
use crate::sync::{AtomicU64, Ordering};

pub(crate) const LINE_BYTES: usize = LINE * WORD;

/// Reads a line.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn load_line(words: &[AtomicU64; LINE], bytes: &mut [u8; LINE_BYTES]) {
    // SAFETY: 64 bytes may be written.
    unsafe { load(words, bytes.as_mut_ptr()) }
}

/// Replaces the content of `bytes` by the first `length` bytes of `words`; `false`, and
/// `bytes` is empty, if there are not so many or its capacity is too small for all words
/// they take: the last one's padding comes along, so that no byte is handled alone.
#[inline]
pub(crate) fn load_bytes(words: &[AtomicU64], length: usize, bytes: &mut Vec<u8>) -> bool {
    bytes.clear();
    let taken = words_of(length);
    let (room, _) = bytes.spare_capacity_mut().as_chunks_mut::<WORD>();
    let (Some(words), Some(room)) = (words.get(..taken), room.get_mut(..taken)) else {
        return false;
    };
    let load_word = |word: &AtomicU64| {
        let bytes = word.load(Ordering::Relaxed).to_le_bytes();
        bytes.map(MaybeUninit::new)
    };
    // Short values are many, and the lines below not for nothing.
    if let ([word], [room]) = (words, &mut *room) {
        *room = load_word(word);
    } else {
        let (lines, rest) = words.as_chunks::<LINE>();
        let (line_room, room) = room.as_chunks_mut::<LINE>();
        for (words, room) in lines.iter().zip(line_room) {
            // SAFETY: 64 bytes may be written, whether they had a value or not.
            unsafe { load(words, room.as_mut_ptr().cast()) };
        }
        for (word, room) in rest.iter().zip(room) {
            *room = load_word(word);
        }
    }
    // SAFETY: so many bytes are in the words taken, which are inside the capacity, from
    // its beginning, and were just written.
    unsafe { bytes.set_len(length) }
    true
}

/// Writes a line.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn store_line(words: &[AtomicU64; LINE], bytes: &[u8; LINE_BYTES]) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, miri, shmtable_crash_points))))]
    // SAFETY: 64 bytes may be read at `bytes`, and written at `words`, which atomics may
    // be through a shared reference.
    unsafe {
        move_line(bytes.as_ptr(), words.as_ptr().cast_mut().cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, miri, shmtable_crash_points)))))]
    by_word::store(words, bytes);
}

/// Reads a line to `to`.
///
/// # Safety
/// 64 bytes may be written there.
#[inline(always)]
#[allow(clippy::inline_always)]
unsafe fn load(words: &[AtomicU64; LINE], to: *mut u8) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, miri, shmtable_crash_points))))]
    // SAFETY: 64 bytes may be read at `words`, and written at `to`, as the caller says.
    unsafe {
        move_line(words.as_ptr().cast(), to);
    }
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, miri, shmtable_crash_points)))))]
    {
        let bytes = by_word::load(words);
        // SAFETY: as the caller says; `bytes` is this function's own.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, LINE_BYTES) };
    }
}

/// Copies 64 bytes.
///
/// # Safety
/// They may be read, and written; one side may be words that others change.
#[cfg(all(target_arch = "x86_64", not(any(loom, miri, shmtable_crash_points))))]
#[inline(always)]
#[allow(clippy::inline_always)]
unsafe fn move_line(from: *const u8, to: *mut u8) {
    // SAFETY: as the caller says; `movups` takes any alignment, and every x86_64
    // processor has it. Others may access the words meanwhile, which accesses outside the
    // language allow as atomics do (see above). Nothing but the four registers and the
    // bytes at `to` changes.
    unsafe {
        std::arch::asm!(
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "movups [{to} + 32], {c}",
            "movups [{to} + 48], {d}",
            from = in(reg) from,
            to = in(reg) to,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(any(test, loom, miri, shmtable_crash_points, not(target_arch = "x86_64")))]
mod by_word {
    use super::{LINE, LINE_BYTES, WORD};
    use crate::sync::{AtomicU64, Ordering, process_crash_point};

    pub(super) fn load(words: &[AtomicU64; LINE]) -> [u8; LINE_BYTES] {
        let mut line = [0; LINE_BYTES];
        for (bytes, word) in line.as_chunks_mut::<WORD>().0.iter_mut().zip(words) {
            *bytes = word.load(Ordering::Relaxed).to_le_bytes();
        }
        line
    }

    pub(super) fn store(words: &[AtomicU64; LINE], bytes: &[u8; LINE_BYTES]) {
        for (bytes, word) in bytes.as_chunks::<WORD>().0.iter().zip(words) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
            process_crash_point!("stage: word written");
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn lines_are_copied_as_words_are() {
        // Bytes begin anywhere, words at words.
        let memory: Vec<u8> = (0..LINE_BYTES as u8 + 16).map(|n| n ^ 0xa5).collect();
        for at in 0..16 {
            let line: &[u8; LINE_BYTES] = memory[at..].first_chunk().unwrap();
            let (one, other): ([AtomicU64; LINE], [AtomicU64; LINE]) = Default::default();
            store_line(&one, line);
            by_word::store(&other, line);
            let mut back = [0; LINE_BYTES + 16];
            load_line(&other, back[at..].first_chunk_mut().unwrap());
            assert_eq!(&back[at..at + LINE_BYTES], line);
            let mut around = back[..at].iter().chain(&back[at + LINE_BYTES..]);
            assert!(around.all(|byte| *byte == 0));
            assert_eq!(&by_word::load(&one), line);
        }
    }

    #[test]
    fn bytes_are_loaded_if_there_is_room() {
        let words: Vec<AtomicU64> = (1..=30)
            .map(|word| AtomicU64::new(0x0102_0304_0506_0708 * word))
            .collect();
        let all: Vec<u8> = words
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
            .collect();
        for room in 0..300 {
            for length in 0..=all.len() + 1 {
                let mut bytes = Vec::with_capacity(room);
                bytes.extend([9, 9].iter().take(room));
                let fits = length.next_multiple_of(WORD) <= bytes.capacity().min(all.len());
                assert_eq!(load_bytes(&words, length, &mut bytes), fits);
                assert_eq!(bytes, all[..if fits { length } else { 0 }]);
            }
        }
    }
}
