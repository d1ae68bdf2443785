//! A bucket: eleven slots in one cache line.
//!
//! | word   | bits     | meaning                                                    |
//! |--------|----------|------------------------------------------------------------|
//! | 0      | 0 to 23  | tags of slots 8, 9, 10                                     |
//! | 0      | 24 to 63 | version                                                    |
//! | 1      | 0 to 63  | tags of slots 0 to 7                                       |
//! | 2 to 6 |          | slots 0 to 9, two a word, the even one in the low half     |
//! | 7      | 0 to 31  | slot 10                                                    |
//! | 7      | 32 to 63 | overflow: keys that passed over this bucket while probing  |
//!
//! A tag is 8 bits of the key's hash; 0 is an empty slot, whose offset means
//! nothing. A slot is its record's offset in the arena, in units.
//!
//! Only the holder of the stripe's lock writes a bucket, so a word is changed by
//! a load and a store. Readers take no lock: each store below leaves the bucket
//! in a state that is right on its own.
//!
//! # Orderings
//! - Tags and slots are stored with release and loaded with acquire: who sees a
//!   tag sees the slot, and who sees a slot sees the record it leads to.
//! - The version is bumped after the store that unlinks a record and before the
//!   record's memory can be written again (see `read` for the proof).

use crate::layout::BUCKET_WORDS;
use crate::sync::{AtomicU64, Ordering, crash_point};
use crate::sys::simd;

const VERSION_SHIFT: u32 = 24;
const LOW_TAGS: usize = 8;
const FIRST_SLOT_WORD: usize = 2;
/// The overflow count stands where a twelfth slot would.
const OVERFLOW: usize = 11;

#[derive(Clone, Copy)]
pub(crate) struct Bucket<'a>(&'a [AtomicU64; BUCKET_WORDS]);

/// The two tag words of a bucket as they were at one look.
#[derive(Clone, Copy)]
pub(crate) struct Tags {
    word0: u64,
    word1: u64,
}

impl Tags {
    /// A bit for each slot with this tag.
    #[inline]
    pub(crate) fn matching(self, tag: u8) -> u32 {
        simd::match_tags(self.word0, self.word1, tag)
    }

    /// A bit for each slot in use.
    pub(crate) fn occupied(self) -> u32 {
        !self.matching(0) & ((1 << OVERFLOW) - 1)
    }

    /// The slots in use.
    pub(crate) fn slots(self) -> impl Iterator<Item = usize> {
        bits(self.occupied())
    }

    /// The slots with this tag.
    #[inline]
    pub(crate) fn slots_with(self, tag: u8) -> impl Iterator<Item = usize> {
        bits(self.matching(tag))
    }
}

/// The numbers of the bits that are set.
#[inline]
fn bits(mut left: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        (bit < u32::BITS as usize).then_some(bit)
    })
}

impl<'a> Bucket<'a> {
    /// The bucket whose words these are.
    #[inline]
    pub(crate) fn new(words: &'a [AtomicU64; BUCKET_WORDS]) -> Self {
        Self(words)
    }

    /// The tags and the version. Word 0, with the version, is loaded first.
    #[inline]
    pub(crate) fn tags(self) -> Tags {
        let word0 = self.0[0].load(Ordering::Acquire);
        let word1 = self.0[1].load(Ordering::Acquire);
        Tags { word0, word1 }
    }

    /// Whether the version is still what it was together with `tags`; an acquire fence
    /// must stand between the loads that this validates and this one.
    #[inline]
    pub(crate) fn has_version_of(self, tags: Tags) -> bool {
        (self.0[0].load(Ordering::Relaxed) ^ tags.word0) >> VERSION_SHIFT == 0
    }

    /// The offset in a slot.
    #[inline]
    pub(crate) fn slot(self, slot: usize) -> u32 {
        self.half(slot)
    }

    /// How many keys passed over this bucket.
    #[inline]
    pub(crate) fn overflow(self) -> u32 {
        self.half(OVERFLOW)
    }

    #[inline]
    fn half(self, half: usize) -> u32 {
        simd::load_half(self.0, 2 * FIRST_SLOT_WORD + half)
    }

    fn set_half(self, half: usize, value: u32) {
        let word = &self.0[FIRST_SLOT_WORD + half / 2];
        let shift = 32 * (half % 2);
        let rest = word.load(Ordering::Relaxed) & !(0xffff_ffff << shift);
        word.store(rest | u64::from(value) << shift, Ordering::Release);
    }

    // All below: under the stripe's lock only.

    /// Makes a record reachable through an empty slot. The tag's store publishes.
    pub(crate) fn publish(self, slot: usize, tag: u8, offset: u32) {
        self.set_half(slot, offset);
        crash_point!("bucket: slot written, tag not");
        let (word, shift) = self.tag_place(slot);
        let rest = word.load(Ordering::Relaxed) & !(0xff << shift);
        word.store(rest | u64::from(tag) << shift, Ordering::Release);
    }

    /// Leads a slot to another record of the same key. The slot's store publishes.
    pub(crate) fn republish(self, slot: usize, offset: u32) {
        self.set_half(slot, offset);
        crash_point!("bucket: slot replaced, version not bumped");
        self.bump_version();
    }

    /// Empties a slot. The tag's store removes.
    pub(crate) fn remove(self, slot: usize) {
        if slot < LOW_TAGS {
            let (word, shift) = self.tag_place(slot);
            let rest = word.load(Ordering::Relaxed) & !(0xff << shift);
            word.store(rest, Ordering::Release);
            crash_point!("bucket: tag cleared, version not bumped");
            self.bump_version();
        } else {
            // Tag and version share the word: one store does both.
            let (word, shift) = self.tag_place(slot);
            let rest = word.load(Ordering::Relaxed) & !(0xff << shift);
            word.store(rest.wrapping_add(1 << VERSION_SHIFT), Ordering::Release);
        }
    }

    /// Tells readers that what they read through this bucket may be gone.
    pub(crate) fn bump_version(self) {
        let word0 = self.0[0].load(Ordering::Relaxed);
        self.0[0].store(word0.wrapping_add(1 << VERSION_SHIFT), Ordering::Release);
    }

    /// Sets the overflow count.
    pub(crate) fn set_overflow(self, count: u32) {
        self.set_half(OVERFLOW, count);
    }

    fn tag_place(self, slot: usize) -> (&'a AtomicU64, usize) {
        if slot < LOW_TAGS {
            (&self.0[1], 8 * slot)
        } else {
            (&self.0[0], 8 * (slot - LOW_TAGS))
        }
    }
}
