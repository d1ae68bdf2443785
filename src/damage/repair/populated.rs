//! Repairing the mark of what has memory.

use super::{Repair, put_word};
use crate::arena::chunk::{self, State};
use crate::arena::memory;
use crate::damage::check::{self, Unmarked};
use crate::damage::fault::FaultPlace;
use crate::damage::file;
use crate::error::Result;
use crate::index::probe::{self, Hash};
use crate::index::slot::{self, SlotContent};
use crate::layout::{CHUNK_RUN, HEADER_POPULATED, WORD};
use crate::segment::geometry::ArenaOffset;
use crate::segment::record::{KEY_AT, Lengths};
use crate::sync::Ordering;
use crate::sys::crash_point;

impl Repair<'_> {
    /// Gives memory to all chunks that have it by the header, and to all that are in use.
    pub(super) fn populated(&mut self) -> Result<()> {
        let segment = self.segment;
        let geometry = &segment.geometry;
        if geometry.grows() {
            self.lower_mark()?;
        }
        memory::ask_again(segment)?;
        let used = if geometry.grows() {
            self.used_behind_the_mark()?
        } else {
            self.used_by_states()
        };
        let used = used.filter(|chunks| *chunks > segment.populated());
        if let Some(chunks) = used {
            segment.populate(chunks)?;
            let what = format!(
                "the header says now that {chunks} chunks have memory: records lie in them"
            );
            self.fixed(FaultPlace::Header, what);
        }
        let mark = &segment.words()[HEADER_POPULATED];
        let seen = mark.load(Ordering::Relaxed);
        if seen > geometry.chunks as u64 && put_word(mark, geometry.chunks as u64) {
            let there = geometry.chunks;
            let what = format!("the header said that {seen} chunks have memory; there are {there}");
            self.fixed(FaultPlace::Header, what);
        }
        Ok(())
    }

    /// Lowers a mark that counts chunks which have no memory. Otherwise they would be given some,
    /// and a table that grows may have room for more than the machine has.
    fn lower_mark(&mut self) -> Result<()> {
        let segment = self.segment;
        let geometry = &segment.geometry;
        let seen = segment.populated();
        if !check::counts_too_many_chunks(segment, seen)? {
            return Ok(());
        }
        let end = geometry.chunk(seen);
        // The first chunk from which on there is nothing.
        let (mut low, mut high) = (0, seen);
        while low < high {
            let middle = low.midpoint(high);
            if file::present_from(segment, geometry.chunk(middle), end)? < end {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let states = file::words(segment, geometry.state(0), seen)?;
        let taken = states.iter().rposition(|state| *state != 0);
        let there = low.max(taken.map_or(0, |chunk| chunk + 1));
        if put_word(&segment.words()[HEADER_POPULATED], there as u64) {
            let what = format!(
                "the header said that {seen} chunks have memory; no more than {there} have"
            );
            self.fixed(FaultPlace::Header, what);
        }
        Ok(())
    }

    /// The number of the first chunks that are in use, by their states.
    fn used_by_states(&self) -> Option<usize> {
        let (segment, geometry) = (self.segment, &self.segment.geometry);
        (0..geometry.chunks)
            .filter(|chunk| self.is_used(*chunk))
            .map(|chunk| {
                let filled = chunk::cursor(segment, chunk).max(1);
                chunk + filled.div_ceil(geometry.chunk_words)
            })
            .max()
    }

    /// Returns whether a participant has written to a chunk, or may be about to.
    fn is_used(&self, chunk: usize) -> bool {
        match chunk::state(self.segment, chunk) {
            State::Open(owner) | State::Cleaning(owner) => {
                chunk::cursor(self.segment, chunk) > 0 || self.lives(owner)
            }
            State::Sealed => chunk::cursor(self.segment, chunk) > 0,
            State::Free | State::Tail(_) | State::WithoutMemory(_) | State::Damaged => false,
        }
    }

    /// The number of the first chunks that are in use, in a table that grows: by the records that
    /// slots lead to, and by the chunks that participants fill who live. Behind the mark, records
    /// and states are read from the file, which takes no memory. Such a record counts only if its
    /// key has the hash that its slot keeps.
    fn used_behind_the_mark(&self) -> Result<Option<usize>> {
        let segment = self.segment;
        let mut most = None;
        for (bucket, slot) in check::slots_in_use(segment, segment.all_buckets()) {
            let bucket = probe::bucket(segment, bucket);
            if let SlotContent::Record(offset) = slot::holds(bucket.head(slot)) {
                let hash = bucket.tail(slot).load(Ordering::Relaxed);
                most = most.max(self.chunks_up_to(offset, hash)?);
            }
        }
        let geometry = &segment.geometry;
        for Unmarked { chunk, at, word } in check::unmarked_words(segment)? {
            if at == geometry.state(chunk)
                && let State::Open(owner) | State::Cleaning(owner) = State::unpack(word)
                && self.lives(owner)
            {
                let run = file::words(segment, geometry.details(chunk) + CHUNK_RUN, 1)?;
                let run = run.first().map_or(1, |run| (*run).max(1) as usize);
                let end = chunk.saturating_add(run).min(geometry.chunks);
                most = most.max(Some(end));
            }
        }
        Ok(most)
    }

    /// The number of the first chunks that a record reaches into, if it reaches behind the mark and
    /// its key has this hash.
    fn chunks_up_to(&self, offset: ArenaOffset, hash: u64) -> Result<Option<usize>> {
        let (segment, geometry) = (self.segment, &self.segment.geometry);
        let arena = geometry.chunks * geometry.chunk_words;
        let marked = segment.populated() * geometry.chunk_words;
        if offset.0 >= arena {
            return Ok(None);
        }
        let at = geometry.word_of(offset);
        // Most end before the mark, and their headers have memory.
        if offset.0 < marked {
            let header = segment.words()[at].load(Ordering::Relaxed);
            let words = Lengths::unpack(header).map_or(0, Lengths::words);
            if offset.0 + words <= marked {
                return Ok(None);
            }
        }
        let header = file::words(segment, at, 1)?;
        let Some(lengths) = header.first().and_then(|header| Lengths::unpack(*header)) else {
            return Ok(None);
        };
        if !geometry.fits(offset, lengths) {
            return Ok(None);
        }
        let key = file::words(segment, at + KEY_AT, lengths.key.div_ceil(WORD))?;
        let key: Vec<u8> = key.into_iter().flat_map(u64::to_le_bytes).collect();
        let is_whole = Hash::of(segment, &key[..lengths.key]).bits() == hash;
        let end = offset.0 + lengths.words();
        Ok(is_whole.then(|| end.div_ceil(geometry.chunk_words)))
    }

    /// Clears what is in the states and the details of chunks that have no memory by the header.
    pub(super) fn unmarked(&mut self) -> Result<()> {
        if !self.segment.geometry.grows() {
            return Ok(());
        }
        for Unmarked { chunk, at, word } in check::unmarked_words(self.segment)? {
            // A participant may have taken the chunk since.
            let cleared = if at == self.segment.geometry.state(chunk) {
                chunk::transit_word(self.segment, chunk, word, State::Free)
            } else {
                let place = &self.segment.words()[at];
                place
                    .compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
            };
            if cleared {
                crash_point!("repair: word stored");
                let offset = at * WORD;
                let what = format!(
                    "chunk {chunk}: the word at byte {offset} was set to zero: it has no memory by \
                     the header, and no record lies in it"
                );
                self.fixed(FaultPlace::Chunk(chunk), what);
            }
        }
        Ok(())
    }
}
