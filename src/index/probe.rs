//! From a key's hash to its stripe, its buckets and its tag.
//!
//! The hash's high bits choose the home bucket among those of the whole table, by
//! multiplication; the stripe is the run of buckets around it. The hash's low byte is the tag.
//! Probing goes on to the next bucket, and wraps around inside the stripe.

use crate::index::bucket::Bucket;
use crate::layout::CLAIM_BYTES;
use crate::segment::Segment;
use crate::segment::stripe::Stripe;

#[derive(Clone, Copy)]
pub(crate) struct Hash(u64);

impl Hash {
    /// The length in bytes of the longest key whose hash takes only a few instructions.
    pub(crate) const SHORT: usize = 16;

    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn of(segment: &Segment, key: &[u8]) -> Self {
        Self(segment.seed.hash(key))
    }

    /// The tag; never 0, which marks an empty slot.
    #[inline]
    pub(crate) fn tag(self) -> u8 {
        let byte = self.0 as u8;
        byte + u8::from(byte == 0)
    }

    /// The stripe of the home bucket.
    #[inline]
    pub(crate) fn stripe(self, segment: &Segment) -> Stripe<'_> {
        Stripe::new(segment.map.stripe_of(self.0))
    }

    /// The byte, far behind any segment's end, whose lock is the claim to compute
    /// a value for keys with this hash.
    pub(crate) fn claim_byte(self) -> u64 {
        CLAIM_BYTES | (self.0 >> 2)
    }

    /// The number of the home bucket, where probing begins.
    #[inline]
    pub(crate) fn home(self, segment: &Segment) -> usize {
        segment.map.bucket_of(self.0).0
    }
}

/// The bucket of this number. The geometry makes its one bounds check redundant.
#[inline]
pub(crate) fn bucket(segment: &Segment, number: usize) -> Bucket<'_> {
    Bucket::new(&segment.map.buckets()[number])
}

/// The home bucket, where probing begins, with its number.
#[inline]
pub(crate) fn home(segment: &Segment, hash: Hash) -> (usize, Bucket<'_>) {
    let (number, words) = segment.map.bucket_of(hash.0);
    (number, Bucket::new(words))
}

/// The buckets that probing visits for a key, each once, with their numbers.
#[inline]
pub(crate) fn buckets(segment: &Segment, hash: Hash) -> impl Iterator<Item = (usize, Bucket<'_>)> {
    let stripe = segment.buckets_of(hash.stripe(segment));
    let home = hash.home(segment);
    (home..stripe.end)
        .chain(stripe.start..home)
        .map(|number| (number, bucket(segment, number)))
}

/// The buckets that probing passes before it comes to the bucket of this number.
#[inline]
pub(crate) fn passed(
    segment: &Segment,
    hash: Hash,
    number: usize,
) -> impl Iterator<Item = (usize, Bucket<'_>)> {
    buckets(segment, hash).take_while(move |(passed, _)| *passed != number)
}
