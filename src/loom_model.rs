//! What the models of `loom-tests` need besides the public interface: a tiny
//! segment in the heap, processes that attach to it, cleaning on demand, and
//! death.
//!
//! A process is a [`Table`] of its own. Its threads are the loom threads that use
//! this `Table`; the segment and the code are the real ones.

// Models panic when something is wrong: that is how loom learns of it.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use crate::arena::chunk::{self, State};
use crate::arena::{self, Purpose, memory};
use crate::error::Result;
use crate::index::probe::Hash;
use crate::layout::{HEADER_HASH_SEED, HEADER_POPULATED};
use crate::segment;
use crate::segment::directory::{DirectoryWord, Phase};
use crate::segment::geometry::Geometry;
use crate::segment::hooks::Hooks;
use crate::sync::Ordering;
use crate::sys::{self, Mapping};
use crate::table::Table;

/// A lock timeout longer than any model runs.
const LOCK_TIMEOUT: Duration = Duration::from_hours(365 * 24);

/// A segment to which no process has attached yet: one stripe, all chunks free.
pub struct ModelSegment {
    map: Mapping,
    geometry: Geometry,
}

impl ModelSegment {
    /// Makes a segment whose chunks have memory. A chunk of 4 words holds one record with a
    /// key of 1 to 8 bytes and a value of 9 to 16 bytes; a chunk of 8 words holds two.
    pub fn new(buckets: usize, participants: usize, chunks: usize, chunk_words: usize) -> Self {
        let geometry = Geometry::tiny(buckets, buckets, participants, chunks, chunk_words);
        Self::of(geometry, chunks, None, false)
    }

    /// Makes a segment like [`new`](Self::new), but no chunk has memory yet.
    pub fn without_memory(
        buckets: usize,
        participants: usize,
        chunks: usize,
        chunk_words: usize,
    ) -> Self {
        let geometry = Geometry::tiny(buckets, buckets, participants, chunks, chunk_words);
        let pages = geometry.arena_at;
        Self::of(geometry, 0, Some(pages), false)
    }

    /// Makes a segment like [`new`](Self::new), whose stripe grows to `most` buckets.
    pub fn growing(
        buckets: usize,
        most: usize,
        participants: usize,
        chunks: usize,
        chunk_words: usize,
    ) -> Self {
        let geometry = Geometry::tiny(buckets, most, participants, chunks, chunk_words);
        Self::of(geometry, chunks, None, false)
    }

    /// Makes a segment of a stripe that may grow to two buckets, so that the memory of its chunks,
    /// each for a record, may be given back.
    pub fn that_gives_back(participants: usize, chunks: usize) -> Self {
        let geometry = Geometry::tiny(1, 2, participants, chunks, 4);
        Self::of(geometry, chunks, None, true)
    }

    fn of(geometry: Geometry, populated: usize, pages: Option<usize>, holes: bool) -> Self {
        let map = Mapping::in_heap(geometry.words, pages, holes);
        let put = |at: usize, value| map.words()[at].store(value, Ordering::Relaxed);
        put(HEADER_HASH_SEED, sys::random().unwrap());
        put(HEADER_POPULATED, populated as u64);
        if geometry.grows() {
            let word = DirectoryWord::new(*geometry.levels().start(), Phase::AtRest);
            put(geometry.directory(0), word.0);
        }
        Self { map, geometry }
    }

    fn mapped(&self) -> Arc<segment::Segment> {
        Arc::new(segment::Segment::new(
            self.map.share(),
            self.geometry.clone(),
            LOCK_TIMEOUT,
            Hooks::new(|error| error),
        ))
    }

    /// Returns a process that has the segment open for writing.
    ///
    /// # Errors
    /// As [`Options::open`](crate::Options::open).
    pub fn attach(&self) -> Result<Table> {
        Table::attach("model", self.mapped(), None)
    }

    /// Returns a process that has the segment open for reading.
    pub fn attach_read_only(&self) -> Table {
        Table::read_only("model", self.mapped(), None)
    }

    /// Makes every sleep end at once from here on, as if it had timed out.
    pub fn let_time_pass(&self) {
        self.map.let_time_pass();
    }

    /// Whether a chunk is free.
    pub fn is_free(&self, chunk: usize) -> bool {
        chunk::state(&self.mapped(), chunk) == State::Free
    }

    /// Whether a chunk is free and its memory was given back.
    pub fn is_without_memory(&self, chunk: usize) -> bool {
        chunk::state(&self.mapped(), chunk) == State::WithoutMemory(None)
    }
}

/// The participant slot of a process, and the slot's generation.
pub fn slot(table: &Table) -> (usize, u32) {
    let id = table.writer().unwrap().me.id();
    (id.slot, id.generation)
}

/// `count` keys of one byte whose probing begins in `bucket`.
pub fn keys_of_bucket(table: &Table, bucket: usize, count: usize) -> Vec<[u8; 1]> {
    (b'a'..=b'z')
        .map(|byte| [byte])
        .filter(|key| Hash::of(table.segment(), key).home(table.segment()) == bucket)
        .take(count)
        .collect()
}

/// `count` keys of one byte whose probing begins in bucket `before` of a stripe of 2^`level`
/// buckets, and in bucket `after` once it has twice as many.
pub fn keys_that_go(
    table: &Table,
    level: u32,
    before: usize,
    after: usize,
    count: usize,
) -> Vec<[u8; 1]> {
    let segment = table.segment();
    let home =
        |hash: Hash, level| hash.home_in_stripe(segment, DirectoryWord::new(level, Phase::AtRest));
    (b'!'..=b'z')
        .map(|byte| [byte])
        .filter(|key| {
            let hash = Hash::of(segment, key);
            (home(hash, level), home(hash, level + 1)) == (before, after)
        })
        .take(count)
        .collect()
}

/// The number of buckets that the stripe has now.
pub fn buckets(table: &Table) -> usize {
    let segment = table.segment();
    segment.buckets_of(segment.stripe(0)).len()
}

/// Seals the process's open chunk, as a process does when it ends or when it makes
/// room for a large value.
pub fn seal(table: &Table) {
    let writer = table.writer().unwrap();
    writer.arena.seal_current(&writer.segment, &writer.me);
}

/// Cleans a chunk, as a process does when it needs room.
///
/// # Errors
/// Damage.
pub fn clean(table: &Table, chunk: usize) -> Result<bool> {
    let writer = table.writer()?;
    writer.clean(chunk, &Purpose::Move { away_from: 0..0 })
}

/// Seals the chunks that dead processes left in the arena, and returns their number.
pub fn seal_dead(table: &Table) -> usize {
    let writer = table.writer().unwrap();
    arena::seal_dead(&writer.segment, &writer.me).sealed
}

/// Gives the memory of all free chunks back, as a process does when much is free. Returns the number
/// of these chunks.
pub fn give_back(table: &Table) -> usize {
    let writer = table.writer().unwrap();
    memory::give_back(&writer.segment, &writer.me, 0)
}

/// Gets memory for a chunk, as a process does when it needs room. `false`: all have it.
///
/// # Errors
/// None in a model.
pub fn get_memory(table: &Table) -> Result<bool> {
    let writer = table.writer()?;
    memory::get(&writer.segment, &writer.me, 1)
}

/// Runs `work` in the process `table`, which dies when it comes to its `point`th crash
/// point (the first is 0); `None` if it died.
///
/// A dead process does nothing more: its liveness bytes are released, and unwinding
/// code finds `is_ours()` false. `table` must not be used after the death.
pub fn run_until_death<R>(point: usize, table: &Table, work: impl FnOnce() -> R) -> Option<R> {
    sys::run_until_death(point, table.writer().unwrap().me.killer(), work)
}
