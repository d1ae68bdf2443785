//! Repairing a table whose bytes were damaged.
//!
//! What a death leaves needs none of this: the process that takes over a dead owner's lock
//! recovers its stripe, and one that searches for room seals its chunks. This is for words
//! that no writer of this crate stored.
//!
//! # Why it is safe beside others
//! All stripes' locks are held to the end. So no record is published, unlinked or moved,
//! what slots lead to is the whole truth about which records are live, and every version
//! that a dead owner did not raise was raised when its lock was taken over. Readers go
//! on; when a slot changes, its bucket's version is raised after it.
//!
//! A chunk is changed only while it is ours: its state is exchanged, from what was
//! seen, for "being cleaned" by us, and for "sealed" or "free" afterwards. Chunks that
//! living participants fill or clean are left to them, except their live counts, which
//! change only under stripes' locks.
//!
//! # What a death in the middle leaves
//! Each store makes one word right, or removes an entry that no reader could find. The
//! locks are taken over, which counts each stripe again, and a chunk that was ours is
//! sealed; the rest is damaged as before, and repair can be called again. A record's
//! header is stored before the cursor that covers it, as everywhere.

mod chunks;
mod directory;
mod populated;
mod slots;

use crate::damage::check::{self, Census};
use crate::damage::fault::FaultPlace;
use crate::damage::repaired::RepairOutcome::{self, Fixed};
use crate::damage::repaired::Repaired;
use crate::error::{Error, Result};
use crate::index::entry;
use crate::index::probe::{self, Hash};
use crate::index::stripe_ops::Locked;
use crate::layout::{
    HEADER_CREATED, HEADER_SECOND_CHECKSUM, HEADER_WORDS, PARTICIPANT_STATE, STRIPE_ENTRIES, WORD,
};
use crate::locking::participants;
use crate::segment::Segment;
use crate::segment::record::{self, Record};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::crash_point;
use crate::table::Table;
use crate::table::orphans;
use crate::write::writer::Writer;

impl Table {
    /// Repairs what [`check`](Self::check) finds wrong, and returns what it did and what it had
    /// to leave.
    ///
    /// It repairs the header, participant slots and the mark of what has memory; numbers of
    /// buckets, counts and tags of stripes; states, cursors, runs and live counts of chunks. A slot that leads to
    /// no record, or to one that can't be its own, is emptied: **the entry is lost**
    /// ([`RepairOutcome::Lost`] says how many). If a key has two entries, the one that reads
    /// find stays. What a death left is cleared up too: live counts that are too low, and
    /// chunks of dead participants. If nothing of this is found, the table is unchanged.
    ///
    /// The bytes of values have no checksum, so a damaged value stays as it is. A chunk that a
    /// living participant fills is left to it ([`RepairOutcome::Left`]); call again after that
    /// participant has closed the table. Without damage you never need this: a table recovers
    /// from deaths by itself.
    ///
    /// You can repair a table that is in use: this takes the locks of all stripes, as
    /// [`snapshot`](Self::snapshot) does, and holds them to the end. Writers wait, readers
    /// don't. It isn't one step: if it is killed half-way, call it again. It reads every
    /// record's header and key three times, and takes a few words of memory for each.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// let mut lost = 0;
    /// for repaired in table.repair()? {
    ///     println!("{repaired}");
    ///     lost += repaired.entries_lost();
    /// }
    /// assert_eq!(lost, 0);
    /// assert!(table.check()?.is_empty());
    /// assert!(table.repair()?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]; `ReadOnly` too. `SharedMemoryFull` if chunks with records have no memory
    /// and the machine has none for them: then entries and chunks are as they were.
    /// `LockTimeout` if a lock's word names a living participant that doesn't release it: no
    /// lock is taken from a living participant.
    pub fn repair(&self) -> Result<Vec<Repaired>> {
        let writer = self.writer()?;
        let segment = self.segment();
        let mut done: Vec<Repaired> = segment
            .stripes()
            .filter_map(|stripe| check::lock_of_nobody(segment, stripe))
            .map(|fault| Repaired::new(Fixed, fault.place, format!("{fault}: taken over")))
            .collect();
        if !self.check()?.is_empty() {
            // Only chunks that no participant fills are repaired.
            writer.arena.seal_current(segment, &writer.me);
        }
        let stripes = writer.lock_all()?;
        // A chunk whose records are all dead may be given back.
        let _reading = segment.announce();
        let mut repair = Repair {
            writer,
            segment,
            stripes: &stripes,
            done: &mut done,
        };
        repair.header();
        repair.participants()?;
        repair.populated().map_err(orphans::counted)?;
        repair.directory()?;
        let unfound = repair.slots()?;
        repair.overlaps();
        repair.padding();
        repair.counts(&unfound);
        repair.unmarked()?;
        repair.chunks();
        Ok(done)
    }
}

struct Repair<'a> {
    writer: &'a Writer,
    segment: &'a Segment,
    stripes: &'a [Locked<'a>],
    done: &'a mut Vec<Repaired>,
}

/// Stores a word if its value differs, and returns whether it did.
fn put(segment: &Segment, at: usize, value: u64) -> bool {
    put_word(&segment.words()[at], value)
}

fn put_word(word: &AtomicU64, value: u64) -> bool {
    let differs = word.load(Ordering::Relaxed) != value;
    if differs {
        word.store(value, Ordering::Relaxed);
        crash_point!("repair: word stored");
    }
    differs
}

impl Repair<'_> {
    fn say(&mut self, outcome: RepairOutcome, place: FaultPlace, what: impl Into<String>) {
        self.done.push(Repaired::new(outcome, place, what));
    }

    fn fixed(&mut self, place: FaultPlace, what: impl Into<String>) {
        self.say(Fixed, place, what);
    }

    /// Repairs words that never change, and words that mean nothing.
    fn header(&mut self) {
        let segment = self.segment;
        if check::header_changed(segment) {
            let fresh: Vec<AtomicU64> = (0..HEADER_WORDS).map(|_| AtomicU64::new(0)).collect();
            let created = segment.words()[HEADER_CREATED].load(Ordering::Relaxed);
            segment.geometry.write(
                &fresh,
                segment.seed.bits(),
                segment.codec,
                created,
                segment.flags,
            );
            for (at, word) in fresh.iter().enumerate().take(HEADER_SECOND_CHECKSUM + 1) {
                put(segment, at, word.load(Ordering::Relaxed));
            }
            self.fixed(FaultPlace::Header, "the header was written again");
        }
        for at in check::reserved(segment) {
            if put(segment, at, 0) {
                let place = FaultPlace::of_reserved(&segment.geometry, at);
                let offset = at * WORD;
                self.fixed(
                    place,
                    format!("the word at byte {offset}, which means nothing, was set to zero"),
                );
            }
        }
    }

    fn participants(&mut self) -> Result<()> {
        let segment = self.segment;
        let geometry = &segment.geometry;
        for slot in 0..geometry.participants {
            let at = geometry.participant(slot) + PARTICIPANT_STATE;
            let state = segment.words()[at].load(Ordering::Relaxed);
            let place = FaultPlace::ParticipantSlot(slot);
            if slot == self.writer.me.id().slot {
                if put(segment, at, self.writer.me.state()) {
                    let what = format!("participant slot {slot}, this handle's, was set right");
                    self.fixed(place, what);
                }
            } else if check::has_stray_bits(state) {
                // Only the holder of the byte writes a slot.
                let system = |source| Error::system("hold a participant slot", source);
                let holder = segment.map.liveness().map_err(system)?;
                if holder
                    .try_hold(participants::byte(geometry, slot))
                    .map_err(system)?
                {
                    let state = segment.words()[at].load(Ordering::Relaxed);
                    put(segment, at, participants::without_stray_bits(state));
                    self.fixed(place, format!("participant slot {slot} was set right"));
                } else {
                    let what = format!(
                        "participant slot {slot} has bits that mean nothing, and was left to \
                         its owner, who lives"
                    );
                    self.say(RepairOutcome::Left, place, what);
                }
            }
        }
        Ok(())
    }

    fn lives(&self, owner: participants::OwnerId) -> bool {
        let segment = self.segment;
        let (me, words, geometry) = (&self.writer.me, segment.words(), &segment.geometry);
        me.is_alive(words, geometry, owner) || !me.may_take_over(words, geometry, owner)
    }

    /// Restores the zeros after keys, which are compared by words, and after values, and the
    /// hashes of keys.
    fn padding(&mut self) {
        let segment = self.segment;
        for (bucket, slot) in check::slots_in_use(segment, segment.all_buckets()) {
            let words = probe::bucket(segment, bucket);
            let Ok(entry) = entry::open(segment, words, slot) else {
                continue;
            };
            if entry.at().is_some()
                && let Ok(key) = entry.key()
            {
                let hash = Hash::of(segment, &key).bits();
                if words.tail(slot).load(Ordering::Relaxed) != hash {
                    words.set_hash(slot, hash);
                    let what =
                        format!("bucket {bucket}, slot {slot}: its key's hash was stored again");
                    self.fixed(FaultPlace::Slot { bucket, slot }, what);
                }
            }
            if let Some(content) = check::right_content(&entry)
                && !check::is_padded(&entry)
            {
                // Readers compare whole heads with keys: the version tells them to try again.
                words.republish_small(slot, content);
                crash_point!("repair: slot padded");
                self.fixed(
                    FaultPlace::Slot { bucket, slot },
                    format!("bucket {bucket}: the entry in slot {slot} was padded with zeros"),
                );
            }
        }
        for record in Census::take(segment).0 {
            let Some(Record {
                lengths,
                key,
                value,
            }) = record::open(segment, record.at)
            else {
                continue;
            };
            for (words, length) in [(key, lengths.key), (value, lengths.value)] {
                let used = length % WORD;
                if let Some(last) = words.last().filter(|_| used > 0) {
                    let value = last.load(Ordering::Relaxed) & ((1 << (8 * used)) - 1);
                    if put_word(last, value) {
                        let offset = record.at * WORD;
                        let what = format!("the record at byte {offset} was padded with zeros");
                        self.fixed(FaultPlace::Record(offset), what);
                    }
                }
            }
        }
    }

    /// Repairs overflow counts and numbers of entries.
    fn counts(&mut self, unfound: &[u64]) {
        for (stripe, locked) in self.stripes.iter().enumerate() {
            let (overflows, entries) = locked.recount();
            let (stored, counted) = locked.counts();
            for (bucket, (right, stored)) in locked.buckets().zip(overflows.into_iter().zip(stored))
            {
                if right != stored {
                    let words = probe::bucket(self.segment, bucket);
                    words.set_overflow(right);
                    crash_point!("repair: overflow set, version not bumped");
                    // A reader that stopped at this bucket, or went on, tries again.
                    words.bump_version();
                    crash_point!("repair: overflow set");
                    let what = format!(
                        "bucket {bucket}: {right} keys passed over it, and it said {stored}"
                    );
                    self.fixed(FaultPlace::Bucket(bucket), what);
                }
            }
            let at = self.segment.geometry.stripe(stripe) + STRIPE_ENTRIES;
            if put(self.segment, at, entries) {
                let lost = unfound[stripe];
                let place = FaultPlace::Stripe(stripe);
                let what = format!("stripe {stripe}: holds {entries} entries and said {counted}");
                if lost > 0 {
                    let what = format!("{what}: {lost} of them, if they were there, are lost");
                    self.say(RepairOutcome::MayHaveLost { entries: lost }, place, what);
                } else {
                    self.fixed(place, what);
                }
            }
        }
    }
}
