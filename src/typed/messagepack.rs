//! Any serde type, as `MessagePack`.

use std::io::{self, Write};
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::Codec;
use crate::BoxedError;

/// The name of the encoding of Python's tables: `MessagePack`, and an extension
/// type holding a pickle for what `MessagePack` cannot represent.
const WITH_PICKLES: &str = "messagepack+pickle";

/// The codec of a serde type, in the encoding `MessagePack`.
///
/// [MessagePack](https://msgpack.org) stores structs as maps from field names to values. So
/// programs in other languages can read it, and fields may be reordered, and added with
/// `#[serde(default)]`.
///
/// Encoding and decoding allocate. The codec's name is `messagepack` whatever `T` is: a table
/// doesn't know its `T`, and a value that doesn't fit is an [`Error::Codec`](crate::Error::Codec)
/// when it is read. So is one with bytes left over at its end, or one that is nested more than 128
/// deep; neither is ever written. A string or bytes of 4 GiB or more are an `Error::Codec` when you
/// write them.
///
/// # Together with Python
///
/// A typed table with `MessagePack` keys and values opens a table that Python's
/// `SharedDict` created with its default codec or with `codec="msgpack"`, and the other way
/// round. A value that Python had to pickle is an error here, and so is a key of a type that
/// `MessagePack` doesn't have, such as a date. Python finds a float key without a fraction as
/// the integer: use integers for such keys.
///
/// The format writes both `None` and `()` as nil: `Some(None)` and `Some(())` come back as
/// `None`.
///
/// # As keys
///
/// Keys are found by their bytes, so a key type must have one encoding for
/// each of its values. That holds for booleans, integers (the width of the
/// type does not show), characters, strings, and for options, tuples, arrays,
/// `Vec`s, `BTreeMap`s, `BTreeSet`s, and derived structs and enums made of
/// these. It does **not** hold for `HashMap` and `HashSet`, whose order differs
/// from one to the next. Floats are equal by their bits, so `0.0` and `-0.0`
/// are two keys. A struct's encoding follows its fields' names and order:
/// renaming, reordering or adding one makes the old keys unreachable. The codec can't
/// detect such a mistake, so it doesn't refuse it.
///
/// Values that [`compare_exchange`](crate::TypedTable::compare_exchange) compares need one
/// encoding each, too.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use shmtable::{MessagePack, Options, TypedTable};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Score {
///     points: u32,
///     by: String,
/// }
///
/// let scores =
///     TypedTable::<str, MessagePack<Score>>::create_anonymous(Options::new().capacity(100))?;
/// scores.insert("chess", &Score { points: 3, by: "ann".into() })?;
/// scores.update("chess", |score| score.map(|score| Score { points: score.points + 1, ..score }))?;
/// assert_eq!(scores.get("chess")?, Some(Score { points: 4, by: "ann".into() }));
/// # Ok::<(), shmtable::Error>(())
/// ```
pub struct MessagePack<T>(PhantomData<fn(&T)>);

impl<T: Serialize + DeserializeOwned> Codec for MessagePack<T> {
    const NAME: &'static str = "messagepack";
    const ALSO_READS: &'static [&'static str] = &[WITH_PICKLES];
    type Item = T;
    type Owned = T;
    type Encoded<'a>
        = Vec<u8>
    where
        T: 'a;

    fn encode(item: &T) -> Result<Vec<u8>, BoxedError> {
        let bytes = rmp_serde::to_vec_named(item)?;
        if u32::try_from(bytes.len()).is_err() {
            // Written a second time, because a cut length can't be detected afterwards.
            item.serialize(&mut rmp_serde::Serializer::new(LengthCheck).with_struct_map())?;
        }
        check(&bytes)?;
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Result<T, BoxedError> {
        check(bytes)?;
        Ok(rmp_serde::from_slice(bytes)?)
    }
}

/// Refuses strings and bytes that are longer than the 32 bits of `MessagePack`'s lengths can say;
/// the encoder would cut their length. (It cuts the length of arrays too; [`check`] finds what is
/// left over.)
struct LengthCheck;

impl Write for LengthCheck {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if u32::try_from(part.len()).is_ok() {
            return Ok(part.len());
        }
        let length = part.len();
        Err(io::Error::other(format!(
            "a part of it has {length} bytes, the limit of MessagePack is {}; store it in pieces",
            u32::MAX
        )))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How deep arrays and maps may be nested, in what is written and in what is read. Decoding calls
/// itself for each level, on a stack that must suffice whatever the segment says.
const NESTING: usize = 128;

/// Accepts exactly one `MessagePack` value, nested at most [`NESTING`] deep.
///
/// The decoder would stop after the first value, and counts only some of the ways in which it calls
/// itself.
fn check(mut bytes: &[u8]) -> Result<(), &'static str> {
    // How many values are still to come in each array and map that is open.
    let mut missing = [0_u64; NESTING];
    let mut depth = 0;
    loop {
        let (inside, rest) = head(bytes).ok_or("it is cut off or no MessagePack")?;
        bytes = rest;
        if inside > 0 {
            *missing.get_mut(depth).ok_or("it is nested too deeply")? = inside;
            depth += 1;
            continue;
        }
        // A value is complete, and so may be what it was the last of.
        loop {
            let Some(outer) = depth.checked_sub(1) else {
                return if bytes.is_empty() {
                    Ok(())
                } else {
                    Err("there are bytes left over at its end")
                };
            };
            missing[outer] -= 1;
            if missing[outer] > 0 {
                break;
            }
            depth = outer;
        }
    }
}

/// Returns how many values the first value of `bytes` holds (0 unless it is an array or a map), and
/// where they, or what follows it, begin.
fn head(bytes: &[u8]) -> Option<(u64, &[u8])> {
    /// What a length counts.
    enum Unit {
        Byte,
        Value,
        Pair,
    }
    use Unit::{Byte, Pair, Value};

    let (&first, rest) = bytes.split_first()?;
    // How many bytes of length follow, what is to be added to it, its unit.
    let (width, plus, unit) = match first {
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (0, 0, Byte),
        0x80..=0x8f => (0, first & 0x0f, Pair),
        0x90..=0x9f => (0, first & 0x0f, Value),
        0xa0..=0xbf => (0, first & 0x1f, Byte),
        0xc1 => return None,
        // Byte strings and text.
        0xc4 | 0xd9 => (1, 0, Byte),
        0xc5 | 0xda => (2, 0, Byte),
        0xc6 | 0xdb => (4, 0, Byte),
        // Extensions, whose type is one byte more.
        0xc7 => (1, 1, Byte),
        0xc8 => (2, 1, Byte),
        0xc9 => (4, 1, Byte),
        0xd4..=0xd8 => (0, 1 + (1 << (first - 0xd4)), Byte),
        // Floats and integers.
        0xca => (0, 4, Byte),
        0xcb => (0, 8, Byte),
        0xcc..=0xcf => (0, 1 << (first - 0xcc), Byte),
        0xd0..=0xd3 => (0, 1 << (first - 0xd0), Byte),
        0xdc => (2, 0, Value),
        0xdd => (4, 0, Value),
        0xde => (2, 0, Pair),
        0xdf => (4, 0, Pair),
    };
    let (length, rest) = rest.split_at_checked(width)?;
    let length = length
        .iter()
        .fold(0, |length, byte| length << 8 | u64::from(*byte))
        + u64::from(plus);
    match unit {
        Byte => Some((0, rest.get(usize::try_from(length).ok()?..)?)),
        Value => Some((length, rest)),
        Pair => Some((2 * length, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::{LengthCheck, NESTING, check};
    use std::io::Write;

    const CUT: &str = "it is cut off or no MessagePack";

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn parts_of_4_gib_are_refused_and_those_below_are_not() {
        // Zeros that are never read take no memory.
        let part = vec![0; 1 << 32];
        let refused = LengthCheck.write_all(&part).unwrap_err().to_string();
        assert!(refused.contains("4294967296 bytes, the limit"), "{refused}");
        LengthCheck.write_all(&part[1..]).unwrap();
    }

    #[test]
    fn every_first_byte_is_measured_as_the_specification_says() {
        // The first byte and what must follow it, by the table of formats of
        // the MessagePack specification.
        let mut formats: Vec<(u8, Vec<u8>)> = Vec::new();
        for first in (0x00..=0x7f).chain([0xc0, 0xc2, 0xc3]).chain(0xe0..=0xff) {
            formats.push((first, vec![]));
        }
        for n in 0..16 {
            formats.push((0x80 | n, vec![0; 2 * usize::from(n)]));
            formats.push((0x90 | n, vec![0; usize::from(n)]));
        }
        for n in 0..32 {
            formats.push((0xa0 | n, vec![0; usize::from(n)]));
        }
        let fixed = [
            (0xca, 4),
            (0xcb, 8),
            (0xcc, 1),
            (0xcd, 2),
            (0xce, 4),
            (0xcf, 8),
            (0xd0, 1),
            (0xd1, 2),
            (0xd2, 4),
            (0xd3, 8),
            (0xd4, 2),
            (0xd5, 3),
            (0xd6, 5),
            (0xd7, 9),
            (0xd8, 17),
        ];
        formats.extend(fixed.map(|(first, length)| (first, vec![0; length])));
        let counted = [
            (0xc4, 1, 44, 1),
            (0xc5, 2, 300, 1),
            (0xc6, 4, 300, 1),
            (0xd9, 1, 44, 1),
            (0xda, 2, 300, 1),
            (0xdb, 4, 70_000, 1),
            (0xdc, 2, 300, 1),
            (0xdd, 4, 300, 1),
            (0xde, 2, 300, 2),
            (0xdf, 4, 300, 2),
        ];
        for (first, width, count, each) in counted {
            let mut rest = u32::to_be_bytes(count)[4 - width..].to_vec();
            rest.resize(width + count as usize * each, 0);
            formats.push((first, rest));
        }
        for (first, width) in [(0xc7, 1), (0xc8, 2), (0xc9, 4)] {
            let mut rest = u32::to_be_bytes(7)[4 - width..].to_vec();
            rest.resize(width + 1 + 7, 0);
            formats.push((first, rest));
        }

        let mut seen: Vec<u8> = formats.iter().map(|(first, _)| *first).collect();
        seen.sort_unstable();
        let all: Vec<u8> = (0..=0xff).filter(|first| *first != 0xc1).collect();
        assert_eq!(seen, all);
        for (first, rest) in formats {
            let mut value = vec![first];
            value.extend(rest);
            assert_eq!(check(&value), Ok(()), "{first:#x}");
            assert_eq!(check(&value[..value.len() - 1]), Err(CUT), "{first:#x}");
            value.push(0);
            let left = Err("there are bytes left over at its end");
            assert_eq!(check(&value), left, "{first:#x}");
        }
        assert_eq!(check(&[0xc1]), Err(CUT));
    }

    #[test]
    fn nesting_is_counted_and_not_called() {
        let nested = |depth| [vec![0x91; depth], vec![0xc0]].concat();
        assert_eq!(check(&nested(NESTING)), Ok(()));
        let deep = Err("it is nested too deeply");
        assert_eq!(check(&nested(NESTING + 1)), deep);
        assert_eq!(check(&vec![0x81; 1_000_000]), deep);
        // One beside the other is not one inside the other.
        let flat = [vec![0xdc, 0x10, 0], [0x91, 0xc0].repeat(0x1000)].concat();
        assert_eq!(check(&flat), Ok(()));
        // Nor does it ask for what a length merely promises.
        assert_eq!(check(&[0xdf, 0xff, 0xff, 0xff, 0xff]), Err(CUT));
    }
}
