//! A mapped segment whose header was found good: what all layers above share.

pub(crate) mod directory;
mod footprint;
pub(crate) mod geometry;
pub(crate) mod hash;
pub(crate) mod header;
pub(crate) mod hooks;
pub(crate) mod reading;
pub(crate) mod record;
pub(crate) mod sizes;
pub(crate) mod slices;
pub(crate) mod stripe;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering as LocalOrdering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::layout::{
    HEADER_CODEC, HEADER_FLAGS, HEADER_HASH_SEED, HEADER_POPULATED, STRIPE_WORDS, WORD, parts_agree,
};
use crate::segment::directory::DirectoryWord;
use crate::segment::geometry::Geometry;
use crate::segment::hash::Seed;
use crate::segment::hooks::Hooks;
use crate::segment::reading::{Announcer, Early, Reading};
use crate::segment::stripe::Stripe;
use crate::sync::{AtomicU64, Ordering};
use crate::sys::{Directory, IndexedMapping, Mapping};
use crate::sys::{crash_point, process_crash_point};

/// The number of words from which on it is worth the time to ask for huge pages for an index.
const LARGE_INDEX: usize = (16 << 20) / WORD;

pub(crate) struct Segment {
    pub(crate) map: IndexedMapping,
    pub(crate) geometry: Geometry,
    /// The table's own hash seed; as it is random, it also tells segments apart.
    pub(crate) seed: Seed,
    pub(crate) codec: u64,
    pub(crate) flags: u64,
    pub(crate) lock_timeout: Duration,
    pub(crate) hooks: Hooks,
    /// How the threads of this process tell that they read records.
    pub(crate) announcer: Announcer,
    /// The end of the arena's pages, in words, as last seen: see
    /// [`Segment::record`].
    readable: AtomicUsize,
}

impl Segment {
    /// Takes a mapping whose header `geometry` was read from.
    pub(crate) fn new(
        map: Mapping,
        geometry: Geometry,
        lock_timeout: Duration,
        hooks: Hooks,
    ) -> Self {
        let get = |at: usize| map.words()[at].load(Ordering::Relaxed);
        let directory = geometry.grows().then_some(Directory {
            at: geometry.directory_at,
            most_buckets: geometry.most_buckets,
        });
        Self {
            seed: Seed::new(get(HEADER_HASH_SEED)),
            codec: get(HEADER_CODEC),
            flags: get(HEADER_FLAGS),
            announcer: Announcer::new(),
            readable: AtomicUsize::new(geometry.arena_at),
            lock_timeout,
            hooks,
            map: IndexedMapping::new(
                map,
                geometry.stripe_headers(),
                geometry.all_buckets(),
                directory,
            ),
            geometry,
        }
    }

    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        self.map.words()
    }

    /// The stripe of this number.
    pub(crate) fn stripe(&self, number: usize) -> Stripe<'_> {
        Stripe::new(&self.map.stripes()[number])
    }

    /// The position of a stripe's first header word.
    pub(crate) fn at_of(&self, stripe: Stripe<'_>) -> usize {
        stripe.at_in(self.words())
    }

    /// A stripe's number.
    pub(crate) fn number_of(&self, stripe: Stripe<'_>) -> usize {
        self.at_of(stripe) / STRIPE_WORDS - self.geometry.first_stripe
    }

    /// The numbers of the buckets that a stripe has now.
    pub(crate) fn buckets_of(&self, stripe: Stripe<'_>) -> StripeBuckets<'_> {
        let stripe = self.number_of(stripe);
        self.first_buckets_of(stripe, self.bucket_count(stripe))
    }

    /// How many buckets the stripe of this number has now.
    pub(crate) fn bucket_count(&self, stripe: usize) -> usize {
        match self.map.directory(stripe) {
            None => self.geometry.stripe_buckets,
            // Relaxed: under the lock it is the last one, and without it the number is a hint.
            Some(word) => self.buckets_by(DirectoryWord(word.load(Ordering::Relaxed))),
        }
    }

    /// The numbers of the first `count` buckets of a stripe of this number.
    pub(crate) fn first_buckets_of(&self, stripe: usize, count: usize) -> StripeBuckets<'_> {
        StripeBuckets {
            segment: self,
            stripe,
            next: 0,
            count,
        }
    }

    /// The number of buckets that a stripe has by its directory word, also if one bit of that is
    /// wrong.
    pub(crate) fn buckets_by(&self, word: DirectoryWord) -> usize {
        let levels = self.geometry.levels();
        let level = if parts_agree(word.0) {
            word.level()
        } else {
            word.majority().unwrap_or(word.level())
        };
        1 << level.clamp(*levels.start(), *levels.end())
    }

    /// Notes that a stripe was doubled to this level. The buckets of large indexes are laid out in
    /// huge pages: after the first doubling to a level those that doublings to it add, since the
    /// kernel makes one huge page as fast as a few small ones; and after the last all buckets. (If
    /// two stripes are doubled at the same moment, neither may be taken for the first or the last:
    /// then the next level brings it.)
    pub(crate) fn doubled_to(&self, level: u32) {
        let stripes = self.geometry.stripes;
        let all = 0..self.geometry.bucket(stripes << level);
        if all.len() < LARGE_INDEX {
            return;
        }
        let has_level = |stripe: &usize| {
            let word = self.map.directory(*stripe);
            word.is_some_and(|word| DirectoryWord(word.load(Ordering::Relaxed)).level() >= level)
        };
        let doubled = (0..stripes).filter(has_level).count();
        if doubled == stripes {
            self.map.make_huge_later(all);
        } else if doubled == 1 && self.geometry.max_bytes.is_none() {
            let added = self.geometry.bucket(stripes << (level - 1))..all.end;
            self.map.populate_huge_later(added);
        }
    }

    /// The numbers of all buckets that there are now, stripe by stripe.
    pub(crate) fn all_buckets(&self) -> impl Iterator<Item = usize> {
        self.stripes().flat_map(|stripe| self.buckets_of(stripe))
    }

    /// The number of chunks whose states and details have pages: others are free.
    pub(crate) fn chunks_with_state(&self) -> usize {
        if self.geometry.grows() {
            self.populated()
        } else {
            self.geometry.chunks
        }
    }

    /// All stripes, in ascending order.
    pub(crate) fn stripes(&self) -> impl Iterator<Item = Stripe<'_>> {
        (0..self.geometry.stripes).map(|number| self.stripe(number))
    }

    /// The number of chunks that have pages. Acquire: a thread that sees a chunk counted may
    /// touch it.
    pub(crate) fn populated(&self) -> usize {
        let chunks = self.words()[HEADER_POPULATED].load(Ordering::Acquire);
        usize::try_from(chunks).map_or(self.geometry.chunks, |n| n.min(self.geometry.chunks))
    }

    /// Gives pages to the first `chunks` chunks.
    ///
    /// Several processes may do this at once, even for the same chunks. Pages that a process
    /// got before it failed stay: another may be using them already.
    pub(crate) fn populate(&self, chunks: usize) -> Result<()> {
        let present = self.populated();
        if chunks <= present {
            return Ok(());
        }
        let geometry = &self.geometry;
        self.check_max_bytes((chunks - present) * geometry.chunk_words * WORD)?;
        if geometry.grows() {
            // Zeros, which say that the chunks are free.
            self.populate_words(geometry.state(present)..geometry.state(chunks))?;
            self.populate_words(geometry.details(present)..geometry.details(chunks))?;
            crash_point!("populate: pages of details present");
        }
        self.populate_words(geometry.chunk(present)..geometry.chunk(chunks))?;
        crash_point!("populate: pages present");
        // Release: see `populated`. An acquire of this value also acquires what processes
        // released that raised it before.
        self.words()[HEADER_POPULATED].fetch_max(chunks as u64, Ordering::Release);
        process_crash_point!("populate: pages counted");
        Ok(())
    }

    /// Gives pages to chunks that may have them already.
    pub(crate) fn populate_again(&self, chunks: Range<usize>) -> Result<()> {
        self.populate_words(self.geometry.chunk(chunks.start)..self.geometry.chunk(chunks.end))
    }

    /// Gives pages to these words of the index.
    pub(crate) fn populate_index(&self, words: Range<usize>) -> Result<()> {
        self.check_max_bytes(words.len() * WORD)?;
        self.populate_words(words)
    }

    /// Refuses so many more bytes of memory if the table may not take them. Processes that ask at
    /// the same moment may together get more.
    pub(crate) fn check_max_bytes(&self, asked: usize) -> Result<()> {
        let Some(limit) = self.geometry.max_bytes else {
            return Ok(());
        };
        let used = self.memory_bytes();
        if used.saturating_add(asked) <= limit {
            return Ok(());
        }
        Err(Error::MaxBytesReached { limit, used, asked })
    }

    /// Gives pages to these words.
    fn populate_words(&self, words: Range<usize>) -> Result<()> {
        let asked = words.len() * WORD;
        self.map
            .populate(words)
            .map_err(|source| no_memory(source, asked))
    }

    /// Announces that this thread reads records without a lock, as it must before it follows a
    /// slot: see [`reading`]. `None` if this process has to get ready for it first.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn announce(&self) -> Option<Reading<'_>> {
        if self.geometry.grows() {
            self.announcer.announce(self.words())
        } else {
            Some(Reading::Silent)
        }
    }

    /// As [`announce`](Self::announce), if that can be done at once. The table grows.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn announce_early(&self) -> Early<'_> {
        self.announcer.announce_early(self.words())
    }

    /// The words from `at`, a record's header, to the end of those that have pages: a
    /// record can't reach further. `None` if there can't be a record at `at`, which is
    /// damage.
    ///
    /// The end is remembered, so that a reader doesn't read the segment's header each time.
    /// The end only grows, and it grew before a record beyond it was published.
    #[inline]
    pub(crate) fn record(&self, at: usize) -> Option<(&AtomicU64, &[AtomicU64])> {
        self.record_in_sight(at).or_else(|| self.record_beyond(at))
    }

    /// The words of [`record`](Self::record), but also `None` if the record may be beyond the
    /// remembered end.
    #[inline]
    pub(crate) fn record_in_sight(&self, at: usize) -> Option<(&AtomicU64, &[AtomicU64])> {
        let end = self.readable.load(LocalOrdering::Relaxed);
        let record = self.words().get(..end)?.get(at..)?;
        Some((record.first()?, record))
    }

    /// The words of [`record`](Self::record), after reading the end from the header.
    #[cold]
    pub(crate) fn record_beyond(&self, at: usize) -> Option<(&AtomicU64, &[AtomicU64])> {
        let end = self.geometry.chunk(self.populated());
        self.readable.store(end, LocalOrdering::Relaxed);
        let record = self.words().get(at..end)?;
        Some((record.first()?, record))
    }

    /// The error for damage found at a word.
    #[cold]
    pub(crate) fn damaged(what: &'static str, at: usize) -> Error {
        Error::Corrupted {
            what,
            offset: at * WORD,
        }
    }
}

/// The numbers of the first buckets of a stripe, in ascending order of their places in it.
#[derive(Clone)]
pub(crate) struct StripeBuckets<'a> {
    segment: &'a Segment,
    stripe: usize,
    next: usize,
    count: usize,
}

impl<'a> StripeBuckets<'a> {
    pub(crate) fn segment(&self) -> &'a Segment {
        self.segment
    }

    /// The number of the bucket at this place in the stripe.
    pub(crate) fn at(&self, place: usize) -> usize {
        let segment = self.segment;
        if segment.geometry.grows() {
            segment.map.bucket_in_stripe(self.stripe, place)
        } else {
            self.stripe * segment.geometry.stripe_buckets + place
        }
    }
}

impl Iterator for StripeBuckets<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.next == self.count {
            return None;
        }
        self.next += 1;
        Some(self.at(self.next - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.count - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for StripeBuckets<'_> {}

/// The error of a refused page reservation.
pub(crate) fn no_memory(source: std::io::Error, asked: usize) -> Error {
    if source.kind() == std::io::ErrorKind::StorageFull {
        Error::SharedMemoryFull {
            asked,
            // Counted when the error leaves the crate: most of these errors are handled before.
            orphans: 0,
            orphaned: 0,
        }
    } else {
        Error::system("reserve pages of shared memory", source)
    }
}
