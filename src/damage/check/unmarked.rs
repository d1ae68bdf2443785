//! Verifying the chunks that have no memory by the header, in a table that grows: no participant
//! has used them, so their states and details are zero.

use std::ops::Range;

use crate::damage::fault::{Fault, FaultKind, FaultPlace};
use crate::damage::file;
use crate::error::Result;
use crate::layout::{CHUNK_WORDS, WORD};
use crate::segment::Segment;

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

/// Whether a table that grows hasn't as much memory as so many chunks take.
pub(crate) fn counts_too_many_chunks(segment: &Segment, chunks: usize) -> Result<bool> {
    let bytes = (chunks * segment.geometry.chunk_words * WORD) as u64;
    Ok(segment.geometry.grows() && bytes > file::bytes_present(segment)?)
}

/// The faults of chunks behind the mark: one for each.
pub(super) fn unmarked_faults(segment: &Segment) -> Result<Vec<Fault>> {
    let mut words = unmarked_words(segment)?;
    words.sort_by_key(|word| word.chunk);
    words.dedup_by_key(|word| word.chunk);
    Ok(words.into_iter().map(Unmarked::fault).collect())
}
