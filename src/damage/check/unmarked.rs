//! Verifying the chunks that have no memory by the header, in a table that grows: no participant
//! has used them, so their states and details are zero.

use std::ops::Range;

use crate::damage::fault::{Fault, FaultKind, FaultPlace};
use crate::damage::file;
use crate::error::Result;
use crate::layout::{CHUNK_WORDS, WORD, is_without_memory};
use crate::segment::Segment;

/// How often memory is compared with what the header says before it counts as too little.
const LOOKS: usize = 3;

/// A word of a chunk behind the populated mark that is not zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unmarked {
    pub(crate) chunk: usize,
    pub(crate) at: usize,
    pub(crate) word: u64,
}

impl Unmarked {
    fn fault(self) -> Fault {
        let Self { chunk, at, .. } = self;
        let text = format!(
            "chunk {chunk}: it has no memory by the header, and the word at byte {} is not zero",
            at * WORD
        );
        Fault::new(FaultKind::Chunk, FaultPlace::Chunk(chunk), at, text)
    }
}

/// The words of the states and of the details of chunks behind the mark that are not zero.
pub(crate) fn unmarked_words(segment: &Segment) -> Result<Vec<Unmarked>> {
    let geometry = &segment.geometry;
    let (mark, chunks) = (segment.chunks_with_state(), geometry.chunks);
    let mut found = Vec::new();
    let states = geometry.state(mark)..geometry.state(chunks);
    let details = geometry.details(mark)..geometry.details(chunks);
    collect(segment, states, 1, mark, &mut found)?;
    collect(segment, details, CHUNK_WORDS, mark, &mut found)?;
    // The participant that took a chunk had raised the mark before.
    let mark = segment.chunks_with_state();
    found.retain(|found| found.chunk >= mark);
    Ok(found)
}

fn collect(
    segment: &Segment,
    words: Range<usize>,
    of_chunk: usize,
    first_chunk: usize,
    found: &mut Vec<Unmarked>,
) -> Result<()> {
    let begin = words.start;
    let mut at = file::present_from(segment, begin, words.end)?;
    while at < words.end {
        let count = file::BLOCK.min(words.end - at);
        let block = file::words(segment, at, count)?;
        let wrong = (at..).zip(block).filter(|(_, word)| *word != 0);
        found.extend(wrong.map(|(at, word)| Unmarked {
            chunk: first_chunk + (at - begin) / of_chunk,
            at,
            word,
        }));
        at = file::present_from(segment, at + count, words.end)?;
    }
    Ok(())
}

/// Whether a table that grows hasn't as much memory as the first chunks take, which are so many,
/// leaving out those without memory by their states.
pub(crate) fn counts_too_many_chunks(segment: &Segment, chunks: usize) -> Result<bool> {
    let geometry = &segment.geometry;
    if !geometry.grows() {
        return Ok(false);
    }
    // The states may have no memory themselves.
    let states = || file::words(segment, geometry.state(0), chunks);
    for _ in 0..LOOKS {
        let before = states()?;
        let present = file::bytes_present(segment)?;
        let after = states()?;
        // Memory may be given back in between, or got again.
        let has_memory = |(before, after): &(u64, u64)| {
            !is_without_memory(*before) && !is_without_memory(*after)
        };
        let counted = before.into_iter().zip(after).filter(has_memory).count();
        if (counted * geometry.chunk_words * WORD) as u64 <= present {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The faults of chunks behind the mark: one for each.
pub(super) fn unmarked_faults(segment: &Segment) -> Result<Vec<Fault>> {
    let mut words = unmarked_words(segment)?;
    words.sort_by_key(|word| word.chunk);
    words.dedup_by_key(|word| word.chunk);
    Ok(words.into_iter().map(Unmarked::fault).collect())
}
