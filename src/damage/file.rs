//! Words that may have no memory: read from the file, which takes none.

use crate::error::Result;
use crate::segment::Segment;
#[cfg(not(loom))]
use crate::{error::Error, layout::WORD, sys::Mapping};

/// The number of words that are read at a time.
pub(super) const BLOCK: usize = 1024;

/// The error for a file that can't be read.
#[cfg(not(loom))]
pub(super) fn cannot_read(source: std::io::Error) -> Error {
    Error::system("read the segment", source)
}

/// Copies words from `at` on. Those without memory, and those beyond the end, are zero.
#[cfg(not(loom))]
pub(super) fn copy_words(map: &Mapping, at: usize, out: &mut [u64]) -> Result<()> {
    let mut bytes = vec![0; out.len() * WORD];
    map.copy_bytes(at * WORD, &mut bytes).map_err(cannot_read)?;
    for (to, from) in out.iter_mut().zip(bytes.as_chunks().0) {
        *to = u64::from_le_bytes(*from);
    }
    Ok(())
}

/// Copies `count` words, as [`copy_words`] does.
#[cfg(not(loom))]
pub(super) fn words(segment: &Segment, at: usize, count: usize) -> Result<Vec<u64>> {
    let mut words = vec![0; count];
    copy_words(&segment.map, at, &mut words)?;
    Ok(words)
}

/// The first word from one on, up to `end`, that may have memory.
#[cfg(not(loom))]
pub(super) fn present_from(segment: &Segment, at: usize, end: usize) -> Result<usize> {
    if at >= end {
        return Ok(end);
    }
    let present = segment.map.next_present(at * WORD).map_err(cannot_read)?;
    Ok(present.map_or(end, |present| (present / WORD).clamp(at, end)))
}

/// The number of bytes of the segment that have memory.
#[cfg(not(loom))]
pub(super) fn bytes_present(segment: &Segment) -> Result<u64> {
    segment.map.bytes_present().map_err(cannot_read)
}

#[cfg(loom)]
#[expect(clippy::unnecessary_wraps, reason = "a file can fail")]
pub(super) fn bytes_present(_segment: &Segment) -> Result<u64> {
    Ok(u64::MAX)
}

/// A model's segment has no file.
#[cfg(loom)]
#[expect(clippy::unnecessary_wraps, reason = "a file can fail")]
pub(super) fn words(_segment: &Segment, _at: usize, count: usize) -> Result<Vec<u64>> {
    Ok(vec![0; count])
}

#[cfg(loom)]
#[expect(clippy::unnecessary_wraps, reason = "a file can fail")]
pub(super) fn present_from(_segment: &Segment, _at: usize, end: usize) -> Result<usize> {
    Ok(end)
}
