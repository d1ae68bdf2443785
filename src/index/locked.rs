//! A stripe under its lock: look-up, publication, removal, repair.
//!
//! # What a death in the middle leaves
//! One store publishes, one store removes; the rest are counts and versions that
//! [`Locked::repair`] sets right, and the next owner of the lock runs it before
//! anything else. In the order of the stores:
//! - insertion: overflow counts too high, or a slot without a tag (empty), or a
//!   published key that the stripe's count has not got;
//! - replacement: a published record whose predecessor's readers were not warned
//!   (version not bumped): nobody gives the predecessor's memory away without this
//!   lock, so the repair's bump comes before that;
//! - removal: the same, or overflow counts too high;
//! - a chunk's live count is lowered before a record is unlinked and raised after
//!   one is published: a death leaves it too low, never too high, and a chunk
//!   that looks emptier than it is is only cleaned sooner.

use crate::arena::Space;
use crate::chunk;
use crate::error::{Error, Result};
use crate::index::bucket::Bucket;
use crate::index::probe::{self, Hash};
use crate::index::read::{self, Compared, Found, Record};
use crate::layout::{BUCKET_SLOTS, STRIPE_ENTRIES, USED_SLOTS, WORD};
use crate::lock::Guard;
use crate::record::{self, Wanted};
use crate::segment::Segment;
use crate::sync::{AtomicU64, Ordering, crash_point, process_crash_point};

/// A stripe whose lock is held.
pub(crate) struct Locked<'a> {
    guard: Guard<'a>,
}

/// Where a key's record was found.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    bucket: usize,
    slot: usize,
    /// The record's first word.
    pub(crate) at: usize,
    pub(crate) record: Record<'a>,
}

impl<'a> Locked<'a> {
    pub(crate) fn new(guard: Guard<'a>) -> Self {
        Self { guard }
    }

    #[inline]
    fn segment(&self) -> &'a Segment {
        self.guard.segment()
    }

    /// Whether the lock is this process's, and not its parent's.
    pub(crate) fn is_ours(&self) -> bool {
        self.guard.is_ours()
    }

    /// Looks for `key` where it nearly always is: see [`read::glance`].
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn find_at_home(&self, key: &[u8], hash: Hash) -> Found<Place<'a>> {
        let number = hash.home(self.segment());
        let bucket = probe::bucket(self.segment(), number);
        match read::glance(self.segment(), bucket, bucket.tags(), key, hash) {
            Found::Present(seen) => Found::Present(Place {
                bucket: number,
                slot: seen.slot,
                at: seen.at,
                record: seen.record,
            }),
            Found::Absent => Found::Absent,
            Found::Undecided => Found::Undecided,
        }
    }

    /// Finds `key`.
    pub(crate) fn find(&self, key: &[u8], hash: Hash) -> Result<Option<Place<'a>>> {
        match self.find_at_home(key, hash) {
            Found::Present(place) => Ok(Some(place)),
            Found::Absent => Ok(None),
            Found::Undecided => self.search(key, hash),
        }
    }

    /// Looks for `key` in all its buckets.
    #[cold]
    fn search(&self, key: &[u8], hash: Hash) -> Result<Option<Place<'a>>> {
        let wanted = Wanted::new(key);
        for (number, bucket) in probe::buckets(self.segment(), hash) {
            for slot in bucket.tags().slots_with(hash.tag()) {
                let at = self.segment().geometry.word_of(bucket.slot(slot));
                match read::compare(self.segment(), at, wanted) {
                    Compared::Same(record) => {
                        return Ok(Some(Place {
                            bucket: number,
                            slot,
                            at,
                            record,
                        }));
                    }
                    Compared::Other => {}
                    Compared::NoRecord => return Err(read::no_record(at)),
                }
            }
            if bucket.overflow() == 0 {
                break;
            }
        }
        Ok(None)
    }

    /// The first empty slot in probing order, with its bucket.
    fn vacancy(&self, hash: Hash) -> Option<(usize, usize)> {
        probe::buckets(self.segment(), hash).find_map(|(number, bucket)| {
            let empty = !bucket.tags().occupied() & USED_SLOTS;
            (empty != 0).then(|| (number, empty.trailing_zeros() as usize))
        })
    }

    /// Finds the slot that leads to the record at `at`, if one does.
    pub(crate) fn find_record(&self, hash: Hash, at: usize) -> Result<Option<Place<'a>>> {
        let wanted = self.segment().geometry.slot_of(at);
        for (number, bucket) in probe::buckets(self.segment(), hash) {
            let mut slots = bucket.tags().slots_with(hash.tag());
            if let Some(slot) = slots.find(|slot| bucket.slot(*slot) == wanted) {
                return self.place(bucket, number, slot).map(Some);
            }
            if bucket.overflow() == 0 {
                break;
            }
        }
        Ok(None)
    }

    /// The record that a slot of this stripe leads to.
    pub(crate) fn place_of(&self, number: usize, slot: usize) -> Result<Place<'a>> {
        self.place(probe::bucket(self.segment(), number), number, slot)
    }

    /// The record a slot leads to. It cannot go away while the lock is held, so
    /// anything odd is damage.
    #[inline]
    fn place(&self, bucket: Bucket<'a>, number: usize, slot: usize) -> Result<Place<'a>> {
        let at = self.segment().geometry.word_of(bucket.slot(slot));
        read::open(self.segment(), at)
            .map(|record| Place {
                bucket: number,
                slot,
                at,
                record,
            })
            .ok_or_else(|| read::no_record(at))
    }

    /// Replaces a value of one word by another of the same length. One store.
    #[expect(clippy::unused_self, reason = "only who holds the lock may do this")]
    #[inline]
    pub(crate) fn store_in_place(&self, place: Place<'_>, value: u64) {
        if let Some(word) = place.record.value.first() {
            // Release, so that who sees a counter's new value sees what its
            // writer did before.
            word.store(value, Ordering::Release);
        }
        crash_point!("write: value stored in place");
    }

    /// Publishes a new key's record.
    ///
    /// # Errors
    /// `TableFull` if the stripe has no empty slot.
    pub(crate) fn insert(&self, hash: Hash, space: &Space) -> Result<()> {
        let Some((target, slot)) = self.vacancy(hash) else {
            return Err(Error::TableFull {
                capacity: self.segment().geometry.capacity,
                entries: entries(self.segment()),
            });
        };
        for (_, passed) in probe::passed(self.segment(), hash, target) {
            passed.set_overflow(passed.overflow().saturating_add(1));
            crash_point!("insert: overflow raised");
        }
        probe::bucket(self.segment(), target).publish(
            slot,
            hash.tag(),
            self.segment().geometry.slot_of(space.at),
        );
        crash_point!("insert: published");
        chunk::add_live(self.segment(), space.chunk, space.words);
        crash_point!("insert: live counted");
        self.add_entries(1);
        Ok(())
    }

    /// Publishes a record in place of the one found.
    pub(crate) fn replace(&self, place: Place<'_>, space: &Space) {
        self.forget(place);
        crash_point!("replace: old record not counted");
        probe::bucket(self.segment(), place.bucket)
            .republish(place.slot, self.segment().geometry.slot_of(space.at));
        crash_point!("replace: published");
        chunk::add_live(self.segment(), space.chunk, space.words);
        process_crash_point!("replace: live counted");
    }

    /// Removes the key found.
    pub(crate) fn remove(&self, place: Place<'_>, hash: Hash) {
        self.forget(place);
        crash_point!("remove: record not counted");
        probe::bucket(self.segment(), place.bucket).remove(place.slot);
        crash_point!("remove: unlinked");
        for (_, passed) in probe::passed(self.segment(), hash, place.bucket) {
            passed.set_overflow(passed.overflow().saturating_sub(1));
            crash_point!("remove: overflow lowered");
        }
        self.add_entries(-1);
    }

    /// Takes a record that is about to be unlinked out of its chunk's live count.
    fn forget(&self, place: Place<'_>) {
        let words = self.segment().geometry.record_words(place.record.header);
        chunk::sub_live(self.segment(), place.at, words);
    }

    fn add_entries(&self, change: i64) {
        let count = self.entries_word();
        let sum = count.load(Ordering::Relaxed).wrapping_add_signed(change);
        count.store(sum, Ordering::Relaxed);
        process_crash_point!("stripe: entry counted");
    }

    fn entries_word(&self) -> &'a AtomicU64 {
        &self.guard.header()[STRIPE_ENTRIES]
    }

    /// Calls `visit` for every entry of a bucket of this stripe.
    pub(crate) fn for_each_in(
        &self,
        number: usize,
        mut visit: impl FnMut(&Place<'a>) -> Result<()>,
    ) -> Result<()> {
        let bucket = probe::bucket(self.segment(), number);
        for slot in bucket.tags().slots() {
            visit(&self.place(bucket, number, slot)?)?;
        }
        Ok(())
    }

    /// A record's key and its hash.
    ///
    /// # Errors
    /// `Corrupted` if such a key has no place in this stripe: who probed for it would
    /// leave the stripe, and write where others hold the lock.
    pub(crate) fn hash_of(&self, place: &Place<'_>) -> Result<(Vec<u8>, Hash)> {
        let key = key_of(place)?;
        let hash = Hash::of(self.segment(), &key);
        if hash.stripe(self.segment()) == self.guard.stripe() {
            Ok((key, hash))
        } else {
            Err(Segment::damaged(
                "a slot leads to a key of another stripe",
                place.at,
            ))
        }
    }

    /// The overflow counts and the number of entries that the stripe's tags and
    /// slots call for.
    pub(crate) fn recount(&self) -> (Vec<u32>, u64) {
        let range = self.segment().geometry.buckets_of(self.guard.stripe());
        let mut overflows = vec![0; range.len()];
        let mut entries = 0;
        for number in range.clone() {
            let bucket = probe::bucket(self.segment(), number);
            for slot in bucket.tags().slots() {
                entries += 1;
                // A damaged record is left for `check` to report.
                let Ok(place) = self.place(bucket, number, slot) else {
                    continue;
                };
                let Ok((_, hash)) = self.hash_of(&place) else {
                    continue;
                };
                for (passed, _) in probe::passed(self.segment(), hash, number) {
                    overflows[passed - range.start] += 1;
                }
            }
        }
        (overflows, entries)
    }

    /// Sets right what a dead owner may have left half done; may itself be cut
    /// short by a death and done again.
    pub(crate) fn repair(&self) {
        let (overflows, entries) = self.recount();
        let range = self.segment().geometry.buckets_of(self.guard.stripe());
        for (number, overflow) in range.zip(overflows) {
            let bucket = probe::bucket(self.segment(), number);
            bucket.set_overflow(overflow);
            crash_point!("repair: overflow set");
            bucket.bump_version();
            crash_point!("repair: version bumped");
        }
        self.entries_word().store(entries, Ordering::Relaxed);
        crash_point!("repair: entries counted");
    }

    /// The stripe's own count of entries, and of its overflow counts.
    pub(crate) fn counts(&self) -> (Vec<u32>, u64) {
        let range = self.segment().geometry.buckets_of(self.guard.stripe());
        let overflows = range
            .map(|number| probe::bucket(self.segment(), number).overflow())
            .collect();
        (overflows, self.entries_word().load(Ordering::Relaxed))
    }
}

/// Entries of all stripes: each count is exact, their sum is of no one moment.
///
/// A damaged count is no more than its stripe has slots: callers reserve memory by it.
pub(crate) fn entries(segment: &Segment) -> usize {
    let geometry = &segment.geometry;
    let most = geometry.stripe_buckets * BUCKET_SLOTS;
    (0..geometry.stripes())
        .map(|stripe| {
            let count = &segment.stripe(stripe)[STRIPE_ENTRIES];
            (count.load(Ordering::Relaxed) as usize).min(most)
        })
        .sum()
}

/// Bytes of a record that takes `words` words.
pub(crate) fn bytes(words: usize) -> usize {
    words * WORD
}

/// A copy of the key found.
pub(crate) fn key_of(place: &Place<'_>) -> Result<Vec<u8>> {
    let mut key = Vec::new();
    record::load_bytes(place.record.key, place.record.header.key, &mut key)?;
    Ok(key)
}

/// A copy of the value found.
pub(crate) fn value_of(place: Place<'_>) -> Result<Vec<u8>> {
    let mut value = Vec::new();
    record::load_bytes(place.record.value, place.record.header.value, &mut value)?;
    Ok(value)
}
