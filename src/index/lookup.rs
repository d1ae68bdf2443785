//! Lock-free look-up.
//!
//! A reader loads the bucket's version and tags, and a slot's head. It reads a small entry
//! out of the slot, or follows it and reads the record, with relaxed loads, and believes
//! what it read only if the version is still the same.
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
//! A slot's tail is such memory too: it is stored again, with release, only after its entry
//! was removed or replaced by a record, and the version bumped. But for a value of the same
//! length, which is one store, and may be seen.
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
use crate::index::slot::{self, Holds};
use crate::layout::words_of;
use crate::segment::Segment;
use crate::segment::record::{self, Header, Wanted};
use crate::sync::{self, AtomicU64, Ordering, fence};

/// Attempts before a reader does something else than trying again.
pub(crate) const ATTEMPTS: u32 = if cfg!(loom) { 2 } else { 64 };

/// What a look-up came to.
pub(crate) enum Found<R> {
    /// The key was there.
    Present(R),
    /// There was a moment when it was not.
    Absent,
    /// Nothing: what was read cannot be believed, or a glance is not enough.
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
    let (_, bucket) = probe::home(segment, hash);
    bucket.prefetch_what_follows();
    let tags = bucket.tags();
    #[expect(clippy::match_same_arms, reason = "two copies, see `Glance`")]
    match glance(segment, bucket, tags, key, hash) {
        Glance::Small(_, entry) => take(bucket, tags, entry, copy),
        Glance::Record(_, entry) => take(bucket, tags, entry, copy),
        Glance::Absent => Ok(Found::Absent),
        Glance::Undecided => Ok(Found::Undecided),
    }
}

/// Copies the value of the key's entry, if what was read is to be believed.
#[inline(always)]
#[allow(clippy::inline_always)]
fn take<R>(
    bucket: Bucket<'_>,
    tags: Tags,
    entry: Entry<'_>,
    copy: &mut impl FnMut(&[AtomicU64], usize) -> Result<R>,
) -> Result<Found<R>> {
    // A length that is not to be believed must not lead to a long copy.
    if matches!(entry.value, [_]) || still(bucket, tags) {
        let result = copy(entry.value, entry.lengths.value)?;
        if still(bucket, tags) {
            return Ok(Found::Present(result));
        }
    }
    Ok(Found::Undecided)
}

/// What a glance at a key's home bucket shows, with the slot. Small entries and records are
/// told apart so that callers' code is made for either by itself.
pub(crate) enum Glance<'a> {
    Small(usize, Entry<'a>),
    Record(usize, Entry<'a>),
    /// There was a moment when the key was absent.
    Absent,
    /// A glance is not enough.
    Undecided,
}

/// Looks at the first slot that has the key's tag.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn glance<'a>(
    segment: &'a Segment,
    bucket: Bucket<'a>,
    tags: Tags,
    key: &[u8],
    hash: Hash,
) -> Glance<'a> {
    let Some(slot) = tags.first_with(hash.tag()) else {
        return if tags.overflow() == 0 {
            Glance::Absent
        } else {
            Glance::Undecided
        };
    };
    let (head, tail) = (bucket.head(slot), bucket.tail(slot));
    if let Some(entry) = compare_small(head, tail, key) {
        return Glance::Small(slot, entry);
    }
    match compare_record::<true>(segment, head, key) {
        Compared::Same(entry) => Glance::Record(slot, entry),
        Compared::Other | Compared::NoEntry(_) => Glance::Undecided,
    }
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
        if looked && !still(bucket, tags) {
            return Ok(Found::Undecided);
        }
        if tags.overflow() == 0 {
            break;
        }
    }
    Ok(Found::Absent)
}

/// An entry that was found.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) lengths: Header,
    /// The words that begin with its value: a record's, or the tail of its slot.
    pub(crate) value: &'a [AtomicU64],
    pub(crate) lies: Lies<'a>,
}

/// Where an entry lies.
#[derive(Clone, Copy)]
pub(crate) enum Lies<'a> {
    /// In its slot, with this head.
    InSlot { head: u64 },
    /// In the arena: a record's first word, and the words of its key.
    InRecord { at: usize, key: &'a [AtomicU64] },
}

impl<'a> Entry<'a> {
    #[inline]
    fn small(lengths: Header, head: u64, tail: &'a AtomicU64) -> Self {
        Self {
            lengths,
            value: std::slice::from_ref(tail),
            lies: Lies::InSlot { head },
        }
    }

    #[inline]
    fn record(at: usize, record: Record<'a>) -> Self {
        let Record { header, key, value } = record;
        Self {
            lengths: header,
            value,
            lies: Lies::InRecord { at, key },
        }
    }

    /// The first word of its record; `None` if its slot holds it.
    #[inline]
    pub(crate) fn at(&self) -> Option<usize> {
        match self.lies {
            Lies::InSlot { .. } => None,
            Lies::InRecord { at, .. } => Some(at),
        }
    }

    /// A copy of the key.
    pub(crate) fn key(&self) -> Result<Vec<u8>> {
        let mut key = Vec::new();
        match self.lies {
            Lies::InSlot { head } => {
                let tail = self.value.first();
                let tail = tail.map_or(0, |tail| tail.load(Ordering::Relaxed));
                slot::key_into(head, tail, self.lengths.key, &mut key);
            }
            Lies::InRecord { key: words, .. } => {
                record::load_bytes(words, self.lengths.key, &mut key)?;
            }
        }
        Ok(key)
    }

    /// A copy of the value.
    pub(crate) fn value(&self) -> Result<Vec<u8>> {
        let mut value = Vec::new();
        record::load_bytes(self.value, self.lengths.value, &mut value)?;
        Ok(value)
    }

    /// Whether this is its value.
    pub(crate) fn has_value(&self, value: &[u8]) -> bool {
        let length = self.lengths.value;
        length == value.len()
            && match (self.lies, self.value) {
                (Lies::InSlot { .. }, [tail]) => {
                    let tail = tail.load(Ordering::Relaxed);
                    slot::value_in(tail, length) == record::word_from(value)
                }
                _ => record::equal_bytes(self.value, value),
            }
    }
}

/// What a slot with a key's tag holds.
pub(crate) enum Compared<'a> {
    /// The key's entry.
    Same(Entry<'a>),
    /// Another key's.
    Other,
    /// No entry; and the damage that this is, if it is still so.
    NoEntry(Damage),
}

/// What a slot holds instead of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    /// The way to a word where no record is.
    NoRecord(usize),
    /// Lengths that no entry has.
    NoLengths,
}

impl Damage {
    #[cold]
    pub(crate) fn error(self, segment: &Segment, bucket: usize) -> Error {
        match self {
            Self::NoRecord(at) => Segment::damaged("a slot leads to no record", at),
            Self::NoLengths => Segment::damaged(
                "a slot holds lengths that no entry has",
                segment.geometry.bucket(bucket),
            ),
        }
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

/// The small entry of a slot with these words, if it is that of a key.
#[inline(always)]
#[allow(clippy::inline_always)]
fn compare_small<'a>(head: u64, tail: &'a AtomicU64, key: &[u8]) -> Option<Entry<'a>> {
    let value = slot::length_of_value(key, head, tail)?;
    let key = key.len();
    Some(Entry::small(Header { key, value }, head, tail))
}

/// Whether a slot with this head leads to a record of a key. A glance sees no record that lies
/// beyond the end of the pages that is remembered: a call in it, which may panic, would have
/// its callers keep what they hold in memory.
#[inline(always)]
#[allow(clippy::inline_always)]
fn compare_record<'a, const GLANCE: bool>(
    segment: &'a Segment,
    head: u64,
    key: &[u8],
) -> Compared<'a> {
    let at = match slot::holds(head) {
        Holds::Record(offset) => segment.geometry.word_of(offset),
        Holds::Small(_) => return Compared::Other,
        Holds::Nothing => return Compared::NoEntry(Damage::NoLengths),
    };
    let no_record = Compared::NoEntry(Damage::NoRecord(at));
    let record = if GLANCE {
        segment.record_in_sight(at)
    } else {
        segment.record(at)
    };
    let Some((header, words)) = record else {
        return no_record;
    };
    let wanted = Wanted::new(key);
    let word = header.load(Ordering::Relaxed);
    let Some(length) = wanted.length_of_value(word) else {
        return if Header::unpack(word).is_some() {
            Compared::Other
        } else {
            no_record
        };
    };
    let parts = if GLANCE {
        split(words, wanted.words(), length)
    } else {
        split_beyond(segment, at, words, wanted.words(), length)
    };
    let Some((key, value)) = parts else {
        return no_record;
    };
    if !wanted.equals(key) {
        return Compared::Other;
    }
    let header = Header {
        key: wanted.key_length(),
        value: length,
    };
    Compared::Same(Entry::record(at, Record { header, key, value }))
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

/// The words of the key and of the value, of `length` bytes, of the record that begins with
/// these words.
#[inline]
fn split(record: &[AtomicU64], key: usize, length: usize) -> Option<(&[AtomicU64], &[AtomicU64])> {
    let both = record.get(1..1 + key + words_of(length))?;
    both.split_at_checked(key)
}

/// The same for a record at `at` that may reach into chunks which got pages since we last
/// looked.
#[inline]
fn split_beyond<'a>(
    segment: &'a Segment,
    at: usize,
    record: &'a [AtomicU64],
    key: usize,
    length: usize,
) -> Option<(&'a [AtomicU64], &'a [AtomicU64])> {
    split(record, key, length).or_else(|| split(segment.record_beyond(at)?.1, key, length))
}

/// The entry of a slot in use, as far as its lengths can be believed.
#[inline]
pub(crate) fn open<'a>(
    segment: &'a Segment,
    bucket: Bucket<'a>,
    slot: usize,
) -> std::result::Result<Entry<'a>, Damage> {
    let head = bucket.head(slot);
    match slot::holds(head) {
        Holds::Small(lengths) => Ok(Entry::small(lengths, head, bucket.tail(slot))),
        Holds::Record(offset) => {
            let at = segment.geometry.word_of(offset);
            let record = open_record(segment, at).ok_or(Damage::NoRecord(at))?;
            Ok(Entry::record(at, record))
        }
        Holds::Nothing => Err(Damage::NoLengths),
    }
}

/// The record at `at`, as far as its header can be believed; `None` if there can
/// be none.
#[inline]
pub(crate) fn open_record(segment: &Segment, at: usize) -> Option<Record<'_>> {
    let (header, words) = segment.record(at)?;
    let header = Header::unpack(header.load(Ordering::Relaxed))?;
    let (key, value) = split_beyond(segment, at, words, words_of(header.key), header.value)?;
    Some(Record { header, key, value })
}

/// Whether what was read since `tags` were loaded can be believed.
#[inline]
pub(crate) fn still(bucket: Bucket<'_>, tags: Tags) -> bool {
    fence(Ordering::Acquire);
    bucket.has_version_of(tags)
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
    if still(bucket, tags) {
        Err(damage.error(segment, number))
    } else {
        Ok(Found::Undecided)
    }
}
