//! What was wrong with a table that was opened to be salvaged.

use std::fmt;

use crate::layout::{HEADER, WORD};

/// Something that is wrong with the header or the length of a damaged table; see
/// [`Salvage::damage`](crate::Salvage::damage).
///
/// `Display` gives a sentence for people, with all numbers; its wording may change.
///
/// ```
/// # fn main() -> shmtable::Result<()> {
/// use shmtable::{Options, SalvageFault};
///
/// # let table = Options::new().capacity(100).create_anonymous()?;
/// let salvage = Options::new().open_damaged(table.name())?;
/// for fault in salvage.damage() {
///     match fault {
///         SalvageFault::Unconfirmed => eprintln!("check the codec yourself: {fault}"),
///         _ => eprintln!("{fault}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SalvageFault {
    /// A word of the header is wrong. No entry is lost by that.
    ///
    /// The checksum confirms what the word was, unless [`Unconfirmed`](Self::Unconfirmed) is
    /// reported too.
    HeaderWord {
        /// The offset of the word in the segment, in bytes.
        offset: usize,
        /// The word as it is.
        found: u64,
        /// The word as it was.
        expected: u64,
    },
    /// The header's checksum confirms none of its numbers.
    ///
    /// The geometry is one that agrees with the segment's length. The codec id, the capacity and
    /// the value space may be wrong.
    Unconfirmed,
    /// The segment is shorter than it was. Entries in the missing part are lost.
    Truncated {
        /// The length of the segment, in bytes.
        found: usize,
        /// The length that it had, in bytes.
        expected: usize,
    },
    /// Buckets are in the missing part of the segment.
    ///
    /// Small entries that were in them are lost; [`Salvage`](crate::Salvage) finds records without
    /// the index.
    IndexTruncated {
        /// How many whole buckets the segment has.
        found: usize,
        /// How many it had.
        expected: usize,
    },
}

impl fmt::Display for SalvageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Self::HeaderWord {
                offset,
                found,
                expected,
            } => {
                let name = name_of(offset / WORD);
                format!("the header's {name} is {found:#x}, and was {expected:#x}")
            }
            Self::Unconfirmed => "the header's checksum is wrong, and confirms none of its \
                                  numbers: its geometry is that which agrees with the segment's \
                                  length, and its codec id, its capacity and its value space may \
                                  be wrong"
                .to_owned(),
            Self::Truncated { found, expected } => {
                format!("the segment has {found} bytes, and had {expected}")
            }
            Self::IndexTruncated { found, expected } => format!(
                "part of the index is gone: the segment has {found} of its {expected} buckets"
            ),
        };
        f.pad(&text)
    }
}

/// What people call a word of the header.
fn name_of(word: usize) -> &'static str {
    HEADER
        .iter()
        .find(|row| row.at == word)
        .and_then(|row| row.title)
        .unwrap_or("unused word")
}
