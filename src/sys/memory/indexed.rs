//! A mapping whose stripe headers and buckets are reached without a bounds check.

use std::ops::{Deref, Range};
use std::ptr::NonNull;

use crate::layout::{BUCKET_WORDS, STRIPE_WORDS};
use crate::sync::AtomicU64;
use crate::sys::Mapping;

/// A mapped segment, and the location in it of the two arrays that every access uses.
pub(crate) struct IndexedMapping {
    mapping: Mapping,
    stripes: Array<STRIPE_WORDS>,
    /// The number of stripes is 2^(63 - `stripe_shift`).
    stripe_shift: u32,
    buckets: Array<BUCKET_WORDS>,
}

impl IndexedMapping {
    /// Takes a mapping, with the numbers of its stripe headers and of its buckets. Each range
    /// counts pieces of the size of one, from the beginning of the mapping.
    ///
    /// # Panics
    /// If the mapping is too short for them, if there are no buckets, or if the number of
    /// stripes isn't a power of two.
    pub(crate) fn new(mapping: Mapping, stripes: Range<usize>, buckets: Range<usize>) -> Self {
        assert!(stripes.len().is_power_of_two(), "stripes");
        Self {
            stripe_shift: u64::BITS - 1 - stripes.len().trailing_zeros(),
            stripes: Array::new(mapping.words(), stripes),
            buckets: Array::new(mapping.words(), buckets),
            mapping,
        }
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

    /// The header of the stripe that a hash falls on. The hash's top bits choose it, and all
    /// stripes are equally likely.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn stripe_of(&self, hash: u64) -> &[AtomicU64; STRIPE_WORDS] {
        // Two shifts: for a single stripe all 64 bits have to go, and a shift by 64 is not
        // defined.
        let number = (hash >> 1 >> self.stripe_shift) as usize;
        // SAFETY: `number` is below 2^63 after the first shift, and below 2^(63 - shift), the
        // number of stripes, after the second.
        unsafe { self.stripes().get_unchecked(number) }
    }

    /// The bucket that a hash falls on, and its number. All buckets are equally likely. If all
    /// stripes have equally many buckets, it is in the stripe that
    /// [`stripe_of`](Self::stripe_of) returns: its number is
    /// `hash * stripes * buckets of a stripe / 2^64`.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn bucket_of(&self, hash: u64) -> (usize, &[AtomicU64; BUCKET_WORDS]) {
        let buckets = self.buckets();
        let number = ((u128::from(hash) * buckets.len() as u128) >> u64::BITS) as usize;
        // SAFETY: hash < 2^64, so `number` is below the number of buckets, and `Array::new`
        // checked that there is at least one.
        (number, unsafe { buckets.get_unchecked(number) })
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
            );
            let hashes = (0..1000).map(|step| step * (u64::MAX / 999));
            for hash in hashes.chain([1, u64::MAX - 1, u64::MAX / 2, u64::MAX / 2 + 1]) {
                let stripe = map.stripe_of(hash).as_ptr().addr() - first;
                let expected = first_stripe + share_of(hash, stripes);
                assert_eq!(stripe, expected * STRIPE_WORDS * WORD);
                let (number, bucket) = map.bucket_of(hash);
                assert_eq!(number, share_of(hash, buckets));
                let expected = first_bucket + number;
                assert_eq!(
                    bucket.as_ptr().addr() - first,
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
        IndexedMapping::new(Name::new().create(), 0..1, 0..beyond);
    }

    #[test]
    #[should_panic(expected = "without a piece")]
    fn no_bucket_at_all_is_refused() {
        IndexedMapping::new(Name::new().create(), 0..1, 3..3);
    }
}
