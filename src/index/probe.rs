//! From a key's hash to its stripe, its buckets and its tag.
//!
//! The hash's high bits choose the stripe, and its low byte is the tag.
//!
//! - *In a table that doesn't grow*, the high bits choose the home bucket among those of the whole
//!   table, by multiplication; the stripe is the run of buckets around it. Probing goes on to the
//!   next bucket, and wraps around inside the stripe.
//! - *In a table that grows*, the bits above the tag choose the home bucket in the stripe, as many
//!   as the stripe has buckets for. Probing goes on to the buckets whose numbers in the stripe
//!   differ from the home's by the bits of 1, 2, 3 and so on. So a stripe that is doubled by a bit
//!   more of each hash keeps all that it has where it is found: see [`growth`](super::growth).

use crate::index::bucket::Bucket;
use crate::layout::{CLAIM_BYTES, parts_agree};
use crate::segment::Segment;
use crate::segment::directory::{DirectoryWord, Phase};
use crate::segment::stripe::Stripe;
use crate::sync::Ordering;
use crate::sys::HomeBucket;

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

    /// The hash whose bits these are: what a slot that leads to a record keeps.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// All its bits.
    #[inline]
    pub(crate) fn bits(self) -> u64 {
        self.0
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
        segment.map.bucket_of(self.0).number
    }

    /// The place of the home bucket in its stripe, if the stripe of a growing table had this
    /// directory word.
    pub(crate) fn home_in_stripe(self, segment: &Segment, word: DirectoryWord) -> usize {
        segment.map.home_in_stripe(word.0, self.0)
    }
}

/// The bucket of this number. The geometry makes its one bounds check redundant.
#[inline]
pub(crate) fn bucket(segment: &Segment, number: usize) -> Bucket<'_> {
    Bucket::new(&segment.map.buckets()[number])
}

/// The home bucket of a hash, where probing begins.
#[derive(Clone, Copy)]
pub(crate) struct Home<'a> {
    number: usize,
    pub(crate) bucket: Bucket<'a>,
    /// By which size of its stripe it is the home.
    size: StripeSize,
}

/// The size that a stripe had when a hash's home bucket was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct StripeSize(u64);

impl StripeSize {
    /// Whether the hash's stripe still has this size. A key that was not found may be in buckets
    /// that have come since, if it has not. The loads that this validates must have been acquires.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn holds(self, segment: &Segment, hash: Hash) -> bool {
        segment.map.is_still(self.0, hash.0)
    }

    /// As [`holds`](Self::holds), and whether the directory word that said this size shows no
    /// damage: a home bucket may be a wrong one otherwise.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn holds_and_is_sound(self, segment: &Segment, hash: Hash) -> bool {
        segment.map.is_still_and_sound(self.0, hash.0)
    }
}

/// The home bucket of a hash.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn home(segment: &Segment, hash: Hash) -> Home<'_> {
    let HomeBucket {
        number,
        words,
        directory,
    } = segment.map.bucket_of(hash.0);
    Home {
        number,
        bucket: Bucket::new(words),
        size: StripeSize(directory),
    }
}

/// The home bucket of a hash in a stripe whose lock is taken, or is about to be.
#[derive(Clone, Copy)]
pub(crate) struct HomeToLock<'a> {
    pub(crate) number: usize,
    pub(crate) bucket: Bucket<'a>,
}

impl<'a> From<Home<'a>> for HomeToLock<'a> {
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn from(Home { number, bucket, .. }: Home<'a>) -> Self {
        Self { number, bucket }
    }
}

/// The home bucket of a hash, for callers who are about to take the stripe's lock: once they have
/// it, [`home_once_locked`] has the right one.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn home_to_lock(segment: &Segment, hash: Hash) -> HomeToLock<'_> {
    if segment.map.grows() {
        return home_that_may_move(segment, hash);
    }
    home(segment, hash).into()
}

/// The home bucket of a hash, which was looked for before the stripe's lock was taken: a stripe of
/// a table that grows may have been doubled since.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn home_once_locked<'a>(
    segment: &'a Segment,
    hash: Hash,
    before: HomeToLock<'a>,
) -> HomeToLock<'a> {
    if segment.map.grows() {
        home_that_stays(segment, hash)
    } else {
        before
    }
}

/// The home bucket of a hash, for callers who have the stripe's lock. It is the right one also if
/// one bit of the stripe's directory word is wrong.
#[inline]
pub(crate) fn home_locked(segment: &Segment, hash: Hash) -> HomeToLock<'_> {
    if segment.map.grows() {
        return home_that_stays(segment, hash);
    }
    home(segment, hash).into()
}

// In tables that grow. Apart, so that writers of other tables have all registers.

#[inline(never)]
fn home_that_may_move(segment: &Segment, hash: Hash) -> HomeToLock<'_> {
    home(segment, hash).into()
}

#[inline(never)]
fn home_that_stays(segment: &Segment, hash: Hash) -> HomeToLock<'_> {
    let home = home(segment, hash);
    if parts_agree(home.size.0) {
        home.into()
    } else {
        home_by_majority(segment, hash).unwrap_or(home.into())
    }
}

/// The home bucket of a hash by what most parts of the stripe's directory word say.
#[cold]
fn home_by_majority(segment: &Segment, hash: Hash) -> Option<HomeToLock<'_>> {
    let (number, bucket) = buckets(segment, hash).next()?;
    Some(HomeToLock { number, bucket })
}

impl Home<'_> {
    /// By which size of its stripe it is the home.
    #[inline]
    pub(crate) fn size(self) -> StripeSize {
        self.size
    }
}

/// The buckets that probing visits for a key, each once, with their numbers. Under the stripe's
/// lock only.
#[inline]
pub(crate) fn buckets(
    segment: &Segment,
    hash: Hash,
) -> impl Iterator<Item = (usize, Bucket<'_>)> + Clone {
    let size = StripeSize(directory_word(segment, hash).map_or(0, |word| word.0));
    buckets_by(segment, hash, size)
}

/// As [`buckets`], for a stripe of this size.
#[inline]
pub(crate) fn buckets_by(
    segment: &Segment,
    hash: Hash,
    size: StripeSize,
) -> impl Iterator<Item = (usize, Bucket<'_>)> + Clone {
    let way = Way::new(segment, hash, size);
    (0..way.count).map(move |step| {
        let number = way.at(segment, step);
        (number, bucket(segment, number))
    })
}

/// The order in which probing visits the buckets of a stripe.
#[derive(Clone, Copy)]
struct Way {
    /// The number of the home bucket: in the stripe if the table grows, and otherwise among all.
    home: usize,
    count: usize,
    /// In a table that grows, the stripe's number; otherwise the number of the bucket behind it.
    stripe: usize,
    grows: bool,
}

impl Way {
    #[inline]
    fn new(segment: &Segment, hash: Hash, size: StripeSize) -> Self {
        let grows = segment.map.grows();
        let stripe = segment.map.stripe_number(hash.0);
        if grows {
            let count = segment.buckets_by(DirectoryWord(size.0));
            let word = DirectoryWord::new(count.ilog2(), Phase::AtRest);
            Self {
                home: hash.home_in_stripe(segment, word),
                count,
                stripe,
                grows,
            }
        } else {
            let count = segment.geometry.stripe_buckets;
            Self {
                home: hash.home(segment),
                count,
                stripe: (stripe + 1) * count,
                grows,
            }
        }
    }

    /// The number of the bucket that is visited after so many others.
    #[inline]
    fn at(self, segment: &Segment, step: usize) -> usize {
        if self.grows {
            return segment.map.bucket_in_stripe(self.stripe, self.home ^ step);
        }
        let number = self.home + step;
        if number < self.stripe {
            number
        } else {
            number - self.count
        }
    }
}

/// The directory word of a hash's stripe; `None` if the table doesn't grow.
fn directory_word(segment: &Segment, hash: Hash) -> Option<DirectoryWord> {
    let word = segment.map.directory(segment.map.stripe_number(hash.0))?;
    // Relaxed: its callers hold the stripe's lock, and nobody else stores it.
    Some(DirectoryWord(word.load(Ordering::Relaxed)))
}

/// The number of buckets that probing passes from a key's home bucket to the bucket of this
/// number in its stripe.
pub(crate) fn distance(segment: &Segment, hash: Hash, number: usize) -> Option<usize> {
    buckets(segment, hash).position(|(visited, _)| visited == number)
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
