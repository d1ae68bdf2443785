//! The figures of a table.

use crate::arena::chunk::{self, State};
use crate::error::Result;
use crate::index::{probe, stripe_ops};
use crate::layout::{HEADER_CLEANINGS, HEADER_CREATED, HEADER_TAKE_OVERS, WORD};
use crate::segment::Segment;
use crate::sync::Ordering;
use crate::table::Table;
use crate::table::inspect::StripeStats;

/// Declares [`Stats`] and [`Stats::figures`] from one list, so that a figure is written once:
/// its documentation, whose first line is its help, its field, its kind and its unit.
macro_rules! figures {
    (
        $(#[doc = $documentation:literal])+
        pub struct Stats {
            $(
                #[doc = $help:literal]
                $(#[doc = $details:literal])*
                pub $name:ident: $number:ty = $kind:ident of $unit:ident,
            )+
        }
    ) => {
        $(#[doc = $documentation])+
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $(
                #[doc = $help]
                $(#[doc = $details])*
                pub $name: $number,
            )+
        }

        impl Stats {
            /// Returns every figure with its name and meaning, in the order of the fields.
            ///
            /// It is for programs that show all figures, including those of later versions.
            /// [`longest_probe`](Self::longest_probe) is left out if it is 0, that is, after
            /// [`Table::quick_stats`].
            ///
            /// ```
            /// # fn main() -> shmtable::Result<()> {
            /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
            /// for figure in table.stats()?.figures() {
            ///     println!("{}: {} ({:?})", figure.name, figure.value, figure.unit);
            /// }
            /// let entries = table.stats()?.figures().next().unwrap();
            /// assert_eq!((entries.name, entries.value), ("entries", 0));
            /// # Ok(())
            /// # }
            /// ```
            #[allow(clippy::cast_lossless, reason = "the types of figures differ")]
            pub fn figures(&self) -> impl Iterator<Item = Figure> + use<> {
                let figures = [$(
                    Figure {
                        name: stringify!($name),
                        kind: FigureKind::$kind,
                        unit: FigureUnit::$unit,
                        help: $help.trim().trim_end_matches('.'),
                        value: self.$name as u64,
                    },
                )+];
                let counted = |figure: &Figure| figure.name != "longest_probe" || figure.value > 0;
                figures.into_iter().filter(counted)
            }
        }
    };
}

figures! {
    /// The figures of a table at one moment, from [`Table::stats`].
    ///
    /// They are read without a lock while others write, so they may not agree with each other
    /// exactly. Small entries have no record: they are kept in the index. (An entry is small if its
    /// key and value have at most 15 bytes together, of which at most 8 are the value's.)
    /// [`figures`](Self::figures) gives all figures with their names.
    pub struct Stats {
        /// Entries in the table.
        pub entries: usize = Gauge of Count,
        /// Entries the table has room for, at its largest.
        ///
        /// That many were asked for at creation; a table that [`grows`](Self::grows) has memory
        /// for so many when it has grown.
        pub capacity: usize = Gauge of Count,
        /// Whether the index grows with the entries.
        pub grows: bool = Gauge of YesNo,
        /// Slots that the index has now, each for an entry.
        pub slots: usize = Gauge of Count,
        /// Bytes of keys and values the table was created for.
        pub value_space: usize = Gauge of Bytes,
        /// Bytes of live records, with their headers and padding.
        pub value_bytes_live: usize = Gauge of Bytes,
        /// Bytes of replaced and removed records, which cleaning makes free again.
        pub value_bytes_dead: usize = Gauge of Bytes,
        /// Bytes of free chunks, and of the unused ends of open and sealed chunks.
        pub value_bytes_free: usize = Gauge of Bytes,
        /// Bytes of the arena that have memory; the rest is only address space.
        pub value_bytes_reserved: usize = Gauge of Bytes,
        /// Bytes of address space of the whole segment.
        pub segment_bytes: usize = Gauge of Bytes,
        /// Bytes of memory that the index has now.
        ///
        /// The index is what is outside the arena: the header, the participants, the stripes, the
        /// directory, the buckets and the chunk table.
        pub index_bytes: usize = Gauge of Bytes,
        /// Bytes of memory that the index has when the table has grown to its largest.
        pub max_index_bytes: usize = Gauge of Bytes,
        /// Bytes of memory that the whole table has now.
        pub memory_bytes: usize = Gauge of Bytes,
        /// Bytes of memory that the whole table may have; 0 if only the machine bounds them.
        pub max_bytes: usize = Gauge of Bytes,
        /// Bytes of one chunk.
        pub chunk_bytes: usize = Gauge of Bytes,
        /// Chunks that hold nothing.
        pub chunks_free: usize = Gauge of Count,
        /// Chunks that a participant is filling.
        pub chunks_open: usize = Gauge of Count,
        /// Chunks that are full, or that their participant left.
        pub chunks_sealed: usize = Gauge of Count,
        /// Chunks that a participant is cleaning.
        pub chunks_cleaning: usize = Gauge of Count,
        /// Chunks that continue a record larger than a chunk.
        ///
        /// The first chunk of such a run is counted as open or sealed.
        pub chunks_in_runs: usize = Gauge of Count,
        /// Stripes, each with a lock.
        pub stripes: usize = Gauge of Count,
        /// Open handles that may write, in all living processes.
        pub participants: usize = Gauge of Count,
        /// The most handles that may be open for writing at once.
        pub max_participants: usize = Gauge of Count,
        /// Times that the lock of a stripe was taken, since the table was created.
        ///
        /// Each write takes one lock, and another one if it has to make room first. Cleaning and
        /// operations on all stripes take locks too.
        pub acquired: u64 = Counter of Count,
        /// Times that taking the lock of a stripe had to wait, since the table was created.
        pub contended: u64 = Counter of Count,
        /// Locks and chunks recovered from dead processes, since the table was created.
        pub take_overs: u64 = Counter of Count,
        /// Chunks cleaned, since the table was created.
        pub cleanings: u64 = Counter of Count,
        /// The most buckets that a lookup has to visit.
        ///
        /// It is 0 from [`Table::quick_stats`], which doesn't read the buckets.
        pub longest_probe: usize = Gauge of Count,
        /// When the table was created.
        ///
        /// In nanoseconds since the Unix epoch.
        pub created: u64 = Gauge of UnixNanoseconds,
    }
}

/// One figure of a table, from [`Stats::figures`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figure {
    /// The name of the field of [`Stats`].
    pub name: &'static str,
    /// Whether the figure may fall, or only rises.
    pub kind: FigureKind,
    /// What the value is a number of.
    pub unit: FigureUnit,
    /// What the figure says, as a phrase for people, without a full stop.
    pub help: &'static str,
    /// The figure itself.
    pub value: u64,
}

/// Whether a [`Figure`] may fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureKind {
    /// It rises and falls.
    Gauge,
    /// It only rises while the table exists.
    Counter,
}

/// What the value of a [`Figure`] is a number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FigureUnit {
    /// A number of the things that its name says.
    Count,
    /// A number of bytes.
    Bytes,
    /// A point in time, in nanoseconds since the Unix epoch.
    UnixNanoseconds,
    /// 1 for yes, 0 for no.
    YesNo,
}

/// Statistics.
impl Table {
    /// Returns the figures of the table: how full it is, how many use it, and what happened so far.
    ///
    /// Takes no lock. Reads every bucket and every chunk's header, and makes a system call for each
    /// participant slot that was ever used.
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
    /// `System` if the system doesn't tell which participants are alive.
    pub fn stats(&self) -> Result<Stats> {
        let stats = self.quick_stats()?;
        Ok(Stats {
            longest_probe: longest_probe(self.segment()),
            ..stats
        })
    }

    /// Returns the figures of the table without [`longest_probe`](Stats::longest_probe), which is
    /// 0.
    ///
    /// Takes no lock. Reads every stripe and every chunk's header but no bucket, and makes as many
    /// system calls as [`stats`](Self::stats): cheap enough for a display that is redrawn every
    /// second.
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
        let stripes = self.stripe_stats();
        let sum = |of: fn(&StripeStats) -> u64| stripes.iter().map(of).fold(0, u64::saturating_add);
        let index_bytes = segment.index_bytes();
        let value_bytes_reserved = segment.chunks_with_memory() * chunk_bytes;
        let mut stats = Stats {
            entries: stripe_ops::entries(segment),
            capacity: geometry.capacity,
            grows: geometry.grows(),
            slots: segment.slots(),
            value_space: geometry.value_space,
            value_bytes_reserved,
            segment_bytes: geometry.words * WORD,
            index_bytes,
            max_index_bytes: geometry.arena_at * WORD,
            max_bytes: geometry.max_bytes.unwrap_or(0),
            memory_bytes: segment.memory_bytes(),
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
    let populated = segment.populated();
    stats.chunks_free += geometry.chunks - populated;
    stats.value_bytes_free += (geometry.chunks - populated) * stats.chunk_bytes;
    for chunk in 0..populated {
        let count = match chunk::state(segment, chunk) {
            State::Free | State::WithoutMemory(_) => {
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

/// The most buckets that a lookup visits: it goes on from a bucket as long as that has an overflow
/// count.
fn longest_probe(segment: &Segment) -> usize {
    let mut longest = 0;
    let mut passed = Vec::new();
    for stripe in segment.stripes() {
        let buckets = segment.buckets_of(stripe);
        let all = buckets.len();
        passed.clear();
        passed.extend(buckets.map(|number| {
            let overflow = probe::bucket(segment, number).tags().overflow();
            usize::from(overflow > 0)
        }));
        let most = if passed.iter().all(|passed| *passed == 0) {
            0
        } else if segment.geometry.grows() {
            most_passed_by_halves(&mut passed)
        } else {
            longest_row(&passed)
        };
        longest = longest.max((most + 1).min(all));
    }
    longest
}

/// The longest row of neighboring buckets that are passed.
fn longest_row(passed: &[usize]) -> usize {
    let rows = passed.split(|passed| *passed == 0);
    rows.map(<[_]>::len).max().unwrap_or(0)
}

/// The most buckets that a lookup passes where it goes from *h* to the buckets *h* xor 1, *h* xor
/// 2 and so on. There are a power of two of them; those that are passed are 1, the others 0.
///
/// A lookup is first done with the half of the buckets that its home is in, which it visits as if
/// there were no others, and then visits the other half as a lookup whose home is in the place of
/// its own there. So what is passed of a whole follows from what is passed of its halves.
fn most_passed_by_halves(passed: &mut [usize]) -> usize {
    let mut half = 1;
    while half < passed.len() {
        for whole in passed.chunks_exact_mut(2 * half) {
            let (left, right) = whole.split_at_mut(half);
            for (left, right) in left.iter_mut().zip(right) {
                let (of_left, of_right) = (*left, *right);
                if of_left == half {
                    *left += of_right;
                }
                if of_right == half {
                    *right += of_left;
                }
            }
        }
        half *= 2;
    }
    passed.iter().copied().max().unwrap_or(0)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_of_halves_is_what_a_walk_passes() {
        let mut dice = 1_u64;
        for count in [1_usize, 2, 4, 8, 16, 64] {
            for share in 0..8 {
                let overflows: Vec<usize> = (0..count)
                    .map(|_| {
                        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        usize::from(dice >> 61 < share)
                    })
                    .collect();
                let passes = |home: usize| {
                    (0..count)
                        .take_while(|step| overflows[home ^ step] > 0)
                        .count()
                };
                let walked = (0..count).map(passes).max();
                assert_eq!(Some(most_passed_by_halves(&mut overflows.clone())), walked);
            }
        }
    }

    #[test]
    fn a_row_of_buckets_is_as_long_as_it_is() {
        assert_eq!(longest_row(&[0, 1, 1, 0, 1]), 2);
    }
}
