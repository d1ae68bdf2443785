//! The slow lookup: lock-free, for what the [fast path](super::fast_path) doesn't decide.
//!
//! It compares every slot with the key's tag, in every bucket that the key may be in, and
//! starts again when a writer disturbed it. The argument why this is right is at the head of
//! the fast path.

use crate::error::Result;
use crate::index::bucket::{Bucket, Tags};
use crate::index::entry::{Compared, Damage};
use crate::index::fast_path::{
    Copier, Found, absent, compare_record, compare_small, take, validate,
};
use crate::index::probe::{self, Hash};
use crate::segment::Segment;
use crate::sync;

/// The number of attempts before a reader does something other than try again.
pub(crate) const ATTEMPTS: u32 = if cfg!(loom) { 2 } else { 64 };

/// Looks `key` up and passes the words of its value and the value's length in bytes to
/// `copy`. The result of `copy` counts only if no writer disturbed it; `copy` may run
/// several times.
pub(crate) fn lookup_slow<R>(
    segment: &Segment,
    key: &[u8],
    hash: Hash,
    copy: &mut impl Copier<Copied = R>,
) -> Result<Found<R>> {
    for _ in 0..ATTEMPTS {
        match attempt(segment, key, hash, copy)? {
            Found::Undecided => sync::spin_hint(),
            decided => return Ok(decided),
        }
    }
    Ok(Found::Undecided)
}

/// Searches all of the key's buckets once.
fn attempt<R>(
    segment: &Segment,
    key: &[u8],
    hash: Hash,
    copy: &mut impl Copier<Copied = R>,
) -> Result<Found<R>> {
    let Some(_reading) = segment.announce() else {
        return Ok(Found::Undecided);
    };
    let size = probe::home(segment, hash).size();
    for (number, bucket) in probe::buckets_by(segment, hash, size) {
        let tags = bucket.tags();
        let mut looked = false;
        for slot in tags.slots_with(hash.tag()) {
            looked = true;
            match compare(segment, bucket, slot, key) {
                Compared::Same(entry) => return take(bucket, tags, entry, copy),
                Compared::Other => {}
                Compared::NoEntry(damage) => {
                    return suspect(segment, number, bucket, tags, damage);
                }
            }
        }
        if looked && !validate(bucket, tags) {
            return Ok(Found::Undecided);
        }
        if tags.overflow() == 0 {
            break;
        }
    }
    Ok(absent::<false, _>(segment, hash, size))
}

/// Decides what a slot without an entry means: its memory was reused, or the segment is
/// damaged.
#[cold]
fn suspect<R>(
    segment: &Segment,
    number: usize,
    bucket: Bucket<'_>,
    tags: Tags,
    damage: Damage,
) -> Result<Found<R>> {
    if validate(bucket, tags) {
        Err(damage.error(segment, number))
    } else {
        Ok(Found::Undecided)
    }
}

/// Compares the entry of a slot with a key.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn compare<'a>(
    segment: &'a Segment,
    bucket: Bucket<'a>,
    slot: usize,
    key: &[u8],
) -> Compared<'a> {
    let (head, tail) = (bucket.head(slot), bucket.tail(slot));
    match compare_small(head, tail, key) {
        Some(entry) => Compared::Same(entry),
        None => compare_record::<false>(segment, head, key),
    }
}
