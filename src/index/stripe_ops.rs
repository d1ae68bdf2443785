//! A stripe under its lock: lookup, publication, removal, recovery.
//!
//! # What a death in the middle leaves
//! One store publishes, one store removes; the rest are counts and versions that
//! [`Locked::recover`] sets right, and the next owner of the lock runs it before
//! anything else. In the order of the stores:
//! - insertion: overflow counts too high, or a slot without a tag (empty), or a
//!   published key that the stripe's count has not got;
//! - replacement: a tail that means nothing beside a head that leads to a record; or a
//!   published entry whose predecessor's readers were not warned
//!   (version not bumped): no writer gives the predecessor's memory away, or stores the
//!   slot's tail again, without this lock, so the recovery's bump comes before that;
//! - a record written anew in its place: the key's slot leads to one of two records, of which
//!   only the other one may be half written;
//! - removal: the same, or overflow counts too high;
//! - a chunk's live count is lowered before a record is unlinked and raised after
//!   one is published: a death leaves it too low, never too high, and a chunk
//!   that looks emptier than it is is only cleaned sooner.

use crate::arena::Space;
use crate::arena::chunk;
use crate::error::{Error, Result};
use crate::index::bucket::{self, Bucket};
use crate::index::entry::{self, Compared, Entry};
use crate::index::fast_path::{self, Glance, vacancy};
use crate::index::lookup;
use crate::index::probe::{self, Hash};
use crate::index::slot::{self, Content, SlotContent};
use crate::layout::{BUCKET_SLOTS, STRIPE_ENTRIES, WORD};
use crate::locking::lock::Guard;
use crate::segment::record::{self, Lengths};
use crate::segment::{Segment, StripeBuckets};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::{crash_point, process_crash_point};

/// A stripe whose lock is held.
pub(crate) struct Locked<'a> {
    guard: Guard<'a>,
}

/// Where a key's entry was found.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) bucket: usize,
    pub(crate) slot: usize,
    pub(crate) entry: Entry<'a>,
}

impl Place<'_> {
    /// Whether the record found may be written anew with the value of another, short one with these
    /// lengths: see [`Locked::rewrite`].
    #[inline]
    pub(crate) fn can_be_rewritten(&self, lengths: Lengths) -> bool {
        self.entry.lengths() == lengths && self.entry.at().is_some()
    }
}

/// What is published under a key.
#[derive(Clone, Copy)]
pub(crate) enum New<'s> {
    /// A small entry.
    Small(Content),
    /// A record that is written.
    Record(&'s Space),
}

impl New<'_> {
    /// The value of a key that was `found`, as a small entry if it may be one: it may not
    /// follow a small one, as no one store leads there.
    #[inline]
    pub(crate) fn small(found: Option<Place<'_>>, key: &[u8], value: &[u8]) -> Option<Self> {
        if found.is_some_and(|place| place.entry.at().is_none()) {
            return None;
        }
        Content::small(key, value).map(Self::Small)
    }
}

impl<'a> Locked<'a> {
    pub(crate) fn new(guard: Guard<'a>) -> Self {
        Self { guard }
    }

    #[inline]
    pub(crate) fn segment(&self) -> &'a Segment {
        self.guard.segment()
    }

    /// Fails with `DescriptorClosed` if another participant may own the lock by now: checked
    /// after a caller's closure.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        self.guard.check()
    }

    /// Whether the lock is this process's, and not its parent's.
    pub(crate) fn is_ours(&self) -> bool {
        self.guard.is_ours()
    }

    /// Looks for `key` where it nearly always is, in its [home](probe::home): see
    /// [`fast_path::glance`].
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn glance(&self, home: Bucket<'a>, key: &[u8], hash: Hash) -> Glance<'a> {
        fast_path::glance(self.segment(), home, home.tags(), key, hash)
    }

    /// Finds `key`.
    pub(crate) fn find(&self, key: &[u8], hash: Hash) -> Result<Option<Place<'a>>> {
        let home = probe::home_locked(self.segment(), hash);
        match self.glance(home.bucket, key, hash) {
            Glance::Small(slot, entry) | Glance::Record(slot, entry) => Ok(Some(Place {
                bucket: home.number,
                slot,
                entry,
            })),
            Glance::Absent => Ok(None),
            Glance::Undecided => self.search(key, hash),
        }
    }

    /// Whether a look for `key` comes to this slot.
    pub(crate) fn is_found_in(
        &self,
        key: &[u8],
        hash: Hash,
        bucket: usize,
        slot: usize,
    ) -> Result<bool> {
        let found = self.find(key, hash)?;
        Ok(found.is_some_and(|found| (found.bucket, found.slot) == (bucket, slot)))
    }

    /// Looks for `key` in all its buckets.
    #[cold]
    pub(crate) fn search(&self, key: &[u8], hash: Hash) -> Result<Option<Place<'a>>> {
        for (number, bucket) in probe::buckets(self.segment(), hash) {
            let tags = bucket.tags();
            for slot in tags.slots_with(hash.tag()) {
                match lookup::compare(self.segment(), bucket, slot, key) {
                    Compared::Same(entry) => {
                        return Ok(Some(Place {
                            bucket: number,
                            slot,
                            entry,
                        }));
                    }
                    Compared::Other => {}
                    Compared::NoEntry(damage) => return Err(damage.error(self.segment(), number)),
                }
            }
            if tags.overflow() == 0 {
                break;
            }
        }
        Ok(None)
    }

    /// Finds the slot that leads to the record at `at`, if one does.
    pub(crate) fn find_record(&self, hash: Hash, at: usize) -> Result<Option<Place<'a>>> {
        let wanted = slot::head_of_record(self.segment().geometry.offset_of(at));
        for (number, bucket) in probe::buckets(self.segment(), hash) {
            let tags = bucket.tags();
            let mut slots = tags.slots_with(hash.tag());
            if let Some(slot) = slots.find(|slot| bucket.head(*slot) == wanted) {
                return self.place(number, slot).map(Some);
            }
            if tags.overflow() == 0 {
                break;
            }
        }
        Ok(None)
    }

    /// The entry of a slot of this stripe. It cannot go away while the lock is held, so
    /// anything odd is damage.
    #[inline]
    pub(crate) fn place(&self, number: usize, slot: usize) -> Result<Place<'a>> {
        let bucket = probe::bucket(self.segment(), number);
        match entry::open(self.segment(), bucket, slot) {
            Ok(entry) => Ok(Place {
                bucket: number,
                slot,
                entry,
            }),
            Err(damage) => Err(damage.error(self.segment(), number)),
        }
    }

    /// Publishes a new key's entry, in a stripe of more buckets if it is time for that.
    ///
    /// # Errors
    /// If the stripe has no empty slot: `TableFull`, or `SharedMemoryFull` if it could grow.
    pub(crate) fn insert(&self, hash: Hash, new: New<'_>) -> Result<()> {
        let growth = self.grow();
        // The first empty slot in probing order.
        let way = probe::buckets(self.segment(), hash).map(|(_, bucket)| bucket);
        let mut buckets = way.clone().enumerate();
        let target = buckets.find_map(|(before, bucket)| Some((before, bucket, vacancy(bucket)?)));
        let Some((before, bucket, slot)) = target else {
            growth?;
            return Err(Error::TableFull {
                capacity: self.segment().geometry.capacity,
                entries: entries(self.segment()),
                grows: self.segment().geometry.grows(),
            });
        };
        for passed in way.take(before) {
            passed.raise_overflow();
            crash_point!("insert: overflow raised");
        }
        self.publish(bucket, slot, hash, new);
        Ok(())
    }

    /// Publishes an entry in place of the one found; a small one only in that of a record.
    pub(crate) fn replace(&self, place: Place<'_>, hash: Hash, new: New<'_>) {
        self.forget(place);
        crash_point!("replace: old record not counted");
        let bucket = probe::bucket(self.segment(), place.bucket);
        let content = self.content(new, hash);
        match new {
            New::Small(_) => {
                bucket.republish_small(place.slot, content);
                crash_point!("replace: published");
            }
            New::Record(space) => {
                bucket.republish_record(place.slot, content);
                chunk::add_live(self.segment(), space.chunk, space.words);
                process_crash_point!("replace: live counted");
            }
        }
    }

    /// Publishes a record in place of the one found, which has the same lengths, then writes the one
    /// found anew, with the same value, and publishes that. So no room is used up, and the space of
    /// the record that was given is free for another one. It is copied while others wait for the lock,
    /// so it must be short.
    pub(crate) fn rewrite(&self, place: Place<'_>, hash: Hash, by: &Space) {
        let Some(at) = place.entry.at() else {
            return;
        };
        let segment = self.segment();
        self.forget(place);
        crash_point!("rewrite: record not counted");
        let bucket = probe::bucket(segment, place.bucket);
        bucket.republish_record(place.slot, self.content(New::Record(by), hash));
        crash_point!("rewrite: other record published");
        record::copy_value(segment, place.entry.lengths(), by.at, at);
        crash_point!("rewrite: record written");
        let content = Content::record(segment.geometry.offset_of(at), hash.bits());
        bucket.republish_record(place.slot, content);
        crash_point!("rewrite: published");
        chunk::add_live(segment, segment.geometry.chunk_of(at), by.words);
        process_crash_point!("rewrite: live counted");
    }

    /// Removes the key found.
    pub(crate) fn remove(&self, place: Place<'_>, hash: Hash) {
        self.forget(place);
        crash_point!("remove: record not counted");
        probe::bucket(self.segment(), place.bucket).remove(place.slot);
        crash_point!("remove: unlinked");
        for (_, passed) in probe::passed(self.segment(), hash, place.bucket) {
            passed.lower_overflow();
            crash_point!("remove: overflow lowered");
        }
        self.add_entries(-1);
    }

    /// Removes all entries. Records in chunks of which `is_nobodys` says so need not be counted out
    /// of them, and are not looked at.
    pub(crate) fn remove_all(&self, is_nobodys: impl Fn(usize) -> bool) -> Result<()> {
        let geometry = &self.segment().geometry;
        let mut overflown = Vec::new();
        for number in self.buckets() {
            let bucket = probe::bucket(self.segment(), number);
            let tags = bucket.tags();
            if tags.overflow() > 0 {
                overflown.push(bucket);
            }
            let mut slots = 0_u32;
            for slot in tags.slots() {
                slots |= 1 << slot;
                if let SlotContent::Record(offset) = slot::holds(bucket.head(slot))
                    && offset.0 < geometry.chunks * geometry.chunk_words
                    && is_nobodys(geometry.chunk_of(geometry.word_of(offset)))
                {
                    continue;
                }
                self.forget(self.place(number, slot)?);
                crash_point!("remove: record not counted");
            }
            if slots != 0 {
                bucket.remove_all(slots);
                crash_point!("clear: bucket emptied");
                self.add_entries(-i64::from(slots.count_ones()));
            }
        }
        // No key passes over a bucket any more.
        for bucket in overflown {
            bucket.set_overflow(0);
            crash_point!("clear: overflow set");
        }
        Ok(())
    }

    /// Takes a record that is about to be unlinked out of its chunk's live count.
    fn forget(&self, place: Place<'_>) {
        if let Some(at) = place.entry.at() {
            chunk::sub_live(self.segment(), at, place.entry.lengths().words());
        }
    }

    pub(super) fn entries_word(&self) -> &'a AtomicU64 {
        self.guard.stripe().word(STRIPE_ENTRIES)
    }

    /// Calls `visit` for every entry of a bucket of this stripe.
    pub(crate) fn for_each_in(
        &self,
        number: usize,
        mut visit: impl FnMut(&Place<'a>) -> Result<()>,
    ) -> Result<()> {
        let bucket = probe::bucket(self.segment(), number);
        for slot in bucket.tags().slots() {
            visit(&self.place(number, slot)?)?;
        }
        Ok(())
    }

    /// An entry's key and its hash.
    ///
    /// # Errors
    /// `Corrupted` if such a key has no place in this stripe: probing for it would leave
    /// the stripe, and write where others hold the lock.
    pub(crate) fn hash_of(&self, place: &Place<'_>) -> Result<(Vec<u8>, Hash)> {
        let key = place.entry.key()?;
        let hash = Hash::of(self.segment(), &key);
        if hash.stripe(self.segment()) == self.guard.stripe() {
            Ok((key, hash))
        } else {
            Err(Segment::damaged(
                "a slot holds a key of another stripe",
                match place.entry.at() {
                    Some(at) => at,
                    None => self.segment().geometry.bucket(place.bucket),
                },
            ))
        }
    }

    /// The stripe's number.
    pub(crate) fn number(&self) -> usize {
        self.segment().number_of(self.guard.stripe())
    }

    /// The numbers of the stripe's buckets.
    pub(crate) fn buckets(&self) -> StripeBuckets<'a> {
        self.segment().buckets_of(self.guard.stripe())
    }

    /// The overflow counts, one for each bucket, and the number of entries that the stripe's
    /// tags and slots call for.
    pub(crate) fn recount(&self) -> (Vec<u32>, u64) {
        self.recount_with(|_, _| {})
    }

    /// As [`recount`](Self::recount); passes each entry that is not damaged on, with its key's
    /// hash.
    fn recount_with(&self, mut visit: impl FnMut(&Place<'a>, Hash)) -> (Vec<u32>, u64) {
        let buckets = self.buckets();
        let mut overflows = vec![0; buckets.len()];
        let mut entries = 0;
        for number in buckets {
            let bucket = probe::bucket(self.segment(), number);
            for slot in bucket.tags().slots() {
                entries += 1;
                // A damaged entry is left for `check` to report.
                let Ok(place) = self.place(number, slot) else {
                    continue;
                };
                let Ok((_, hash)) = self.hash_of(&place) else {
                    continue;
                };
                for (passed, _) in probe::passed(self.segment(), hash, number) {
                    let (_, at) = self.segment().geometry.place_of(passed);
                    let count: &mut u32 = &mut overflows[at];
                    *count = (*count + 1).min(bucket::MAX_OVERFLOW);
                }
                visit(&place, hash);
            }
        }
        (overflows, entries)
    }

    /// Sets right what a dead owner may have left half done; may itself be cut
    /// short by a death and done again. The lock comes back.
    pub(crate) fn recovered(self) -> Guard<'a> {
        self.recover();
        self.guard
    }

    fn recover(&self) {
        self.finish_growth();
        let mut without_hash = Vec::new();
        let (overflows, entries) = self.recount_with(|place, hash| {
            if !self.keeps_hash(place, hash) {
                without_hash.push((*place, hash));
            }
        });
        for (number, overflow) in self.buckets().zip(overflows) {
            let bucket = probe::bucket(self.segment(), number);
            bucket.set_overflow(overflow);
            crash_point!("recover: overflow set");
            bucket.bump_version();
            crash_point!("recover: version bumped");
        }
        // Only now: before, a reader might have taken a hash for a small entry's value.
        for (place, hash) in without_hash {
            let bucket = probe::bucket(self.segment(), place.bucket);
            bucket.set_hash(place.slot, hash.bits());
        }
        self.entries_word().store(entries, Ordering::Relaxed);
        crash_point!("recover: entries counted");
    }

    /// Whether the slot of an entry that has a record keeps this hash; `true` for a small entry.
    pub(crate) fn keeps_hash(&self, place: &Place<'_>, hash: Hash) -> bool {
        let kept = self.kept_hash(place);
        kept.is_none_or(|kept| kept.bits() == hash.bits())
    }

    /// The hash that a slot keeps beside a record's place.
    pub(crate) fn kept_hash(&self, place: &Place<'_>) -> Option<Hash> {
        place.entry.at()?;
        let bucket = probe::bucket(self.segment(), place.bucket);
        let kept = bucket.tail(place.slot).load(Ordering::Relaxed);
        Some(Hash::from_bits(kept))
    }

    /// The stripe's own count of entries, and of its overflow counts.
    pub(crate) fn counts(&self) -> (Vec<u32>, u64) {
        let overflows = self
            .buckets()
            .map(|number| probe::bucket(self.segment(), number).tags().overflow())
            .collect();
        (overflows, self.entries_word().load(Ordering::Relaxed))
    }
}

/// Entries of all stripes: each count is exact, their sum is of no one moment.
///
/// A damaged count is no more than its stripe has slots: callers reserve memory by it.
pub(crate) fn entries(segment: &Segment) -> usize {
    segment
        .stripes()
        .enumerate()
        .map(|(number, stripe)| {
            let count = stripe.word(STRIPE_ENTRIES).load(Ordering::Relaxed);
            let most = segment.bucket_count(number) * BUCKET_SLOTS;
            (count as usize).min(most)
        })
        .sum()
}

/// Bytes of a record that takes `words` words.
pub(crate) fn bytes(words: usize) -> usize {
    words * WORD
}
