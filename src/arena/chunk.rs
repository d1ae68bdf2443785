//! The chunk table: the state of each chunk, and how far it is filled.
//!
//! # The state word of a chunk
//!
//! | bits     | meaning                                                         |
//! |----------|-----------------------------------------------------------------|
//! | 0 to 15  | the owner's participant slot plus one (open, cleaning)          |
//! | 16 to 19 | 0 free, 1 open, 2 sealed, 3 being cleaned, 4 tail of a run, 15 without memory |
//! | 32 to 63 | the owner's generation; in a tail: distance to the run's head   |
//!
//! A chunk without memory has an owner while one gives its memory back, or gets it memory again.
//!
//! | from               | to            | by                                           |
//! |--------------------|---------------|----------------------------------------------|
//! | free               | open          | a participant that needs a chunk             |
//! | free               | tail          | the owner of the open head of the run        |
//! | open               | sealed, free  | its owner, when no record in it is pending   |
//! | open, dead owner   | sealed        | any participant                              |
//! | sealed             | open          | a participant, if there is room left         |
//! | sealed             | being cleaned | a cleaner                                    |
//! | being cleaned      | sealed, free  | its cleaner                                  |
//! | cleaned, dead owner| sealed        | any participant                              |
//! | tail               | free          | the owner of its head (open or being cleaned)|
//! | free               | without memory, owned | a participant that gives memory back |
//! | without memory     | the same, owned | a participant that gets it memory          |
//! | without memory, owned | free       | its owner, when it has all its memory        |
//! | without memory, owned | without memory | its owner, when it has none              |
//! | the same, dead owner | without memory | any participant                           |
//! | taken, not empty   | sealed        | the participant that took it as a free one   |
//! | damaged, sealed    | being cleaned | `repair`, with the locks of all stripes      |
//! | damaged            | tail          | `repair`, if a live record says that it is   |
//!
//! Every change is a compare-exchange. In a free chunk, cursor, live count and run are 0, so
//! that a chunk whose new owner dies at once is empty. A free chunk with other values is
//! damaged, and the participant that takes it seals it.
//!
//! # Orderings
//! Taking a chunk acquires what its last owner released.

use crate::layout::{
    CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN, CURSOR_BITS, KIND_BITS, KIND_SHIFT, WITHOUT_MEMORY,
};
use crate::locking::participants::{OWNER_BITS, OwnerId};
use crate::segment::Segment;
use crate::sync::{AtomicU64, Ordering};
use crate::sys::{crash_point, process_crash_point};

const OPEN: u64 = 1 << KIND_SHIFT;
const SEALED: u64 = 2 << KIND_SHIFT;
const CLEANING: u64 = 3 << KIND_SHIFT;
const TAIL: u64 = 4 << KIND_SHIFT;

/// The state of a chunk, by its state word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    Open(OwnerId),
    Sealed,
    Cleaning(OwnerId),
    /// A part of a run; the run's head is this many chunks before.
    Tail(usize),
    /// Free, and its memory was given back. An owner is giving it back or getting it again: then
    /// it may have some.
    WithoutMemory(Option<OwnerId>),
    /// A word that no writer of this format stores.
    Damaged,
}

impl State {
    pub(crate) fn unpack(word: u64) -> Self {
        let owner = OwnerId::from_bits(word & OWNER_BITS);
        if word & !KIND_BITS & !OWNER_BITS != 0 {
            // No exchange from such a state would ever succeed.
            return Self::Damaged;
        }
        match (word & KIND_BITS, owner) {
            (0, _) if word == 0 => Self::Free,
            (OPEN, Some(owner)) => Self::Open(owner),
            (SEALED, _) if word == SEALED => Self::Sealed,
            (CLEANING, Some(owner)) => Self::Cleaning(owner),
            (TAIL, None) => Self::Tail((word >> 32) as usize),
            (WITHOUT_MEMORY, owner) if word == WITHOUT_MEMORY || owner.is_some() => {
                Self::WithoutMemory(owner)
            }
            _ => Self::Damaged,
        }
    }

    fn pack(self) -> u64 {
        match self {
            Self::Free | Self::Damaged => 0,
            Self::Open(owner) => OPEN | owner.to_bits(),
            Self::Sealed => SEALED,
            Self::Cleaning(owner) => CLEANING | owner.to_bits(),
            Self::Tail(distance) => TAIL | (distance as u64) << 32,
            Self::WithoutMemory(owner) => WITHOUT_MEMORY | owner.map_or(0, OwnerId::to_bits),
        }
    }
}

/// Whether cursor, live count and run are 0, as in a chunk that is free.
pub(crate) fn is_blank(segment: &Segment, chunk: usize) -> bool {
    [CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN]
        .iter()
        .all(|word| detail(segment, chunk, *word).load(Ordering::Relaxed) == 0)
}

/// The state of a chunk, read with acquire, as by [`state_word`].
pub(crate) fn state(segment: &Segment, chunk: usize) -> State {
    State::unpack(state_word(segment, chunk))
}

/// The state word of a chunk, with any value. Acquire: the stores of the chunk's last owner
/// are visible, so that a search doesn't meet the same outdated states again and again.
pub(crate) fn state_word(segment: &Segment, chunk: usize) -> u64 {
    segment.words()[segment.geometry.state(chunk)].load(Ordering::Acquire)
}

/// Changes a chunk's state word if it is still `from`, which may have any value: for
/// repair.
pub(crate) fn transit_word(segment: &Segment, chunk: usize, from: u64, to: State) -> bool {
    segment.words()[segment.geometry.state(chunk)]
        .compare_exchange(from, to.pack(), Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// Changes a chunk's state if it is still `from`.
pub(crate) fn transit(segment: &Segment, chunk: usize, from: State, to: State) -> bool {
    transit_word(segment, chunk, from.pack(), to)
}

/// A word of a chunk's details, with any value.
#[inline]
pub(crate) fn detail(segment: &Segment, chunk: usize, word: usize) -> &AtomicU64 {
    &segment.words()[segment.geometry.details(chunk) + word]
}

/// The word of a cursor: above the cursor it has the sum, without carries, of its 16-bit
/// parts. So a word with one wrong bit is never a cursor's.
#[inline]
pub(crate) fn cursor_word(cursor: usize) -> u64 {
    let cursor = cursor as u64;
    let sum = (cursor ^ cursor >> 16 ^ cursor >> 32) & 0xffff;
    sum << CURSOR_BITS | cursor
}

/// The cursor in a word, and whether the word is a cursor's.
pub(crate) fn cursor_of(word: u64) -> (usize, bool) {
    let cursor = (word & ((1 << CURSOR_BITS) - 1)) as usize;
    (cursor, cursor_word(cursor) == word)
}

/// The number of words of the chunk that records fill, limited to what is possible.
pub(crate) fn cursor(segment: &Segment, chunk: usize) -> usize {
    let limit = run(segment, chunk) * segment.geometry.chunk_words;
    let word = detail(segment, chunk, CHUNK_CURSOR).load(Ordering::Relaxed);
    cursor_of(word).0.min(limit)
}

/// The number of chunks of the run that begins here; 1 for a plain chunk.
pub(crate) fn run(segment: &Segment, chunk: usize) -> usize {
    let run = detail(segment, chunk, CHUNK_RUN).load(Ordering::Relaxed) as usize;
    run.clamp(1, segment.geometry.chunks - chunk)
}

/// The number of words of live records, limited to what is possible. It is a hint: a death
/// may leave it too low.
pub(crate) fn live(segment: &Segment, chunk: usize) -> usize {
    let limit = run(segment, chunk) * segment.geometry.chunk_words;
    let live = detail(segment, chunk, CHUNK_LIVE).load(Ordering::Relaxed) as i64;
    usize::try_from(live).unwrap_or(0).min(limit)
}

/// Counts a record as live in its chunk.
#[inline]
pub(crate) fn add_live(segment: &Segment, chunk: usize, words: usize) {
    detail(segment, chunk, CHUNK_LIVE).fetch_add(words as u64, Ordering::Relaxed);
}

/// Subtracts a record from its chunk's live count.
pub(crate) fn sub_live(segment: &Segment, at: usize, words: usize) {
    let chunk = segment.geometry.chunk_of(at);
    detail(segment, chunk, CHUNK_LIVE).fetch_sub(words as u64, Ordering::Relaxed);
}

/// Frees a chunk whose records are all dead. Its state is `from`, which makes it ours.
pub(crate) fn free(segment: &Segment, chunk: usize, from: State) {
    for distance in 1..run(segment, chunk) {
        transit(
            segment,
            chunk + distance,
            State::Tail(distance),
            State::Free,
        );
        crash_point!("free: a tail freed");
    }
    detail(segment, chunk, CHUNK_CURSOR).store(0, Ordering::Relaxed);
    crash_point!("free: cursor reset");
    detail(segment, chunk, CHUNK_LIVE).store(0, Ordering::Relaxed);
    process_crash_point!("free: live count reset");
    detail(segment, chunk, CHUNK_RUN).store(0, Ordering::Relaxed);
    crash_point!("free: run reset");
    transit(segment, chunk, from, State::Free);
    process_crash_point!("free: chunk freed");
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_with_one_wrong_bit_is_none() {
        for cursor in [
            0,
            1,
            3,
            511,
            0x1_0001,
            0xffff_0000,
            (1 << 42) - 1,
            0x1234_5678_9abc,
        ] {
            let word = cursor_word(cursor);
            assert_eq!(cursor_of(word), (cursor, true));
            for bit in 0..64 {
                assert!(!cursor_of(word ^ 1 << bit).1, "{cursor:#x}, bit {bit}");
            }
        }
        // A free chunk's details are zero.
        assert_eq!(cursor_word(0), 0);
    }
}
