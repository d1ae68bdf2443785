//! Lock-free look-up.
//!
//! A reader loads the bucket's version and tags, follows a slot, reads the
//! record with relaxed loads, and believes what it read only if the version is
//! still the same.
//!
//! # Why a validated read is right
//! Say that a reader read a word of record `r` which a writer stored for a later
//! record in the same memory. Before that store the writer issued a release
//! fence (`arena`), and before that, in its own order or in that of others it
//! synchronized with (stripe lock, chunk state), the bucket's version was bumped:
//! `r`'s memory is given away only after `r` was unlinked and the version bumped
//! under the stripe's lock, and after a cleaner took that lock in its turn. The
//! reader's acquire fence comes after the load, so it synchronizes with the
//! release fence, and its second load of the version sees the bump: it tries
//! again. So what passes the check is what was published.
//!
//! # Why a miss is right
//! A key stays in its slot from its insertion to its removal. A reader that
//! finds it in none of its buckets either looked at its slot while the key was
//! absent, or looked before it was inserted or after it was removed; in each case
//! there was a moment during the look-up when the key was absent. A mismatch of
//! bytes counts only if the version held.

use crate::error::Result;
use crate::index::bucket::{Bucket, Tags};
use crate::index::probe::{self, Hash};
use crate::record::{self, Header};
use crate::segment::Segment;
use crate::sync::{self, AtomicU64, Ordering, fence};

/// Attempts before a reader does something else than trying again.
pub(crate) const ATTEMPTS: u32 = if cfg!(loom) { 2 } else { 64 };

/// What a look-up came to.
pub(crate) enum Found<R> {
    /// The key was there.
    Present(R),
    /// There was a moment when it was not.
    Absent,
    /// Records of the bucket were unlinked again and again meanwhile.
    Disturbed,
}

/// Looks `key` up and hands the words of its value and its length in bytes to
/// `copy`, whose result counts only if nothing disturbed it. `copy` may run
/// several times.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn lookup<R>(
    segment: &Segment,
    key: &[u8],
    hash: Hash,
    mut copy: impl FnMut(&[AtomicU64], usize) -> Result<R>,
) -> Result<Found<R>> {
    for _ in 0..ATTEMPTS {
        match attempt(segment, key, hash, &mut copy)? {
            Found::Disturbed => sync::spin_hint(),
            decided => return Ok(decided),
        }
    }
    Ok(Found::Disturbed)
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn attempt<R>(
    segment: &Segment,
    key: &[u8],
    hash: Hash,
    copy: &mut impl FnMut(&[AtomicU64], usize) -> Result<R>,
) -> Result<Found<R>> {
    let tag = hash.tag();
    let mut number = hash.home(segment);
    for _ in 0..segment.geometry.stripe_buckets {
        let bucket = probe::bucket(segment, number);
        let tags = bucket.tags();
        let mut matches = tags.matching(tag);
        let looked = matches != 0;
        while matches != 0 {
            let slot = matches.trailing_zeros() as usize;
            matches &= matches - 1;
            let at = segment.geometry.word_of(bucket.slot(slot));
            let Some((header, words)) = open(segment, at) else {
                return suspect(bucket, tags, at);
            };
            if header.key != key.len() || !record::equal_bytes(&words[1..], key) {
                continue;
            }
            // The length is not to be trusted before the version was checked.
            if !still(bucket, tags) {
                return Ok(Found::Disturbed);
            }
            let result = copy(&words[header.value_at()..], header.value)?;
            return Ok(if still(bucket, tags) {
                Found::Present(result)
            } else {
                Found::Disturbed
            });
        }
        if looked && !still(bucket, tags) {
            return Ok(Found::Disturbed);
        }
        if bucket.overflow() == 0 {
            return Ok(Found::Absent);
        }
        number = probe::next(segment, number);
    }
    Ok(Found::Absent)
}

/// The record at `at`, as far as its header can be believed; `None` if there can
/// be none.
#[inline]
pub(crate) fn open(segment: &Segment, at: usize) -> Option<(Header, &[AtomicU64])> {
    let words = segment.record(at)?;
    let header = Header::unpack(words.first()?.load(Ordering::Relaxed))?;
    let record = match words.get(..header.words()) {
        Some(record) => record,
        // It may reach into chunks that got pages since we last looked.
        None => segment.record_beyond(at)?.get(..header.words())?,
    };
    Some((header, record))
}

/// Whether what was read since `tags` were loaded can be believed.
#[inline]
pub(crate) fn still(bucket: Bucket<'_>, tags: Tags) -> bool {
    fence(Ordering::Acquire);
    bucket.version() == tags.version()
}

/// Something that is no record: the memory was given away, or the segment is
/// damaged.
#[cold]
fn suspect<R>(bucket: Bucket<'_>, tags: Tags, at: usize) -> Result<Found<R>> {
    if still(bucket, tags) {
        Err(Segment::damaged("a slot leads to no record", at))
    } else {
        Ok(Found::Disturbed)
    }
}
