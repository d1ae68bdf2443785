//! A mapping whose stripe headers and buckets are reached without a bounds check.

use std::ops::{Deref, Range, RangeInclusive};
use std::ptr::NonNull;

use crate::layout::{BUCKET_WORDS, LEVEL_BITS, STRIPE_WORDS};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::Mapping;

/// A mapped segment, and the location in it of the arrays that every access uses.
pub(crate) struct IndexedMapping {
    mapping: Mapping,
    stripes: Array<STRIPE_WORDS>,
    /// The number of stripes is 2^(63 - `stripe_shift`).
    stripe_shift: u32,
    buckets: Array<BUCKET_WORDS>,
    growth: Option<Growth>,
}

/// How the buckets of a table that grows are numbered.
///
/// A stripe begins with 2^`first` buckets, and has twice as many after each doubling; in the
/// stripe they are numbered from 0. In the table, the first buckets of all stripes come first,
/// stripe by stripe; then all that the first doubling adds, stripe by stripe; and so on. So no
/// bucket ever moves, and whatever the number of doublings, the buckets in use lie closely
/// together.
#[derive(Clone, Copy)]
struct Growth {
    /// One word for each stripe.
    directory: Array<1>,
    first: u32,
    most: u32,
}

/// Where the directory is, and the levels that stripes may have.
pub(crate) struct Directory {
    /// The position of its first word.
    pub(crate) at: usize,
    pub(crate) levels: RangeInclusive<u32>,
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
    /// stripes isn't a power of two; if it grows, and there are not as many buckets as all
    /// stripes have at the highest level.
    pub(crate) fn new(
        mapping: Mapping,
        stripes: Range<usize>,
        buckets: Range<usize>,
        directory: Option<Directory>,
    ) -> Self {
        assert!(stripes.len().is_power_of_two(), "stripes");
        let growth = directory.map(|Directory { at, levels }| {
            let (first, most) = levels.into_inner();
            let all = 1_usize.checked_shl(most);
            let all = all.and_then(|all| all.checked_mul(stripes.len()));
            assert!(first <= most && all == Some(buckets.len()), "levels");
            Growth {
                directory: Array::new(mapping.words(), at..at + stripes.len()),
                first,
                most,
            }
        });
        Self {
            stripe_shift: u64::BITS - 1 - stripes.len().trailing_zeros(),
            stripes: Array::new(mapping.words(), stripes),
            buckets: Array::new(mapping.words(), buckets),
            growth,
            mapping,
        }
    }

    /// A stripe's word in the directory; `None` if the table doesn't grow.
    #[inline]
    pub(crate) fn directory(&self, stripe: usize) -> Option<&AtomicU64> {
        let growth = self.growth?;
        // SAFETY: as in `stripes`.
        let [word] = unsafe { growth.directory.pieces() }.get(stripe)?;
        Some(word)
    }

    /// The number in the table of a stripe's bucket of this number.
    ///
    /// # Panics
    /// If the table doesn't grow.
    pub(crate) fn bucket_in_stripe(&self, stripe: usize, bucket: usize) -> usize {
        #[expect(clippy::expect_used, reason = "a caller's bug")]
        let growth = self.growth.expect("a table that grows");
        growth.number(self.stripes().len(), stripe, bucket)
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
        let Some(growth) = self.growth else {
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
        // Acquire: a reader that sees a level sees the buckets that it adds.
        let directory = word.load(Ordering::Acquire);
        let bucket = growth.home(directory, hash);
        let number = growth.number(self.stripes().len(), stripe, bucket);
        HomeBucket {
            number,
            // SAFETY: `home` returns less than 2^most, for which `number` returns less than
            // stripes * 2^most, the number of buckets by `new`.
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
        let growth = self.growth.expect("a table that grows");
        growth.home(directory, hash)
    }

    /// Whether the directory still says what it said when a hash's bucket was found. An acquire
    /// fence must stand between the loads that this validates and this one.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn is_still(&self, directory: u64, hash: u64) -> bool {
        let Some(growth) = self.growth else {
            return true;
        };
        self.word_of(growth, self.stripe_number(hash))
            .load(Ordering::Relaxed)
            == directory
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

impl Growth {
    /// The number in its stripe of the bucket that a hash falls on: less than 2^most, even if
    /// the directory word is damaged.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn home(self, directory: u64, hash: u64) -> usize {
        let level = directory & ((1 << LEVEL_BITS) - 1);
        let level = level.min(self.most.into());
        (hash >> BUCKET_BITS_AT) as usize & ((1 << level) - 1)
    }

    /// The number in the table of a bucket of a stripe: for a stripe below `stripes` and a bucket
    /// below 2^most less than stripes * 2^most.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn number(self, stripes: usize, stripe: usize, bucket: usize) -> usize {
        // In units of as many buckets as a stripe begins with.
        let unit = bucket >> self.first;
        let first = bucket & ((1 << self.first) - 1);
        let at = match unit.checked_ilog2() {
            None => stripe,
            // The doubling that added this unit added 2^doubling units to each stripe, and
            // before it came as many for each.
            Some(doubling) => ((stripes + stripe - 1) << doubling) + unit,
        };
        at << self.first | first
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
        for (first, most, stripes) in [(0, 5, 1), (2, 2, 4), (2, 6, 8), (1, 4, 16), (0, 3, 2)] {
            let growth = Growth {
                directory: Array(NonNull::<[[AtomicU64; 1]; 0]>::dangling()),
                first,
                most,
            };
            for level in first..=most {
                let mut numbers: Vec<usize> = (0..stripes)
                    .flat_map(|stripe| {
                        (0..1 << level).map(move |bucket| growth.number(stripes, stripe, bucket))
                    })
                    .collect();
                numbers.sort_unstable();
                let all: Vec<usize> = (0..stripes << level).collect();
                assert_eq!(numbers, all, "{first} to {level}");
            }
            // What a doubling adds to a stripe lies together.
            for bucket in (1 << first)..(1 << most) - 1_usize {
                if !(bucket + 1).is_power_of_two() {
                    let number = growth.number(stripes, 0, bucket);
                    assert_eq!(growth.number(stripes, 0, bucket + 1), number + 1);
                }
            }
        }
    }

    #[test]
    fn a_bucket_is_found_by_the_level_that_the_directory_says() {
        let (stripes, first, most) = (4_usize, 1, 3);
        let mapping = Name::new().create();
        let begin = mapping.words().as_ptr().addr();
        let levels = first..=most;
        let map = IndexedMapping::new(mapping, 0..4, 3..35, Some(Directory { at: 40, levels }));
        for level in first..=most {
            for stripe in 0..stripes {
                let word = map.directory(stripe).unwrap();
                word.store(u64::from(level), Ordering::Relaxed);
                for bits in 0..16_usize {
                    let hash = (stripe as u64) << 62 | (bits as u64) << 8 | 0xa5;
                    let home = map.bucket_of(hash);
                    let expected = map.bucket_in_stripe(stripe, bits % (1 << level));
                    assert_eq!((home.number, home.directory), (expected, level.into()));
                    let at = home.words.as_ptr().addr() - begin;
                    assert_eq!(at, (3 + expected) * BUCKET_WORDS * WORD);
                    assert!(map.is_still(level.into(), hash));
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
