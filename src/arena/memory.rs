//! The memory of chunks: how they get it, how a table that grows gives it back, and how they get it
//! again.
//!
//! # Getting memory
//! Chunks up to the populated mark have had memory. The others are free, and get it in the order of
//! their numbers ([`Segment::populate`]). Of the chunks below the mark those are without memory
//! whose state says so.
//!
//! # Giving memory back
//! 1. Take free chunks: their states become "without memory", with an owner.
//! 2. Have every thread pass a fence, and wait until each thread that read records at that time has
//!    ended that read: see [`reading`](crate::segment::reading).
//! 3. Give the memory back. The chunks' words are zero then, if anybody looked.
//! 4. The states become "without memory", without an owner.
//!
//! No slot leads to a free chunk, and the versions of those that led there were raised before it was
//! free. So from step 2 on no thread reads there. Whoever writes to a chunk owns it, and it has to
//! be free before.
//!
//! If a reader takes long, or a process reads without announcing it, the chunks are free again as
//! they were. An owner that dies leaves a chunk that may have memory or not. It counts as one
//! without: to ask for memory that is there already costs nothing.

use std::time::{Duration, Instant};

use super::chunk::{self, State};
use crate::error::Result;
use crate::layout::{PARTICIPANT_STATE, READERS_BYTE, READING_THREADS, UNANNOUNCED_BYTE, WORD};
use crate::locking::participants::{ATTACHED, Attachment, OwnerId};
use crate::segment::Segment;
use crate::segment::reading;
use crate::sync::{self, Ordering};
use crate::sys::{self, crash_point, process_crash_point};

/// The number of words that are asked for at a time when they probably have memory already.
const ASKED_AGAIN: usize = 1 << 17;

/// How long a reader may take while memory is given back.
const PATIENCE: Duration = Duration::from_millis(10);
/// How often a model looks whether one has ended.
const LOOKS: usize = 2;

/// Gets memory for some more chunks, which are free then. `false` if no chunk is without.
pub(crate) fn get(segment: &Segment, me: &Attachment, count: usize) -> Result<bool> {
    let mut got = 0;
    for chunk in 0..segment.populated() {
        if got == count {
            return Ok(true);
        }
        if chunk::state(segment, chunk) == State::WithoutMemory(None) {
            got += usize::from(get_back(segment, me, chunk)?);
        }
    }
    let populated = segment.populated();
    let end = segment.geometry.chunks.min(populated + count - got);
    if populated < end {
        segment.populate(end)?;
        got += end - populated;
    }
    Ok(got > 0)
}

/// Gets memory again for a chunk without, which is free then. `false` if another participant was
/// faster.
pub(super) fn get_back(segment: &Segment, me: &Attachment, chunk: usize) -> Result<bool> {
    let (without, mine) = (
        State::WithoutMemory(None),
        State::WithoutMemory(Some(me.id())),
    );
    if !chunk::transit(segment, chunk, without, mine) {
        return Ok(false);
    }
    crash_point!("memory: chunk taken to get it");
    let asked = segment.geometry.chunk_words * WORD;
    let populated = segment
        .check_max_bytes(asked)
        .and_then(|()| segment.populate_again(chunk..chunk + 1));
    crash_point!("memory: got");
    // Who takes the chunk looks whether it is empty.
    let after = match populated {
        Ok(()) => State::Free,
        Err(_) => without,
    };
    chunk::transit(segment, chunk, mine, after);
    process_crash_point!("memory: chunk free with it");
    populated.map(|()| true)
}

/// Gives memory to all chunks that have it by the header and their states, in case the header is
/// damaged.
pub(crate) fn ask_again(segment: &Segment) -> Result<()> {
    let chunk_words = segment.geometry.chunk_words;
    let has_memory =
        |chunk: &usize| !matches!(chunk::state(segment, *chunk), State::WithoutMemory(_));
    let chunks: Vec<usize> = (0..segment.populated()).filter(has_memory).collect();
    for run in chunks.chunk_by(|before, after| before + 1 == *after) {
        // In small pieces: a large one is refused if there isn't that much memory left, and
        // usually all of it is there already.
        for piece in run.chunks((ASKED_AGAIN / chunk_words).max(1)) {
            segment.populate_again(piece[0]..piece[0] + piece.len())?;
        }
    }
    Ok(())
}

/// Gives the memory of free chunks back to the machine, but for that of `keep` of them. Returns the
/// number of chunks whose memory is gone; 0 also if that is not possible now, or not here.
///
/// Waits for readers, [`PATIENCE`] at most.
pub(crate) fn give_back(segment: &Segment, me: &Attachment, keep: usize) -> usize {
    if !segment.geometry.grows() {
        return 0;
    }
    let mine = State::WithoutMemory(Some(me.id()));
    let mut kept = 0;
    let mut taken = Vec::new();
    for chunk in 0..segment.populated() {
        if chunk::state(segment, chunk) != State::Free {
            continue;
        }
        if kept < keep {
            kept += 1;
        } else if chunk::transit(segment, chunk, State::Free, mine) {
            crash_point!("memory: chunk taken to give it back");
            taken.push(chunk);
        }
    }
    if taken.is_empty() {
        return 0;
    }
    let given = if me.holds_its_slot() && nobody_reads(segment, me) {
        punch(segment, &taken)
    } else {
        0
    };
    for (number, chunk) in taken.iter().enumerate() {
        let after = if number < given {
            State::WithoutMemory(None)
        } else {
            State::Free
        };
        chunk::transit(segment, *chunk, mine, after);
        crash_point!("memory: chunk without it");
    }
    given
}

/// Gives the memory of chunks of ours back, in ascending order. Returns how many have none now.
fn punch(segment: &Segment, chunks: &[usize]) -> usize {
    let geometry = &segment.geometry;
    let mut given = 0;
    for run in chunks.chunk_by(|before, after| before + 1 == *after) {
        let (first, count) = (run[0], run.len());
        let words = geometry.chunk(first)..geometry.chunk(first + count);
        if segment.map.give_back(words).is_err() {
            break;
        }
        crash_point!("memory: given back");
        given += count;
    }
    given
}

/// Whether no thread of any process reads a record that was unlinked before. Waits for those that
/// do, for a while.
fn nobody_reads(segment: &Segment, me: &Attachment) -> bool {
    if !sys::fence_everywhere() {
        return false;
    }
    let (liveness, deadline) = (me.liveness(), Instant::now() + PATIENCE);
    if [READERS_BYTE, UNANNOUNCED_BYTE]
        .iter()
        .any(|byte| liveness.is_held_by_others(*byte))
    {
        return false;
    }
    (0..segment.geometry.participants).all(|slot| has_ended(segment, me, slot, deadline))
}

/// Whether each thread of a participant that reads records now has ended that read.
fn has_ended(segment: &Segment, me: &Attachment, slot: usize, deadline: Instant) -> bool {
    let (words, geometry) = (segment.words(), &segment.geometry);
    let state = words[geometry.participant(slot) + PARTICIPANT_STATE].load(Ordering::Acquire);
    if state & ATTACHED == 0 {
        // Its last read was before it was detached.
        return true;
    }
    // If the state is damaged, its words may have no memory.
    if segment.map.populate(geometry.reading(slot)).is_err() {
        return false;
    }
    let first = geometry.reading(slot).start;
    for number in 0..=READING_THREADS {
        let word = &words[first + number * reading::STRIDE];
        // Acquire: what was read was read before.
        let seen = word.load(Ordering::Acquire);
        let reads = |word: u64| {
            if number < READING_THREADS {
                word & 1 == 1 && word == seen
            } else {
                word > 0
            }
        };
        let mut looks = 0;
        while reads(word.load(Ordering::Acquire)) {
            let owner = OwnerId::of(slot, state);
            if !me.may_read(words, geometry, owner) {
                return true;
            }
            looks += 1;
            // A model has no clock that it could run by again.
            let too_long = if cfg!(loom) {
                looks == LOOKS
            } else {
                Instant::now() >= deadline
            };
            if too_long {
                return false;
            }
            sync::yield_now();
        }
    }
    true
}
