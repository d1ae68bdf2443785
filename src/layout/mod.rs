//! The format: where everything is in a segment, as named constants.
//!
//! A segment is an array of little-endian 64-bit words. All offsets here are
//! word indices from its start. `docs/format.md` and the pages in `docs/format/` are
//! the same in prose; a test holds the two together.
//!
//! ```text
//! header | participant slots | stripe headers | directory | buckets
//!        | chunk states | chunk details | reading words | arena
//! ```

pub(crate) mod anonymous_name;
mod codec_names;

use xxhash_rust::xxh3::xxh3_64;

#[cfg(not(loom))]
pub(crate) use codec_names::CODEC_NAMES;
pub use codec_names::{codec_id, codec_names};

/// Bytes in a word.
pub(crate) const WORD: usize = 8;

/// How many words a number of bytes takes. Without the comparison that `div_ceil` costs:
/// no length is so large that the sum overflows.
#[inline]
pub(crate) const fn words_of(bytes: usize) -> usize {
    bytes.wrapping_add(WORD - 1) / WORD
}

/// Words in a cache line.
pub(crate) const LINE: usize = 8;
/// Words in a page; the arena and its chunks are aligned to it.
pub(crate) const PAGE: usize = if cfg!(loom) { LINE } else { 512 };

/// `b"shmtable"`.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"shmtable");
/// Raised with every change of the format.
pub(crate) const FORMAT_VERSION: u64 = 3;

/// A word of the format, in a row of [`words!`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    /// The constant's name, as in `docs/format/`.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(crate) name: &'static str,
    /// Where it is in its group.
    pub(crate) at: usize,
    /// What messages call it, if it is a word of which salvage tells that it is wrong.
    #[cfg_attr(loom, allow(dead_code))]
    pub(crate) title: Option<&'static str>,
}

/// Makes a constant of each row, and a list of each group.
macro_rules! words {
    (@title) => { None };
    (@title $title:literal) => { Some($title) };
    ($($(#[$group_doc:meta])* $group:ident {
        $($(#[$doc:meta])* $name:ident = $at:literal $(, $title:literal)?;)*
    })*) => {
        $($($(#[$doc])* pub(crate) const $name: usize = $at;)*
        $(#[$group_doc])*
        pub(crate) const $group: &[Word] = &[
            $(Word { name: stringify!($name), at: $at, title: words!(@title $($title)?) }),*
        ];)*
    };
}

// The words that segments have, each in its group. From these rows follow the fingerprint,
// the words that `Table::check` wants to be zero, what salvage calls a word that the checksum
// covers, and the test that compares `docs/format/`.
words! {
    /// The header. Words 0 to 15 never change after creation; 16 is their checksum. So it is with
    /// words 17 to 22 and 23.
    HEADER {
        HEADER_MAGIC = 0, "magic number";
        HEADER_VERSION = 1, "format version";
        HEADER_FINGERPRINT = 2, "layout fingerprint";
        HEADER_SEGMENT_BYTES = 3, "segment length";
        HEADER_CAPACITY = 4, "capacity";
        HEADER_VALUE_SPACE = 5, "value space";
        HEADER_STRIPES = 6, "number of stripes";
        /// Buckets that each stripe has from the beginning.
        HEADER_STRIPE_BUCKETS = 7, "number of buckets of a stripe";
        HEADER_PARTICIPANTS = 8, "number of participant slots";
        HEADER_CHUNKS = 9, "number of chunks";
        HEADER_CHUNK_BYTES = 10, "chunk size";
        /// Buckets that a stripe may grow to.
        HEADER_MOST_BUCKETS = 11, "greatest number of buckets of a stripe";
        HEADER_HASH_SEED = 12, "hash seed";
        HEADER_CODEC = 13, "codec id";
        HEADER_CREATED = 14, "time of creation";
        HEADER_FLAGS = 15, "flags";
        HEADER_CHECKSUM = 16;
        /// The most bytes of memory that the table may take; 0: any number.
        HEADER_MAX_BYTES = 17, "bound of its memory";
        HEADER_SECOND_CHECKSUM = 23, "second checksum";
        /// Chunks below this index have pages; only ever grows.
        HEADER_POPULATED = 24;
        /// Times a dead owner's lock or chunk was taken over.
        HEADER_TAKE_OVERS = 32;
        /// Chunks cleaned.
        HEADER_CLEANINGS = 33;
    }
    /// A participant slot.
    PARTICIPANT {
        /// Generation (high half) and whether attached (bit 0).
        PARTICIPANT_STATE = 0;
        /// Process id in its own namespace, for people to read.
        PARTICIPANT_PID = 1;
        /// Nanoseconds since the Unix epoch.
        PARTICIPANT_SINCE = 2;
    }
    /// A stripe's header.
    STRIPE {
        /// The stripe lock; see `lock`.
        STRIPE_LOCK = 0;
        /// Raised to wake the waiters for a key.
        STRIPE_EVENT = 1;
        /// Entries in this stripe.
        STRIPE_ENTRIES = 2;
        /// Acquisitions that found the lock taken.
        STRIPE_CONTENDED = 3;
        /// Acquisitions of the lock, counted when it is let go.
        STRIPE_ACQUIRED = 4;
    }
    /// A chunk's details.
    CHUNK {
        /// Words of the chunk that records fill.
        CHUNK_CURSOR = 0;
        /// Words of live records: a hint.
        CHUNK_LIVE = 1;
        /// Chunks in the run that begins here; 0 and 1 are a plain chunk.
        CHUNK_RUN = 2;
    }
}

/// The places of a group of this many words that no row has.
pub(crate) fn unused(group: &'static [Word], words: usize) -> impl Iterator<Item = usize> {
    (0..words).filter(|at| group.iter().all(|word| word.at != *at))
}

/// Words of the header: a page.
pub(crate) const HEADER_WORDS: usize = if cfg!(loom) { 40 } else { PAGE };

/// Header flag: the segment is removed with its creator.
pub(crate) const FLAG_ANONYMOUS: u64 = 1;
/// The header flags that this version knows. It refuses a segment with another one, so that
/// later versions can add to the format under a flag of their own.
pub(crate) const KNOWN_FLAGS: u64 = FLAG_ANONYMOUS;

/// Words of a participant slot.
pub(crate) const PARTICIPANT_WORDS: usize = LINE;

/// Words of a stripe header.
pub(crate) const STRIPE_WORDS: usize = LINE;

/// Bits of the mask in a directory word, which is in its lowest bits.
pub(crate) const MASK_BITS: u32 = 40;
/// Where the first of two copies of the level begins in a directory word, in bits.
pub(crate) const LEVEL_AT: u32 = 40;
/// Bits of a copy.
pub(crate) const LEVEL_BITS: u32 = 8;
/// Where the phase begins in a directory word.
pub(crate) const PHASE_AT: u32 = 56;
/// Bits of the phase.
pub(crate) const PHASE_BITS: u32 = 2;

/// Whether all parts of a directory word say the same number of buckets. They do unless it is
/// damaged.
#[inline]
pub(crate) const fn parts_agree(directory: u64) -> bool {
    let level = directory >> LEVEL_AT & ((1 << LEVEL_BITS) - 1);
    let mask = 1_u64.wrapping_shl(level as u32).wrapping_sub(1);
    let levels = level << LEVEL_AT | level << (LEVEL_AT + LEVEL_BITS);
    let phase = ((1 << PHASE_BITS) - 1) << PHASE_AT;
    directory & !phase == mask | levels
}

/// Words of a bucket: two cache lines, to whose size it is aligned.
pub(crate) const BUCKET_WORDS: usize = 2 * LINE;
/// Slots of a bucket, numbered from 1.
pub(crate) const BUCKET_SLOTS: usize = 7;
/// Bits of a bucket's overflow count; above them in its word is the version.
pub(crate) const OVERFLOW_BITS: u32 = 24;
/// The slots that are used, a bit each: all of them, but for models, where few keys
/// must fill a bucket.
pub(crate) const USED_SLOTS: u32 = if cfg!(loom) {
    0b1110
} else {
    ((1 << BUCKET_SLOTS) - 1) << 1
};
/// Most bytes of a small entry's key and value together; the value has a word at most.
pub(crate) const SMALL_BYTES: usize = 15;
/// Bytes of a small entry's key that the head of its slot takes.
pub(crate) const HEAD_BYTES: usize = 7;

/// Where the length of the key begins in a record's header word, in bits.
pub(crate) const KEY_SHIFT: u32 = 4;
/// Where the length of the value begins in it.
pub(crate) const VALUE_SHIFT: u32 = 24;
/// Longest key, in bytes: just under 1 MiB.
pub(crate) const MAX_KEY: usize = (1 << (VALUE_SHIFT - KEY_SHIFT)) - 1;
/// Longest value, in bytes: just under 1 TiB.
pub(crate) const MAX_VALUE: usize = (1 << (u64::BITS - VALUE_SHIFT)) - 1;

/// Where the kind begins in a chunk's state word, in bits.
pub(crate) const KIND_SHIFT: u32 = 16;
/// The bits of the kind.
pub(crate) const KIND_BITS: u64 = 0xf << KIND_SHIFT;
/// The kind of a chunk without memory, in its place. At least two bits away from all other kinds: no
/// single wrong bit makes records look like nothing.
pub(crate) const WITHOUT_MEMORY: u64 = 15 << KIND_SHIFT;

/// Whether a chunk whose state word this is has no memory, or may have none.
pub(crate) const fn is_without_memory(state: u64) -> bool {
    state & KIND_BITS == WITHOUT_MEMORY
}

/// Words of a chunk's details.
pub(crate) const CHUNK_WORDS: usize = LINE;
/// Bits of that number; above them in its word are those that tell when one is wrong.
pub(crate) const CURSOR_BITS: u32 = 48;

/// Words, in a table that grows, in which the threads of a participant tell that they read
/// records: a page.
pub(crate) const READING_WORDS: usize = PAGE;
/// The threads of a participant that have a reading word each, a line of its own; one word more is
/// for all other threads.
pub(crate) const READING_THREADS: usize = if cfg!(loom) { 1 } else { 63 };

/// The byte whose shared lock says that a read-only handle is open.
pub(crate) const READERS_BYTE: u64 = 0;
/// The byte whose shared lock says that a process reads records without telling so in words.
pub(crate) const UNANNOUNCED_BYTE: u64 = 1;

/// The first of the bytes whose lock is a claim to compute a key's value: this
/// plus the upper 62 bits of the key's hash.
pub(crate) const CLAIM_BYTES: u64 = 1 << 62;

/// The first of the bytes whose lock says what the holder of a claim waits for: this
/// plus 30 bits of each of the two claims.
pub(crate) const WAIT_BYTES: u64 = 1 << 60;

/// Chunks kept back for cleaning.
pub(crate) const RESERVED_CHUNKS: usize = if cfg!(loom) { 1 } else { 4 };
/// Bytes a record may need above its key and its value: its header and two
/// paddings.
pub(crate) const RECORD_OVERHEAD: usize = 24;
/// Most participant slots a table may have.
pub(crate) const MAX_PARTICIPANTS: usize = 4096;
/// What the layout depends on, in words: a segment made by a build that lays
/// anything out differently is refused.
pub(crate) fn fingerprint() -> u64 {
    // A segment without the first three words of the header is refused before this is read.
    let places = |group: &'static [Word]| group.iter().map(|word| word.at);
    let constants = [WORD, PAGE, HEADER_WORDS]
        .into_iter()
        .chain(places(HEADER).skip(HEADER_FINGERPRINT + 1))
        .chain([PARTICIPANT_WORDS])
        .chain(places(PARTICIPANT))
        .chain([STRIPE_WORDS])
        .chain(places(STRIPE))
        .chain([BUCKET_WORDS, BUCKET_SLOTS, OVERFLOW_BITS as usize])
        .chain([SMALL_BYTES, HEAD_BYTES, CHUNK_WORDS])
        .chain(places(CHUNK))
        .chain([
            CURSOR_BITS as usize,
            KEY_SHIFT as usize,
            VALUE_SHIFT as usize,
        ])
        .chain([RESERVED_CHUNKS])
        .chain([READING_WORDS, READING_THREADS])
        .chain([MASK_BITS, LEVEL_AT, LEVEL_BITS, PHASE_AT].map(|bits| bits as usize));
    let bytes: Vec<u8> = constants
        .flat_map(|constant| (constant as u64).to_le_bytes())
        .collect();
    xxh3_64(&bytes)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// The pages of the format and the constants are the same, in both directions.
    #[test]
    fn the_document_has_the_same_numbers() {
        macro_rules! named {
            ($($name:ident)*) => { [$((stringify!($name), $name as u64)),*] };
        }
        let mut here: Vec<(&str, u64)> = named! {
            WORD LINE PAGE HEADER_WORDS PARTICIPANT_WORDS STRIPE_WORDS BUCKET_WORDS BUCKET_SLOTS
            SMALL_BYTES HEAD_BYTES CHUNK_WORDS RESERVED_CHUNKS MAX_PARTICIPANTS FLAG_ANONYMOUS
            READING_WORDS READING_THREADS
            READERS_BYTE UNANNOUNCED_BYTE CLAIM_BYTES WAIT_BYTES
        }
        .into();
        for group in [HEADER, PARTICIPANT, STRIPE, CHUNK] {
            here.extend(group.iter().map(|word| (word.name, word.at as u64)));
        }
        here.push(("MASK_BITS", MASK_BITS.into()));
        here.push(("LEVEL_AT", LEVEL_AT.into()));
        here.push(("LEVEL_BITS", LEVEL_BITS.into()));
        here.push(("PHASE_AT", PHASE_AT.into()));
        here.push(("CURSOR_BITS", CURSOR_BITS.into()));
        here.push(("OVERFLOW_BITS", OVERFLOW_BITS.into()));
        here.push(("KEY_SHIFT", KEY_SHIFT.into()));
        here.push(("VALUE_SHIFT", VALUE_SHIFT.into()));
        let pages = concat!(
            include_str!("../../docs/format.md"),
            include_str!("../../docs/format/header.md"),
            include_str!("../../docs/format/participants.md"),
            include_str!("../../docs/format/buckets.md"),
            include_str!("../../docs/format/arena.md"),
        );
        let mut there: Vec<(&str, u64)> = pages
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
                let name = cells.next()?.strip_suffix('`')?;
                let number = cells.next()?.parse().ok()?;
                // Fields, with a second number, and kinds are `tests/format/`'s.
                let is_value = cells.next()?.parse::<u64>().is_err();
                (is_value && !name.starts_with("KIND_")).then_some((name, number))
            })
            .collect();
        here.sort_unstable();
        there.sort_unstable();
        assert_eq!(here, there);
    }
}
