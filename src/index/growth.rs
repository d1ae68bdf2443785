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
//! 4. The directory word is stored, with the next level and the mark that entries are being moved.
//!    This one store publishes all copies.
//! 5. In the old buckets, the tags of the entries that went are cleared, and then the versions
//!    bumped, bucket by bucket; then the overflow counts of those that they had passed are lowered.
//! 6. The directory word is stored without the mark.
//!
//! # Why an entry that stays is found where it is
//! Probing goes from home bucket *h* to the buckets *h* xor 1, *h* xor 2 and so on. In a stripe of
//! *n* buckets the first *n* of them are the same before and after the doubling to 2 *n*, and all
//! of them are in the same half of the buckets as *h*. So an entry that stays is on the way of its
//! key as before, with the same buckets before it; and an entry that goes finds room on its way
//! before that leads to the old half, because the new half has as many slots as the old one.
//!
//! # Why readers are right
//! *A hit.* Between 4 and the end of 5 an entry that goes is in two places, and both are right:
//! whoever could change it waits for the lock. A reader that came by the old directory word and
//! finds the bucket's version unchanged read the old copy before 5 was done with this bucket, and
//! so before any writer could change the new copy.
//!
//! *A miss.* Say that a key is there throughout a lookup that doesn't find it. If the lookup went
//! by the new directory word, it saw the copies, because that word is loaded with acquire. If it
//! went by the old one, it missed a tag that 5 had cleared, or stopped at an overflow count that 5
//! had lowered. Those loads are acquires of stores that come after 4, so the directory word, when
//! it is loaded again behind an acquire fence, is a new one, and the lookup is done again.
//!
//! # What a death leaves
//! Before 4: nothing that anybody reads. Between 4 and 6: a directory word with the mark.
//! [`Locked::finish_moving`], which recovery runs first, removes from the old half whatever belongs
//! to the new one; recovery then counts and bumps as ever.

use crate::error::Result;
use crate::index::bucket::Bucket;
use crate::index::fast_path::vacancy;
use crate::index::probe::{self, Hash};
use crate::index::slot::{self, SlotContent};
use crate::index::stripe_ops::Locked;
use crate::layout::{BUCKET_SLOTS, BUCKET_WORDS};
use crate::segment::StripeBuckets;
use crate::segment::directory::DirectoryWord;
use crate::sync::{AtomicU64, Ordering};
use crate::sys::crash_point;

/// The share of a stripe's slots that are in use when it is doubled. On average over a doubling,
/// 57 of a hundred slots are in use then, and less than one key in ten is outside its home bucket.
const FULL: (u64, u64) = (4, 5);

/// A stripe that is about to be doubled, or has just been.
struct Doubling<'a> {
    /// The buckets before and after it.
    all: StripeBuckets<'a>,
    /// How many there were before.
    old: usize,
    /// The directory word before it, and after it.
    before: DirectoryWord,
    after: DirectoryWord,
}

/// An entry that goes.
struct Gone {
    /// The place of its old bucket in the stripe.
    place: usize,
    slot: usize,
    hash: Hash,
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
        let slots = (BUCKET_SLOTS as u64) << before.level();
        let entries = self.entries_word().load(Ordering::Relaxed);
        if entries.saturating_mul(FULL.1) < slots * FULL.0 {
            return Ok(());
        }
        let doubling = self.doubling_to(before.level() + 1);
        self.populate_new(&doubling)?;
        let Some(gone) = self.copy_to_new(&doubling) else {
            return Ok(());
        };
        word.store(
            DirectoryWord::moving(before.level() + 1).0,
            Ordering::Release,
        );
        crash_point!("double: copies published");
        self.remove_from_old(&doubling, &gone);
        word.store(doubling.after.0, Ordering::Release);
        crash_point!("double: done");
        Ok(())
    }

    fn doubling_to(&self, level: u32) -> Doubling<'a> {
        let count = 1 << level;
        Doubling {
            all: self.segment().first_buckets_of(self.number(), count),
            old: count / 2,
            before: DirectoryWord::at_rest(level - 1),
            after: DirectoryWord::at_rest(level),
        }
    }

    /// Gives pages to the new buckets, and empties them.
    fn populate_new(&self, doubling: &Doubling<'_>) -> Result<()> {
        let segment = self.segment();
        // They lie together.
        let first = segment.geometry.bucket(doubling.all.at(doubling.old));
        segment.populate_words(first..first + doubling.old * BUCKET_WORDS)?;
        crash_point!("double: pages present");
        for number in doubling.all.clone().skip(doubling.old) {
            probe::bucket(segment, number).reset();
        }
        Ok(())
    }

    /// Copies the entries that go to the new buckets, and returns them; `None` if one found no
    /// room, which is damage.
    fn copy_to_new(&self, doubling: &Doubling<'_>) -> Option<Vec<Gone>> {
        let segment = self.segment();
        let mut gone = Vec::new();
        let mut key = Vec::new();
        for place in 0..doubling.old {
            let bucket = probe::bucket(segment, doubling.all.at(place));
            for slot in bucket.tags().slots() {
                let hash = self.hash_kept(bucket, slot, &mut key);
                let home = hash.home_in_stripe(segment, doubling.after);
                if home >= doubling.old {
                    self.copy_near(doubling, home, hash, bucket, slot)?;
                    gone.push(Gone { place, slot, hash });
                }
            }
        }
        Some(gone)
    }

    /// The hash of the key in a slot in use, without a look at its record.
    fn hash_kept(&self, bucket: Bucket<'_>, slot: usize, key: &mut Vec<u8>) -> Hash {
        let (head, tail) = (bucket.head(slot), bucket.tail(slot).load(Ordering::Relaxed));
        if let SlotContent::Small(lengths) = slot::holds(head) {
            slot::key_into(head, tail, lengths.key, key);
            Hash::of(self.segment(), key)
        } else {
            Hash::from_bits(tail)
        }
    }

    /// Copies an entry to the first new bucket on its way that has room.
    fn copy_near(
        &self,
        doubling: &Doubling<'_>,
        home: usize,
        hash: Hash,
        from: Bucket<'_>,
        slot: usize,
    ) -> Option<()> {
        let new = |step: usize| probe::bucket(self.segment(), doubling.all.at(home ^ step));
        let (steps, room) = (0..doubling.old).find_map(|step| Some((step, vacancy(new(step))?)))?;
        for step in 0..steps {
            new(step).raise_overflow();
            crash_point!("double: overflow raised in a new bucket");
        }
        new(steps).copy_slot(room, hash.tag(), from, slot);
        Some(())
    }

    /// Removes the entries that have gone from the old buckets.
    fn remove_from_old(&self, doubling: &Doubling<'_>, gone: &[Gone]) {
        let old = |place: usize| probe::bucket(self.segment(), doubling.all.at(place));
        for of_one in gone.chunk_by(|one, other| one.place == other.place) {
            if let Some(first) = of_one.first() {
                let slots = of_one.iter().fold(0, |mask, entry| mask | 1 << entry.slot);
                old(first.place).remove_all(slots);
                crash_point!("double: entries of an old bucket removed");
            }
        }
        for entry in gone {
            let home = entry.hash.home_in_stripe(self.segment(), doubling.before);
            for step in 0..home ^ entry.place {
                old(home ^ step).lower_overflow();
                crash_point!("double: overflow lowered in an old bucket");
            }
        }
    }

    /// Ends the doubling that a dead owner of the lock was in the middle of.
    pub(super) fn finish_moving(&self) {
        let Some(word) = self.directory_word() else {
            return;
        };
        let seen = DirectoryWord(word.load(Ordering::Relaxed));
        let levels = self.segment().geometry.levels();
        if !seen.is_moving() || !seen.is_sound(levels.start() + 1, *levels.end()) {
            return;
        }
        let doubling = self.doubling_to(seen.level());
        let mut key = Vec::new();
        for place in 0..doubling.old {
            let bucket = probe::bucket(self.segment(), doubling.all.at(place));
            let goes = |slot: &usize| {
                let hash = self.hash_kept(bucket, *slot, &mut key);
                hash.home_in_stripe(self.segment(), doubling.after) >= doubling.old
            };
            let slots = bucket
                .tags()
                .slots()
                .filter(goes)
                .fold(0, |mask, slot| mask | 1 << slot);
            if slots != 0 {
                bucket.remove_all(slots);
            }
        }
        word.store(doubling.after.0, Ordering::Release);
        crash_point!("recover: doubling ended");
    }
}
