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

use crate::error::{Error, Result};
use crate::index::bucket::{Bucket, Tags};
use crate::index::probe::{self, Hash};
use crate::layout::words_of;
use crate::record::{Header, Wanted};
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
    /// Nothing: what was read cannot be believed, or a glance was not enough.
    Undecided,
}

/// Looks `key` up and hands the words of its value and its length in bytes to
/// `copy`, whose result counts only if nothing disturbed it. `copy` may run
/// several times.
pub(crate) fn lookup<R>(
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

/// A look-up that takes no loop, whose branches and registers a get would pay for: it
/// decides nearly always. `copy` as in [`lookup`].
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn lookup_at_home<R>(
    segment: &Segment,
    key: &[u8],
    hash: Hash,
    copy: &mut impl FnMut(&[AtomicU64], usize) -> Result<R>,
) -> Result<Found<R>> {
    let bucket = probe::bucket(segment, hash.home(segment));
    let tags = bucket.tags();
    let record = match glance(segment, bucket, tags, key, hash) {
        Found::Present(seen) => seen.record,
        Found::Absent => return Ok(Found::Absent),
        Found::Undecided => return Ok(Found::Undecided),
    };
    take(bucket, tags, record, copy)
}

/// Copies the value of the key's record, if what was read is to be believed.
#[inline(always)]
#[allow(clippy::inline_always)]
fn take<R>(
    bucket: Bucket<'_>,
    tags: Tags,
    record: Record<'_>,
    copy: &mut impl FnMut(&[AtomicU64], usize) -> Result<R>,
) -> Result<Found<R>> {
    // A length that is not to be believed must not lead to a long copy.
    if matches!(record.value, [_]) || still(bucket, tags) {
        let result = copy(record.value, record.header.value)?;
        if still(bucket, tags) {
            return Ok(Found::Present(result));
        }
    }
    Ok(Found::Undecided)
}

/// What a glance at a key's home bucket shows.
pub(crate) struct Seen<'a> {
    pub(crate) slot: usize,
    /// The record's first word.
    pub(crate) at: usize,
    pub(crate) record: Record<'a>,
}

/// Looks at the first slot that has the key's tag.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn glance<'a>(
    segment: &'a Segment,
    bucket: Bucket<'_>,
    tags: Tags,
    key: &[u8],
    hash: Hash,
) -> Found<Seen<'a>> {
    let matches = tags.matching(hash.tag());
    if matches == 0 {
        return if bucket.overflow() == 0 {
            Found::Absent
        } else {
            Found::Undecided
        };
    }
    let slot = matches.trailing_zeros() as usize;
    let at = segment.geometry.word_of(bucket.slot(slot));
    match compare(segment, at, Wanted::new(key)) {
        Compared::Same(record) => Found::Present(Seen { slot, at, record }),
        Compared::Other | Compared::NoRecord => Found::Undecided,
    }
}

/// One look at all of the key's buckets.
fn attempt<R>(
    segment: &Segment,
    key: &[u8],
    hash: Hash,
    copy: &mut impl FnMut(&[AtomicU64], usize) -> Result<R>,
) -> Result<Found<R>> {
    let wanted = Wanted::new(key);
    for (_, bucket) in probe::buckets(segment, hash) {
        let tags = bucket.tags();
        let mut looked = false;
        for slot in tags.slots_with(hash.tag()) {
            looked = true;
            let at = segment.geometry.word_of(bucket.slot(slot));
            match compare(segment, at, wanted) {
                Compared::Same(record) => return take(bucket, tags, record, copy),
                Compared::Other => {}
                Compared::NoRecord => return suspect(bucket, tags, at),
            }
        }
        if looked && !still(bucket, tags) {
            return Ok(Found::Undecided);
        }
        if bucket.overflow() == 0 {
            break;
        }
    }
    Ok(Found::Absent)
}

/// What a slot with a key's tag leads to.
pub(crate) enum Compared<'a> {
    /// The key's record.
    Same(Record<'a>),
    /// Another key's.
    Other,
    /// Something that is no record.
    NoRecord,
}

/// Whether the record at `at` is that of a key.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn compare<'a>(segment: &'a Segment, at: usize, wanted: Wanted<'_>) -> Compared<'a> {
    let Some((header, words)) = segment.record(at) else {
        return Compared::NoRecord;
    };
    let word = header.load(Ordering::Relaxed);
    // Two copies of what follows, the first for a value of one word.
    if let Some(length) = wanted.length_of_short_value(word) {
        return same(segment, at, words, wanted, length);
    }
    match wanted.length_of_value(word) {
        Some(length) => same(segment, at, words, wanted, length),
        None if Header::unpack(word).is_some() => Compared::Other,
        None => Compared::NoRecord,
    }
}

/// Whether a record of the right lengths is that of a key.
#[inline(always)]
#[allow(clippy::inline_always)]
fn same<'a>(
    segment: &'a Segment,
    at: usize,
    words: &'a [AtomicU64],
    wanted: Wanted<'_>,
    length: usize,
) -> Compared<'a> {
    let Some((key, value)) = split(segment, at, words, wanted.words(), length) else {
        return Compared::NoRecord;
    };
    if !wanted.equals(key) {
        return Compared::Other;
    }
    let header = Header {
        key: wanted.key_length(),
        value: length,
    };
    Compared::Same(Record { header, key, value })
}

/// A record that was found.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) header: Header,
    /// The key's words.
    pub(crate) key: &'a [AtomicU64],
    /// The value's words.
    pub(crate) value: &'a [AtomicU64],
}

/// The words of the key and of the value of the record at `at`, a value of `length`
/// bytes; `record` are the words from there on.
#[inline]
fn split<'a>(
    segment: &'a Segment,
    at: usize,
    record: &'a [AtomicU64],
    key: usize,
    length: usize,
) -> Option<(&'a [AtomicU64], &'a [AtomicU64])> {
    let behind_header = 1..1 + key + words_of(length);
    let both = match record.get(behind_header.clone()) {
        Some(both) => both,
        // It may reach into chunks that got pages since we last looked.
        None => segment.record_beyond(at)?.1.get(behind_header)?,
    };
    both.split_at_checked(key)
}

/// The record at `at`, as far as its header can be believed; `None` if there can
/// be none.
#[inline]
pub(crate) fn open(segment: &Segment, at: usize) -> Option<Record<'_>> {
    let (header, words) = segment.record(at)?;
    let header = Header::unpack(header.load(Ordering::Relaxed))?;
    let (key, value) = split(segment, at, words, words_of(header.key), header.value)?;
    Some(Record { header, key, value })
}

/// Whether what was read since `tags` were loaded can be believed.
#[inline]
pub(crate) fn still(bucket: Bucket<'_>, tags: Tags) -> bool {
    fence(Ordering::Acquire);
    bucket.has_version_of(tags)
}

/// Something that is no record: the memory was given away, or the segment is
/// damaged.
#[cold]
fn suspect<R>(bucket: Bucket<'_>, tags: Tags, at: usize) -> Result<Found<R>> {
    if still(bucket, tags) {
        Err(no_record(at))
    } else {
        Ok(Found::Undecided)
    }
}

/// The error of such a slot.
#[cold]
pub(crate) fn no_record(at: usize) -> Error {
    Segment::damaged("a slot leads to no record", at)
}
