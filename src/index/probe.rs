//! From a key's hash to its stripe, its buckets and its tag.
//!
//! The hash is XXH3-64 with the table's own random seed, so nobody can choose
//! keys that collide. Its high bits choose a bucket of the whole table, by
//! multiplication; the stripe is the run of buckets around it; its low byte is
//! the tag. Probing goes to the next bucket and wraps inside the stripe.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::index::bucket::Bucket;
use crate::layout::{BUCKET_WORDS, CLAIM_BYTES};
use crate::segment::Segment;

#[derive(Clone, Copy)]
pub(crate) struct Hash(u64);

impl Hash {
    /// Bytes of the longest key whose hash takes a few instructions.
    pub(crate) const SHORT: usize = 16;

    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn of(segment: &Segment, key: &[u8]) -> Self {
        Self(xxh3_64_with_seed(key, segment.seed))
    }

    /// Never 0, which is an empty slot's.
    #[inline]
    pub(crate) fn tag(self) -> u8 {
        let byte = self.0 as u8;
        byte + u8::from(byte == 0)
    }

    /// The top bits: the same stripe that [`Hash::home`] lies in, because
    /// `home = hash * (stripes * stripe_buckets) / 2^64`.
    pub(crate) fn stripe(self, segment: &Segment) -> usize {
        // Two shifts: one stripe has no bits, and a shift by 64 is none.
        ((self.0 >> 1) >> (63 - segment.geometry.stripe_bits)) as usize
    }

    /// The byte, far behind any segment's end, whose lock is the claim to compute
    /// a value for such keys.
    pub(crate) fn claim_byte(self) -> u64 {
        CLAIM_BYTES | (self.0 >> 2)
    }

    /// The bucket where probing begins.
    #[inline]
    pub(crate) fn home(self, segment: &Segment) -> usize {
        ((u128::from(self.0) * segment.geometry.buckets as u128) >> 64) as usize
    }
}

/// The bucket of this number. One bounds check, which the geometry makes needless.
#[inline]
pub(crate) fn bucket(segment: &Segment, number: usize) -> Bucket<'_> {
    let (buckets, _) = segment.words().as_chunks::<BUCKET_WORDS>();
    Bucket::new(&buckets[segment.geometry.first_bucket + number])
}

/// The bucket where probing begins, with its number.
#[inline]
pub(crate) fn home(segment: &Segment, hash: Hash) -> (usize, Bucket<'_>) {
    let number = hash.home(segment);
    (number, bucket(segment, number))
}

/// The buckets that probing visits for a key, each once, with their numbers.
#[inline]
pub(crate) fn buckets(segment: &Segment, hash: Hash) -> impl Iterator<Item = (usize, Bucket<'_>)> {
    let home = hash.home(segment);
    let mut last = None;
    // The next number is worked out when it is asked for: that takes a division, and
    // mostly nobody asks.
    std::iter::from_fn(move || {
        let number = match last {
            None => home,
            Some(last) => Some(next(segment, last)).filter(|next| *next != home)?,
        };
        last = Some(number);
        Some((number, bucket(segment, number)))
    })
}

/// Those that probing passes before it comes to the bucket of this number.
#[inline]
pub(crate) fn passed(
    segment: &Segment,
    hash: Hash,
    number: usize,
) -> impl Iterator<Item = (usize, Bucket<'_>)> {
    buckets(segment, hash).take_while(move |(passed, _)| *passed != number)
}

/// The bucket that probing visits after this one.
fn next(segment: &Segment, number: usize) -> usize {
    let length = segment.geometry.stripe_buckets;
    if (number + 1).is_multiple_of(length) {
        number + 1 - length
    } else {
        number + 1
    }
}
