//! Finds what would run code when it is read, without reading it.

use rmp::Marker;

use super::{key, messagepack};
use crate::codec::Role;

/// Whether reading a key or a value could load a pickle, or import what a key names.
///
/// It follows the form alone and makes no objects, so the answer depends on no module that this
/// process has or lacks. Where the form breaks off, every reader stops too.
pub(crate) fn runs_code(role: Role, bytes: &[u8]) -> bool {
    let mut parts = vec![bytes];
    while let Some(mut rest) = parts.pop() {
        while let Some((code, content)) = next_extension(&mut rest) {
            let runs = match role {
                Role::Value => messagepack::PICKLES.contains(&code),
                Role::Key => code == messagepack::CLASS || code == messagepack::ENUM,
            };
            if runs {
                return true;
            }
            // Of the extensions, only those of keys hold others.
            let holds_keys = messagepack::KEYS.contains(&code) && !key::holds_bytes(code);
            if role == Role::Key && holds_keys {
                parts.push(content);
            }
        }
    }
    false
}

/// The code and the content of the next extension; `None` at the end, or where the form breaks off.
///
/// The elements of arrays and maps follow their heads, so only the heads are skipped.
fn next_extension<'a>(rest: &mut &'a [u8]) -> Option<(i8, &'a [u8])> {
    loop {
        let skipped = match Marker::from_u8(number::<1>(rest)? as u8) {
            Marker::Null
            | Marker::True
            | Marker::False
            | Marker::FixPos(_)
            | Marker::FixNeg(_)
            | Marker::FixArray(_)
            | Marker::FixMap(_) => 0,
            Marker::U8 | Marker::I8 => 1,
            Marker::U16 | Marker::I16 | Marker::Array16 | Marker::Map16 => 2,
            Marker::U32 | Marker::I32 | Marker::F32 | Marker::Array32 | Marker::Map32 => 4,
            Marker::U64 | Marker::I64 | Marker::F64 => 8,
            Marker::FixStr(length) => length.into(),
            Marker::Str8 | Marker::Bin8 => number::<1>(rest)?,
            Marker::Str16 | Marker::Bin16 => number::<2>(rest)?,
            Marker::Str32 | Marker::Bin32 => number::<4>(rest)?,
            Marker::FixExt1 => return extension(rest, 1),
            Marker::FixExt2 => return extension(rest, 2),
            Marker::FixExt4 => return extension(rest, 4),
            Marker::FixExt8 => return extension(rest, 8),
            Marker::FixExt16 => return extension(rest, 16),
            Marker::Ext8 => {
                let length = number::<1>(rest)?;
                return extension(rest, length);
            }
            Marker::Ext16 => {
                let length = number::<2>(rest)?;
                return extension(rest, length);
            }
            Marker::Ext32 => {
                let length = number::<4>(rest)?;
                return extension(rest, length);
            }
            Marker::Reserved => return None,
        };
        *rest = rest.get(skipped..)?;
    }
}

fn extension<'a>(rest: &mut &'a [u8], length: usize) -> Option<(i8, &'a [u8])> {
    let code = number::<1>(rest)? as u8;
    let (content, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some((code.cast_signed(), content))
}

/// A big-endian number of `N` bytes.
fn number<const N: usize>(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    let bytes = number.iter();
    Some(bytes.fold(0, |number, byte| number << 8 | usize::from(*byte)))
}
