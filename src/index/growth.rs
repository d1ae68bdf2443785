//! How a stripe of a growing table gets twice as many buckets.
//!
//! A growing table reserves address space for the most buckets that it may have, and gives pages
//! to those that are in use. Each stripe grows by itself, under its lock, when four fifths of its
//! slots are in use and a new key finds its home bucket full. A doubling takes one more bit of each
//! hash into account: the entries of a bucket stay, or go to one of the new buckets, whose numbers
//! in the stripe are those of the old ones with that bit set. (Linear hashing, W. Litwin: "Linear
//! Hashing: A New Tool for File and Table Addressing", VLDB 1980; here with stripes in place of
//! buckets.) No record moves: a slot that leads to one keeps the hash of its key.
//!
//! # The stores, in their order
//! 1. Pages are given to the new buckets. If they are refused, nothing has changed, and the stripe
//!    goes on as it is.
//! 2. What a dead participant left in the new buckets is cleared. Nobody reads them yet.
//! 3. The entries that go are copied to the new buckets, each as near to its new home as there is
//!    room, with the overflow counts that this calls for.
//! 4. The directory word is stored, with the next level and the phase "moving". This one store
//!    publishes all copies.
//! 5. In the old buckets, the tags of the entries that went are cleared, and then the versions
//!    bumped, bucket by bucket; then the overflow counts of those that they had passed are lowered.
//! 6. The entries that stayed and are not in their home buckets are copied to nearer ones, where
//!    there is room now. Each copy's tag publishes it.
//! 7. The directory word is stored with the phase "nearing".
//! 8. The tags of their old slots are cleared, versions bumped and overflow counts lowered, as in 5.
//! 9. The directory word is stored with the phase "at rest".
//!
//! # Why an entry that stays is found where it is
//! Probing goes from home bucket *h* to the buckets *h* xor 1, *h* xor 2 and so on. In a stripe of
//! *n* buckets the first *n* of them are the same before and after the doubling to 2 *n*, and all
//! of them are in the same half of the buckets as *h*. So an entry that stays is on the way of its
//! key as before, with the same buckets before it; and an entry that goes finds room on its way
//! before that leads to the old half, because the new half has as many slots as the old one.
//!
//! # Why readers are right
//! *A hit.* From 4 on an entry that goes is in two places until 5 removes it from one, and from 6
//! to 8 one that comes nearer; both are right, for whoever could change it waits for the lock. A
//! reader that finds its bucket's version unchanged read the old copy before it was removed, and
//! so before any writer could change the new one.
//!
//! *A miss.* Say that a key is there throughout a lookup that doesn't find it. Then the lookup
//! missed a tag that 5 or 8 had cleared, or stopped at an overflow count that they had lowered,
//! and it didn't see the copy. If it had gone by a directory word that 4, or 7 for a copy of 6,
//! stored, it would have seen the copy, because that word is loaded with acquire. So it went by an
//! earlier one. Its load of the tag or the count was an acquire of a store that comes after 4, or
//! after 7; so the directory word, when it is loaded again after that, is another one, and the
//! lookup is done again. No value of the word ever comes back: the level never
//! falls, and the phases of one level have one order.
//!
//! # What a death leaves
//! Before 4: nothing that anybody reads. From 4 on: a directory word that is not at rest.
//! [`Locked::finish_growth`], which recovery runs first, removes from the old half what belongs to
//! the new one, and what is nearer to its home already, with the same stores of the directory word
//! before; recovery then counts and bumps as ever.

use std::ops::Range;

use crate::error::Result;
use crate::index::bucket::Bucket;
use crate::index::fast_path::vacancy;
use crate::index::probe::{self, Hash};
use crate::index::slot::{self, SlotContent};
use crate::index::stripe_ops::Locked;
use crate::layout::{BUCKET_WORDS, USED_SLOTS};
use crate::segment::directory::{DirectoryWord, Phase};
use crate::segment::{Segment, StripeBuckets};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::crash_point;

/// The share of a stripe's slots that are in use when it is doubled.
const FULL: (u64, u64) = (4, 5);

/// A stripe that is being doubled.
struct Doubling<'a> {
    /// The buckets after it.
    all: StripeBuckets<'a>,
    /// How many there were before.
    old: usize,
    /// The level after it.
    level: u32,
    /// The directory word after it.
    after: DirectoryWord,
}

/// An entry that stays, in another bucket than its home.
struct Astray {
    /// The place of its bucket in the stripe.
    place: usize,
    slot: usize,
    hash: Hash,
}

/// Entries of old buckets that have copies elsewhere.
struct Copied {
    /// By the places of their buckets: a bit for each slot.
    slots: Vec<u8>,
    /// The buckets that they pass no more once they are removed.
    passed: Vec<Passed>,
}

/// Buckets that probing passes from a home.
struct Passed {
    home: usize,
    steps: Range<usize>,
}

impl<'a> Locked<'a> {
    /// Doubles the stripe's buckets if it is time for that.
    ///
    /// # Errors
    /// `SharedMemoryFull`. Then nothing has changed.
    #[inline]
    pub(crate) fn grow(&self) -> Result<()> {
        if let Some(word) = self.directory_word() {
            self.grow_by(word)?;
        }
        Ok(())
    }

    /// The stripe's word in the directory; `None` if the table doesn't grow.
    pub(crate) fn directory_word(&self) -> Option<&'a AtomicU64> {
        self.segment().map.directory(self.number())
    }

    #[cold]
    fn grow_by(&self, word: &AtomicU64) -> Result<()> {
        let before = DirectoryWord(word.load(Ordering::Relaxed));
        let levels = self.segment().geometry.levels();
        // A damaged word is left for `check` to report.
        if !before.is_sound(*levels.start(), levels.end() - 1) {
            return Ok(());
        }
        let slots = u64::from(USED_SLOTS.count_ones()) << before.level();
        let entries = self.entries_word().load(Ordering::Relaxed);
        if entries.saturating_mul(FULL.1) < slots * FULL.0 {
            return Ok(());
        }
        let doubling = self.doubling_to(before.level() + 1);
        self.populate_new(&doubling)?;
        let Some((gone, astray)) = self.copy_to_new(&doubling) else {
            return Ok(());
        };
        doubling.store(word, Phase::Moving);
        crash_point!("double: copies published");
        doubling.remove(&gone);
        doubling.bring_nearer(word, astray);
        doubling.store(word, Phase::AtRest);
        crash_point!("double: done");
        self.segment().doubled_to(doubling.level);
        Ok(())
    }

    fn doubling_to(&self, level: u32) -> Doubling<'a> {
        let count = 1 << level;
        Doubling {
            all: self.segment().first_buckets_of(self.number(), count),
            old: count / 2,
            level,
            after: DirectoryWord::new(level, Phase::AtRest),
        }
    }

    /// Gives pages to the new buckets, and empties them.
    fn populate_new(&self, doubling: &Doubling<'_>) -> Result<()> {
        // They lie together.
        let first = self
            .segment()
            .geometry
            .bucket(doubling.all.at(doubling.old));
        self.segment()
            .populate_index(first..first + doubling.old * BUCKET_WORDS)?;
        crash_point!("double: pages present");
        for place in doubling.old..2 * doubling.old {
            doubling.bucket(place).reset();
        }
        Ok(())
    }

    /// Copies the entries that go to the new buckets, and finds those that stay and are not in
    /// their home buckets; `None` if one found no room, which is damage.
    fn copy_to_new(&self, doubling: &Doubling<'_>) -> Option<(Copied, Vec<Astray>)> {
        let mut gone = Copied::of(doubling.old);
        let mut astray = Vec::new();
        for place in 0..doubling.old {
            let bucket = doubling.bucket(place);
            for slot in bucket.tags().slots() {
                let hash = self.hash_kept(bucket, slot);
                let home = doubling.home(hash);
                if home >= doubling.old {
                    let (step, room) = doubling.room(home, doubling.old)?;
                    for passed in 0..step {
                        doubling.bucket(home ^ passed).raise_overflow();
                        crash_point!("double: overflow raised in a new bucket");
                    }
                    let new = doubling.bucket(home ^ step);
                    new.copy_slot(room, hash.tag(), bucket, slot);
                    let old_home = home - doubling.old;
                    gone.add(place, slot, old_home, 0..old_home ^ place);
                } else if home != place {
                    astray.push(Astray { place, slot, hash });
                }
            }
        }
        Some((gone, astray))
    }

    /// The hash of the key in a slot in use, without a look at its record.
    fn hash_kept(&self, bucket: Bucket<'_>, slot: usize) -> Hash {
        let (head, tail) = (bucket.head(slot), bucket.tail(slot).load(Ordering::Relaxed));
        // A slot without an entry is damaged; it stays or goes by what it has.
        hash_in(self.segment(), head, tail).unwrap_or(Hash::from_bits(tail))
    }

    /// Ends the doubling that a dead owner of the lock was in the middle of.
    pub(super) fn finish_growth(&self) {
        let Some(word) = self.directory_word() else {
            return;
        };
        let seen = DirectoryWord(word.load(Ordering::Relaxed));
        let levels = self.segment().geometry.levels();
        if seen.phase() == Phase::AtRest || !seen.is_sound(levels.start() + 1, *levels.end()) {
            return;
        }
        let doubling = self.doubling_to(seen.level());
        // Without a copy it was there before, beside a full new bucket, and the phase is damaged.
        self.remove_from_old(&doubling, |place, slot, home| {
            home >= doubling.old
                && (0..doubling.old).any(|step| doubling.is_copied(place, slot, home ^ step))
        });
        doubling.store(word, Phase::Nearing);
        crash_point!("recover: moving ended");
        self.remove_from_old(&doubling, |place, slot, home| {
            (0..home ^ place).any(|step| doubling.is_copied(place, slot, home ^ step))
        });
        doubling.store(word, Phase::AtRest);
        crash_point!("recover: nearing ended");
    }

    /// Removes the entries from the old buckets that a closure chooses by their places, their
    /// slots and the places of their homes.
    fn remove_from_old(
        &self,
        doubling: &Doubling<'_>,
        chosen: impl Fn(usize, usize, usize) -> bool,
    ) {
        for place in 0..doubling.old {
            let bucket = doubling.bucket(place);
            let slots = bucket
                .tags()
                .slots()
                .filter(|slot| {
                    let home = doubling.home(self.hash_kept(bucket, *slot));
                    chosen(place, *slot, home)
                })
                .fold(0, |mask, slot| mask | 1 << slot);
            if slots != 0 {
                bucket.remove_all(slots);
                crash_point!("recover: entries of an old bucket removed");
            }
        }
    }
}

impl<'a> Doubling<'a> {
    /// The bucket at a place in the stripe.
    fn bucket(&self, place: usize) -> Bucket<'a> {
        probe::bucket(self.all.segment(), self.all.at(place))
    }

    /// The place of a hash's home bucket after the doubling.
    fn home(&self, hash: Hash) -> usize {
        hash.home_in_stripe(self.all.segment(), self.after)
    }

    /// The first of so many buckets on the way from a home that has room, and an empty slot of it.
    fn room(&self, home: usize, steps: usize) -> Option<(usize, usize)> {
        (0..steps).find_map(|step| Some((step, vacancy(self.bucket(home ^ step))?)))
    }

    /// Whether the bucket at `other` has what is in a slot of the bucket at `place`, too.
    fn is_copied(&self, place: usize, slot: usize, other: usize) -> bool {
        let words = |bucket: Bucket<'_>, slot| {
            let tail = bucket.tail(slot).load(Ordering::Relaxed);
            (bucket.head(slot), tail)
        };
        let content = words(self.bucket(place), slot);
        let other = self.bucket(other);
        other
            .tags()
            .slots()
            .any(|slot| words(other, slot) == content)
    }

    /// Moves entries that stayed nearer to their home buckets, where there is room.
    fn bring_nearer(&self, word: &AtomicU64, astray: Vec<Astray>) {
        let mut copied = Copied::of(self.old);
        for Astray { place, slot, hash } in astray {
            let home = self.home(hash);
            let Some((step, room)) = self.room(home, home ^ place) else {
                continue;
            };
            let near = self.bucket(home ^ step);
            near.copy_slot(room, hash.tag(), self.bucket(place), slot);
            copied.add(place, slot, home, step..home ^ place);
        }
        // Each of them passes a bucket less.
        if copied.passed.is_empty() {
            return;
        }
        self.store(word, Phase::Nearing);
        crash_point!("double: nearer copies published");
        self.remove(&copied);
    }

    fn store(&self, word: &AtomicU64, phase: Phase) {
        // Release: see the head of this file.
        word.store(DirectoryWord::new(self.level, phase).0, Ordering::Release);
    }

    /// Removes entries from old buckets. The others that they had passed are passed no more.
    fn remove(&self, entries: &Copied) {
        for (place, slots) in entries.slots.iter().enumerate() {
            if *slots != 0 {
                self.bucket(place).remove_all((*slots).into());
                crash_point!("double: entries of an old bucket removed");
            }
        }
        for Passed { home, steps } in &entries.passed {
            for step in steps.clone() {
                self.bucket(home ^ step).lower_overflow();
                crash_point!("double: overflow lowered in an old bucket");
            }
        }
    }
}

impl Copied {
    /// Nothing copied yet, from this many old buckets.
    fn of(buckets: usize) -> Self {
        Self {
            slots: vec![0; buckets],
            passed: Vec::new(),
        }
    }

    /// Adds an entry, with the buckets that it passes no more.
    fn add(&mut self, place: usize, slot: usize, home: usize, steps: Range<usize>) {
        self.slots[place] |= 1 << slot;
        if !steps.is_empty() {
            self.passed.push(Passed { home, steps });
        }
    }
}

/// The hash of the key in a slot with this head and tail, without a look at its record; `None` if
/// the slot holds nothing.
#[inline]
pub(crate) fn hash_in(segment: &Segment, head: u64, tail: u64) -> Option<Hash> {
    match slot::holds(head) {
        SlotContent::Small(lengths) => {
            let key = slot::key_in(head, tail, lengths.key);
            Some(Hash::of(segment, &key[..lengths.key]))
        }
        SlotContent::Record(_) => Some(Hash::from_bits(tail)),
        SlotContent::Nothing => None,
    }
}
