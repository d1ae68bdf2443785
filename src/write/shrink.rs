//! What becomes of room when entries are gone: chunks are freed at once when a table is cleared, and
//! a table that grows gives the memory of free chunks back to the machine.
//!
//! # Clearing
//! A cleaner has to look at each record of a chunk, because a slot may lead to it. Who removes all
//! entries knows better: it takes the sealed chunks first, then goes through all stripes. A sealed
//! chunk has no record that may still be published, and each stripe's lock is taken after that, and
//! all its slots are emptied under it. So at the end no slot leads to these chunks, all versions
//! are raised, and they are free without a look at them.
//!
//! # Removing
//! Each process counts the words of records that it removes. Now and then it surveys the chunks. If
//! a third of what they hold is dead, it cleans those that are half dead, a few for each chunk's
//! worth that it removes, so that no removal takes long. What removes many entries at once
//! cleans them all at its end.
//!
//! # Giving back
//! A part of the free chunks keeps its memory, for what comes next: see [`Writer::give_back_excess`].
//! How it is given back is in [`arena::memory`](crate::arena::memory).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering as LocalOrdering};

use crate::arena::chunk::{self, State};
use crate::arena::{self, Purpose, memory};
use crate::error::{Error, Result};
use crate::index::stripe_ops::Place;
use crate::layout::{CHUNK_LIVE, HEADER_CLEANINGS, RESERVED_CHUNKS, WORD};
use crate::sync::{Mutex, Ordering};
use crate::sys::{crash_point, process_crash_point};
use crate::write::writer::Writer;

/// Free chunks keep memory for a fourth of what is in use.
const KEPT_SHARE: usize = 4;
/// The fewest bytes that are worth giving back.
const LEAST: usize = if cfg!(loom) { 1 } else { 2 << 20 };
/// Chunks that are cleaned for each chunk's worth of removed records.
const CLEANED_AT_ONCE: usize = 3;
/// Chunks' worth of removed records between two surveys, at least.
const LEAST_REMOVED: usize = 4;
/// Of so many chunks, one chunk's worth is removed between two surveys.
const SURVEYED_SHARE: usize = 64;
/// Of so many chunks, the memory is given back as soon as one is freed.
const FREED_SHARE: usize = 8;

/// A process's part in giving back what it removes.
pub(crate) struct Removals {
    /// Words of records removed since the last step. Threads may overwrite each other's counts.
    words: AtomicUsize,
    /// Words after which the next step comes; 0: not known yet.
    until: AtomicUsize,
    /// Whether a thread takes a step now.
    busy: AtomicBool,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    /// Chunks to clean, the emptiest last.
    victims: Vec<usize>,
    /// Chunks that were freed since memory was given back.
    freed: usize,
}

impl Removals {
    pub(crate) fn new() -> Self {
        Self {
            words: AtomicUsize::new(0),
            until: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            plan: Mutex::new(Plan::default()),
        }
    }
}

/// Chunks that were taken before all entries are removed. Dropping them seals them again.
pub(crate) struct Emptied<'a> {
    writer: &'a Writer,
    chunks: Vec<usize>,
}

impl Emptied<'_> {
    fn mine(&self) -> State {
        State::Cleaning(self.writer.me.id())
    }

    /// Whether this is one of the chunks.
    pub(crate) fn has(&self, chunk: usize) -> bool {
        self.chunks.binary_search(&chunk).is_ok()
    }

    /// Frees the chunks. Since they were taken, all stripes were locked and emptied.
    pub(crate) fn free(mut self) {
        let segment = &*self.writer.segment;
        for chunk in std::mem::take(&mut self.chunks) {
            chunk::free(segment, chunk, self.mine());
            segment.words()[HEADER_CLEANINGS].fetch_add(1, Ordering::Relaxed);
            crash_point!("clear: chunk freed");
        }
    }
}

impl Drop for Emptied<'_> {
    fn drop(&mut self) {
        for chunk in &self.chunks {
            chunk::transit(&self.writer.segment, *chunk, self.mine(), State::Sealed);
        }
    }
}

impl Writer {
    /// Takes all sealed chunks, so that they can be freed when all entries are removed.
    pub(crate) fn begin_to_empty(&self) -> Emptied<'_> {
        let segment = &*self.segment;
        self.arena.seal_current(segment, &self.me);
        let mut emptied = Emptied {
            writer: self,
            chunks: Vec::new(),
        };
        for chunk in 0..segment.populated() {
            if chunk::transit(segment, chunk, State::Sealed, emptied.mine()) {
                emptied.chunks.push(chunk);
                crash_point!("clear: chunk taken");
                // Records are not counted out one by one, and the count may err low only.
                chunk::detail(segment, chunk, CHUNK_LIVE).store(0, Ordering::Relaxed);
                process_crash_point!("clear: live count reset");
            }
        }
        emptied
    }

    /// Notes that the entry that was at a place is removed. No lock may be held.
    #[inline]
    pub(crate) fn note_removed(&self, place: &Place<'_>) {
        if place.entry.at().is_some() {
            self.note_removed_words(place.entry.lengths().words());
        }
    }

    /// As [`note_removed`](Self::note_removed), of records of so many words.
    #[inline]
    pub(crate) fn note_removed_words(&self, words: usize) {
        if !self.segment.geometry.grows() {
            return;
        }
        let removals = &self.removals;
        let sum = removals.words.load(LocalOrdering::Relaxed) + words;
        removals.words.store(sum, LocalOrdering::Relaxed);
        // Models give memory back when they say so.
        if !cfg!(loom) && sum >= removals.until.load(LocalOrdering::Relaxed) {
            self.step();
        }
    }

    /// Cleans some chunks if much of what they hold is dead, and gives memory back. What fails is
    /// left for the next step.
    #[cold]
    #[inline(never)]
    fn step(&self) {
        self.take_steps(CLEANED_AT_ONCE);
    }

    /// Cleans all chunks that are half dead, if there are many, and gives memory back: for who
    /// removed many entries. No lock may be held.
    pub(crate) fn settle(&self) {
        if self.segment.geometry.grows() && !cfg!(loom) {
            self.take_steps(usize::MAX);
        }
    }

    /// Cleans at most so many chunks.
    fn take_steps(&self, most: usize) {
        let (segment, removals) = (&*self.segment, &self.removals);
        if removals.busy.swap(true, LocalOrdering::Acquire) {
            return;
        }
        removals.words.store(0, LocalOrdering::Relaxed);
        let Plan {
            mut victims,
            mut freed,
        } = std::mem::take(&mut *removals.plan.lock());
        if victims.is_empty() || most == usize::MAX {
            victims = self.half_dead();
        }
        for _ in 0..most {
            let Some(victim) = victims.pop() else {
                break;
            };
            // Whoever removed an entry is not to wait for a process that was stopped.
            match self.clean_in_passing(victim) {
                Ok(true) => freed += 1,
                Ok(false) => {}
                Err(_) => victims.clear(),
            }
        }
        let populated = segment.populated();
        if freed > 0 && (victims.is_empty() || freed >= populated / FREED_SHARE) {
            self.give_back_excess();
            freed = 0;
        }
        let chunks = if victims.is_empty() {
            LEAST_REMOVED.max(populated / SURVEYED_SHARE)
        } else {
            1
        };
        let until = chunks * segment.geometry.chunk_words;
        removals.until.store(until, LocalOrdering::Relaxed);
        *removals.plan.lock() = Plan { victims, freed };
        removals.busy.store(false, LocalOrdering::Release);
    }

    /// Sealed chunks to clean, the emptiest last: those that are half dead, if there is half as much
    /// garbage as data.
    fn half_dead(&self) -> Vec<usize> {
        let segment = &*self.segment;
        let chunk_words = segment.geometry.chunk_words;
        let (mut live, mut dead) = (0, 0);
        let mut chunks = Vec::new();
        for chunk in 0..segment.populated() {
            if chunk::state(segment, chunk) == State::Sealed {
                let lives = chunk::live(segment, chunk);
                let died = chunk::cursor(segment, chunk).saturating_sub(lives);
                live += lives;
                dead += died;
                if lives <= chunk_words / 2 {
                    chunks.push((lives, chunk));
                }
            }
        }
        if dead <= live / 2 + RESERVED_CHUNKS * chunk_words {
            return Vec::new();
        }
        chunks.sort_unstable();
        chunks.into_iter().rev().map(|(_, chunk)| chunk).collect()
    }

    /// Gives memory of free chunks back, if there is much more of it than a fourth of what is in
    /// use.
    pub(crate) fn give_back_excess(&self) {
        let segment = &*self.segment;
        if !segment.geometry.grows() {
            return;
        }
        let (mut free, mut in_use) = (0, 0);
        for chunk in 0..segment.populated() {
            match chunk::state(segment, chunk) {
                State::Free => free += 1,
                State::WithoutMemory(_) => {}
                _ => in_use += 1,
            }
        }
        let keep = RESERVED_CHUNKS + in_use / KEPT_SHARE;
        let least = (LEAST / (segment.geometry.chunk_words * WORD)).max(1);
        if free >= keep + least {
            memory::give_back(segment, &self.me, keep);
        }
    }

    /// Moves records together, and gives back the memory of all chunks that are free then. Returns
    /// the bytes that were given back.
    ///
    /// # Errors
    /// As of a cleaning; what was done until then stays.
    pub(crate) fn shrink_to_fit(&self) -> Result<usize> {
        let segment = &*self.segment;
        if !segment.geometry.grows() {
            return Ok(0);
        }
        self.arena.seal_current(segment, &self.me);
        arena::seal_dead(segment, &self.me);
        let gains = |chunk: &usize| {
            chunk::state(segment, *chunk) == State::Sealed && self.cleaning_gains(*chunk)
        };
        let mut chunks: Vec<usize> = (0..segment.populated()).filter(gains).collect();
        chunks.sort_unstable_by_key(|chunk| chunk::live(segment, *chunk));
        for chunk in chunks {
            match self.clean(chunk, &Purpose::Move { away_from: 0..0 }) {
                Ok(_) => {}
                // Free chunks are given back all the same.
                Err(Error::SharedMemoryFull { .. } | Error::MaxBytesReached { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        let given = memory::give_back(segment, &self.me, RESERVED_CHUNKS);
        Ok(given * segment.geometry.chunk_words * WORD)
    }
}
