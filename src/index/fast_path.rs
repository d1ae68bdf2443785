//! The fast path: a get, an insertion of a small entry, and an addition to a counter, where
//! nothing is in the way. From top to bottom: the lookup that all three begin with, then the
//! stores under the stripe's lock.
//!
//! A reader loads the bucket's version and tags, and a slot's head. It reads a small entry
//! out of the slot, or follows the head and reads the record, with relaxed loads, and believes
//! what it read only if the version is still the same. A case that needs a loop is left to
//! `lookup` and `stripe_ops`.
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
//! In a table that grows, the memory may be gone altogether by then. There a reader announces
//! itself before it follows a slot, and then checks the version: see [`reading`](crate::segment).
//!
//! A slot's tail is such memory too: it is stored again, with release, only after its entry
//! was removed or replaced by a record, and the version bumped. But for a value of the same
//! length, which is one store, and may be seen.
//!
//! # Why a miss is right
//! A key stays in its slot from its insertion to its removal. A reader that
//! finds it in none of its buckets either looked at its slot while the key was
//! absent, or looked before it was inserted or after it was removed; in each case
//! there was a moment during the lookup when the key was absent. A mismatch of
//! bytes counts only if the version held.
//!
//! In a table that grows, a doubling moves keys to other buckets. A miss counts only if the
//! stripe's directory word was still the same afterwards: see [`growth`](super::growth).

use crate::arena::chunk;
use crate::error::Result;
use crate::index::bucket::{Bucket, Tags};
use crate::index::entry::{Compared, Damage, Entry, Location};
use crate::index::probe::{self, Hash, HomeToLock, StripeSize};
use crate::index::slot::{self, Content, SlotContent};
use crate::index::stripe_ops::{Locked, New};
use crate::layout::{USED_SLOTS, WORD};
use crate::segment::Segment;
use crate::segment::reading::Early;
use crate::segment::record::{self, Lengths, LookupKey, Record};
use crate::sync::{AtomicU64, Ordering, fence};
use crate::sys::{crash_point, process_crash_point};

/// What copies a value that was found, which may have to be done again. Any closure does; a type of
/// its own is for those that must be inlined.
pub(crate) trait Copier {
    type Copied;

    /// Copies from the words that begin with a value, which has `length` bytes.
    fn copy(&mut self, words: &[AtomicU64], length: usize) -> Result<Self::Copied>;
}

impl<F, R> Copier for F
where
    F: FnMut(&[AtomicU64], usize) -> Result<R>,
{
    type Copied = R;

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn copy(&mut self, words: &[AtomicU64], length: usize) -> Result<R> {
        self(words, length)
    }
}

/// A closure as a [`Copier`]: it tells the compiler what the closure's arguments are.
pub(crate) fn by<R, F>(copy: F) -> F
where
    F: FnMut(&[AtomicU64], usize) -> Result<R>,
{
    copy
}

/// The outcome of a lookup.
pub(crate) enum Found<R> {
    /// The key was there.
    Present(R),
    /// There was a moment when it was not.
    Absent,
    /// Unknown: a writer disturbed the reads, or a glance is not enough.
    Undecided,
}

/// Looks at the home bucket, and there at the first slot with the key's tag: most lookups
/// end here. `copy` is as in [`lookup_slow`](super::lookup::lookup_slow).
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn lookup_fast<R>(
    segment: &Segment,
    key: &[u8],
    hash: Hash,
    copy: &mut impl Copier<Copied = R>,
) -> Result<Found<R>> {
    let home = probe::home(segment, hash);
    let bucket = home.bucket;
    bucket.prefetch_what_follows();
    let tags = bucket.tags();
    let Some(slot) = tags.first_with(hash.tag()) else {
        return Ok(if tags.overflow() == 0 {
            absent::<true, _>(segment, hash, home.size())
        } else {
            Found::Undecided
        });
    };
    let head = bucket.head(slot);
    if let Some(entry) = compare_small(head, bucket.tail(slot), key) {
        return take(bucket, tags, entry, copy);
    }
    if segment.map.grows() {
        return take_announced(segment, bucket, tags, head, key, copy);
    }
    take_record(segment, bucket, tags, head, key, copy)
}

/// Copies the value of the record that a slot with this head leads to, if it is the key's.
#[inline(always)]
#[allow(clippy::inline_always)]
fn take_record<R>(
    segment: &Segment,
    bucket: Bucket<'_>,
    tags: Tags,
    head: u64,
    key: &[u8],
    copy: &mut impl Copier<Copied = R>,
) -> Result<Found<R>> {
    match compare_record::<true>(segment, head, key) {
        Compared::Same(entry) => take(bucket, tags, entry, copy),
        Compared::Other | Compared::NoEntry(_) => Ok(Found::Undecided),
    }
}

/// As [`take_record`], in a table that grows, after this thread announced that it reads. Undecided
/// if that can't be done at once.
#[inline(always)]
#[allow(clippy::inline_always)]
fn take_announced<R>(
    segment: &Segment,
    bucket: Bucket<'_>,
    tags: Tags,
    head: u64,
    key: &[u8],
    copy: &mut impl Copier<Copied = R>,
) -> Result<Found<R>> {
    let reading = segment.announce_early();
    // The slot was loaded before that.
    if matches!(reading, Early::NotYet) || !bucket.has_version_of(tags) {
        return Ok(Found::Undecided);
    }
    let taken = take_record(segment, bucket, tags, head, key, copy);
    #[cfg(loom)]
    if let Ok(Found::Present(_)) = taken
        && let SlotContent::Record(offset) = slot::holds(head)
    {
        segment.map.touch(segment.geometry.word_of(offset));
    }
    taken
}

/// The outcome of a lookup that found its key nowhere in a stripe of this size. The tags and
/// overflow counts that it saw were loaded with acquire: so was all that this validates. A glance
/// may have looked at a wrong bucket if the directory word is damaged.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(super) fn absent<const GLANCE: bool, R>(
    segment: &Segment,
    hash: Hash,
    size: StripeSize,
) -> Found<R> {
    let holds = if GLANCE {
        size.holds_and_is_sound(segment, hash)
    } else {
        size.holds(segment, hash)
    };
    if holds {
        Found::Absent
    } else {
        Found::Undecided
    }
}

/// What the first slot with a key's tag shows. Small entries and records are variants of their
/// own, so that callers' code is compiled for either by itself.
pub(crate) enum Glance<'a> {
    Small(usize, Entry<'a>),
    Record(usize, Entry<'a>),
    /// There was a moment when the key was absent.
    Absent,
    /// A glance is not enough.
    Undecided,
}

/// Looks at the first slot that has the key's tag, under the stripe's lock: the memory of what a slot
/// leads to stays.
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

/// The small entry of a slot with these words, if it is that of a key.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(super) fn compare_small<'a>(head: u64, tail: &'a AtomicU64, key: &[u8]) -> Option<Entry<'a>> {
    let (wanted, rest) = slot::key_words(key)?;
    // The value's length becomes the lowest bits: nothing else may differ, and all is
    // compared at once.
    let length = (head ^ wanted).rotate_right(slot::LENGTH_BITS);
    if length > WORD as u64 {
        return None;
    }
    if let Some((rest, before)) = rest
        && (tail.load(Ordering::Relaxed) ^ rest) >> before != 0
    {
        return None;
    }
    let lengths = Lengths {
        key: key.len(),
        value: length as usize,
    };
    Some(Entry::small(lengths, head, tail))
}

/// Whether a slot with this head leads to a record of a key. A glance doesn't see a record
/// beyond the remembered end of the pages: the call that asks again may panic, and for its
/// unwinding callers would keep what they hold in memory.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(super) fn compare_record<'a, const GLANCE: bool>(
    segment: &'a Segment,
    head: u64,
    key: &[u8],
) -> Compared<'a> {
    let at = match slot::holds(head) {
        SlotContent::Record(offset) => segment.geometry.word_of(offset),
        SlotContent::Small(_) => return Compared::Other,
        SlotContent::Nothing => return Compared::NoEntry(Damage::NoLengths),
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
    let wanted = LookupKey::new(key);
    let word = header.load(Ordering::Relaxed);
    #[cfg(loom)]
    segment.map.touch(at);
    let Some(length) = wanted.length_of_value(word) else {
        return if Lengths::unpack(word).is_some() {
            Compared::Other
        } else {
            no_record
        };
    };
    let parts = if GLANCE {
        record::split(words, wanted.words(), length)
    } else {
        record::split_beyond(segment, at, words, wanted.words(), length)
    };
    let Some((key, value)) = parts else {
        return no_record;
    };
    if !wanted.equals(key) {
        return Compared::Other;
    }
    let lengths = Lengths {
        key: wanted.key_length(),
        value: length,
    };
    Compared::Same(Entry::record(
        at,
        Record {
            lengths,
            key,
            value,
        },
    ))
}

/// Copies the value of the key's entry, unless a writer disturbed the reads.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(super) fn take<R>(
    bucket: Bucket<'_>,
    tags: Tags,
    entry: Entry<'_>,
    copy: &mut impl Copier<Copied = R>,
) -> Result<Found<R>> {
    // A length that may be wrong must not lead to a long copy.
    if matches!(entry.value_words(), [_]) || validate(bucket, tags) {
        let result = copy.copy(entry.value_words(), entry.lengths().value)?;
        if validate(bucket, tags) {
            return Ok(Found::Present(result));
        }
    }
    Ok(Found::Undecided)
}

/// Whether what was read since `tags` were loaded can be believed.
#[inline]
pub(crate) fn validate(bucket: Bucket<'_>, tags: Tags) -> bool {
    fence(Ordering::Acquire);
    bucket.has_version_of(tags)
}

/// Stores under the stripe's lock.
impl<'a> Locked<'a> {
    /// The home bucket of a hash, which was looked for before the lock was taken: the stripe may
    /// have been doubled since. It is the right one also if one bit of the stripe's directory word
    /// is wrong.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn home(&self, before: HomeToLock<'a>, hash: Hash) -> HomeToLock<'a> {
        probe::home_once_locked(self.segment(), hash, before)
    }

    /// Publishes a new key's entry in its [home](probe::home); `false` if that is full.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn insert_at_home(&self, home: Bucket<'_>, hash: Hash, new: New<'_>) -> bool {
        let vacancy = vacancy(home);
        if let Some(slot) = vacancy {
            self.publish(home, slot, hash, new);
        }
        vacancy.is_some()
    }

    /// Publishes a new key's entry in an empty slot.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(super) fn publish(&self, bucket: Bucket<'_>, slot: usize, hash: Hash, new: New<'_>) {
        bucket.publish(slot, hash.tag(), self.content(new, hash));
        crash_point!("insert: published");
        if let New::Record(space) = new {
            chunk::add_live(self.segment(), space.chunk, space.words);
            crash_point!("insert: live counted");
        }
        self.add_entries(1);
    }

    /// Replaces a value of a word at most by another of the same length. One store.
    #[expect(clippy::unused_self, reason = "only who holds the lock may do this")]
    #[inline]
    pub(crate) fn store_in_place(&self, entry: &Entry<'_>, value: u64) {
        // None if a record has a value of no bytes.
        if let Some(word) = entry.value_words().first() {
            let length = entry.lengths().value;
            let value = match entry.location() {
                // The rest is the key's.
                Location::InSlot { .. } if length < WORD => {
                    slot::with_value(word.load(Ordering::Relaxed), length, value)
                }
                _ => value,
            };
            // Release, so that a reader of a counter's new value sees what its writer did
            // before.
            word.store(value, Ordering::Release);
        }
        crash_point!("write: value stored in place");
    }

    /// Adds to the counter found, if it is one and can hold the sum.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn add(&self, entry: Entry<'_>, add: i64) -> Option<i64> {
        let word = entry.value_words().first()?;
        if entry.lengths().value != WORD {
            return None;
        }
        let value = word.load(Ordering::Relaxed).cast_signed();
        let sum = value.checked_add(add)?;
        self.store_in_place(&entry, sum.cast_unsigned());
        Some(value)
    }

    #[inline]
    pub(super) fn content(&self, new: New<'_>, hash: Hash) -> Content {
        match new {
            New::Small(content) => content,
            New::Record(space) => {
                let offset = self.segment().geometry.offset_of(space.at);
                Content::record(offset, hash.bits())
            }
        }
    }

    #[inline]
    pub(super) fn add_entries(&self, change: i64) {
        let count = self.entries_word();
        let sum = count.load(Ordering::Relaxed).wrapping_add_signed(change);
        count.store(sum, Ordering::Relaxed);
        process_crash_point!("stripe: entry counted");
    }
}

/// An empty slot of a bucket.
#[inline]
pub(super) fn vacancy(bucket: Bucket<'_>) -> Option<usize> {
    let empty = !bucket.tags().occupied() & USED_SLOTS;
    (empty != 0).then(|| empty.trailing_zeros() as usize)
}
