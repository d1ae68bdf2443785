//! Mending a table whose bytes were damaged.
//!
//! What a death leaves needs none of this: who takes a dead owner's lock over repairs
//! its stripe, who looks for room seals its chunks. This is for words that no writer
//! of this crate stored.
//!
//! # Why it is safe beside others
//! All stripes' locks are held to the end. So nobody publishes, unlinks or moves a
//! record, what slots lead to is the whole truth about what is alive, and every version
//! that a dead owner did not raise was raised when its lock was taken over. Readers go
//! on; a slot that changes has its bucket's version raised after it.
//!
//! A chunk is changed only while it is ours: its state is exchanged, from what was
//! seen, for "being cleaned" by us, and for "sealed" or "free" afterwards. Chunks that
//! living participants fill or clean are left to them, but for live counts, which
//! change under stripes' locks alone.
//!
//! # What a death in the middle leaves
//! Each store makes one word right, or takes an entry away that nobody could read. The
//! locks are taken over, which counts each stripe again, and a chunk that was ours is
//! sealed; the rest is damaged as before, and repair can be called again. A record's
//! header is stored before the cursor that covers it, as everywhere.

use std::collections::HashMap;

use crate::arena;
use crate::check::{self, Census, Live};
use crate::chunk::{self, State};
use crate::error::{Error, Result};
use crate::index::locked::Locked;
use crate::index::probe::{self, Hash};
use crate::index::read::{self, Record};
use crate::layout::{
    CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN, HEADER_CHECKSUM, HEADER_CREATED, HEADER_POPULATED,
    HEADER_WORDS, PARTICIPANT_STATE, STRIPE_ENTRIES, WORD,
};
use crate::participants::{self, Participant};
use crate::record::Header;
use crate::segment::Segment;
use crate::sync::{AtomicU64, Ordering, crash_point};
use crate::table::Table;
use crate::writer::Writer;

impl Table {
    /// Mends what [`check`](Self::check) finds wrong, as far as it can be, and says in
    /// words what it did, and what it had to leave.
    ///
    /// Set right are the header, participant slots and the mark of what has memory;
    /// counts and tags of stripes; states, cursors, runs and live counts of chunks. A
    /// slot that leads to no record, or to one that cannot be its own, is emptied: **the
    /// entry is lost**, and what is said tells how many. Of two entries of one key the
    /// one stays that reads find. What a death left is cleared up too: live counts that
    /// are too low, and chunks of dead participants. A table in which none of this is
    /// found is left as it is.
    ///
    /// The bytes of values have no checksum: one that was damaged stays so. A chunk that
    /// a living participant fills is left to it, and said; call again when it has
    /// closed the table. Without damage this need never be called: a table mends by
    /// itself what deaths leave.
    ///
    /// Safe beside other processes: takes the locks of all stripes, as
    /// [`snapshot`](Self::snapshot) does, and holds them to the end. Writers wait,
    /// readers do not. Not one step: if it is killed half-way, call it again. Costs a
    /// look at every record's header and key, thrice, and a few words of memory for each.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// for line in table.repair()? {
    ///     println!("{line}");
    /// }
    /// assert!(table.check()?.is_empty());
    /// assert!(table.repair()?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]; `ReadOnly` too. `SharedMemoryFull` if chunks that records lie in
    /// have no memory and none is to be had: entries and chunks are as they were then.
    /// `LockTimeout` if a lock's word names a living participant that does not let go of
    /// it: whatever the reason, it is not robbed.
    pub fn repair(&self) -> Result<Vec<String>> {
        let writer = self.writer()?;
        let segment = self.segment();
        let mut done: Vec<String> = segment
            .stripes()
            .filter_map(|stripe| check::lock_of_nobody(segment, stripe))
            .map(|fault| format!("{fault}: taken over"))
            .collect();
        if !self.check()?.is_empty() {
            // Chunks are mended that nobody fills.
            writer.arena.seal_current(segment, &writer.me);
        }
        let stripes = writer.lock_all()?;
        let mut repair = Repair {
            writer,
            segment,
            stripes: &stripes,
            done: &mut done,
        };
        repair.header();
        repair.participants()?;
        repair.populated()?;
        let unfound = repair.slots()?;
        repair.overlaps();
        repair.padding();
        repair.counts(&unfound);
        repair.chunks();
        Ok(done)
    }
}

struct Repair<'a> {
    writer: &'a Writer,
    segment: &'a Segment,
    stripes: &'a [Locked<'a>],
    done: &'a mut Vec<String>,
}

/// Stores a word if it is another; whether it was.
fn put(segment: &Segment, at: usize, value: u64) -> bool {
    put_word(&segment.words()[at], value)
}

fn put_word(word: &AtomicU64, value: u64) -> bool {
    let differs = word.load(Ordering::Relaxed) != value;
    if differs {
        word.store(value, Ordering::Relaxed);
        crash_point!("mend: word stored");
    }
    differs
}

/// An entry that its slot holds, or leads to a record of which may be its own.
struct Candidate {
    /// The chunk of its record, and the record's words.
    record: Option<(usize, usize)>,
    bucket: usize,
    slot: usize,
    hash: Hash,
    tagged: bool,
    /// Whether reads find it, and not another entry of its key.
    found: bool,
}

impl<'a> Repair<'a> {
    fn say(&mut self, what: String) {
        self.done.push(what);
    }

    /// Words that never change, and words that mean nothing.
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
            for (at, word) in fresh.iter().enumerate().take(HEADER_CHECKSUM + 1) {
                put(segment, at, word.load(Ordering::Relaxed));
            }
            self.say("the header was written again".to_owned());
        }
        for at in check::reserved(&segment.geometry) {
            if put(segment, at, 0) {
                self.say(format!(
                    "the word at byte {}, which means nothing, was set to zero",
                    at * WORD
                ));
            }
        }
    }

    fn participants(&mut self) -> Result<()> {
        let segment = self.segment;
        let geometry = &segment.geometry;
        for slot in 0..geometry.participants {
            let at = geometry.participant(slot) + PARTICIPANT_STATE;
            let state = segment.words()[at].load(Ordering::Relaxed);
            if slot == self.writer.me.id().slot {
                if put(segment, at, self.writer.me.state()) {
                    self.say(format!(
                        "participant slot {slot}, this handle's, was set right"
                    ));
                }
            } else if check::has_stray_bits(state) {
                // Only the holder of the byte writes a slot.
                let system = |source| Error::System {
                    action: "hold a participant slot",
                    source,
                };
                let holder = segment.map.liveness().map_err(system)?;
                if holder
                    .try_hold(participants::byte(geometry, slot))
                    .map_err(system)?
                {
                    let state = segment.words()[at].load(Ordering::Relaxed);
                    put(segment, at, participants::without_stray_bits(state));
                    self.say(format!("participant slot {slot} was set right"));
                } else {
                    self.say(format!(
                        "participant slot {slot} has bits that mean nothing, and was left to \
                         its owner, who lives"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What the header says has memory gets it, and so does what is in use.
    fn populated(&mut self) -> Result<()> {
        let segment = self.segment;
        let geometry = &segment.geometry;
        segment.populate_again()?;
        let used = (0..geometry.chunks)
            .filter(|chunk| self.is_used(*chunk))
            .map(|chunk| {
                let filled = chunk::cursor(segment, chunk).max(1);
                chunk + filled.div_ceil(geometry.chunk_words)
            })
            .max()
            .filter(|chunks| *chunks > segment.populated());
        if let Some(chunks) = used {
            segment.populate(chunks)?;
            self.say(format!(
                "the header says now that {chunks} chunks have memory: records lie in them"
            ));
        }
        let mark = &segment.words()[HEADER_POPULATED];
        let seen = mark.load(Ordering::Relaxed);
        if seen > geometry.chunks as u64 && put_word(mark, geometry.chunks as u64) {
            self.say(format!(
                "the header said that {seen} chunks have memory; there are {}",
                geometry.chunks
            ));
        }
        Ok(())
    }

    /// Whether somebody has written to a chunk, or may be about to.
    fn is_used(&self, chunk: usize) -> bool {
        match chunk::state(self.segment, chunk) {
            State::Open(owner) | State::Cleaning(owner) => {
                chunk::cursor(self.segment, chunk) > 0 || self.lives(owner)
            }
            State::Sealed => chunk::cursor(self.segment, chunk) > 0,
            State::Free | State::Tail(_) | State::Damaged => false,
        }
    }

    fn lives(&self, owner: participants::OwnerId) -> bool {
        let segment = self.segment;
        self.writer
            .me
            .is_alive(segment.words(), &segment.geometry, owner)
    }

    /// Empties slots that lead nowhere, and sets tags right. Returns, for each stripe,
    /// how many entries its count had beyond those that slots are in use for.
    fn slots(&mut self) -> Result<Vec<u64>> {
        let mut unfound = Vec::new();
        let mut untagged = Vec::new();
        let mut surpluses = Vec::new();
        // Words of the entries of each chunk that are beyond doubt.
        let mut sure: HashMap<usize, usize> = HashMap::new();
        for (stripe, locked) in self.stripes.iter().enumerate() {
            let buckets = locked.buckets();
            for number in buckets.clone() {
                let bucket = probe::bucket(self.segment, number);
                if bucket.tags().has_stray_bits() {
                    bucket.mend_tag(0, 0);
                    self.say(format!("bucket {number}: a tag without a slot was cleared"));
                }
            }
            let used: Vec<(usize, usize)> = check::slots_in_use(self.segment, buckets).collect();
            let (_, counted) = locked.counts();
            unfound.push(counted.saturating_sub(used.len() as u64));
            // Somebody's tag was changed, or an empty slot got one: the count tells.
            let mut surplus = (used.len() as u64).saturating_sub(counted);
            let mut entries: HashMap<Vec<u8>, Vec<Candidate>> = HashMap::new();
            for (bucket, slot) in used {
                match self.candidate(locked, bucket, slot) {
                    Ok((key, candidate)) => entries.entry(key).or_default().push(candidate),
                    Err(Error::Corrupted { what, .. }) => {
                        surplus = surplus.saturating_sub(1);
                        self.lose(bucket, slot, what);
                    }
                    Err(other) => return Err(other),
                }
            }
            for (_, mut same) in entries {
                same.sort_by_key(|candidate| {
                    let distance = self.distance(candidate);
                    (
                        !candidate.found,
                        !candidate.tagged,
                        distance,
                        candidate.slot,
                    )
                });
                let mut same = same.into_iter();
                if let Some(first) = same.next() {
                    if !first.tagged {
                        untagged.push((stripe, first));
                    } else if let Some((chunk, words)) = first.record {
                        *sure.entry(chunk).or_default() += words;
                    }
                }
                for other in same {
                    surplus = surplus.saturating_sub(1);
                    self.lose(other.bucket, other.slot, "its key has another entry");
                }
            }
            surpluses.push(surplus);
        }
        untagged.sort_by_key(|(_, candidate)| (candidate.bucket, candidate.slot));
        for (stripe, candidate) in untagged {
            let Candidate { bucket, slot, .. } = candidate;
            // If its stripe counts it, and its chunk counts its words as live, the tag was
            // damaged, and not the slot.
            let counted = surpluses[stripe] == 0
                && candidate.record.is_none_or(|(chunk, words)| {
                    let sure = sure.entry(chunk).or_default();
                    let live = *sure + words <= chunk::live(self.segment, chunk);
                    *sure += if live { words } else { 0 };
                    live
                });
            if counted {
                probe::bucket(self.segment, bucket).mend_tag(slot, candidate.hash.tag());
                self.say(format!(
                    "bucket {bucket}, slot {slot}: its key's tag was stored again"
                ));
            } else {
                surpluses[stripe] = surpluses[stripe].saturating_sub(1);
                self.lose(
                    bucket,
                    slot,
                    "its tag is not its key's, and nothing counts it as live",
                );
            }
        }
        Ok(unfound)
    }

    /// What a slot holds, if it can be an entry of its stripe.
    fn candidate(
        &self,
        locked: &Locked<'a>,
        bucket: usize,
        slot: usize,
    ) -> Result<(Vec<u8>, Candidate)> {
        let geometry = &self.segment.geometry;
        let place = locked.place(bucket, slot)?;
        let (key, hash) = locked.hash_of(&place)?;
        let record = match place.entry.at() {
            Some(at) => {
                let (chunk, words) = (geometry.chunk_of(at), place.entry.lengths.words());
                let begin = geometry.chunk(chunk);
                let fits = if words > geometry.chunk_words {
                    at == begin
                } else {
                    at + words <= begin + geometry.chunk_words
                };
                if !fits {
                    return Err(Segment::damaged(
                        "it leads to a record that lies in two chunks",
                        at,
                    ));
                }
                Some((chunk, words))
            }
            None => None,
        };
        let tags = probe::bucket(self.segment, bucket).tags();
        let tagged = tags.matching(hash.tag()) & 1 << slot != 0;
        let found = locked
            .is_found_in(&key, hash, bucket, slot)
            .unwrap_or(false);
        let candidate = Candidate {
            record,
            bucket,
            slot,
            hash,
            tagged,
            found,
        };
        Ok((key, candidate))
    }

    /// How far an entry stands from where probing for it begins.
    fn distance(&self, candidate: &Candidate) -> usize {
        let length = self.segment.geometry.stripe_buckets;
        (candidate.bucket + length - candidate.hash.home(self.segment)) % length
    }

    /// Empties a slot.
    fn lose(&mut self, bucket: usize, slot: usize, why: &str) {
        probe::bucket(self.segment, bucket).remove(slot);
        crash_point!("mend: slot emptied");
        self.say(format!(
            "bucket {bucket}, slot {slot}: {why}; the entry is lost"
        ));
    }

    /// Of two entries whose records share words, the one is lost that fits its chunk
    /// less well.
    fn overlaps(&mut self) {
        let census = Census::take(self.segment);
        let mut fit = Fit::default();
        let mut furthest: Option<&Live> = None;
        for record in &census.0 {
            let Some(before) = furthest.filter(|before| before.end() > record.at) else {
                furthest = Some(record);
                continue;
            };
            let wrong = if fit.of(self.segment, record) >= fit.of(self.segment, before) {
                furthest = Some(record);
                before
            } else {
                record
            };
            self.lose(
                wrong.bucket,
                wrong.slot,
                "its record shares words with another one's",
            );
        }
    }

    /// Zeros behind keys, which are compared by words, and behind values.
    fn padding(&mut self) {
        let segment = self.segment;
        for (bucket, slot) in check::slots_in_use(segment, 0..segment.geometry.buckets) {
            let words = probe::bucket(segment, bucket);
            let Ok(entry) = read::open(segment, words, slot) else {
                continue;
            };
            if let Some(content) = check::right_content(&entry)
                && !check::is_padded(&entry)
            {
                // Readers compare keys with whole heads: the version tells them to look again.
                words.republish(slot, content);
                crash_point!("mend: slot padded");
                self.say(format!(
                    "bucket {bucket}: the entry in slot {slot} was padded with zeros"
                ));
            }
        }
        for record in Census::take(segment).0 {
            let Some(Record { header, key, value }) = read::open_record(segment, record.at) else {
                continue;
            };
            for (words, length) in [(key, header.key), (value, header.value)] {
                let used = length % WORD;
                if let Some(last) = words.last().filter(|_| used > 0) {
                    let value = last.load(Ordering::Relaxed) & ((1 << (8 * used)) - 1);
                    if put_word(last, value) {
                        self.say(format!(
                            "the record at byte {} was padded with zeros",
                            record.at * WORD
                        ));
                    }
                }
            }
        }
    }

    /// Overflow counts and numbers of entries.
    fn counts(&mut self, unfound: &[u64]) {
        for (stripe, locked) in self.stripes.iter().enumerate() {
            let (overflows, entries) = locked.recount();
            let (stored, counted) = locked.counts();
            for (bucket, (right, stored)) in locked.buckets().zip(overflows.into_iter().zip(stored))
            {
                if right != stored {
                    let words = probe::bucket(self.segment, bucket);
                    words.set_overflow(right);
                    crash_point!("mend: overflow set, version not bumped");
                    // A reader that stopped short, or did not, looks again.
                    words.bump_version();
                    crash_point!("mend: overflow set");
                    self.say(format!(
                        "bucket {bucket}: {right} keys passed over it, and it said {stored}"
                    ));
                }
            }
            let at = self.segment.geometry.stripe(stripe) + STRIPE_ENTRIES;
            if put(self.segment, at, entries) {
                let lost = unfound[stripe];
                self.say(if lost > 0 {
                    format!(
                        "stripe {stripe}: holds {entries} entries and said {counted}: {lost} \
                         of them, if they were there, are lost"
                    )
                } else {
                    format!("stripe {stripe}: holds {entries} entries and said {counted}")
                });
            }
        }
    }

    fn chunks(&mut self) {
        let segment = self.segment;
        let geometry = &segment.geometry;
        let census = Census::take(segment);
        // First of all, so that nobody else takes them for free.
        let mut tails = HashMap::new();
        for chunk in 0..geometry.chunks {
            let records = census.of(segment, chunk);
            for record in records.iter().filter(|r| r.words > geometry.chunk_words) {
                for distance in 1..record.words.div_ceil(geometry.chunk_words) {
                    tails.insert(chunk + distance, distance);
                }
            }
            let state = chunk::state(segment, chunk);
            if let State::Open(owner) | State::Cleaning(owner) = state
                && !self.lives(owner)
                && chunk::transit(segment, chunk, state, State::Sealed)
            {
                crash_point!("mend: chunk sealed");
                Participant::count_take_over(segment.words());
                self.say(format!("chunk {chunk}: its owner is dead; it was sealed"));
            }
        }
        for chunk in 0..geometry.chunks {
            if let Some(distance) = tails.get(&chunk) {
                self.tail(chunk, *distance);
            }
        }
        for chunk in (0..geometry.chunks).filter(|chunk| !tails.contains_key(chunk)) {
            self.chunk(&census, census.of(segment, chunk), chunk);
        }
    }

    /// A later chunk of the run of a live record.
    fn tail(&mut self, chunk: usize, distance: usize) {
        let segment = self.segment;
        let tail = State::Tail(distance);
        let word = chunk::state_word(segment, chunk);
        let state = State::unpack(word);
        if state == tail {
            self.blank(chunk);
        } else if matches!(state, State::Open(_) | State::Cleaning(_))
            || !chunk::transit_word(segment, chunk, word, tail)
        {
            self.leave(chunk, "it belongs to the run of a record");
        } else {
            crash_point!("mend: tail taken");
            self.blank(chunk);
            self.say(format!("chunk {chunk}: it is a run's again"));
        }
    }

    fn chunk(&mut self, census: &Census, records: &[Live], chunk: usize) {
        let segment = self.segment;
        let faults = check::chunk_faults(segment, census, chunk);
        let truth: usize = records.iter().map(|record| record.words).sum();
        let word = chunk::state_word(segment, chunk);
        let state = State::unpack(word);
        if faults.is_empty() || matches!(state, State::Open(_) | State::Cleaning(_)) {
            // A hint that a death left too low.
            let live = chunk::detail(segment, chunk, CHUNK_LIVE);
            let before = live.load(Ordering::Relaxed) as i64;
            if check::in_use(state) && put_word(live, truth as u64) {
                self.say(format!(
                    "chunk {chunk}: {truth} words of it are live, and it said {before}"
                ));
            }
            let faults = check::chunk_faults(segment, census, chunk);
            for fault in faults {
                self.leave(chunk, &fault);
            }
            return;
        }
        let mine = State::Cleaning(self.writer.me.id());
        if !chunk::transit_word(segment, chunk, word, mine) {
            self.leave(chunk, &faults[0]);
            return;
        }
        crash_point!("mend: chunk taken");
        if records.is_empty() {
            chunk::free(segment, chunk, mine);
            self.say(format!("{}; nothing lies in it, and it is free", faults[0]));
            return;
        }
        self.contents(records, chunk);
        put_word(chunk::detail(segment, chunk, CHUNK_LIVE), truth as u64);
        chunk::transit(segment, chunk, mine, State::Sealed);
        crash_point!("mend: chunk sealed");
        for fault in faults {
            self.say(format!("{fault}; it was set right"));
        }
    }

    /// Makes the records of a chunk of ours follow one another, and its run and cursor
    /// fit them.
    fn contents(&mut self, records: &[Live], chunk: usize) {
        let segment = self.segment;
        let geometry = &segment.geometry;
        let begin = geometry.chunk(chunk);
        let mut at = begin;
        for record in records {
            while at < record.at {
                at += check::record_at(segment, at, record.at).unwrap_or_else(|| {
                    // One dead record in place of whatever lies there.
                    let words = record.at - at;
                    let header = Header {
                        key: 0,
                        value: (words - 1) * WORD,
                    };
                    arena::put_header(segment, at, header);
                    crash_point!("mend: word stored");
                    words
                });
            }
            at = record.end();
        }
        let longest = records.iter().map(|record| record.words).max();
        let run = longest.map_or(1, |words| words.div_ceil(geometry.chunk_words));
        let detail = |word| chunk::detail(segment, chunk, word);
        if detail(CHUNK_RUN).load(Ordering::Relaxed).max(1) != run as u64 {
            put_word(detail(CHUNK_RUN), if run > 1 { run as u64 } else { 0 });
        }
        // Dead records behind the last live one may be forgotten.
        let cursor = filled(segment, chunk);
        let mut last = at;
        while last < cursor {
            match check::record_at(segment, last, cursor) {
                Some(words) => last += words,
                None => break,
            }
        }
        let right = if last == cursor { cursor } else { at };
        put_word(detail(CHUNK_CURSOR), chunk::cursor_word(right - begin));
    }

    /// Nothing lies in a chunk but what its run's head answers for.
    fn blank(&mut self, chunk: usize) {
        let mut changed = false;
        for word in [CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN] {
            changed |= put_word(chunk::detail(self.segment, chunk, word), 0);
        }
        if changed {
            self.say(format!("chunk {chunk}: its details were set to zero"));
        }
    }

    fn leave(&mut self, chunk: usize, fault: &str) {
        self.say(format!(
            "{fault}: left, as a participant that lives has chunk {chunk}; repair again when it \
             has closed the table"
        ));
    }
}

/// The word to which a chunk says that it is filled, as far as there is memory.
fn filled(segment: &Segment, chunk: usize) -> usize {
    let geometry = &segment.geometry;
    let end = geometry.chunk(chunk) + chunk::cursor(segment, chunk);
    end.min(geometry.chunk(segment.populated()))
}

/// How well records fit their chunks; what was found out is kept.
#[derive(Default)]
struct Fit {
    /// Whether a walk from a word comes to its chunk's cursor.
    arrives: HashMap<usize, bool>,
}

impl Fit {
    fn of(&mut self, segment: &Segment, record: &Live) -> u32 {
        let geometry = &segment.geometry;
        let chunk = geometry.chunk_of(record.at);
        let run = record.words.div_ceil(geometry.chunk_words);
        let place =
            check::in_use(chunk::state(segment, chunk)) && chunk::run(segment, chunk) == run;
        let end = filled(segment, chunk);
        // A record whose length is wrong leads the walk past the next one: where its
        // own end leads counts for more.
        let arrives = self.arrives(segment, record.at, end);
        2 * u32::from(place) + u32::from(arrives)
    }

    fn arrives(&mut self, segment: &Segment, from: usize, end: usize) -> bool {
        let mut passed = Vec::new();
        let mut at = from;
        let arrives = loop {
            if at >= end {
                break at == end;
            }
            if let Some(known) = self.arrives.get(&at) {
                break *known;
            }
            passed.push(at);
            match check::record_at(segment, at, end) {
                Some(words) => at += words,
                None => break false,
            }
        };
        self.arrives
            .extend(passed.into_iter().map(|at| (at, arrives)));
        arrives
    }
}
