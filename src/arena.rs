//! The arena: chunks of equal size, filled by bumping a cursor.
//!
//! A participant fills a chunk of its own, shared by the threads of its process
//! behind a mutex. A record's space is taken, the record is written, and only
//! then is it published under a stripe's lock. Nothing is freed in place; `clean`
//! gives whole chunks back.
//!
//! # The state word of a chunk
//!
//! | bits     | meaning                                                         |
//! |----------|-----------------------------------------------------------------|
//! | 0 to 15  | the owner's participant slot plus one (open, cleaning)          |
//! | 16 to 19 | 0 free, 1 open, 2 sealed, 3 being cleaned, 4 tail of a run      |
//! | 32 to 63 | the owner's generation; in a tail: distance to the run's head   |
//!
//! | from               | to            | by                                           |
//! |--------------------|---------------|----------------------------------------------|
//! | free               | open          | a participant that needs a chunk             |
//! | free               | tail          | the owner of the open head of the run        |
//! | open               | sealed, free  | its owner, when no record in it is pending   |
//! | open, dead owner   | sealed        | anybody                                      |
//! | sealed             | open          | a participant, if there is room left         |
//! | sealed             | being cleaned | a cleaner                                    |
//! | being cleaned      | sealed, free  | its cleaner                                  |
//! | cleaned, dead owner| sealed        | anybody                                      |
//! | tail               | free          | the owner of its head (open or being cleaned)|
//! | taken, not empty   | sealed        | who has just taken it for a free one         |
//! | damaged, sealed    | being cleaned | `repair`, with the locks of all stripes      |
//! | damaged            | tail          | the same, if a live record says that it is   |
//!
//! Every change is a compare-exchange. A free chunk has cursor, live count and
//! run 0, so that one whose new owner dies at once holds nothing. One that has not
//! is damaged, and whoever takes it seals it.
//!
//! # Pending records
//! A chunk stays open as long as a thread has taken space in it and has neither
//! published nor given up. So a cleaner, which takes only sealed chunks, never
//! meets a record that somebody is about to publish: a publisher needs no check,
//! and one that is stopped for minutes keeps one chunk from being cleaned and
//! nothing else.
//!
//! # Walking
//! A record's header is stored before the cursor moves past it. So the headers
//! below the cursor lead from record to record, even in the chunk of a process
//! that died; the bytes of a record that never was published may be anything, and
//! no slot leads to it.
//!
//! # Orderings
//! Taking a chunk acquires what its last owner released. A release fence stands
//! before the first store to any space: it is the one that `read`'s proof needs.

use std::ops::Range;

use crate::error::Result;
use crate::layout::{CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN, CURSOR_BITS, RESERVED_CHUNKS};
use crate::participants::{OWNER_BITS, OwnerId, Participant};
use crate::record::Header;
use crate::segment::Segment;
use crate::sync::{AtomicU64, Mutex, Ordering, crash_point, fence, process_crash_point};

const KIND_SHIFT: u32 = 16;
const KIND_BITS: u64 = 0xf << KIND_SHIFT;
const OPEN: u64 = 1 << KIND_SHIFT;
const SEALED: u64 = 2 << KIND_SHIFT;
const CLEANING: u64 = 3 << KIND_SHIFT;
const TAIL: u64 = 4 << KIND_SHIFT;

/// What a state word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    Open(OwnerId),
    Sealed,
    Cleaning(OwnerId),
    /// Of a run whose head is this many chunks before.
    Tail(usize),
    /// No writer of this format wrote it.
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
        }
    }
}

/// The state of a chunk, as [`state_word`].
pub(crate) fn state(segment: &Segment, chunk: usize) -> State {
    State::unpack(state_word(segment, chunk))
}

/// The state word of a chunk, whatever it says. Acquire: what its last owner did is
/// visible, so that a search does not meet the same outdated states again and again.
pub(crate) fn state_word(segment: &Segment, chunk: usize) -> u64 {
    segment.words()[segment.geometry.state(chunk)].load(Ordering::Acquire)
}

/// Changes a chunk's state word if it is still `from`, whatever that says: for
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

/// A word of a chunk's details, whatever it says.
pub(crate) fn detail(segment: &Segment, chunk: usize, word: usize) -> &AtomicU64 {
    &segment.words()[segment.geometry.details(chunk) + word]
}

/// A cursor as its word: above it the sum, without carries, of its 16-bit parts. So a
/// word with one wrong bit is no cursor's.
pub(crate) fn cursor_word(cursor: usize) -> u64 {
    let cursor = cursor as u64;
    let sum = (cursor ^ cursor >> 16 ^ cursor >> 32) & 0xffff;
    sum << CURSOR_BITS | cursor
}

/// The cursor that a word says, and whether it is a cursor's word.
pub(crate) fn cursor_of(word: u64) -> (usize, bool) {
    let cursor = (word & ((1 << CURSOR_BITS) - 1)) as usize;
    (cursor, cursor_word(cursor) == word)
}

/// Words of the chunk that records fill, as far as it can be true.
pub(crate) fn cursor(segment: &Segment, chunk: usize) -> usize {
    let limit = run(segment, chunk) * segment.geometry.chunk_words;
    let word = detail(segment, chunk, CHUNK_CURSOR).load(Ordering::Relaxed);
    cursor_of(word).0.min(limit)
}

/// Chunks of the run that begins here, 1 for a plain chunk.
pub(crate) fn run(segment: &Segment, chunk: usize) -> usize {
    let run = detail(segment, chunk, CHUNK_RUN).load(Ordering::Relaxed) as usize;
    run.clamp(1, segment.geometry.chunks - chunk)
}

/// Words of live records, as far as it can be true: a hint, which a death leaves too
/// low.
pub(crate) fn live(segment: &Segment, chunk: usize) -> usize {
    let limit = run(segment, chunk) * segment.geometry.chunk_words;
    let live = detail(segment, chunk, CHUNK_LIVE).load(Ordering::Relaxed) as i64;
    usize::try_from(live).unwrap_or(0).min(limit)
}

/// Counts a record as live in the chunk it lies in.
pub(crate) fn add_live(segment: &Segment, at: usize, words: usize) {
    let chunk = segment.geometry.chunk_of(at);
    detail(segment, chunk, CHUNK_LIVE).fetch_add(words as u64, Ordering::Relaxed);
}

/// Takes a record out of its chunk's live count.
pub(crate) fn sub_live(segment: &Segment, at: usize, words: usize) {
    let chunk = segment.geometry.chunk_of(at);
    detail(segment, chunk, CHUNK_LIVE).fetch_sub(words as u64, Ordering::Relaxed);
}

/// Gives a chunk back whose records are all dead; its state is `from`, which
/// makes it ours.
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

/// Space for one record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    /// Its first word, where the header is already.
    pub(crate) at: usize,
    /// Its words.
    pub(crate) words: usize,
    /// The chunk, or the head of the run, in which it is pending.
    chunk: usize,
}

/// What space is wanted for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// For a new record: the chunks kept back stay untouched.
    Write,
    /// For a record that a cleaner moves, away from these chunks.
    Move { away_from: Range<usize> },
}

/// A process's own part of the arena.
pub(crate) struct Arena {
    bump: Mutex<Bump>,
}

#[derive(Default)]
struct Bump {
    current: Option<Open>,
    /// Chunks that are full, or runs, with records still pending.
    leaving: Vec<Open>,
    /// Whether chunks that others left half full were looked for.
    looked_around: bool,
}

#[derive(Clone, Copy)]
struct Open {
    chunk: usize,
    cursor: usize,
    pending: usize,
}

impl Arena {
    pub(crate) fn new() -> Self {
        Self {
            bump: Mutex::new(Bump::default()),
        }
    }

    /// Takes space for a record and stores its header. `None`: no chunk is to be
    /// had without cleaning.
    ///
    /// Every space must be [`finish`](Self::finish)ed.
    ///
    /// # Errors
    /// Only if pages could not be made present.
    pub(crate) fn allocate(
        &self,
        segment: &Segment,
        me: &Participant,
        header: Header,
        purpose: &Purpose,
    ) -> Result<Option<Space>> {
        let geometry = &segment.geometry;
        let words = geometry.record_words(header);
        if words > geometry.chunk_words {
            return self.allocate_run(segment, me, header, words, purpose);
        }
        let mut bump = self.bump.lock();
        let fits = |open: &Open| open.cursor + words <= geometry.chunk_words;
        if !bump.current.as_ref().is_some_and(fits) {
            let Some(next) = bump.find_chunk(segment, me, words, purpose)? else {
                return Ok(None);
            };
            if let Some(last) = bump.current.replace(next) {
                bump.leave(segment, me, last);
            }
        }
        let Some(open) = bump.current.as_mut() else {
            return Ok(None);
        };
        let at = geometry.chunk(open.chunk) + open.cursor;
        open.cursor += words;
        open.pending += 1;
        Ok(Some(place(
            segment,
            at,
            words,
            open.chunk,
            open.cursor,
            header,
        )))
    }

    fn allocate_run(
        &self,
        segment: &Segment,
        me: &Participant,
        header: Header,
        words: usize,
        purpose: &Purpose,
    ) -> Result<Option<Space>> {
        let length = words.div_ceil(segment.geometry.chunk_words);
        let Some(head) = claim_run(segment, me, length, purpose)? else {
            return Ok(None);
        };
        self.bump.lock().leaving.push(Open {
            chunk: head,
            cursor: words,
            pending: 1,
        });
        let at = segment.geometry.chunk(head);
        Ok(Some(place(segment, at, words, head, words, header)))
    }

    /// A record was published or given up.
    pub(crate) fn finish(&self, segment: &Segment, me: &Participant, space: &Space) {
        // In a child that was forked by a closure under the lock this is a copy of
        // what its parent goes on with, and a thread that the child has not got
        // may hold the mutex.
        if !me.is_ours() {
            return;
        }
        let mut bump = self.bump.lock();
        if let Some(open) = bump
            .current
            .as_mut()
            .filter(|open| open.chunk == space.chunk)
        {
            open.pending -= 1;
            return;
        }
        if let Some(i) = bump.leaving.iter().position(|o| o.chunk == space.chunk) {
            bump.leaving[i].pending -= 1;
            if bump.leaving[i].pending == 0 {
                let open = bump.leaving.swap_remove(i);
                close(segment, me, &open);
            }
        }
    }

    /// Seals the chunk that is being filled, if no record in it is pending.
    pub(crate) fn seal_current(&self, segment: &Segment, me: &Participant) {
        let mut bump = self.bump.lock();
        if let Some(open) = bump.current.take() {
            bump.leave(segment, me, open);
        }
    }

    /// Makes a sealed chunk with at least `words` words left the one to fill.
    pub(crate) fn reopen(&self, segment: &Segment, me: &Participant, words: usize) -> bool {
        let mut bump = self.bump.lock();
        let Some(open) = reopen(segment, me, words, &(0..0)) else {
            return false;
        };
        if let Some(last) = bump.current.replace(open) {
            bump.leave(segment, me, last);
        }
        true
    }
}

impl Bump {
    /// A chunk with room for `words` words to fill next.
    fn find_chunk(
        &mut self,
        segment: &Segment,
        me: &Participant,
        words: usize,
        purpose: &Purpose,
    ) -> Result<Option<Open>> {
        let half = segment.geometry.chunk_words / 2;
        if !self.looked_around {
            // Short-lived processes would otherwise leave a chunk each behind.
            self.looked_around = true;
            seal_dead(segment, me);
            if let Some(open) = reopen(segment, me, words.max(half), &(0..0)) {
                return Ok(Some(open));
            }
        }
        if let Some(chunk) = take_free(segment, me, purpose) {
            return Ok(Some(Open {
                chunk,
                cursor: 0,
                pending: 0,
            }));
        }
        let Purpose::Move { away_from } = purpose else {
            return Ok(None);
        };
        // A cleaner that is killed leaves the chunk that it filled; going on with
        // it is what keeps kills from using up the chunks kept back.
        if let Some(open) = reopen(segment, me, words, away_from) {
            return Ok(Some(open));
        }
        let populated = segment.populated();
        if populated < segment.geometry.chunks {
            segment.populate(populated + 1)?;
            return Ok(take_free(segment, me, purpose).map(|chunk| Open {
                chunk,
                cursor: 0,
                pending: 0,
            }));
        }
        Ok(None)
    }

    /// Stops filling a chunk.
    fn leave(&mut self, segment: &Segment, me: &Participant, open: Open) {
        if open.pending == 0 {
            close(segment, me, &open);
        } else {
            self.leaving.push(open);
        }
    }
}

/// Stores the header of a record, the first word of it.
pub(crate) fn put_header(segment: &Segment, at: usize, header: Header) {
    #[cfg(loom)]
    segment.map.touch(at);
    // Whoever sees a word stored from here on sees all that freed this memory: `read`.
    fence(Ordering::Release);
    segment.words()[at].store(header.pack(), Ordering::Relaxed);
}

/// Stores a record's header, then the cursor that covers it.
fn place(
    segment: &Segment,
    at: usize,
    words: usize,
    chunk: usize,
    cursor: usize,
    header: Header,
) -> Space {
    put_header(segment, at, header);
    crash_point!("allocate: header written, cursor not");
    detail(segment, chunk, CHUNK_CURSOR).store(cursor_word(cursor), Ordering::Relaxed);
    crash_point!("allocate: cursor moved");
    Space { at, words, chunk }
}

fn close(segment: &Segment, me: &Participant, open: &Open) {
    let mine = State::Open(me.id());
    if open.cursor == 0 {
        free(segment, open.chunk, mine);
    } else {
        transit(segment, open.chunk, mine, State::Sealed);
    }
    crash_point!("close: chunk left");
}

/// Takes the lowest free chunk, if enough are left.
fn take_free(segment: &Segment, me: &Participant, purpose: &Purpose) -> Option<usize> {
    let avoid = match purpose {
        Purpose::Write => 0..0,
        Purpose::Move { away_from } => away_from.clone(),
    };
    let mine = State::Open(me.id());
    if !enough_free(segment, purpose, 1) {
        return None;
    }
    process_crash_point!("take: enough are free");
    let taken = (0..segment.populated()).find(|chunk| {
        !avoid.contains(chunk)
            && state(segment, *chunk) == State::Free
            && transit(segment, *chunk, State::Free, mine)
            && is_blank(segment, *chunk, mine)
    })?;
    crash_point!("take: chunk taken");
    // Others may have taken one on the strength of the same look.
    if enough_free(segment, purpose, 0) {
        return Some(taken);
    }
    transit(segment, taken, mine, State::Free);
    process_crash_point!("take: chunk given back");
    None
}

/// Whether a chunk that was just taken holds nothing, as a free one must. If not,
/// its state was damaged, and records may be in it: then it is sealed instead.
fn is_blank(segment: &Segment, chunk: usize, taken: State) -> bool {
    let blank = [CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN]
        .iter()
        .all(|word| detail(segment, chunk, *word).load(Ordering::Relaxed) == 0);
    if !blank {
        process_crash_point!("take: chunk not blank");
        transit(segment, chunk, taken, State::Sealed);
        process_crash_point!("take: damaged chunk sealed");
    }
    blank
}

/// Whether a cleaner still finds what it needs when `take` more chunks are gone.
fn enough_free(segment: &Segment, purpose: &Purpose, take: usize) -> bool {
    let (present, all) = match purpose {
        // One with pages must stay: there may be no memory for more.
        Purpose::Write => (take + 1, take + RESERVED_CHUNKS),
        Purpose::Move { .. } => (take, take),
    };
    let populated = segment.populated();
    let unpopulated = segment.geometry.chunks - populated;
    let wanted = present.max(all.saturating_sub(unpopulated));
    (0..populated)
        .filter(|&chunk| state(segment, chunk) == State::Free)
        .take(wanted)
        .count()
        == wanted
}

/// Takes a sealed chunk that has `words` words left.
fn reopen(segment: &Segment, me: &Participant, words: usize, avoid: &Range<usize>) -> Option<Open> {
    let mine = State::Open(me.id());
    let room = |chunk| {
        let word = detail(segment, chunk, CHUNK_CURSOR).load(Ordering::Relaxed);
        // What a damaged cursor says is free may not be; so with one below the live records.
        let (cursor, sound) = cursor_of(word);
        (sound
            && run(segment, chunk) == 1
            && cursor + words <= segment.geometry.chunk_words
            && live(segment, chunk) <= cursor)
            .then_some(cursor)
    };
    for chunk in (0..segment.populated()).filter(|chunk| !avoid.contains(chunk)) {
        if state(segment, chunk) != State::Sealed || room(chunk).is_none() {
            continue;
        }
        process_crash_point!("reopen: room seen");
        if !transit(segment, chunk, State::Sealed, mine) {
            continue;
        }
        crash_point!("reopen: chunk taken");
        // It may have been filled between the look and the exchange.
        if let Some(cursor) = room(chunk) {
            return Some(Open {
                chunk,
                cursor,
                pending: 0,
            });
        }
        transit(segment, chunk, mine, State::Sealed);
        process_crash_point!("reopen: chunk given back");
    }
    None
}

/// Seals what dead participants filled or cleaned. Returns how many.
pub(crate) fn seal_dead(segment: &Segment, me: &Participant) -> usize {
    let (words, geometry) = (segment.words(), &segment.geometry);
    let mut sealed = 0;
    for chunk in 0..segment.populated() {
        let seen = state(segment, chunk);
        let (State::Open(owner) | State::Cleaning(owner)) = seen else {
            continue;
        };
        if !me.is_alive(words, geometry, owner) && transit(segment, chunk, seen, State::Sealed) {
            crash_point!("take over: chunk sealed");
            Participant::count_take_over(words);
            sealed += 1;
        }
    }
    sealed
}

/// Takes `length` neighbouring free chunks as one.
fn claim_run(
    segment: &Segment,
    me: &Participant,
    length: usize,
    purpose: &Purpose,
) -> Result<Option<usize>> {
    let chunks = segment.geometry.chunks;
    let free: Vec<bool> = (0..chunks)
        .map(|chunk| state(segment, chunk) == State::Free)
        .collect();
    let left = free.iter().filter(|free| **free).count();
    let keep = if matches!(purpose, Purpose::Write) {
        RESERVED_CHUNKS
    } else {
        0
    };
    if left < length + keep {
        return Ok(None);
    }
    let mut head = 0;
    while head + length <= chunks {
        if let Some(taken) = free[head..head + length].iter().rposition(|free| !free) {
            head += taken + 1;
        } else if claim_window(segment, me, head, length)? {
            return Ok(Some(head));
        } else {
            head += 1;
        }
    }
    Ok(None)
}

/// Takes the free chunks `head..head + length` as a run.
pub(crate) fn claim_window(
    segment: &Segment,
    me: &Participant,
    head: usize,
    length: usize,
) -> Result<bool> {
    segment.populate(head + length)?;
    let mine = State::Open(me.id());
    if !transit(segment, head, State::Free, mine) || !is_blank(segment, head, mine) {
        return Ok(false);
    }
    crash_point!("run: head taken");
    // Before the first tail is taken: whoever takes over knows which are ours.
    detail(segment, head, CHUNK_RUN).store(length as u64, Ordering::Relaxed);
    crash_point!("run: length written");
    for distance in 1..length {
        let (tail, taken) = (head + distance, State::Tail(distance));
        if !transit(segment, tail, State::Free, taken) || !is_blank(segment, tail, taken) {
            free(segment, head, mine);
            return Ok(false);
        }
        crash_point!("run: tail taken");
    }
    Ok(true)
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
