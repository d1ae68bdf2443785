//! Cleaning: how the arena gets room back, as log-structured memory does
//! (Rumble, Kejriwal, Ousterhout: "Log-structured Memory for DRAM-based
//! Storage", FAST 2014).
//!
//! A cleaner takes a sealed chunk with little live data, walks its records and
//! moves each that a slot still leads to: under that record's stripe lock it
//! copies the record into its own open chunk and stores the slot's word. Then the
//! chunk is free. The lock of *every* record is taken, of dead ones too: a record
//! may have been unlinked by a process that died before it bumped the bucket's
//! version, and taking the lock is what recovers the stripe.
//!
//! Never called with a stripe lock held, because a cleaner takes the locks of other stripes.

use std::collections::HashSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::arena::chunk::{self, State};
use crate::arena::{self, Purpose, memory};
use crate::error::{Error, Result};
use crate::index::probe::{self, Hash};
use crate::index::stripe_ops::{self, New};
use crate::layout::{HEADER_CLEANINGS, RESERVED_CHUNKS};
use crate::locking::lock;
use crate::segment::Segment;
use crate::segment::record::{self, Record};
use crate::segment::stripe::Stripe;
use crate::sync::{self, Ordering};
use crate::sys::crash_point;
use crate::write::writer::Writer;

/// How long other cleaners may work before the next survey.
const PAUSE: Duration = Duration::from_millis(1);
/// How long a cleaning that isn't needed waits for a lock.
const BRIEF: Duration = Duration::from_millis(1);
/// Chunks that are cleaned for one record before memory is asked for instead.
const PATIENCE: usize = 8;
/// How many more surveys a table that seems full gets.
const LOOKS: usize = if cfg!(loom) { 0 } else { 3 };
/// The most chunks that get pages at once.
const MOST_AT_ONCE: usize = 16;
/// Windows that are emptied for one run before it is given up.
const WINDOWS: usize = 16;

/// Records whose buckets are asked for before the first of them is looked up: the memory
/// brings them at the same time.
const BATCH: usize = if cfg!(loom) { 2 } else { 32 };

/// A record of a chunk that is being cleaned.
struct Walked<'a> {
    at: usize,
    record: Record<'a>,
    hash: Hash,
}

/// What one search for room has spent already.
#[derive(Default)]
pub(crate) struct Effort {
    cleaned: usize,
    looks: usize,
    /// Chunks whose records found no place. They are not tried again.
    stuck: Vec<usize>,
    windows: usize,
    /// Whether the chunk that this process filled was left, so that it can be cleaned.
    left_its_own: bool,
    deadline: Option<Instant>,
    /// There were no more pages to be had.
    no_memory: Option<Error>,
}

impl Effort {
    /// Notes that pages were refused; other errors are the caller's.
    pub(crate) fn refused(&mut self, error: Error) -> Result<()> {
        match error {
            Error::SharedMemoryFull { .. } | Error::MaxBytesReached { .. } => {
                self.no_memory = Some(error);
                Ok(())
            }
            other => Err(other),
        }
    }
}

/// What one pass over the chunk table found.
#[derive(Default)]
struct Survey {
    /// Free chunks with pages.
    present: usize,
    /// Chunks whose memory was given back.
    without_memory: usize,
    /// Words of live records, and of all records.
    live: usize,
    filled: usize,
    sealed: usize,
    /// The sealed chunk that is cheapest to clean, and its live words.
    victim: Option<(usize, usize)>,
    /// Chunks that are being cleaned, or getting or giving back memory.
    cleaning: usize,
    /// Open chunks beside the one that each participant fills: they hold records
    /// that threads have written and not yet published.
    pending: usize,
}

impl Writer {
    /// Makes room for a record of `words` words in the cheapest way, one step a call: the
    /// caller tries again after each.
    ///
    /// # Errors
    /// `ValueSpaceFull`, or `SharedMemoryFull` if more pages would have helped.
    pub(crate) fn make_room(&self, words: usize, effort: &mut Effort) -> Result<()> {
        self.look()?;
        if words > self.segment.geometry.chunk_words {
            return self.make_room_for_run(words, effort);
        }
        let segment = &*self.segment;
        let geometry = &segment.geometry;
        let survey = self.survey(&effort.stuck);
        let populated = segment.populated();
        let without_memory = survey.without_memory + (geometry.chunks - populated);
        if survey.present + without_memory > RESERVED_CHUNKS {
            if survey.present >= 2 {
                return Ok(());
            }
            // More garbage than data: clean before asking for more memory, as long
            // as that gains something.
            let dead = survey.filled - survey.live.min(survey.filled);
            let wasteful = effort.cleaned < PATIENCE
                && dead > survey.live + RESERVED_CHUNKS * geometry.chunk_words
                && survey
                    .victim
                    .is_some_and(|(_, live)| live <= geometry.chunk_words / 2);
            if !wasteful && without_memory > 0 && effort.no_memory.is_none() {
                // Several at once in a large table, so that a survey comes less often.
                let more = (populated / 64).clamp(1, MOST_AT_ONCE);
                if more > 1 && matches!(memory::get(segment, &self.me, more), Ok(true)) {
                    return Ok(());
                }
                match memory::get(segment, &self.me, 1) {
                    Ok(_) => return Ok(()),
                    Err(error) => effort.refused(error)?,
                }
            }
        }
        let of_the_dead = arena::seal_dead(segment, &self.me);
        if of_the_dead.sealed > 0 {
            return Ok(());
        }
        let worthwhile = words.max(geometry.chunk_words / 4);
        if self.arena.reopen(segment, &self.me, worthwhile) {
            return Ok(());
        }
        if let Some((victim, _)) = survey.victim
            && effort.cleaned < 2 * survey.sealed + 16
        {
            effort.cleaned += 1;
            return match self.clean(victim, &Purpose::Move { away_from: 0..0 }) {
                Ok(true) => Ok(()),
                Ok(false) => {
                    effort.stuck.push(victim);
                    Ok(())
                }
                Err(error) => {
                    effort.stuck.push(victim);
                    effort.refused(error)
                }
            };
        }
        // The chunk that this process fills may be the one to clean.
        if !effort.left_its_own {
            effort.left_its_own = true;
            self.arena.seal_current(segment, &self.me);
            return Ok(());
        }
        // Chunks in other hands are about to be given back.
        let held = survey.cleaning + survey.pending + of_the_dead.spared;
        if held > 0 && self.pause(effort)? {
            return Ok(());
        }
        // The survey is not of one moment: other participants may have given chunks back since.
        if effort.looks < LOOKS && self.pause(effort)? {
            effort.looks += 1;
            return Ok(());
        }
        Err(self.no_room(words, effort))
    }

    /// Empties neighboring chunks.
    fn make_room_for_run(&self, words: usize, effort: &mut Effort) -> Result<()> {
        let segment = &*self.segment;
        let length = words.div_ceil(segment.geometry.chunk_words);
        let of_the_dead = arena::seal_dead(segment, &self.me);
        if of_the_dead.sealed > 0 {
            effort.windows = 0;
            return Ok(());
        }
        // What holds nothing alive costs nothing to clean.
        let before = effort.cleaned;
        for chunk in 0..segment.populated() {
            if chunk::state(segment, chunk) == State::Sealed
                && chunk::live(segment, chunk) == 0
                && self.clean(chunk, &Purpose::Move { away_from: 0..0 })?
            {
                effort.cleaned += 1;
            }
        }
        let budget = 4 * segment.geometry.chunks;
        if effort.cleaned > before && effort.cleaned < budget {
            return Ok(());
        }
        if effort.windows < WINDOWS {
            effort.windows += 1;
            // Our own open chunk would be in the way.
            self.arena.seal_current(segment, &self.me);
            if let Some(head) = self.cheapest_window(length) {
                let window = head..head + length;
                for chunk in window.start..window.end.min(segment.populated()) {
                    let purpose = Purpose::Move {
                        away_from: window.clone(),
                    };
                    if chunk::state(segment, chunk) == State::Sealed {
                        match self.clean(chunk, &purpose) {
                            Ok(_) => {}
                            Err(error) => effort.refused(error)?,
                        }
                    }
                }
                return Ok(());
            }
            if self.survey(&[]).cleaning > 0 && self.pause(effort)? {
                return Ok(());
            }
        }
        if of_the_dead.spared > 0 && self.pause(effort)? {
            return Ok(());
        }
        Err(self.no_room(words, effort))
    }

    /// Where a run of this length would cost the least to empty.
    fn cheapest_window(&self, length: usize) -> Option<usize> {
        let segment = &*self.segment;
        let chunk_words = segment.geometry.chunk_words;
        // The live words to be moved out of each chunk; `None` cannot be emptied.
        // Behind those with pages there are as many free ones as there is room for.
        let populated = segment.populated();
        let looked_at = segment.geometry.chunks.min(populated + length);
        let costs: Vec<Option<usize>> = (0..looked_at)
            .map(|chunk| {
                if chunk >= populated {
                    // Its state may have no page: it is not to be read.
                    return Some(0);
                }
                match chunk::state(segment, chunk) {
                    State::Free | State::WithoutMemory(None) => Some(0),
                    State::Sealed => {
                        let live = chunk::live(segment, chunk);
                        (chunk::run(segment, chunk) == 1 || live == 0).then_some(live)
                    }
                    _ => None,
                }
            })
            .collect();
        let all_free = costs.iter().flatten().count() + segment.geometry.chunks - looked_at;
        let live: usize = costs.iter().flatten().sum();
        // What is moved must fit beside the run.
        if all_free < length + live.div_ceil(chunk_words) {
            return None;
        }
        costs
            .windows(length)
            .enumerate()
            .filter_map(|(head, window)| {
                let cost: Option<usize> = window.iter().copied().sum();
                cost.map(|cost| (cost, head))
            })
            .min()
            .map(|(_, head)| head)
    }

    /// Moves all live records out of a sealed chunk and frees it. `false`: it was
    /// not sealed, or no room for its records was found.
    pub(crate) fn clean(&self, chunk: usize, purpose: &Purpose) -> Result<bool> {
        self.clean_if(chunk, purpose, |_| true)
    }

    /// As [`clean`](Self::clean), for a caller who needs no room: `false` also if a stripe is
    /// locked for long.
    pub(crate) fn clean_in_passing(&self, chunk: usize) -> Result<bool> {
        let purpose = Purpose::Move { away_from: 0..0 };
        self.clean_if(chunk, &purpose, |stripe| {
            let begin = Instant::now();
            while lock::is_held(stripe) {
                if begin.elapsed() > BRIEF {
                    return false;
                }
                sync::yield_now();
            }
            true
        })
    }

    /// As [`clean`](Self::clean), as long as a closure lets it take each stripe's lock.
    fn clean_if(
        &self,
        chunk: usize,
        purpose: &Purpose,
        may_lock: impl Fn(Stripe<'_>) -> bool,
    ) -> Result<bool> {
        self.look()?;
        let segment = &*self.segment;
        let mine = State::Cleaning(self.me.id());
        if !chunk::transit(segment, chunk, State::Sealed, mine) {
            return Ok(false);
        }
        crash_point!("clean: chunk taken");
        let moved = match self.move_all(chunk, purpose, may_lock) {
            // The count errs low, so the walk has missed a record: to give the chunk
            // away would lose it.
            Ok(true) if chunk::live(segment, chunk) > 0 => Err(Segment::damaged(
                "a chunk holds more live records than can be found in it",
                segment.geometry.details(chunk),
            )),
            moved => moved,
        };
        if let Ok(true) = moved {
            chunk::free(segment, chunk, mine);
            segment.words()[HEADER_CLEANINGS].fetch_add(1, Ordering::Relaxed);
        } else {
            chunk::transit(segment, chunk, mine, State::Sealed);
        }
        crash_point!("clean: chunk left");
        moved
    }

    fn move_all(
        &self,
        chunk: usize,
        purpose: &Purpose,
        may_lock: impl Fn(Stripe<'_>) -> bool,
    ) -> Result<bool> {
        let segment = &*self.segment;
        let start = segment.geometry.chunk(chunk);
        let mut walk = start..start + chunk::cursor(segment, chunk);
        let mut key = Vec::new();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            while batch.len() < BATCH && !walk.is_empty() {
                batch.push(self.next_record(&mut walk, &mut key)?);
            }
            if batch.is_empty() {
                return Ok(true);
            }
            for record in batch.drain(..) {
                if !may_lock(record.hash.stripe(segment)) || !self.move_record(&record, purpose)? {
                    return Ok(false);
                }
            }
        }
    }

    /// The record where `walk` begins, which goes on behind it; its bucket is asked for.
    fn next_record<'a>(&'a self, walk: &mut Range<usize>, key: &mut Vec<u8>) -> Result<Walked<'a>> {
        let segment = &*self.segment;
        let at = walk.start;
        let record = record::open(segment, at)
            .ok_or_else(|| Segment::damaged("a chunk holds no record where one should be", at))?;
        let words = record.lengths.words();
        if words > walk.len() {
            return Err(Segment::damaged("a record reaches past its chunk", at));
        }
        walk.start += words;
        record::load_bytes(record.key, record.lengths.key, key)?;
        let hash = Hash::of(segment, key);
        probe::home(segment, hash).bucket.prefetch();
        Ok(Walked { at, record, hash })
    }

    /// Moves a record if a slot still leads to it. `false`: there is no room for it.
    fn move_record(&self, walked: &Walked<'_>, purpose: &Purpose) -> Result<bool> {
        let segment = &*self.segment;
        let Walked { at, record, hash } = *walked;
        let lengths = record.lengths;
        let locked = self.lock(hash.stripe(segment))?;
        let Some(place) = locked.find_record(hash, at)? else {
            return Ok(true);
        };
        if place.entry.lengths() != lengths {
            return Err(Segment::damaged("a record changed its lengths", at));
        }
        let Some(space) = self.arena.allocate(segment, &self.me, lengths, purpose)? else {
            return Ok(false);
        };
        record::copy_body(record, &segment.words()[space.at..]);
        locked.replace(place, hash, New::Record(&space));
        self.arena.finish(segment, &self.me, &space);
        Ok(true)
    }

    /// Surveys the chunk table. Chunks in `stuck` are never the victim.
    fn survey(&self, stuck: &[usize]) -> Survey {
        let segment = &*self.segment;
        let mut survey = Survey::default();
        let mut filling = HashSet::new();
        for chunk in 0..segment.populated() {
            match chunk::state(segment, chunk) {
                State::Free => survey.present += 1,
                State::WithoutMemory(None) => survey.without_memory += 1,
                State::Cleaning(_) | State::WithoutMemory(Some(_)) => survey.cleaning += 1,
                State::Sealed => {
                    let live = chunk::live(segment, chunk);
                    let filled = chunk::cursor(segment, chunk);
                    survey.sealed += 1;
                    survey.live += live;
                    survey.filled += filled;
                    if self.cleaning_gains(chunk)
                        && !stuck.contains(&chunk)
                        && survey.victim.is_none_or(|(_, least)| live < least)
                    {
                        survey.victim = Some((chunk, live));
                    }
                }
                State::Open(owner) => {
                    survey.pending += usize::from(!filling.insert(owner.to_bits()));
                }
                State::Tail(_) | State::Damaged => {}
            }
        }
        survey
    }

    /// Whether it is worthwhile to clean a sealed chunk.
    pub(crate) fn cleaning_gains(&self, chunk: usize) -> bool {
        let segment = &*self.segment;
        let chunk_words = segment.geometry.chunk_words;
        let live = chunk::live(segment, chunk);
        if chunk::run(segment, chunk) > 1 {
            return live == 0;
        }
        let dead = chunk::cursor(segment, chunk).saturating_sub(live);
        live <= chunk_words / 2 || dead >= chunk_words / 8
    }

    /// Lets other cleaners work. Returns `false` when that has taken too long already.
    fn pause(&self, effort: &mut Effort) -> Result<bool> {
        let timeout = self.segment.lock_timeout;
        let deadline = *effort
            .deadline
            .get_or_insert_with(|| Instant::now() + timeout);
        self.segment.hooks.sleep(|| sync::pause(PAUSE))?;
        Ok(Instant::now() < deadline)
    }

    /// The error that says why there is no room.
    #[cold]
    fn no_room(&self, words: usize, effort: &mut Effort) -> Error {
        match effort.no_memory.take() {
            Some(error) => self.segment.hooks.explain(error),
            None => self.full(words),
        }
    }

    fn full(&self, words: usize) -> Error {
        let segment = &*self.segment;
        let live: usize = (0..segment.populated())
            .map(|chunk| chunk::live(segment, chunk))
            .sum();
        Error::ValueSpaceFull {
            asked: stripe_ops::bytes(words),
            limit: segment.geometry.value_space,
            live: stripe_ops::bytes(live),
            room: stripe_ops::bytes(segment.geometry.chunks * segment.geometry.chunk_words),
            neighbors: words.div_ceil(segment.geometry.chunk_words),
        }
    }
}
