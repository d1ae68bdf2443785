//! Repairing chunks, so that they fit the records that stay.

use std::collections::HashMap;

use super::{Repair, put_word};
use crate::arena;
use crate::arena::chunk::{self, State};
use crate::damage::check::{self, Census, Live};
use crate::damage::fault::FaultPlace;
use crate::damage::repaired::RepairOutcome;
use crate::layout::{CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN};
use crate::locking::participants::Attachment;
use crate::segment::Segment;
use crate::segment::record::Lengths;
use crate::sync::Ordering;
use crate::sys::crash_point;

impl Repair<'_> {
    pub(super) fn chunks(&mut self) {
        let segment = self.segment;
        let geometry = &segment.geometry;
        let census = Census::take(segment);
        // First of all, so that no other participant takes them for free chunks.
        let mut tails = HashMap::new();
        for chunk in 0..segment.chunks_with_state() {
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
                crash_point!("repair: chunk sealed");
                Attachment::count_take_over(segment.words());
                let what = format!("chunk {chunk}: its owner is dead; it was sealed");
                self.fixed(FaultPlace::Chunk(chunk), what);
            }
        }
        for chunk in 0..segment.chunks_with_state() {
            if let Some(distance) = tails.get(&chunk) {
                self.tail(chunk, *distance);
            }
        }
        for chunk in (0..segment.chunks_with_state()).filter(|chunk| !tails.contains_key(chunk)) {
            self.chunk(&census, census.of(segment, chunk), chunk);
        }
    }

    /// Repairs a later chunk of the run of a live record.
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
            crash_point!("repair: tail taken");
            // A record reaches there, so the memory is, unless the state was right.
            let _ = segment.populate_again(chunk..chunk + 1);
            self.blank(chunk);
            let what = format!("chunk {chunk}: it is a run's again");
            self.fixed(FaultPlace::Chunk(chunk), what);
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
                let what =
                    format!("chunk {chunk}: {truth} words of it are live, and it said {before}");
                self.fixed(FaultPlace::Chunk(chunk), what);
            }
            let faults = check::chunk_faults(segment, census, chunk);
            for fault in faults {
                self.leave(chunk, &fault.to_string());
            }
            return;
        }
        // Its state may have said that it has none, or may have been that of a chunk that has none.
        if segment.populate_again(chunk..chunk + 1).is_err() {
            let what = format!("{}: left, as there is no memory for the chunk", faults[0]);
            self.say(RepairOutcome::Left, FaultPlace::Chunk(chunk), what);
            return;
        }
        let mine = State::Cleaning(self.writer.me.id());
        if !chunk::transit_word(segment, chunk, word, mine) {
            self.leave(chunk, &faults[0].to_string());
            return;
        }
        crash_point!("repair: chunk taken");
        if records.is_empty() {
            chunk::free(segment, chunk, mine);
            let what = format!("{}; nothing lies in it, and it is free", faults[0]);
            self.fixed(FaultPlace::Chunk(chunk), what);
            return;
        }
        self.contents(records, chunk);
        put_word(chunk::detail(segment, chunk, CHUNK_LIVE), truth as u64);
        chunk::transit(segment, chunk, mine, State::Sealed);
        crash_point!("repair: chunk sealed");
        for fault in faults {
            self.fixed(fault.place, format!("{fault}; it was set right"));
        }
    }

    /// Makes the records of a chunk of ours follow one another, and makes its run and cursor
    /// fit them.
    fn contents(&mut self, records: &[Live], chunk: usize) {
        let segment = self.segment;
        let geometry = &segment.geometry;
        let begin = geometry.chunk(chunk);
        let mut at = begin;
        for record in records {
            while at < record.at {
                at += check::record_at(segment, at, record.at).unwrap_or_else(|| {
                    // One dead record in place of whatever is there.
                    let words = record.at - at;
                    arena::put_header(segment, at, Lengths::of_filler(words));
                    crash_point!("repair: word stored");
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
        // Dead records after the last live one may be dropped.
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

    /// Clears the details of a chunk that has no records of its own: the head of its run
    /// accounts for its words.
    fn blank(&mut self, chunk: usize) {
        let mut changed = false;
        for word in [CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN] {
            changed |= put_word(chunk::detail(self.segment, chunk, word), 0);
        }
        if changed {
            let what = format!("chunk {chunk}: its details were set to zero");
            self.fixed(FaultPlace::Chunk(chunk), what);
        }
    }

    fn leave(&mut self, chunk: usize, fault: &str) {
        let what = format!(
            "{fault}: left, as a participant that lives has chunk {chunk}; repair again when it \
             has closed the table"
        );
        self.say(RepairOutcome::Left, FaultPlace::Chunk(chunk), what);
    }
}

/// The word up to which a chunk is filled, by its cursor, as far as there is memory.
pub(super) fn filled(segment: &Segment, chunk: usize) -> usize {
    let geometry = &segment.geometry;
    let end = geometry.chunk(chunk) + chunk::cursor(segment, chunk);
    end.min(geometry.chunk(segment.populated()))
}
