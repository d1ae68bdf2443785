//! The arena: chunks of equal size, filled by bumping a cursor.
//!
//! A participant fills a chunk of its own, shared by the threads of its process
//! behind a mutex. A record's space is taken, the record is written, and only
//! then is it published under a stripe's lock. Nothing is freed in place;
//! `write::clean` frees whole chunks. This file fills a chunk; `take` takes the next one, `memory`
//! gets chunks memory and gives it back, and `chunk` has the words of each.
//!
//! # Pending records
//! A chunk stays open as long as a thread has taken space in it and has neither
//! published nor given up its record. So a cleaner, which takes only sealed chunks, never
//! meets a record that is about to be published. A publisher needs no check, and one that is
//! stopped for minutes keeps one chunk from being cleaned and nothing else.
//!
//! # Kept spaces
//! The space of a record that was given up may be kept, for the next record of as many words. It
//! stays pending, so a process keeps spaces of the chunk that it fills only, and gives them up with
//! it.
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
pub(crate) mod memory;
mod take;

use crate::error::Result;
use crate::layout::CHUNK_CURSOR;
use crate::locking::participants::Attachment;
use crate::segment::Segment;
use crate::segment::record::Lengths;
use crate::sync::{Mutex, Ordering, fence};
use crate::sys::crash_point;
use chunk::State;
pub(crate) use take::{Purpose, seal_dead};
use take::{claim_run, reopen, take_free};

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

/// The most spaces that are kept: for each of the threads that write at the same time, one of the
/// same length.
const MOST_KEPT: usize = 16;

/// A process's own part of the arena.
pub(crate) struct Arena {
    bump: Mutex<Bump>,
}

#[derive(Default)]
struct Bump {
    current: Option<Open>,
    /// Spaces of that chunk which are pending, and which nobody uses.
    kept: Vec<Space>,
    /// Chunks that are full, or runs, with records still pending.
    leaving: Vec<Open>,
    /// Whether chunks that others left half full were looked for.
    looked_around: bool,
    /// The chunk behind the one that was taken last, where the next free one probably is.
    next: usize,
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
        if !bump.kept.is_empty()
            && let Some(space) = bump.take_kept(segment, words, lengths)
        {
            return Some(space);
        }
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
        if let Some(space) = bump.take_kept(segment, words, lengths) {
            return Ok(Some(space));
        }
        let fits = |open: &Open| open.fits(segment, words);
        if !bump.current.as_ref().is_some_and(fits) {
            let Some(next) = bump.find_chunk(segment, me, words, purpose)? else {
                return Ok(None);
            };
            bump.fill_next(segment, me, Some(next));
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

    /// Keeps the space of a record that was given up, and that no slot leads to, for another one.
    pub(crate) fn keep(&self, segment: &Segment, me: &Attachment, space: Space) {
        // As in `finish`.
        if !me.is_ours() {
            return;
        }
        let mut bump = self.bump.lock();
        let Bump { current, kept, .. } = &mut *bump;
        match current {
            Some(open) if open.chunk == space.chunk => {
                if kept.len() < MOST_KEPT {
                    kept.push(space);
                } else {
                    open.pending -= 1;
                }
            }
            _ => bump.finish_left(segment, me, &space),
        }
    }

    /// Seals the chunk that is being filled, if no record in it is pending.
    pub(crate) fn seal_current(&self, segment: &Segment, me: &Attachment) {
        self.bump.lock().fill_next(segment, me, None);
    }

    /// Takes a sealed chunk with at least `words` words left as the one to fill.
    pub(crate) fn reopen(&self, segment: &Segment, me: &Attachment, words: usize) -> bool {
        let mut bump = self.bump.lock();
        let Some((chunk, cursor)) = reopen(segment, me, words, &(0..0)) else {
            return false;
        };
        bump.fill_next(segment, me, Some(Open::new(chunk, cursor)));
        true
    }
}

impl Open {
    /// A chunk that was just taken.
    fn new(chunk: usize, cursor: usize) -> Self {
        Self {
            chunk,
            cursor,
            pending: 0,
        }
    }

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
            if let Some((chunk, cursor)) = reopen(segment, me, words.max(half), &(0..0)) {
                return Ok(Some(Open::new(chunk, cursor)));
            }
        }
        if let Some(open) = self.take_free(segment, me, purpose) {
            return Ok(Some(open));
        }
        let Purpose::Move { away_from } = purpose else {
            return Ok(None);
        };
        // A cleaner that is killed leaves the chunk that it filled. The next one goes on
        // with it: otherwise kills would use up the chunks that are kept back.
        if let Some((chunk, cursor)) = reopen(segment, me, words, away_from) {
            return Ok(Some(Open::new(chunk, cursor)));
        }
        if memory::get(segment, me, 1)? {
            return Ok(self.take_free(segment, me, purpose));
        }
        Ok(None)
    }

    fn take_free(&mut self, segment: &Segment, me: &Attachment, purpose: &Purpose) -> Option<Open> {
        let chunk = take_free(segment, me, purpose, self.next)?;
        // Models ask what happens when memory is used again: there the first free chunk is taken.
        self.next = if cfg!(loom) { 0 } else { chunk + 1 };
        Some(Open::new(chunk, 0))
    }

    /// Takes a kept space of this many words, and stores a record's header there.
    #[cold]
    fn take_kept(&mut self, segment: &Segment, words: usize, lengths: Lengths) -> Option<Space> {
        let at = self.kept.iter().position(|space| space.words == words)?;
        let space = self.kept.swap_remove(at);
        put_header(segment, space.at, lengths);
        crash_point!("allocate: header written to a kept space");
        Some(space)
    }

    /// Stops filling one chunk, and begins with another one.
    fn fill_next(&mut self, segment: &Segment, me: &Attachment, next: Option<Open>) {
        let last = std::mem::replace(&mut self.current, next);
        if let Some(mut open) = last {
            open.pending -= self.kept.len();
            self.kept.clear();
            self.leave(segment, me, open);
        }
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
