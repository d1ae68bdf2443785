//! Copies between shared words and this process's bytes, cache lines at a time.
//!
//! For memory that others change, the language has relaxed loads and stores of a word;
//! the compiler neither joins nor unrolls them. On x86-64 this module copies a line by four
//! moves of 16 bytes instead of eight of 8 bytes. Where the processor has AVX it copies each
//! of many lines by two moves of 32 bytes. A build with crash points copies words, so that a
//! process may die between any two.
//!
//! # Why wider moves are right
//! They do what relaxed accesses to the lines' words in their order would do. The
//! processor moves neither a load before an earlier load nor a store before an earlier
//! store, whatever their widths, so fences and releases order them as they order words.
//! Many lines are copied to aligned addresses, because stores across two lines cost most of the
//! time otherwise; some bytes at both ends are then copied twice. What a reader believes did
//! not change while it read, and what a writer copies no one reads yet, so the second copy is
//! the first one again.
//! If a wide access is split, its pieces are no worse than words that a loop would have
//! read at different moments: a reader discards what it read while a writer wrote
//! (`index::fast_path`), and the one word that may be written during a valid read, a value
//! replaced in place, is shorter than a line.

use std::mem::MaybeUninit;

use crate::layout::{LINE, WORD, words_of};
use crate::sync::{AtomicU64, Ordering};

#[cfg(any(loom, miri, shmtable_crash_points, not(target_arch = "x86_64")))]
use by_word as way;
#[cfg(not(any(loom, miri, shmtable_crash_points, not(target_arch = "x86_64"))))]
use wide as way;

pub(crate) const LINE_BYTES: usize = LINE * WORD;

/// Reads lines: as many as the shorter of `words` and `bytes` has.
#[inline]
pub(crate) fn load_lines(words: &[[AtomicU64; LINE]], bytes: &mut [[u8; LINE_BYTES]]) {
    let count = words.len().min(bytes.len());
    // SAFETY: `bytes` has at least `count` lines of 64 bytes, which may be written.
    unsafe { way::load(&words[..count], bytes.as_mut_ptr().cast()) }
}

/// Writes lines: as many as the shorter of `words` and `bytes` has.
#[inline]
pub(crate) fn store_lines(words: &[[AtomicU64; LINE]], bytes: &[[u8; LINE_BYTES]]) {
    way::store(words, bytes);
}

/// Fills `out` from the beginning of `words`, as far as they go. The bytes that it fills need not
/// have been initialized, and are afterwards.
pub(crate) fn fill(words: &[AtomicU64], out: &mut [MaybeUninit<u8>]) {
    let count = (words.len() / LINE).min(out.len() / LINE_BYTES);
    let (lines, rest) = out.split_at_mut(count * LINE_BYTES);
    let (line_words, words) = words.split_at(count * LINE);
    let (line_words, _) = line_words.as_chunks::<LINE>();
    // SAFETY: `lines` has 64 bytes for each of the `count` lines, which may be written; it doesn't
    // matter whether they were initialized.
    unsafe { way::load(line_words, lines.as_mut_ptr().cast()) };
    for (bytes, word) in rest.chunks_mut(WORD).zip(words) {
        bytes.copy_from_slice(&load_word(word)[..bytes.len()]);
    }
}

/// Replaces the content of `bytes` by the first `length` bytes of `words`.
///
/// Returns `false`, with `bytes` empty, if `words` has fewer bytes, or if the capacity of
/// `bytes` is too small for all the words that they take: the padding of the last word is
/// copied too, so that no byte is handled by itself.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn load_bytes(words: &[AtomicU64], length: usize, bytes: &mut Vec<u8>) -> bool {
    // A short path of its own: short values are common, and the general one costs more.
    if let [word] = words
        && length <= WORD
        && bytes.capacity() >= WORD
    {
        let loaded = load_word(word);
        let room = bytes.as_mut_ptr().cast::<[MaybeUninit<u8>; WORD]>();
        // SAFETY: the capacity, checked above, has room for a word from its beginning on.
        unsafe { room.write(loaded) }
        // SAFETY: `length` bytes are in the word, which was just written.
        unsafe { bytes.set_len(length) }
        return true;
    }
    load_many_bytes(words, length, bytes)
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn load_word(word: &AtomicU64) -> [MaybeUninit<u8>; WORD] {
    let bytes = word.load(Ordering::Relaxed).to_le_bytes();
    bytes.map(MaybeUninit::new)
}

#[inline(never)]
fn load_many_bytes(words: &[AtomicU64], length: usize, bytes: &mut Vec<u8>) -> bool {
    bytes.clear();
    let taken = words_of(length);
    let (room, _) = bytes.spare_capacity_mut().as_chunks_mut::<WORD>();
    let (Some(words), Some(room)) = (words.get(..taken), room.get_mut(..taken)) else {
        return false;
    };
    let (lines, rest) = words.as_chunks::<LINE>();
    let (line_room, room) = room.as_chunks_mut::<LINE>();
    // SAFETY: `room` has as many words as `words`, so as many lines may be written;
    // it doesn't matter whether they were initialized.
    unsafe { way::load(lines, line_room.as_mut_ptr().cast()) };
    for (word, room) in rest.iter().zip(room) {
        *room = load_word(word);
    }
    // SAFETY: `length` bytes are in the words taken, which are inside the capacity, from
    // its beginning on, and were just written.
    unsafe { bytes.set_len(length) }
    true
}

#[cfg(target_arch = "x86_64")]
#[cfg_attr(
    any(loom, miri, shmtable_crash_points),
    allow(dead_code, reason = "the other way is taken")
)]
mod wide {
    use std::arch::{asm, is_x86_feature_detected};

    use super::{LINE, LINE_BYTES};
    use crate::sync::AtomicU64;

    /// The number of lines from which on it pays to ask what the processor has.
    const MANY: usize = 4;
    /// The number of lines from which on it pays to align what is written.
    const ALIGNED: usize = 16;
    /// The bytes that one move of [`move_lines_avx`] stores.
    const MOVE: usize = 32;

    /// Reads lines to `to`.
    ///
    /// # Safety
    /// 64 bytes for each may be written there.
    #[inline]
    pub(super) unsafe fn load(words: &[[AtomicU64; LINE]], to: *mut u8) {
        // SAFETY: `words.len()` lines may be read at `words`, and written at `to`, as the
        // caller promises.
        unsafe { move_lines(words.as_ptr().cast(), to, words.len()) }
    }

    /// Writes lines: as many as the shorter of `words` and `bytes` has.
    #[inline]
    pub(super) fn store(words: &[[AtomicU64; LINE]], bytes: &[[u8; LINE_BYTES]]) {
        let count = words.len().min(bytes.len());
        // SAFETY: both have at least `count` lines, which may be read at `bytes`, and written
        // at `words`: atomics may be written through a shared reference.
        unsafe {
            move_lines(
                bytes.as_ptr().cast(),
                words.as_ptr().cast_mut().cast(),
                count,
            );
        }
    }

    /// Copies lines of 64 bytes.
    ///
    /// # Safety
    /// They may be read, and written; one side may be words that others change.
    #[inline]
    unsafe fn move_lines(from: *const u8, to: *mut u8, count: usize) {
        if count < MANY {
            // SAFETY: as the caller says.
            unsafe { move_few_lines(from, to, count) }
        } else {
            // SAFETY: as the caller says.
            unsafe { move_many_lines(from, to, count) }
        }
    }

    /// # Safety
    /// As [`move_lines`].
    #[inline(never)]
    unsafe fn move_many_lines(from: *const u8, to: *mut u8, count: usize) {
        if is_x86_feature_detected!("avx") && count >= ALIGNED {
            // SAFETY: as the caller says, there are lines, and the processor has AVX.
            unsafe { move_lines_aligned(from, to, count) }
        } else if is_x86_feature_detected!("avx") && count > 0 {
            // SAFETY: as the caller says, and the processor has AVX.
            unsafe { move_lines_avx(from, to, count) }
        } else {
            // SAFETY: as the caller says.
            unsafe { move_few_lines(from, to, count) }
        }
    }

    /// # Safety
    /// As [`move_lines`].
    #[inline]
    unsafe fn move_few_lines(from: *const u8, to: *mut u8, count: usize) {
        for line in 0..count {
            // SAFETY: a line of what the caller says.
            let from = unsafe { from.add(line * LINE_BYTES) };
            // SAFETY: as above.
            let to = unsafe { to.add(line * LINE_BYTES) };
            // SAFETY: as the caller says.
            unsafe { move_line(from, to) }
        }
    }

    /// Copies 64 bytes.
    ///
    /// # Safety
    /// They may be read, and written; one side may be words that others change.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    unsafe fn move_line(from: *const u8, to: *mut u8) {
        // SAFETY: the bytes may be read and written, as the caller promises; `movups` takes
        // any alignment, and every x86_64 processor has it. Other threads and processes may
        // access the words at the same time, which accesses outside the language allow as
        // atomics do (see the module). Only the four registers and the bytes at `to` change.
        unsafe {
            asm!(
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

    /// Copies lines of 64 bytes, two at least, all but the ends to aligned addresses.
    ///
    /// # Safety
    /// As [`move_lines`]; the processor has AVX.
    unsafe fn move_lines_aligned(from: *const u8, to: *mut u8, count: usize) {
        debug_assert!(count > 1);
        // Less than a line: the lines from there on, but for the last one, are inside.
        let skipped = to.addr().wrapping_neg() % MOVE;
        let last = (count - 1) * LINE_BYTES;
        // SAFETY: the first line, as the caller says.
        unsafe { move_line(from, to) }
        // SAFETY: `skipped` is less than a line, of which there are two at least.
        let aligned_from = unsafe { from.add(skipped) };
        // SAFETY: as above.
        let aligned_to = unsafe { to.add(skipped) };
        // SAFETY: `count - 1` lines, which are one at least, end `skipped` bytes after the
        // last line begins, so they are inside the lines that the caller says; it says that
        // the processor has AVX.
        unsafe { move_lines_avx(aligned_from, aligned_to, count - 1) }
        // SAFETY: `last` is where the last line begins.
        let last_from = unsafe { from.add(last) };
        // SAFETY: as above.
        let last_to = unsafe { to.add(last) };
        // SAFETY: the last line, as the caller says.
        unsafe { move_line(last_from, last_to) }
    }

    /// Copies lines of 64 bytes, one at least.
    ///
    /// # Safety
    /// As [`move_lines`]; the processor has AVX.
    unsafe fn move_lines_avx(from: *const u8, to: *mut u8, count: usize) {
        debug_assert!(count > 0);
        // SAFETY: the lines may be read and written, and the processor has AVX, as the caller
        // promises; `vmovups` takes any alignment. The loop ends after `count` lines, and
        // `count` is not zero. Only the flags, the three operands, the vector registers, whose
        // upper halves `vzeroupper` clears for the code that follows, and the bytes at `to`
        // change; the named ABI marks all vector registers as clobbered.
        unsafe {
            asm!(
                "2:",
                "vmovups ymm0, [rsi]",
                "vmovups ymm1, [rsi + 32]",
                "vmovups [rdi], ymm0",
                "vmovups [rdi + 32], ymm1",
                "add rsi, 64",
                "add rdi, 64",
                "dec rcx",
                "jnz 2b",
                "vzeroupper",
                inout("rsi") from => _,
                inout("rdi") to => _,
                inout("rcx") count => _,
                clobber_abi("sysv64"),
                options(nostack),
            );
        }
    }

    /// All the ways to copy lines that this processor has.
    #[cfg(all(test, not(any(loom, miri))))]
    pub(super) fn ways() -> Vec<unsafe fn(*const u8, *mut u8, usize)> {
        let mut ways: Vec<unsafe fn(*const u8, *mut u8, usize)> =
            vec![move_lines, move_few_lines, move_many_lines];
        if is_x86_feature_detected!("avx") {
            ways.push(move_lines_avx);
            ways.push(|from, to, count| {
                if count > 1 {
                    // SAFETY: as the caller says, there are two lines at least, and the
                    // processor has AVX.
                    unsafe { move_lines_aligned(from, to, count) }
                } else {
                    // SAFETY: as the caller says.
                    unsafe { move_lines(from, to, count) }
                }
            });
        }
        ways
    }
}

#[cfg(any(test, loom, miri, shmtable_crash_points, not(target_arch = "x86_64")))]
mod by_word {
    use super::{LINE, LINE_BYTES, WORD};
    use crate::sync::{AtomicU64, Ordering};
    use crate::sys::process_crash_point;

    /// Reads lines to `to`.
    ///
    /// # Safety
    /// 64 bytes for each may be written there.
    pub(super) unsafe fn load(words: &[[AtomicU64; LINE]], to: *mut u8) {
        for (number, word) in words.as_flattened().iter().enumerate() {
            let bytes = word.load(Ordering::Relaxed).to_le_bytes();
            // SAFETY: a word of what the caller says.
            let to = unsafe { to.add(number * WORD) };
            // SAFETY: as above; `bytes` is this function's own.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, WORD) };
        }
    }

    /// Writes lines: as many as the shorter of `words` and `bytes` has.
    pub(super) fn store(words: &[[AtomicU64; LINE]], bytes: &[[u8; LINE_BYTES]]) {
        let (bytes, _) = bytes.as_flattened().as_chunks::<WORD>();
        for (word, bytes) in words.as_flattened().iter().zip(bytes) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
            process_crash_point!("stage: word written");
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn words(count: u64) -> Vec<AtomicU64> {
        (1..=count)
            .map(|word| AtomicU64::new(0x0102_0304_0506_0708 * word))
            .collect()
    }

    fn bytes_of(words: &[AtomicU64]) -> Vec<u8> {
        words
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
            .collect()
    }

    #[test]
    fn lines_are_read_and_written_as_words_are() {
        // Bytes begin anywhere, words at words.
        for count in 0..12 {
            let all = words(count as u64 * LINE as u64);
            let (lines, _) = all.as_chunks::<LINE>();
            for at in 0..16 {
                let mut memory = vec![0_u8; at + count * LINE_BYTES + 16];
                let (room, _) = memory[at..].as_chunks_mut::<LINE_BYTES>();
                load_lines(lines, &mut room[..count]);
                let end = at + count * LINE_BYTES;
                let mut read = vec![0; count * LINE_BYTES];
                // SAFETY: `read` has as many lines as `lines`, which may be written.
                unsafe { by_word::load(lines, read.as_mut_ptr()) };
                assert_eq!(memory[at..end], read);
                assert_eq!(read, bytes_of(&all));
                let mut around = memory[..at].iter().chain(&memory[end..]);
                assert!(around.all(|byte| *byte == 0));

                let (one, other) = (words(200), words(200));
                let (source, _) = memory[at..end].as_chunks::<LINE_BYTES>();
                store_lines(one.as_chunks::<LINE>().0, source);
                by_word::store(&other.as_chunks::<LINE>().0[..count], source);
                assert_eq!(bytes_of(&one), bytes_of(&other));
            }
        }
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[test]
    fn every_way_copies_the_same() {
        let memory: Vec<u8> = (0..=255).cycle().take(20 * LINE_BYTES + 16).collect();
        for way in wide::ways() {
            for count in 1..20 {
                for at in 0..16 {
                    let mut to = vec![0; memory.len()];
                    // SAFETY: both have 16 bytes more than 20 lines, so there are `count`
                    // lines, which are fewer than 20, from either position on.
                    unsafe { way(memory[at..].as_ptr(), to[16 - at..].as_mut_ptr(), count) };
                    let end = 16 - at + count * LINE_BYTES;
                    assert_eq!(to[16 - at..end], memory[at..at + count * LINE_BYTES]);
                    let mut around = to[..16 - at].iter().chain(&to[end..]);
                    assert!(around.all(|byte| *byte == 0));
                }
            }
        }
    }

    #[test]
    fn memory_is_filled_as_far_as_the_words_go() {
        let words = words(30);
        let all = bytes_of(&words);
        for length in 0..all.len() + 20 {
            let mut out = vec![MaybeUninit::new(0xa5); length];
            fill(&words, &mut out);
            // SAFETY: all of it was initialized when it was made.
            let out = out.iter().map(|byte| unsafe { byte.assume_init() });
            let expected = all.iter().copied().chain([0xa5; 20]).take(length);
            assert!(out.eq(expected), "{length}");
        }
    }

    #[test]
    fn bytes_are_loaded_if_there_is_room() {
        let words = words(30);
        let all = bytes_of(&words);
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
