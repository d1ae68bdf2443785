//! The arena: chunks of equal size, filled by bumping a cursor.
//!
//! A participant fills a chunk of its own, shared by the threads of its process
//! behind a mutex. A record's space is taken, the record is written, and only
//! then is it published under a stripe's lock. Nothing is freed in place;
//! `write::clean` frees whole chunks.
//!
//! # Pending records
//! A chunk stays open as long as a thread has taken space in it and has neither
//! published nor given up its record. So a cleaner, which takes only sealed chunks, never
//! meets a record that is about to be published. A publisher needs no check, and one that is
//! stopped for minutes keeps one chunk from being cleaned and nothing else.
//!
//! # Walking
//! A record's header is stored before the cursor moves past it. So the headers
//! below the cursor lead from record to record, even in the chunk of a process
//! that died; the bytes of a record that never was published may be anything, and
//! no slot leads to it.
//!
//! # Orderings
//! A release fence stands before the first store to any space. It is the one that the proof in
//! `index::fast_path` needs.

pub(crate) mod chunk;

use std::ops::Range;

use crate::error::Result;
use crate::layout::{CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN, RESERVED_CHUNKS};
use crate::locking::participants::Attachment;
use crate::segment::Segment;
use crate::segment::record::Lengths;
use crate::sync::{Mutex, Ordering, fence};
use crate::sys::{crash_point, process_crash_point};
use chunk::State;

/// Space for one record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    /// The position of its first word, where the header is already.
    pub(crate) at: usize,
    /// The number of its words.
    pub(crate) words: usize,
    /// The chunk, or the head of the run, in which it is pending.
    pub(crate) chunk: usize,
}

/// The purpose for which space is taken.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// For a new record, which may not take the chunks that are kept back.
    Write,
    /// For a record that a cleaner moves away from these chunks.
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

    /// Takes space for a record of the chunk that is being filled, and stores its header.
    /// `None` if there is not enough left.
    ///
    /// Every space must be [`finish`](Self::finish)ed.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn allocate_here(&self, segment: &Segment, lengths: Lengths) -> Option<Space> {
        let words = lengths.words();
        let mut bump = self.bump.lock();
        let open = bump.current.as_mut()?;
        open.fits(segment, words)
            .then(|| open.take(segment, words, lengths))
    }

    /// Takes space for a record and stores its header; `None` if cleaning must come first.
    ///
    /// Every space must be [`finish`](Self::finish)ed.
    ///
    /// # Errors
    /// Only if pages could not be made present.
    pub(crate) fn allocate(
        &self,
        segment: &Segment,
        me: &Attachment,
        lengths: Lengths,
        purpose: &Purpose,
    ) -> Result<Option<Space>> {
        let words = lengths.words();
        if words > segment.geometry.chunk_words {
            return self.allocate_run(segment, me, lengths, words, purpose);
        }
        let mut bump = self.bump.lock();
        let fits = |open: &Open| open.fits(segment, words);
        if !bump.current.as_ref().is_some_and(fits) {
            let Some(next) = bump.find_chunk(segment, me, words, purpose)? else {
                return Ok(None);
            };
            if let Some(last) = bump.current.replace(next) {
                bump.leave(segment, me, last);
            }
        }
        let open = bump.current.as_mut();
        Ok(open.map(|open| open.take(segment, words, lengths)))
    }

    fn allocate_run(
        &self,
        segment: &Segment,
        me: &Attachment,
        lengths: Lengths,
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
        Ok(Some(place(segment, at, words, head, words, lengths)))
    }

    /// Notes that a record was published or given up.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn finish(&self, segment: &Segment, me: &Attachment, space: &Space) {
        // In a child that a closure forked under the lock, this is a copy: the parent
        // goes on with the original, and the mutex may be held by a thread that the
        // child doesn't have.
        if !me.is_ours() {
            return;
        }
        let mut bump = self.bump.lock();
        match &mut bump.current {
            Some(open) if open.chunk == space.chunk => open.pending -= 1,
            _ => bump.finish_left(segment, me, space),
        }
    }

    /// Seals the chunk that is being filled, if no record in it is pending.
    pub(crate) fn seal_current(&self, segment: &Segment, me: &Attachment) {
        let mut bump = self.bump.lock();
        if let Some(open) = bump.current.take() {
            bump.leave(segment, me, open);
        }
    }

    /// Takes a sealed chunk with at least `words` words left as the one to fill.
    pub(crate) fn reopen(&self, segment: &Segment, me: &Attachment, words: usize) -> bool {
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

impl Open {
    #[inline]
    fn fits(&self, segment: &Segment, words: usize) -> bool {
        self.cursor + words <= segment.geometry.chunk_words
    }

    /// Takes the next words for a record.
    #[inline]
    fn take(&mut self, segment: &Segment, words: usize, lengths: Lengths) -> Space {
        let at = segment.geometry.chunk(self.chunk) + self.cursor;
        self.cursor += words;
        self.pending += 1;
        place(segment, at, words, self.chunk, self.cursor, lengths)
    }
}

impl Bump {
    /// Notes that a record in a chunk that is no longer filled was published or given up.
    #[cold]
    fn finish_left(&mut self, segment: &Segment, me: &Attachment, space: &Space) {
        if let Some(i) = self.leaving.iter().position(|o| o.chunk == space.chunk) {
            self.leaving[i].pending -= 1;
            if self.leaving[i].pending == 0 {
                let open = self.leaving.swap_remove(i);
                close(segment, me, &open);
            }
        }
    }

    /// Finds the chunk to fill next, with room for `words` words.
    fn find_chunk(
        &mut self,
        segment: &Segment,
        me: &Attachment,
        words: usize,
        purpose: &Purpose,
    ) -> Result<Option<Open>> {
        let half = segment.geometry.chunk_words / 2;
        if !self.looked_around {
            // Otherwise each short-lived process would leave a chunk behind.
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
        // A cleaner that is killed leaves the chunk that it filled. The next one goes on
        // with it: otherwise kills would use up the chunks that are kept back.
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
    fn leave(&mut self, segment: &Segment, me: &Attachment, open: Open) {
        if open.pending == 0 {
            close(segment, me, &open);
        } else {
            self.leaving.push(open);
        }
    }
}

/// Stores the header of a record, which is its first word.
#[inline]
pub(crate) fn put_header(segment: &Segment, at: usize, lengths: Lengths) {
    #[cfg(loom)]
    segment.map.touch(at);
    // A reader that sees a word stored from here on also sees all stores that freed this
    // memory: see `index::fast_path`.
    fence(Ordering::Release);
    segment.words()[at].store(lengths.pack(), Ordering::Relaxed);
}

/// Stores a record's header, then the cursor that covers it.
#[inline]
fn place(
    segment: &Segment,
    at: usize,
    words: usize,
    chunk: usize,
    cursor: usize,
    lengths: Lengths,
) -> Space {
    put_header(segment, at, lengths);
    crash_point!("allocate: header written, cursor not");
    chunk::detail(segment, chunk, CHUNK_CURSOR)
        .store(chunk::cursor_word(cursor), Ordering::Relaxed);
    crash_point!("allocate: cursor moved");
    Space { at, words, chunk }
}

fn close(segment: &Segment, me: &Attachment, open: &Open) {
    let mine = State::Open(me.id());
    if !me.holds_its_slot() {
        return;
    }
    if open.cursor == 0 {
        chunk::free(segment, open.chunk, mine);
    } else {
        chunk::transit(segment, open.chunk, mine, State::Sealed);
    }
    crash_point!("close: chunk left");
}

/// Takes the lowest free chunk, if enough are left.
fn take_free(segment: &Segment, me: &Attachment, purpose: &Purpose) -> Option<usize> {
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
            && chunk::state(segment, *chunk) == State::Free
            && chunk::transit(segment, *chunk, State::Free, mine)
            && is_blank(segment, *chunk, mine)
    })?;
    crash_point!("take: chunk taken");
    // Other participants may have taken chunks because they saw the same free ones.
    if enough_free(segment, purpose, 0) {
        return Some(taken);
    }
    chunk::transit(segment, taken, mine, State::Free);
    process_crash_point!("take: chunk given back");
    None
}

/// Whether a chunk that was just taken is empty, as a free one must be. If it isn't,
/// its state was damaged, and records may be in it: then this seals it.
fn is_blank(segment: &Segment, chunk: usize, taken: State) -> bool {
    let blank = [CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN]
        .iter()
        .all(|word| chunk::detail(segment, chunk, *word).load(Ordering::Relaxed) == 0);
    if !blank {
        process_crash_point!("take: chunk not blank");
        chunk::transit(segment, chunk, taken, State::Sealed);
        process_crash_point!("take: damaged chunk sealed");
    }
    blank
}

/// Whether enough chunks for a cleaner are left after `take` more have been taken.
fn enough_free(segment: &Segment, purpose: &Purpose, take: usize) -> bool {
    let (present, all) = match purpose {
        // A chunk with pages must stay: there may be no memory for more.
        Purpose::Write => (take + 1, take + RESERVED_CHUNKS),
        Purpose::Move { .. } => (take, take),
    };
    let populated = segment.populated();
    let unpopulated = segment.geometry.chunks - populated;
    let wanted = present.max(all.saturating_sub(unpopulated));
    (0..populated)
        .filter(|&chunk| chunk::state(segment, chunk) == State::Free)
        .take(wanted)
        .count()
        == wanted
}

/// Takes a sealed chunk that has `words` words left.
fn reopen(segment: &Segment, me: &Attachment, words: usize, avoid: &Range<usize>) -> Option<Open> {
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
            return Some(Open {
                chunk,
                cursor,
                pending: 0,
            });
        }
        chunk::transit(segment, chunk, mine, State::Sealed);
        process_crash_point!("reopen: chunk given back");
    }
    None
}

/// The numbers of chunks of dead participants.
#[derive(Default)]
pub(crate) struct OfTheDead {
    /// Chunks that were sealed.
    pub(crate) sealed: usize,
    /// Chunks whose owners have another moment to show that they live.
    pub(crate) spared: usize,
}

/// Seals the chunks that dead participants filled or cleaned.
pub(crate) fn seal_dead(segment: &Segment, me: &Attachment) -> OfTheDead {
    let (words, geometry) = (segment.words(), &segment.geometry);
    let mut chunks = OfTheDead::default();
    for chunk in 0..segment.populated() {
        let seen = chunk::state(segment, chunk);
        let (State::Open(owner) | State::Cleaning(owner)) = seen else {
            continue;
        };
        if me.is_alive(words, geometry, owner) {
            continue;
        }
        if !me.may_take_over(words, geometry, owner) {
            chunks.spared += 1;
        } else if chunk::transit(segment, chunk, seen, State::Sealed) {
            crash_point!("take over: chunk sealed");
            Attachment::count_take_over(words);
            chunks.sealed += 1;
        }
    }
    chunks
}

/// Takes `length` neighboring free chunks as one.
fn claim_run(
    segment: &Segment,
    me: &Attachment,
    length: usize,
    purpose: &Purpose,
) -> Result<Option<usize>> {
    let chunks = segment.geometry.chunks;
    let free: Vec<bool> = (0..chunks)
        .map(|chunk| chunk::state(segment, chunk) == State::Free)
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
    me: &Attachment,
    head: usize,
    length: usize,
) -> Result<bool> {
    segment.populate(head + length)?;
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
