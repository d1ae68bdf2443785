//! THE format: where everything lies in a segment, as named constants.
//!
//! A segment is an array of little-endian 64-bit words. All offsets here are
//! word indices from its start. `docs/format.md` is the same in prose; a test
//! holds the two together.
//!
//! ```text
//! header | participant slots | stripe headers | buckets | chunk states | chunk details | arena
//! ```

pub(crate) mod anonymous_name;
mod codec_names;

use xxhash_rust::xxh3::xxh3_64;

#[cfg(not(loom))]
pub(crate) use codec_names::CODEC_NAMES;
pub use codec_names::{codec_id, codec_names};

/// Bytes in a word.
pub(crate) const WORD: usize = 8;

/// Words that so many bytes take. Without the comparison that `div_ceil` costs: nothing
/// is so long that the sum would not do.
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
pub(crate) const FORMAT_VERSION: u64 = 2;

// Header words. 0 to 15 never change after creation; 16 is their checksum.
pub(crate) const HEADER_MAGIC: usize = 0;
pub(crate) const HEADER_VERSION: usize = 1;
pub(crate) const HEADER_FINGERPRINT: usize = 2;
pub(crate) const HEADER_SEGMENT_BYTES: usize = 3;
pub(crate) const HEADER_CAPACITY: usize = 4;
pub(crate) const HEADER_VALUE_SPACE: usize = 5;
pub(crate) const HEADER_STRIPES: usize = 6;
pub(crate) const HEADER_STRIPE_BUCKETS: usize = 7;
pub(crate) const HEADER_PARTICIPANTS: usize = 8;
pub(crate) const HEADER_CHUNKS: usize = 9;
pub(crate) const HEADER_CHUNK_BYTES: usize = 10;
pub(crate) const HEADER_HASH_SEED: usize = 12;
pub(crate) const HEADER_CODEC: usize = 13;
pub(crate) const HEADER_CREATED: usize = 14;
pub(crate) const HEADER_FLAGS: usize = 15;
pub(crate) const HEADER_CHECKSUM: usize = 16;
/// Chunks below this index have pages; only ever grows.
pub(crate) const HEADER_POPULATED: usize = 24;
/// Times a dead owner's lock or chunk was taken over.
pub(crate) const HEADER_TAKE_OVERS: usize = 32;
/// Chunks cleaned.
pub(crate) const HEADER_CLEANINGS: usize = 33;
/// Words of the header: a page.
pub(crate) const HEADER_WORDS: usize = if cfg!(loom) { 40 } else { PAGE };

/// Header flag: the segment is removed with its creator.
pub(crate) const FLAG_ANONYMOUS: u64 = 1;

/// Words of a participant slot.
pub(crate) const PARTICIPANT_WORDS: usize = LINE;
/// Generation (high half) and whether attached (bit 0).
pub(crate) const PARTICIPANT_STATE: usize = 0;
/// Process id in its own namespace, for people to read.
pub(crate) const PARTICIPANT_PID: usize = 1;
/// Nanoseconds since the Unix epoch.
pub(crate) const PARTICIPANT_SINCE: usize = 2;

/// Words of a stripe header.
pub(crate) const STRIPE_WORDS: usize = LINE;
/// The stripe lock; see `lock`.
pub(crate) const STRIPE_LOCK: usize = 0;
/// Bumped to wake those who wait for a key.
pub(crate) const STRIPE_EVENT: usize = 1;
/// Entries in this stripe.
pub(crate) const STRIPE_ENTRIES: usize = 2;
/// Acquisitions that found the lock taken.
pub(crate) const STRIPE_CONTENDED: usize = 3;
/// Acquisitions of the lock, counted when it is let go.
pub(crate) const STRIPE_ACQUIRED: usize = 4;

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

/// Words of a chunk's details.
pub(crate) const CHUNK_WORDS: usize = LINE;
/// Words of the chunk that records fill.
pub(crate) const CHUNK_CURSOR: usize = 0;
/// Bits of that number; above them in its word are those that tell when one is wrong.
pub(crate) const CURSOR_BITS: u32 = 48;
/// Words of live records: a hint.
pub(crate) const CHUNK_LIVE: usize = 1;
/// Chunks in the run that begins here; 0 and 1 are a plain chunk.
pub(crate) const CHUNK_RUN: usize = 2;

/// The byte whose shared lock says that a read-only handle is open.
pub(crate) const READERS_BYTE: u64 = 0;

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
    let constants = [
        WORD,
        PAGE,
        HEADER_WORDS,
        HEADER_SEGMENT_BYTES,
        HEADER_CAPACITY,
        HEADER_VALUE_SPACE,
        HEADER_STRIPES,
        HEADER_STRIPE_BUCKETS,
        HEADER_PARTICIPANTS,
        HEADER_CHUNKS,
        HEADER_CHUNK_BYTES,
        HEADER_HASH_SEED,
        HEADER_CODEC,
        HEADER_CREATED,
        HEADER_FLAGS,
        HEADER_CHECKSUM,
        HEADER_POPULATED,
        HEADER_TAKE_OVERS,
        HEADER_CLEANINGS,
        PARTICIPANT_WORDS,
        PARTICIPANT_STATE,
        PARTICIPANT_PID,
        PARTICIPANT_SINCE,
        STRIPE_WORDS,
        STRIPE_LOCK,
        STRIPE_EVENT,
        STRIPE_ENTRIES,
        STRIPE_CONTENDED,
        STRIPE_ACQUIRED,
        BUCKET_WORDS,
        BUCKET_SLOTS,
        OVERFLOW_BITS as usize,
        SMALL_BYTES,
        HEAD_BYTES,
        CHUNK_WORDS,
        CHUNK_CURSOR,
        CHUNK_LIVE,
        CHUNK_RUN,
        CURSOR_BITS as usize,
        KEY_SHIFT as usize,
        VALUE_SHIFT as usize,
        RESERVED_CHUNKS,
    ];
    let bytes: Vec<u8> = constants
        .iter()
        .flat_map(|c| (*c as u64).to_le_bytes())
        .collect();
    xxh3_64(&bytes)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// `docs/format.md` and the constants are the same, in both directions.
    #[test]
    fn the_document_has_the_same_numbers() {
        macro_rules! named {
            ($($name:ident)*) => { [$((stringify!($name), $name as u64)),*] };
        }
        let mut here: Vec<(&str, u64)> = named! {
            WORD LINE PAGE HEADER_WORDS PARTICIPANT_WORDS STRIPE_WORDS BUCKET_WORDS BUCKET_SLOTS
            SMALL_BYTES HEAD_BYTES CHUNK_WORDS RESERVED_CHUNKS MAX_PARTICIPANTS
            HEADER_MAGIC HEADER_VERSION HEADER_FINGERPRINT HEADER_SEGMENT_BYTES HEADER_CAPACITY
            HEADER_VALUE_SPACE HEADER_STRIPES HEADER_STRIPE_BUCKETS HEADER_PARTICIPANTS
            HEADER_CHUNKS HEADER_CHUNK_BYTES HEADER_HASH_SEED HEADER_CODEC
            HEADER_CREATED HEADER_FLAGS HEADER_CHECKSUM HEADER_POPULATED HEADER_TAKE_OVERS
            HEADER_CLEANINGS FLAG_ANONYMOUS
            PARTICIPANT_STATE PARTICIPANT_PID PARTICIPANT_SINCE READERS_BYTE CLAIM_BYTES
            WAIT_BYTES
            STRIPE_LOCK STRIPE_EVENT STRIPE_ENTRIES STRIPE_CONTENDED STRIPE_ACQUIRED
            CHUNK_CURSOR CHUNK_LIVE CHUNK_RUN
        }
        .into();
        here.push(("CURSOR_BITS", CURSOR_BITS.into()));
        here.push(("OVERFLOW_BITS", OVERFLOW_BITS.into()));
        here.push(("KEY_SHIFT", KEY_SHIFT.into()));
        here.push(("VALUE_SHIFT", VALUE_SHIFT.into()));
        let mut there: Vec<(&str, u64)> = include_str!("../../docs/format.md")
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
