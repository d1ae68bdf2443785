//! Verifying chunks, with the locks of all stripes.

use super::census::{Census, Live};
use super::{is_nobody, load};
use crate::arena::chunk::{self, State};
use crate::damage::fault::{Fault, FaultKind, FaultPlace};
use crate::layout::{CHUNK_CURSOR, CHUNK_LIVE, CHUNK_RUN, WORD};
use crate::segment::Segment;
use crate::segment::record::Lengths;
use crate::sync::{self, Ordering, fence};

/// The number of times that an anomaly must be seen before it counts, where other
/// participants may be changing the words.
const LOOKS: usize = 3;

/// The faults of a chunk, leaving out those that only some of the [`LOOKS`] show. The
/// caller holds the locks of all stripes.
pub(crate) fn chunk_faults(segment: &Segment, census: &Census, chunk: usize) -> Vec<Fault> {
    let records = census.of(segment, chunk);
    let mut faults = chunk_faults_now(segment, records, chunk);
    for _ in 1..LOOKS {
        if faults.is_empty() {
            break;
        }
        sync::before_another_look();
        let again = chunk_faults_now(segment, records, chunk);
        faults.retain(|fault| again.contains(fault));
    }
    faults
}

fn chunk_faults_now(segment: &Segment, records: &[Live], chunk: usize) -> Vec<Fault> {
    let geometry = &segment.geometry;
    let mut wrong = Vec::new();
    let mut say = |kind, at, what: &str| {
        let text = format!("chunk {chunk}: {what}");
        wrong.push(Fault::new(kind, FaultPlace::Chunk(chunk), at, text));
    };
    let state_at = geometry.state(chunk);
    let state = chunk::state(segment, chunk);
    // Read after the state: the participant that took the chunk had raised the mark before.
    if state != State::Free && chunk >= segment.populated() {
        say(
            FaultKind::Chunk,
            state_at,
            "it is in use, and the header says that it has no memory",
        );
    }
    match state {
        State::Damaged => say(FaultKind::Chunk, state_at, "its state is none"),
        State::Free => {
            if !chunk::is_blank(segment, chunk) {
                say(FaultKind::Chunk, state_at, "it is free and not empty");
            }
        }
        State::WithoutMemory(owner) => {
            if !chunk::is_blank(segment, chunk) {
                say(
                    FaultKind::Chunk,
                    state_at,
                    "it has no memory and is not empty",
                );
            }
            if owner.is_some_and(|owner| is_nobody(segment, owner)) {
                say(FaultKind::Chunk, state_at, "its state names no participant");
            }
        }
        State::Tail(distance) => {
            if !is_tail_of(segment, chunk, distance) {
                say(
                    FaultKind::Chunk,
                    state_at,
                    "it is the tail of a run that is not there",
                );
            }
        }
        State::Open(owner) | State::Cleaning(owner) => {
            if is_nobody(segment, owner) {
                say(FaultKind::Chunk, state_at, "its state names no participant");
            }
        }
        State::Sealed => {}
    }
    if !in_use(state) {
        if !records.is_empty() {
            say(
                FaultKind::Chunk,
                state_at,
                "it is not in use, and a record lies in it",
            );
        }
        return wrong;
    }
    if let Some((at, fault)) = contents_fault(segment, records, chunk, state) {
        say(FaultKind::Chunk, at, &fault);
    }
    let truth: usize = records.iter().map(|record| record.words).sum();
    let live = detail(segment, chunk, CHUNK_LIVE) as i64;
    if live > truth as i64 {
        let kind = FaultKind::Count {
            stored: live as u64,
            counted: truth as u64,
        };
        say(
            kind,
            geometry.details(chunk) + CHUNK_LIVE,
            &format!("{truth} words of it are live and it says {live} are"),
        );
    }
    for record in records.iter().filter(|r| r.words > geometry.chunk_words) {
        for distance in 1..record.words.div_ceil(geometry.chunk_words) {
            if chunk + distance >= geometry.chunks
                || chunk::state(segment, chunk + distance) != State::Tail(distance)
            {
                say(
                    FaultKind::Chunk,
                    state_at,
                    &format!("the run's chunk {} is not its", chunk + distance),
                );
            }
        }
    }
    wrong
}

/// The fault in the cursor, the run or the records of a chunk in use, and its word.
fn contents_fault(
    segment: &Segment,
    records: &[Live],
    chunk: usize,
    state: State,
) -> Option<(usize, String)> {
    let geometry = &segment.geometry;
    let begin = geometry.chunk(chunk);
    let limit = chunk::run(segment, chunk) * geometry.chunk_words;
    let word = detail(segment, chunk, CHUNK_CURSOR);
    let cursor_at = geometry.details(chunk) + CHUNK_CURSOR;
    let run_at = geometry.details(chunk) + CHUNK_RUN;
    // A reader that sees a cursor also sees, by the fence before its store, that the chunk was
    // opened for it. So if the chunk is still sealed, the cursor is the sealed chunk's.
    fence(Ordering::Acquire);
    let sealed = state == State::Sealed && chunk::state(segment, chunk) == State::Sealed;
    let (cursor, sound) = chunk::cursor_of(word);
    if !sound {
        let fault = format!("its cursor's word {word:#x} has a wrong bit");
        return Some((cursor_at, fault));
    }
    if cursor > limit {
        return Some((cursor_at, format!("its cursor {cursor} is past its end")));
    }
    let last = records.last().map_or(begin, Live::end);
    if last > begin + cursor {
        return Some((cursor_at, "a record reaches past what it holds".to_owned()));
    }
    if let Some(first) = records.first() {
        let longest = records.iter().map(|record| record.words).max();
        let needed = longest.map_or(1, |words| words.div_ceil(geometry.chunk_words));
        let run = detail(segment, chunk, CHUNK_RUN);
        if run.max(1) != needed as u64 {
            return Some((run_at, format!("it says that its run has {run} chunks")));
        }
        if needed > 1 && first.at != begin {
            let fault = "a large record begins in its middle";
            return Some((run_at, fault.to_owned()));
        }
    }
    let until = if sealed { begin + cursor } else { last };
    if until > geometry.chunk(segment.populated()) {
        return Some((cursor_at, "it holds more than has memory".to_owned()));
    }
    let mut at = begin;
    let mut records = records.iter();
    let mut next = records.next();
    while at < until {
        if let Some(record) = next.filter(|record| record.at <= at) {
            if record.at < at {
                let offset = record.at * WORD;
                let fault = format!("the record at byte {offset} begins inside another");
                return Some((record.at, fault));
            }
            next = records.next();
        }
        let Some(words) = record_at(segment, at, until) else {
            let fault = format!("at byte {} should be a record and is none", at * WORD);
            return Some((at, fault));
        };
        at += words;
    }
    None
}

/// The number of words of the record at `at`, if there is one that ends before `until`.
pub(crate) fn record_at(segment: &Segment, at: usize, until: usize) -> Option<usize> {
    let lengths = Lengths::unpack(load(segment, at))?;
    let words = lengths.words();
    (words <= until - at).then_some(words)
}

fn detail(segment: &Segment, chunk: usize, word: usize) -> u64 {
    chunk::detail(segment, chunk, word).load(Ordering::Relaxed)
}

pub(crate) fn in_use(state: State) -> bool {
    matches!(state, State::Open(_) | State::Sealed | State::Cleaning(_))
}

/// Whether the chunk that a tail names as the head of its run has a run that long.
fn is_tail_of(segment: &Segment, chunk: usize, distance: usize) -> bool {
    chunk.checked_sub(distance).is_some_and(|head| {
        distance > 0 && in_use(chunk::state(segment, head)) && chunk::run(segment, head) > distance
    })
}
