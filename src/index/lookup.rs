//! Lock-free lookup without a shortcut.
//!
//! Where the [fast path](super::fast_path) doesn't decide: every slot with the key's tag, in
//! every bucket that the key may be in, again while writers disturb. The argument is there.

use crate::error::Result;
use crate::index::bucket::{Bucket, Tags};
use crate::index::entry::{Compared, Damage};
use crate::index::fast_path::{Found, compare_record, compare_small, take, validate};
use crate::index::probe::{self, Hash};
use crate::segment::Segment;
use crate::sync::{self, AtomicU64};

/// Attempts before a reader does something else than trying again.
pub(crate) const ATTEMPTS: u32 = if cfg!(loom) { 2 } else { 64 };

/// Looks `key` up and hands the words of its value and its length in bytes to
/// `copy`, whose result counts only if nothing disturbed it. `copy` may run
/// several times.
pub(crate) fn lookup_slow<R>(
    segment: &Segment,
    key: &[u8],
    hash: Hash,
    copy: &mut impl FnMut(&[AtomicU64], usize) -> Result<R>,
) -> Result<Found<R>> {
    for _ in 0..ATTEMPTS {
        match attempt(segment, key, hash, copy)? {
            Found::Undecided => sync::spin_hint(),
            decided => return Ok(decided),
        }
    }
    Ok(Found::Undecided)
}

/// One look at all of the key's buckets.
fn attempt<R>(
    segment: &Segment,
    key: &[u8],
    hash: Hash,
    copy: &mut impl FnMut(&[AtomicU64], usize) -> Result<R>,
) -> Result<Found<R>> {
    for (number, bucket) in probe::buckets(segment, hash) {
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
    Ok(Found::Absent)
}

/// Something that is no entry: the memory was given away, or the segment is
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

/// Whether a slot holds the entry of a key.
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
