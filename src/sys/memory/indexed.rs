//! A mapping whose stripe headers and buckets are reached without a bounds check.

use std::ops::{Deref, Range};
use std::ptr::NonNull;

use crate::layout::{BUCKET_WORDS, STRIPE_WORDS, parts_agree};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::Mapping;

/// A mapped segment, and the location in it of the arrays that every access uses.
pub(crate) struct IndexedMapping {
    mapping: Mapping,
    stripes: Array<STRIPE_WORDS>,
    /// The number of stripes is 2^(63 - `stripe_shift`).
    stripe_shift: u32,
    buckets: Array<BUCKET_WORDS>,
    /// Whether the table grows: a byte, which one instruction tests in memory.
    grows: bool,
    /// Without a meaning if it doesn't.
    growth: Growth,
}

/// How the buckets of a table that grows are numbered.
///
/// A stripe has one bucket before the first doubling, and twice as many after each; in the stripe
/// they are numbered from 0. (No table begins with fewer buckets than some doublings give.) In the
/// table, the first buckets of all stripes come first, stripe by stripe; then all that the first
/// doubling adds, stripe by stripe; and so on. So no bucket ever moves, and after any doubling of
/// all stripes the buckets in use lie without a gap.
#[derive(Clone, Copy)]
struct Growth {
    /// One word for each stripe.
    directory: Array<1>,
    /// One less than the number of stripes.
    other_stripes: usize,
    /// One less than the most buckets of a stripe, which are a power of two.
    most_mask: usize,
}

/// Where the directory is, and the most buckets that a stripe may have.
pub(crate) struct Directory {
    /// The position of its first word.
    pub(crate) at: usize,
    pub(crate) most_buckets: usize,
}

/// The bucket that a hash falls on.
pub(crate) struct HomeBucket<'a> {
    pub(crate) number: usize,
    pub(crate) words: &'a [AtomicU64; BUCKET_WORDS],
    /// The directory word by which it was found; 0 if the table doesn't grow.
    pub(crate) directory: u64,
}

/// The lowest bit of a hash that chooses the bucket in a stripe that grows. The bits below are
/// the tag.
const BUCKET_BITS_AT: u32 = u8::BITS;

impl IndexedMapping {
    /// Takes a mapping, with the numbers of its stripe headers and of its buckets. Each range
    /// counts pieces of the size of one, from the beginning of the mapping.
    ///
    /// # Panics
    /// If the mapping is too short for them, if there are no buckets, or if the number of
    /// stripes isn't a power of two; if the table grows, and the most buckets of a stripe are no
    /// power of two, or all buckets are another number.
    pub(crate) fn new(
        mapping: Mapping,
        stripes: Range<usize>,
        buckets: Range<usize>,
        directory: Option<Directory>,
    ) -> Self {
        assert!(stripes.len().is_power_of_two(), "stripes");
        let growth = directory.map(|Directory { at, most_buckets }| {
            let all = most_buckets.checked_mul(stripes.len());
            assert!(most_buckets.is_power_of_two() && all == Some(buckets.len()));
            Growth {
                // A directory word for each stripe.
                directory: Array::new(mapping.words(), at..at + stripes.len()),
                other_stripes: stripes.len() - 1,
                most_mask: most_buckets - 1,
            }
        });
        Self {
            stripe_shift: u64::BITS - 1 - stripes.len().trailing_zeros(),
            stripes: Array::new(mapping.words(), stripes),
            buckets: Array::new(mapping.words(), buckets),
            grows: growth.is_some(),
            growth: growth.unwrap_or(Growth {
                directory: Array(NonNull::<[_; 0]>::dangling()),
                other_stripes: 0,
                most_mask: 0,
            }),
            mapping,
        }
    }

    /// Whether the table grows.
    #[inline]
    pub(crate) fn grows(&self) -> bool {
        self.grows
    }

    /// How the buckets are numbered, if the table grows.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn growth(&self) -> Option<Growth> {
        self.grows.then_some(self.growth)
    }

    /// A stripe's word in the directory; `None` if the table doesn't grow.
    #[inline]
    pub(crate) fn directory(&self, stripe: usize) -> Option<&AtomicU64> {
        let growth = self.growth()?;
        // SAFETY: as in `stripes`.
        let [word] = unsafe { growth.directory.pieces() }.get(stripe)?;
        Some(word)
    }

    /// A stripe's directory word as a reader sees it; `None` if the table doesn't grow.
    pub(crate) fn directory_seen(&self, stripe: usize) -> Option<u64> {
        self.directory(stripe).map(seen_by_reader)
    }

    /// The number in the table of a stripe's bucket of this number.
    ///
    /// # Panics
    /// If the table doesn't grow.
    pub(crate) fn bucket_in_stripe(&self, stripe: usize, bucket: usize) -> usize {
        #[expect(clippy::expect_used, reason = "a caller's bug")]
        let growth = self.growth().expect("a table that grows");
        growth.number(stripe, bucket)
    }

    /// All stripe headers.
    #[inline]
    pub(crate) fn stripes(&self) -> &[[AtomicU64; STRIPE_WORDS]] {
        // SAFETY: the pieces are in `self.mapping`, which is never replaced and outlives the
        // borrow.
        unsafe { self.stripes.pieces() }
    }

    /// All buckets.
    #[inline]
    pub(crate) fn buckets(&self) -> &[[AtomicU64; BUCKET_WORDS]] {
        // SAFETY: as above.
        unsafe { self.buckets.pieces() }
    }

    /// The number of the stripe that a hash falls on. The hash's top bits choose it, and all
    /// stripes are equally likely.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn stripe_number(&self, hash: u64) -> usize {
        // Two shifts: for a single stripe all 64 bits have to go, and a shift by 64 is not
        // defined. The result is below 2^63 after the first shift, and below 2^(63 - shift), the
        // number of stripes, after the second.
        (hash >> 1 >> self.stripe_shift) as usize
    }

    /// The header of the stripe that a hash falls on.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn stripe_of(&self, hash: u64) -> &[AtomicU64; STRIPE_WORDS] {
        // SAFETY: `stripe_number` is below the number of stripes.
        unsafe { self.stripes().get_unchecked(self.stripe_number(hash)) }
    }

    /// The bucket that a hash falls on, in the stripe that [`stripe_of`](Self::stripe_of)
    /// returns. All buckets of the table are equally likely if it doesn't grow, and all of the
    /// stripe if it does.
    ///
    /// If the table doesn't grow, the bucket's number is
    /// `hash * stripes * buckets of a stripe / 2^64`. Otherwise the bits above the hash's
    /// lowest byte are its number in the stripe.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn bucket_of(&self, hash: u64) -> HomeBucket<'_> {
        let buckets = self.buckets();
        let Some(growth) = self.growth() else {
            let number = ((u128::from(hash) * buckets.len() as u128) >> u64::BITS) as usize;
            return HomeBucket {
                number,
                // SAFETY: hash < 2^64, so `number` is below the number of buckets, and
                // `Array::new` checked that there is at least one.
                words: unsafe { buckets.get_unchecked(number) },
                directory: 0,
            };
        };
        let stripe = self.stripe_number(hash);
        let word = self.word_of(growth, stripe);
        let directory = seen_by_reader(word);
        let bucket = growth.home(directory, hash);
        let number = growth.number(stripe, bucket);
        HomeBucket {
            number,
            // SAFETY: `home` returns no more than `most_mask`, for which `number` returns less
            // than the number of all buckets by `new`.
            words: unsafe { buckets.get_unchecked(number) },
            directory,
        }
    }

    /// The number in its stripe of the bucket that a hash falls on, by a directory word.
    ///
    /// # Panics
    /// If the table doesn't grow.
    pub(crate) fn home_in_stripe(&self, directory: u64, hash: u64) -> usize {
        #[expect(clippy::expect_used, reason = "a caller's bug")]
        let growth = self.growth().expect("a table that grows");
        growth.home(directory, hash)
    }

    /// Whether the directory still says what it said when a hash's bucket was found. The loads that
    /// this validates must have been acquires.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn is_still(&self, directory: u64, hash: u64) -> bool {
        let Some(growth) = self.growth() else {
            return true;
        };
        self.word_of(growth, self.stripe_number(hash))
            .load(Ordering::Relaxed)
            == directory
    }

    /// As [`is_still`](Self::is_still), and whether what it said shows no damage.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn is_still_and_sound(&self, directory: u64, hash: u64) -> bool {
        !self.grows || (parts_agree(directory) && self.is_still(directory, hash))
    }

    /// The directory word of a hash's stripe, which is below the number of stripes.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    #[expect(
        clippy::unused_self,
        reason = "the word is borrowed for as long as it is mapped"
    )]
    fn word_of(&self, growth: Growth, stripe: usize) -> &AtomicU64 {
        // SAFETY: as in `stripes`.
        let words = unsafe { growth.directory.pieces() };
        // SAFETY: both callers have the stripe from `stripe_number`, which is below the number of
        // stripes, and the directory has a word for each, by `new`.
        let [word] = unsafe { words.get_unchecked(stripe) };
        word
    }
}

/// A directory word as a reader sees it. Acquire: who sees it sees all copies that it published.
#[inline(always)]
#[allow(clippy::inline_always)]
fn seen_by_reader(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}

impl Growth {
    /// The number in its stripe of the bucket that a hash falls on: no more than `most_mask`,
    /// even if the directory word is damaged. The mask is in the word's lowest bits.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn home(self, directory: u64, hash: u64) -> usize {
        (directory & hash >> BUCKET_BITS_AT) as usize & self.most_mask
    }

    /// The number in the table of a bucket of a stripe: less than that of all buckets if there is
    /// such a stripe and such a bucket.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn number(self, stripe: usize, bucket: usize) -> usize {
        match bucket.checked_ilog2() {
            None => stripe,
            // The doubling that added this bucket added 2^doubling buckets to each stripe, and
            // before them come as many of each.
            Some(doubling) => ((self.other_stripes + stripe) << doubling) + bucket,
        }
    }
}

impl Deref for IndexedMapping {
    type Target = Mapping;

    #[inline]
    fn deref(&self) -> &Mapping {
        &self.mapping
    }
}

/// The location of an array of pieces in a mapping.
#[derive(Clone, Copy)]
struct Array<const WORDS: usize>(NonNull<[[AtomicU64; WORDS]]>);

impl<const WORDS: usize> Array<WORDS> {
    fn new(words: &[AtomicU64], pieces: Range<usize>) -> Self {
        let pieces = &words.as_chunks().0[pieces];
        assert!(!pieces.is_empty(), "an array without a piece");
        Self(NonNull::from(pieces))
    }

    /// # Safety
    /// The words that this was made of must stay mapped in their place for as long as the
    /// result is used.
    #[inline]
    unsafe fn pieces<'a>(self) -> &'a [[AtomicU64; WORDS]] {
        // SAFETY: the pointer was made of such a reference, and its words are still mapped
        // there, as the caller promises.
        unsafe { self.0.as_ref() }
    }
}

// SAFETY: an `Array` stands for a shared reference to atomic words, which any thread may use.
unsafe impl<const WORDS: usize> Send for Array<WORDS> {}
// SAFETY: as above.
unsafe impl<const WORDS: usize> Sync for Array<WORDS> {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::layout::WORD;
    use crate::sys::tests::Name;

    /// As wide as a hash, so that no product is cut.
    fn share_of(hash: u64, count: usize) -> usize {
        ((u128::from(hash) * count as u128) / (1 << 64)) as usize
    }

    #[test]
    fn what_a_hash_falls_on_lies_where_its_number_says() {
        let (first_stripe, first_bucket) = (2, 10);
        for (stripes, buckets) in [(1, 1), (1, 3), (2, 10), (16, 48)] {
            let mapping = Name::new().create();
            let first = mapping.words().as_ptr().addr();
            let map = IndexedMapping::new(
                mapping,
                first_stripe..first_stripe + stripes,
                first_bucket..first_bucket + buckets,
                None,
            );
            let hashes = (0..1000).map(|step| step * (u64::MAX / 999));
            for hash in hashes.chain([1, u64::MAX - 1, u64::MAX / 2, u64::MAX / 2 + 1]) {
                let stripe = map.stripe_of(hash).as_ptr().addr() - first;
                let expected = first_stripe + share_of(hash, stripes);
                assert_eq!(stripe, expected * STRIPE_WORDS * WORD);
                let HomeBucket { number, words, .. } = map.bucket_of(hash);
                assert_eq!(number, share_of(hash, buckets));
                let expected = first_bucket + number;
                assert_eq!(
                    words.as_ptr().addr() - first,
                    expected * BUCKET_WORDS * WORD
                );
            }
            assert_eq!(
                (map.stripes().len(), map.buckets().len()),
                (stripes, buckets)
            );
        }
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn an_array_that_is_not_all_there_is_refused() {
        let beyond = crate::sys::tests::WORDS / BUCKET_WORDS + 1;
        IndexedMapping::new(Name::new().create(), 0..1, 0..beyond, None);
    }

    #[test]
    #[should_panic(expected = "without a piece")]
    fn no_bucket_at_all_is_refused() {
        IndexedMapping::new(Name::new().create(), 0..1, 3..3, None);
    }

    #[test]
    fn buckets_of_all_levels_are_numbered_closely_and_once() {
        for (most, stripes) in [(5, 1), (2, 4), (6, 8), (4, 16), (3, 2)] {
            let growth = Growth {
                directory: Array(NonNull::<[[AtomicU64; 1]; 0]>::dangling()),
                other_stripes: stripes - 1,
                most_mask: (1 << most) - 1,
            };
            for level in 0..=most {
                let mut numbers: Vec<usize> = (0..stripes)
                    .flat_map(|stripe| {
                        (0..1 << level).map(move |bucket| growth.number(stripe, bucket))
                    })
                    .collect();
                numbers.sort_unstable();
                let all: Vec<usize> = (0..stripes << level).collect();
                assert_eq!(numbers, all, "level {level}");
            }
            // What a doubling adds to a stripe lies together.
            for bucket in 1..growth.most_mask {
                if !(bucket + 1).is_power_of_two() {
                    let number = growth.number(0, bucket);
                    assert_eq!(growth.number(0, bucket + 1), number + 1);
                }
            }
        }
    }

    #[test]
    fn a_bucket_is_found_by_the_level_that_the_directory_says() {
        let stripes = 4_usize;
        let mapping = Name::new().create();
        let begin = mapping.words().as_ptr().addr();
        let directory = Directory {
            at: 40,
            most_buckets: 8,
        };
        let map = IndexedMapping::new(mapping, 0..4, 3..35, Some(directory));
        for level in 1..=3 {
            for stripe in 0..stripes {
                let word = map.directory(stripe).unwrap();
                let mask = (1 << level) - 1_u64;
                word.store(mask, Ordering::Relaxed);
                for bits in 0..16_usize {
                    let hash = (stripe as u64) << 62 | (bits as u64) << 8 | 0xa5;
                    let home = map.bucket_of(hash);
                    let expected = map.bucket_in_stripe(stripe, bits % (1 << level));
                    assert_eq!((home.number, home.directory), (expected, mask));
                    let at = home.words.as_ptr().addr() - begin;
                    assert_eq!(at, (3 + expected) * BUCKET_WORDS * WORD);
                    assert!(map.is_still(mask, hash));
                    assert!(!map.is_still(0, hash));
                }
                // A damaged word leads to no other place than a bucket.
                word.store(u64::MAX, Ordering::Relaxed);
                let home = map.bucket_of((stripe as u64) << 62 | 0xff_ff00);
                assert_eq!(home.number, map.bucket_in_stripe(stripe, 7));
            }
        }
        assert!(map.directory(stripes).is_none());
    }
}
