//! Taking chunks: free ones, sealed ones with room, and runs; and sealing those of the dead.
//!
//! A chunk is taken by the exchange of its state, so that one participant gets it. See the
//! table of states in [`chunk`](super::chunk).

use std::ops::Range;

use super::chunk::{self, State};
use super::memory;
use crate::error::Result;
use crate::layout::{CHUNK_CURSOR, CHUNK_RUN, RESERVED_CHUNKS};
use crate::locking::participants::Attachment;
use crate::segment::Segment;
use crate::sync::Ordering;
use crate::sys::{crash_point, process_crash_point};

/// The purpose for which space is taken.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// For a new record, which may not take the chunks that are kept back.
    Write,
    /// For a record that a cleaner moves away from these chunks.
    Move { away_from: Range<usize> },
}

/// Takes the first free chunk from a chunk on, or else the first of all, if enough are left.
pub(super) fn take_free(
    segment: &Segment,
    me: &Attachment,
    purpose: &Purpose,
    from: usize,
) -> Option<usize> {
    let avoid = match purpose {
        Purpose::Write => 0..0,
        Purpose::Move { away_from } => away_from.clone(),
    };
    let mine = State::Open(me.id());
    if !enough_free(segment, purpose, 1, from) {
        return None;
    }
    process_crash_point!("take: enough are free");
    let taken = in_turn(segment, from).find(|chunk| {
        !avoid.contains(chunk)
            && chunk::state(segment, *chunk) == State::Free
            && chunk::transit(segment, *chunk, State::Free, mine)
            && is_blank(segment, *chunk, mine)
    })?;
    crash_point!("take: chunk taken");
    // Other participants may have taken chunks because they saw the same free ones.
    if enough_free(segment, purpose, 0, taken) {
        return Some(taken);
    }
    chunk::transit(segment, taken, mine, State::Free);
    process_crash_point!("take: chunk given back");
    None
}

/// The chunks with pages, beginning with one.
fn in_turn(segment: &Segment, from: usize) -> impl Iterator<Item = usize> {
    let populated = segment.populated();
    (from..populated).chain(0..from.min(populated))
}

/// Whether a chunk that was just taken is empty, as a free one must be. If it isn't,
/// its state was damaged, and records may be in it: then this seals it.
fn is_blank(segment: &Segment, chunk: usize, taken: State) -> bool {
    let blank = chunk::is_blank(segment, chunk);
    if !blank {
        process_crash_point!("take: chunk not blank");
        chunk::transit(segment, chunk, taken, State::Sealed);
        process_crash_point!("take: damaged chunk sealed");
    }
    blank
}

/// Whether enough chunks for a cleaner are left after `take` more have been taken. They are
/// looked for from a chunk on.
fn enough_free(segment: &Segment, purpose: &Purpose, take: usize, from: usize) -> bool {
    let (present, all) = match purpose {
        // A chunk with pages must stay: there may be no memory for more.
        Purpose::Write => (take + 1, take + RESERVED_CHUNKS),
        Purpose::Move { .. } => (take, take),
    };
    // Those with memory, and those without.
    let (mut free, mut rest) = (0, segment.geometry.chunks - segment.populated());
    let enough = |free: usize, rest: usize| free >= present && free + rest >= all;
    for chunk in in_turn(segment, from) {
        if enough(free, rest) {
            return true;
        }
        match chunk::state(segment, chunk) {
            State::Free => free += 1,
            State::WithoutMemory(None) => rest += 1,
            _ => {}
        }
    }
    enough(free, rest)
}

/// Takes a sealed chunk that has `words` words left, and returns it with its cursor.
pub(super) fn reopen(
    segment: &Segment,
    me: &Attachment,
    words: usize,
    avoid: &Range<usize>,
) -> Option<(usize, usize)> {
    let mine = State::Open(me.id());
    let room = |chunk| {
        let word = chunk::detail(segment, chunk, CHUNK_CURSOR).load(Ordering::Relaxed);
        // Words after a damaged cursor, or after one below the live records, may be in use.
        let (cursor, sound) = chunk::cursor_of(word);
        (sound
            && chunk::run(segment, chunk) == 1
            && cursor + words <= segment.geometry.chunk_words
            && chunk::live(segment, chunk) <= cursor)
            .then_some(cursor)
    };
    for chunk in (0..segment.populated()).filter(|chunk| !avoid.contains(chunk)) {
        if chunk::state(segment, chunk) != State::Sealed || room(chunk).is_none() {
            continue;
        }
        process_crash_point!("reopen: room seen");
        if !chunk::transit(segment, chunk, State::Sealed, mine) {
            continue;
        }
        crash_point!("reopen: chunk taken");
        // It may have been filled between the check and the exchange.
        if let Some(cursor) = room(chunk) {
            return Some((chunk, cursor));
        }
        chunk::transit(segment, chunk, mine, State::Sealed);
        process_crash_point!("reopen: chunk given back");
    }
    None
}

/// The numbers of chunks of dead participants.
#[derive(Default)]
pub(crate) struct OfTheDead {
    /// Chunks that were sealed, or are nobody's now.
    pub(crate) sealed: usize,
    /// Chunks whose owners have another moment to show that they live.
    pub(crate) spared: usize,
}

/// Seals the chunks that dead participants filled or cleaned, and takes over those whose memory they
/// gave back.
pub(crate) fn seal_dead(segment: &Segment, me: &Attachment) -> OfTheDead {
    let (words, geometry) = (segment.words(), &segment.geometry);
    let mut chunks = OfTheDead::default();
    for chunk in 0..segment.populated() {
        let seen = chunk::state(segment, chunk);
        let (owner, after) = match seen {
            State::Open(owner) | State::Cleaning(owner) => (owner, State::Sealed),
            // What memory it has is found when it is asked for.
            State::WithoutMemory(Some(owner)) => (owner, State::WithoutMemory(None)),
            _ => continue,
        };
        if me.is_alive(words, geometry, owner) {
            continue;
        }
        if !me.may_take_over(words, geometry, owner) {
            chunks.spared += 1;
        } else if chunk::transit(segment, chunk, seen, after) {
            crash_point!("take over: chunk sealed");
            Attachment::count_take_over(words);
            chunks.sealed += 1;
        }
    }
    chunks
}

/// Takes `length` neighboring free chunks as one.
pub(super) fn claim_run(
    segment: &Segment,
    me: &Attachment,
    length: usize,
    purpose: &Purpose,
) -> Result<Option<usize>> {
    let chunks = segment.geometry.chunks;
    let populated = segment.populated();
    // What has no pages is free; in a table that grows, its state has none either.
    let is_free = |chunk: &usize| {
        *chunk >= populated
            || matches!(
                chunk::state(segment, *chunk),
                State::Free | State::WithoutMemory(None)
            )
    };
    let keep = if matches!(purpose, Purpose::Write) {
        RESERVED_CHUNKS
    } else {
        0
    };
    // No more are looked at than it takes to see that enough are left.
    let wanted = length + keep;
    if (0..chunks).filter(is_free).take(wanted).count() < wanted {
        return Ok(None);
    }
    // Chunks from `head` to `end` are free.
    let (mut head, mut end) = (0, 0);
    while end < chunks {
        let free = is_free(&end);
        end += 1;
        if !free {
            head = end;
        } else if end - head == length {
            if claim_window(segment, me, head, length)? {
                return Ok(Some(head));
            }
            head += 1;
        }
    }
    Ok(None)
}

/// Takes the free chunks `head..head + length` as a run.
fn claim_window(segment: &Segment, me: &Attachment, head: usize, length: usize) -> Result<bool> {
    segment.populate(head + length)?;
    for chunk in head..head + length {
        if chunk::state(segment, chunk) == State::WithoutMemory(None)
            && !memory::get_back(segment, me, chunk)?
        {
            return Ok(false);
        }
    }
    let mine = State::Open(me.id());
    if !chunk::transit(segment, head, State::Free, mine) || !is_blank(segment, head, mine) {
        return Ok(false);
    }
    crash_point!("run: head taken");
    // Before the first tail is taken, so that a participant that takes over knows which are ours.
    chunk::detail(segment, head, CHUNK_RUN).store(length as u64, Ordering::Relaxed);
    crash_point!("run: length written");
    for distance in 1..length {
        let (tail, taken) = (head + distance, State::Tail(distance));
        if !chunk::transit(segment, tail, State::Free, taken) || !is_blank(segment, tail, taken) {
            chunk::free(segment, head, mine);
            return Ok(false);
        }
        crash_point!("run: tail taken");
    }
    Ok(true)
}
