//! Values that show whether they are whole, and who wrote them when.
//!
//! | bytes | a value of 8 bytes, which is replaced in place | bits     |
//! |-------|------------------------------------------------|----------|
//! | 0..8  | step                                           | 0 to 35  |
//! |       | writer                                         | 36 to 43 |
//! |       | checksum of key, writer and step               | 44 to 63 |
//!
//! | bytes  | any other            |
//! |--------|----------------------|
//! | 0..4   | key's number         |
//! | 4..8   | writer               |
//! | 8..16  | step                 |
//! | 16..24 | length               |
//! | 24..32 | checksum of the rest |
//! | 32..   | bytes that differ    |

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::finding::Finding;

/// The length of a value that is one word.
pub(crate) const SMALL: usize = 8;
/// The shortest of all others.
pub(crate) const LEAST: usize = 33;

const HEADER: usize = 32;
const STEP_BITS: u32 = 36;
const WRITER_BITS: u32 = 8;

/// Who wrote a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) writer: usize,
    pub(crate) step: u64,
    pub(crate) length: usize,
}

/// The value that a writer's step puts under a key.
pub(crate) fn make(key: u32, origin: Origin) -> Vec<u8> {
    let Origin {
        writer,
        step,
        length,
    } = origin;
    if length == SMALL {
        return small(key, writer, step).to_le_bytes().to_vec();
    }
    assert!(length >= LEAST, "a value of {length} bytes");
    let mut value = Vec::with_capacity(length + 8);
    value.extend_from_slice(&key.to_le_bytes());
    value.extend_from_slice(&(writer as u32).to_le_bytes());
    value.extend_from_slice(&step.to_le_bytes());
    value.extend_from_slice(&(length as u64).to_le_bytes());
    value.extend_from_slice(&[0; 8]);
    let mut state = (step << 20 ^ u64::from(key)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while value.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value.extend_from_slice(&state.to_le_bytes());
    }
    value.truncate(length);
    let sum = checksum(&value);
    value[24..HEADER].copy_from_slice(&sum.to_le_bytes());
    value
}

/// Who wrote the value that was found under a key, if it is whole.
///
/// # Errors
/// Torn, or wrong if it is another key's.
pub(crate) fn read(key: u32, value: &[u8]) -> Result<Origin, Finding> {
    let length = value.len();
    if let Ok(word) = <[u8; SMALL]>::try_from(value) {
        let word = u64::from_le_bytes(word);
        let step = word & ((1 << STEP_BITS) - 1);
        let writer = (word >> STEP_BITS) as usize & ((1 << WRITER_BITS) - 1);
        if word != small(key, writer, step) {
            return Err(Finding::torn(format!(
                "key {key} holds the word {word:#x}, which was never written"
            )));
        }
        return Ok(Origin {
            writer,
            step,
            length,
        });
    }
    if length < LEAST {
        return Err(Finding::torn(format!("key {key} holds {length} bytes")));
    }
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| value[at + byte]));
    let (found, writer) = (word(0) as u32, (word(0) >> 32) as usize);
    let (step, told, sum) = (word(8), word(16), word(24));
    if told != length as u64 || sum != checksum(value) {
        return Err(Finding::torn(format!(
            "key {key} holds {length} bytes that are not whole: they say key {found}, \
             writer {writer}, step {step}, {told} bytes"
        )));
    }
    if found != key {
        return Err(Finding::wrong(format!(
            "key {key} holds a value of key {found}, by writer {writer}, step {step}"
        )));
    }
    Ok(Origin {
        writer,
        step,
        length,
    })
}

fn small(key: u32, writer: usize, step: u64) -> u64 {
    assert!(step < 1 << STEP_BITS && writer < 1 << WRITER_BITS);
    let low = step | (writer as u64) << STEP_BITS;
    let sum = xxh3_64_with_seed(&low.to_le_bytes(), u64::from(key));
    low | sum << (STEP_BITS + WRITER_BITS)
}

fn checksum(value: &[u8]) -> u64 {
    xxh3_64_with_seed(&value[HEADER..], xxh3_64(&value[..24]))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Kind;
    use super::*;

    const ORIGIN: Origin = Origin {
        writer: 3,
        step: 77,
        length: 500,
    };

    #[test]
    fn a_whole_value_tells_who_wrote_it() {
        for length in [SMALL, LEAST, 34, 500, 70_000] {
            let origin = Origin { length, ..ORIGIN };
            let value = make(9, origin);
            assert_eq!(value.len(), length);
            assert_eq!(read(9, &value).unwrap(), origin);
        }
    }

    #[test]
    fn any_changed_byte_is_torn() {
        for length in [SMALL, LEAST, 500] {
            let value = make(9, Origin { length, ..ORIGIN });
            for at in 0..length {
                let mut torn = value.clone();
                torn[at] ^= 1;
                assert_eq!(
                    read(9, &torn).unwrap_err().kind,
                    Kind::Torn,
                    "{length} {at}"
                );
            }
            assert_eq!(read(9, &value[..length - 1]).unwrap_err().kind, Kind::Torn);
        }
    }

    #[test]
    fn half_of_an_older_value_is_torn() {
        let older = make(9, ORIGIN);
        let mut torn = make(9, Origin { step: 78, ..ORIGIN });
        torn[250..].copy_from_slice(&older[250..]);
        assert_eq!(read(9, &torn).unwrap_err().kind, Kind::Torn);
    }

    #[test]
    fn another_keys_value_is_wrong() {
        assert_eq!(read(8, &make(9, ORIGIN)).unwrap_err().kind, Kind::Wrong);
    }
}
