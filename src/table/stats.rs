//! What a table is doing.

use crate::arena::chunk::{self, State};
use crate::error::Result;
use crate::index::{probe, stripe_ops};
use crate::layout::{HEADER_CLEANINGS, HEADER_CREATED, HEADER_TAKE_OVERS, WORD};
use crate::segment::Segment;
use crate::sync::Ordering;
use crate::table::Table;
use crate::table::inspect::StripeStats;

/// Figures of a table, from [`Table::stats`].
///
/// Read without a lock while others write, so that they need not fit each other
/// to the last one. Bytes of records count their headers and paddings. Small entries, of 15
/// bytes at most and with a value of 8 at most, lie in the index and are in no record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries now.
    pub entries: usize,
    /// Entries the table was created for.
    pub capacity: usize,
    /// Bytes of keys and values the table was created for.
    pub value_space: usize,
    /// Bytes of live records.
    pub value_bytes_live: usize,
    /// Bytes of replaced and removed records, which cleaning gains back.
    pub value_bytes_dead: usize,
    /// Bytes in free chunks and in the open and sealed chunks' unused ends.
    pub value_bytes_free: usize,
    /// Bytes of the arena that have memory; the rest is address space.
    pub value_bytes_reserved: usize,
    /// Bytes of the whole segment's address space.
    pub segment_bytes: usize,
    /// Bytes of header, participant slots, stripes, buckets and chunk table.
    pub index_bytes: usize,
    /// Bytes of a chunk.
    pub chunk_bytes: usize,
    /// Chunks that hold nothing.
    pub chunks_free: usize,
    /// Chunks that participants fill.
    pub chunks_open: usize,
    /// Chunks that are full or were left.
    pub chunks_sealed: usize,
    /// Chunks that participants clean.
    pub chunks_cleaning: usize,
    /// Chunks that belong to the run of an entry larger than a chunk, beside its
    /// first, which is counted as open or sealed.
    pub chunks_in_runs: usize,
    /// Stripes, each with a lock.
    pub stripes: usize,
    /// Living handles that may write, in all processes.
    pub participants: usize,
    /// Most of them.
    pub max_participants: usize,
    /// Lock acquisitions, since creation: one for each write, another one where a write
    /// had to make room first, and those of cleaning and of what goes through all stripes.
    pub acquired: u64,
    /// Those of them that had to wait.
    pub contended: u64,
    /// Locks and chunks taken over from dead processes, since creation.
    pub take_overs: u64,
    /// Chunks cleaned, since creation.
    pub cleanings: u64,
    /// The most buckets a look-up may have to visit now.
    pub longest_probe: usize,
    /// When the table was created, in nanoseconds since the Unix epoch.
    pub created: u64,
}

impl Table {
    /// Figures of the table: how full, who is attached, what happened.
    ///
    /// Takes no lock. Costs a look at every bucket and chunk, and a system call
    /// for every participant slot that was ever used.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// let stats = table.stats()?;
    /// assert_eq!((stats.entries, stats.participants), (1, 1));
    /// assert_eq!(stats.value_bytes_live, 0); // it is small
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `System` if the system does not tell who is alive.
    pub fn stats(&self) -> Result<Stats> {
        let stats = self.quick_stats()?;
        Ok(Stats {
            longest_probe: longest_probe(self.segment()),
            ..stats
        })
    }

    /// The same but for [`longest_probe`](Stats::longest_probe), which is 0.
    ///
    /// Takes no lock. Costs a look at every stripe and chunk, but at no bucket, and
    /// the same system calls: little enough for a display that is drawn again and again.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// let stats = table.quick_stats()?;
    /// assert_eq!(stats.entries, 1);
    /// assert!(stats.acquired >= 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`stats`](Self::stats).
    pub fn quick_stats(&self) -> Result<Stats> {
        let segment = self.segment();
        let geometry = &segment.geometry;
        let get = |at: usize| segment.words()[at].load(Ordering::Relaxed);
        let chunk_bytes = geometry.chunk_words * WORD;
        let stripes = self.stripes();
        let sum = |of: fn(&StripeStats) -> u64| stripes.iter().map(of).fold(0, u64::saturating_add);
        let mut stats = Stats {
            entries: stripe_ops::entries(segment),
            capacity: geometry.capacity,
            value_space: geometry.value_space,
            value_bytes_reserved: segment.populated() * chunk_bytes,
            segment_bytes: geometry.words * WORD,
            index_bytes: geometry.arena_at * WORD,
            chunk_bytes,
            stripes: geometry.stripes,
            participants: self.living()?,
            max_participants: geometry.participants,
            acquired: sum(|stripe| stripe.acquired),
            contended: sum(|stripe| stripe.contended),
            take_overs: get(HEADER_TAKE_OVERS),
            cleanings: get(HEADER_CLEANINGS),
            created: get(HEADER_CREATED),
            ..Stats::default()
        };
        count_chunks(segment, &mut stats);
        Ok(stats)
    }
}

fn count_chunks(segment: &Segment, stats: &mut Stats) {
    let geometry = &segment.geometry;
    for chunk in 0..geometry.chunks {
        let count = match chunk::state(segment, chunk) {
            State::Free => {
                stats.value_bytes_free += stats.chunk_bytes;
                stats.chunks_free += 1;
                continue;
            }
            State::Tail(_) => {
                stats.chunks_in_runs += 1;
                continue;
            }
            State::Damaged => continue,
            State::Open(_) => &mut stats.chunks_open,
            State::Sealed => &mut stats.chunks_sealed,
            State::Cleaning(_) => &mut stats.chunks_cleaning,
        };
        *count += 1;
        let size = chunk::run(segment, chunk) * stats.chunk_bytes;
        let filled = chunk::cursor(segment, chunk) * WORD;
        let live = (chunk::live(segment, chunk) * WORD).min(filled);
        stats.value_bytes_live += live;
        stats.value_bytes_dead += filled - live;
        stats.value_bytes_free += size.saturating_sub(filled);
    }
}

/// One more than the longest row of neighbouring buckets that were passed over.
fn longest_probe(segment: &Segment) -> usize {
    let mut longest = 0;
    for stripe in segment.stripes() {
        let mut row = 0;
        for number in segment.buckets_of(stripe) {
            if probe::bucket(segment, number).tags().overflow() == 0 {
                row = 0;
            } else {
                row += 1;
                longest = longest.max(row);
            }
        }
    }
    longest + 1
}
