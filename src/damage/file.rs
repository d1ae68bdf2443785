//! Words that may have no memory: read from the file, which takes none.

use crate::error::Result;
use crate::segment::Segment;
#[cfg(not(loom))]
use crate::{error::Error, layout::WORD};

/// The number of words that are read at a time.
pub(super) const BLOCK: usize = 1024;

/// Copies `count` words; those without memory are zero.
#[cfg(not(loom))]
pub(super) fn words(segment: &Segment, at: usize, count: usize) -> Result<Vec<u64>> {
    let mut bytes = vec![0; count * WORD];
    let copied = segment.map.copy_bytes(at * WORD, &mut bytes);
    copied.map_err(|source| Error::system("read the segment", source))?;
    let words = bytes.as_chunks().0.iter();
    Ok(words.copied().map(u64::from_le_bytes).collect())
}

/// The first word from one on, up to `end`, that may have memory.
#[cfg(not(loom))]
pub(super) fn present_from(segment: &Segment, at: usize, end: usize) -> Result<usize> {
    if at >= end {
        return Ok(end);
    }
    let present = segment.map.next_present(at * WORD);
    let present = present.map_err(|source| Error::system("read the segment", source))?;
    Ok(present.map_or(end, |present| (present / WORD).clamp(at, end)))
}

/// The number of bytes of the segment that have memory.
#[cfg(not(loom))]
pub(super) fn bytes_present(segment: &Segment) -> Result<u64> {
    let present = segment.map.bytes_present();
    present.map_err(|source| Error::system("read the segment", source))
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
