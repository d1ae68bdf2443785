//! A bucket: seven slots in two neighboring cache lines.
//!
//! | word            | bits         | meaning                                              |
//! |-----------------|--------------|------------------------------------------------------|
//! | 0               | 0 to 23      | overflow: keys that passed over this bucket while probing |
//! | 0               | 24 to 63     | version                                              |
//! | 1               | 0 to 7       | zero: there is no slot 0                             |
//! | 1               | 8 *i* to 8 *i* + 7 | tag of slot *i*, 1 to 7                        |
//! | 2 *i*, 2 *i* + 1 |             | slot *i*, 1 to 7: see [`slot`](super::slot)          |
//!
//! A tag is 8 bits of the key's hash; 0 is an empty slot, whose words mean nothing.
//!
//! Only the holder of the stripe's lock writes a bucket, so a word is changed by
//! a load and a store. Readers take no lock: each store below leaves the bucket
//! in a state that is right on its own.
//!
//! # Orderings
//! - Tags and heads are stored with release and loaded with acquire: a reader that sees
//!   a tag sees the slot, and one that sees a head sees the tail, or the record it leads to.
//! - The version is bumped after the store that unlinks an entry and before the
//!   record's memory, or the slot's tail, can be written again (see `fast_path` for the proof).

use crate::index::slot::Content;
use crate::layout::{BUCKET_SLOTS, BUCKET_WORDS, LINE, OVERFLOW_BITS};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::crash_point;
use crate::sys::memory::simd;

/// The greatest overflow count. Once reached, it stays: a count that is too high costs time,
/// and one that is too low would hide a key.
pub(crate) const MAX_OVERFLOW: u32 = (1 << OVERFLOW_BITS) - 1;
/// A bit for each slot.
const SLOTS: u32 = ((1 << BUCKET_SLOTS) - 1) << 1;

#[derive(Clone, Copy)]
pub(crate) struct Bucket<'a>(&'a [AtomicU64; BUCKET_WORDS]);

/// The first two words of a bucket as they were at one look.
#[derive(Clone, Copy)]
pub(crate) struct Tags {
    word0: u64,
    word1: u64,
}

impl Tags {
    /// A bit for each slot with this tag.
    #[inline]
    pub(crate) fn matching(self, tag: u8) -> u32 {
        simd::match_bytes(self.word1, tag) & SLOTS
    }

    /// The first slot with this tag.
    #[inline]
    pub(crate) fn first_with(self, tag: u8) -> Option<usize> {
        let matches = self.matching(tag);
        (matches != 0).then(|| matches.trailing_zeros() as usize)
    }

    /// A bit for each slot in use.
    #[inline]
    pub(crate) fn occupied(self) -> u32 {
        !self.matching(0) & SLOTS
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

    /// How many keys passed over this bucket.
    ///
    /// Loaded before the tags: a key that is absent from them and beyond this bucket was
    /// nowhere then, because the count is raised before such a key is published.
    #[inline]
    pub(crate) fn overflow(self) -> u32 {
        self.word0 as u32 & MAX_OVERFLOW
    }

    /// Whether there is a tag where there is no slot.
    pub(crate) fn has_stray_bits(self) -> bool {
        self.word1 & 0xff != 0
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

    /// Asks for its cache lines.
    #[inline]
    pub(crate) fn prefetch(self) {
        simd::prefetch(self.0, 0);
        simd::prefetch(self.0, LINE);
    }

    /// Asks for what a reader may need besides the first line, before that tells: the second
    /// line, and the first of the bucket behind, where keys are that have no room here.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn prefetch_what_follows(self) {
        simd::prefetch(self.0, LINE);
        simd::prefetch(self.0, BUCKET_WORDS);
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
        (self.0[0].load(Ordering::Relaxed) ^ tags.word0) >> OVERFLOW_BITS == 0
    }

    /// The head of a slot.
    #[inline]
    pub(crate) fn head(self, slot: usize) -> u64 {
        self.0[Self::at(slot)].load(Ordering::Acquire)
    }

    /// The tail of a slot.
    #[inline]
    pub(crate) fn tail(self, slot: usize) -> &'a AtomicU64 {
        &self.0[Self::at(slot) + 1]
    }

    /// The word where a slot begins. Without a bounds check, which the mask makes needless.
    #[inline]
    pub(crate) fn at(slot: usize) -> usize {
        2 * (slot & BUCKET_SLOTS)
    }

    // All below: under the stripe's lock only.

    /// Makes an entry readable in an empty slot. The tag's store publishes.
    #[inline]
    pub(crate) fn publish(self, slot: usize, tag: u8, content: Content) {
        self.fill(slot, content);
        crash_point!("bucket: slot written, tag not");
        self.set_tag(slot, tag);
    }

    /// Puts a small entry in place of a record of the same key. The head's store publishes.
    pub(crate) fn republish_small(self, slot: usize, content: Content) {
        self.fill(slot, content);
        crash_point!("bucket: slot replaced, version not bumped");
        self.bump_version();
    }

    /// Puts a record in place of another entry of the same key. The head's store publishes.
    pub(crate) fn republish_record(self, slot: usize, content: Content) {
        self.set_head(slot, content.head);
        crash_point!("bucket: slot replaced, version not bumped");
        self.bump_version();
        crash_point!("bucket: version bumped, hash not stored");
        // Release: who sees it where a small entry's tail was sees the version, too.
        self.tail(slot).store(content.tail, Ordering::Release);
        crash_point!("bucket: hash stored");
    }

    /// Empties a slot. The tag's store removes.
    pub(crate) fn remove(self, slot: usize) {
        self.set_tag(slot, 0);
        crash_point!("bucket: tag cleared, version not bumped");
        self.bump_version();
    }

    /// Makes a bucket empty that no reader looks at yet.
    pub(crate) fn reset(self) {
        for word in &self.0[..2] {
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
                crash_point!("double: a left word cleared");
            }
        }
    }

    /// Copies a slot of another bucket to an empty one, under this tag.
    pub(crate) fn copy_slot(self, slot: usize, tag: u8, from: Self, other: usize) {
        let content = Content {
            head: from.head(other),
            tail: from.tail(other).load(Ordering::Relaxed),
        };
        self.fill(slot, content);
        crash_point!("double: slot copied, tag not");
        self.set_tag(slot, tag);
        crash_point!("double: slot copied");
    }

    /// Empties the slots of a mask, which has a bit for each, with one store.
    pub(crate) fn remove_all(self, slots: u32) {
        let tags = self.0[1].load(Ordering::Relaxed);
        let gone = bits(slots & SLOTS).fold(0, |mask, slot| mask | 0xff << (8 * slot));
        self.0[1].store(tags & !gone, Ordering::Release);
        crash_point!("bucket: tags cleared, version not bumped");
        self.bump_version();
    }

    /// Tells readers that what they read through this bucket may be gone.
    pub(crate) fn bump_version(self) {
        let word0 = self.0[0].load(Ordering::Relaxed);
        self.0[0].store(word0.wrapping_add(1 << OVERFLOW_BITS), Ordering::Release);
    }

    /// Counts a key that passes over this bucket.
    pub(crate) fn raise_overflow(self) {
        let count = self.tags().overflow();
        self.set_overflow(count.saturating_add(1).min(MAX_OVERFLOW));
    }

    /// Counts a key no more that passed over this bucket.
    pub(crate) fn lower_overflow(self) {
        let count = self.tags().overflow();
        if count < MAX_OVERFLOW {
            self.set_overflow(count.saturating_sub(1));
        }
    }

    /// Sets the overflow count, which is [`MAX_OVERFLOW`] at most.
    pub(crate) fn set_overflow(self, count: u32) {
        let version = self.0[0].load(Ordering::Relaxed) & !u64::from(MAX_OVERFLOW);
        self.0[0].store(version | u64::from(count), Ordering::Release);
    }

    /// Stores the hash of a slot that leads to a record again. Readers must know that no small
    /// entry is there.
    pub(crate) fn set_hash(self, slot: usize, hash: u64) {
        self.tail(slot).store(hash, Ordering::Release);
        crash_point!("recover: hash stored");
    }

    /// Sets the tag of a slot in use right, or clears the one where there is no slot.
    pub(crate) fn repair_tag(self, slot: usize, tag: u8) {
        self.set_tag(slot, tag);
        crash_point!("repair: slot tagged, version not bumped");
        self.bump_version();
        crash_point!("repair: slot tagged");
    }

    #[inline]
    fn fill(self, slot: usize, content: Content) {
        self.tail(slot).store(content.tail, Ordering::Release);
        crash_point!("bucket: tail written, head not");
        self.set_head(slot, content.head);
    }

    #[inline]
    fn set_head(self, slot: usize, head: u64) {
        self.0[Self::at(slot)].store(head, Ordering::Release);
    }

    #[inline]
    fn set_tag(self, slot: usize, tag: u8) {
        let shift = 8 * slot;
        let rest = self.0[1].load(Ordering::Relaxed) & !(0xff << shift);
        self.0[1].store(rest | u64::from(tag) << shift, Ordering::Release);
    }
}
