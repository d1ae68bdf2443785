//! Codecs: how values become bytes, and bytes values.

use std::borrow::Borrow;

use crate::{BoxedError, Error, Result};

/// How keys or values of a [`TypedTable`](crate::TypedTable) become bytes and back.
///
/// | codec | passed in | given back | bytes in the table | [`NAME`](Self::NAME) |
/// |---|---|---|---|---|
/// | `[u8]` | `&[u8]` | `Vec<u8>` | themselves | `bytes` |
/// | `[u8; N]` | `&[u8; N]` | `[u8; N]` | themselves | `bytes[N]`, N in decimal |
/// | `str` | `&str` | `String` | UTF-8, checked when read | `str` |
/// | `u8` to `u128`, `i8` to `i128` | `&u64` | `u64` | little-endian, two's complement | `u64` |
/// | `f32`, `f64` | `&f64` | `f64` | little-endian IEEE 754, all bits kept | `f64` |
/// | `bool` | `&bool` | `bool` | one byte, 0 or 1 | `bool` |
/// | `()` | `&()` | `()` | none: such a table is a set | `unit` |
/// | `MessagePack<T>` (feature `serde`) | `&T` | `T` | `MessagePack`, fields by name | `messagepack` |
///
/// There is none for `usize`, whose width differs between machines. For any other type, write a few
/// lines of your own, as below.
///
/// A codec for *keys* must give equal keys equal bytes, in every process and in every run, because
/// keys are found by their bytes. A codec for *values* must do so if
/// [`compare_exchange`](crate::TypedTable::compare_exchange) is to find the value it expects.
///
/// ```
/// use shmtable::{BoxedError, Codec, Options, TypedTable};
///
/// /// A point of an image.
/// #[derive(Debug, Clone, Copy, PartialEq)]
/// struct Pixel {
///     x: u16,
///     y: u16,
/// }
///
/// impl Codec for Pixel {
///     const NAME: &'static str = "example.pixel/1";
///     const LENGTH: Option<usize> = Some(4);
///     type Item = Pixel;
///     type Owned = Pixel;
///     type Encoded<'a> = [u8; 4];
///
///     fn encode(pixel: &Pixel) -> Result<[u8; 4], BoxedError> {
///         let ([a, b], [c, d]) = (pixel.x.to_le_bytes(), pixel.y.to_le_bytes());
///         Ok([a, b, c, d])
///     }
///
///     fn decode(bytes: &[u8]) -> Result<Pixel, BoxedError> {
///         let &[a, b, c, d] = bytes else {
///             return Err("a pixel has 4 bytes".into());
///         };
///         Ok(Pixel { x: u16::from_le_bytes([a, b]), y: u16::from_le_bytes([c, d]) })
///     }
/// }
///
/// let brightest = TypedTable::<str, Pixel>::create_anonymous(Options::new().capacity(10))?;
/// brightest.insert("vega", &Pixel { x: 12, y: 640 })?;
/// assert_eq!(brightest.get("vega")?, Some(Pixel { x: 12, y: 640 }));
/// # Ok::<(), shmtable::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a codec for a `TypedTable`",
    note = "text is `str`, bytes are `[u8]`, numbers are those with a width, such as `u64`",
    note = "a type that serde can serialize is `MessagePack<T>` (feature `serde`)"
)]
pub trait Codec {
    /// The name of the encoding, in every language that reads the table.
    ///
    /// It stands for the bytes, not for the Rust type: codecs that write and accept the same bytes
    /// may share a name. If you change the encoding, change the name. It must not contain a zero
    /// byte; begin your own with something that is yours.
    const NAME: &'static str;

    /// The names of other encodings whose tables a typed table with this codec opens too.
    ///
    /// The codec must be able to read what they have in common with it, and refuse the rest.
    const ALSO_READS: &'static [&'static str] = &[];

    /// The length of every encoding, if all have the same.
    ///
    /// [`get`](crate::TypedTable::get) reads a value of known length, up to 64 bytes, without
    /// allocating. An encoding of another length is an [`Error::Codec`] and never reaches
    /// [`decode`](Self::decode).
    const LENGTH: Option<usize> = None;

    /// The type that is encoded, by reference.
    type Item: ?Sized;

    /// The type that a read returns.
    type Owned: Borrow<Self::Item>;

    /// The type of the encoding: borrowed from the item, on the stack, or on the heap.
    type Encoded<'a>: AsRef<[u8]>
    where
        Self::Item: 'a;

    /// Returns the bytes of `item`.
    ///
    /// # Errors
    /// If `item` has no encoding.
    fn encode(item: &Self::Item) -> Result<Self::Encoded<'_>, BoxedError>;

    /// Returns the value that `bytes` stand for.
    ///
    /// They may be anything, because any process with write access to the segment may have written
    /// them.
    ///
    /// # Errors
    /// If `bytes` is not what [`encode`](Self::encode) writes.
    fn decode(bytes: &[u8]) -> Result<Self::Owned, BoxedError>;

    /// Returns the value that `bytes` stand for, as [`decode`](Self::decode) does; the value may
    /// keep them.
    ///
    /// # Errors
    /// If `bytes` is not what [`encode`](Self::encode) writes.
    #[inline]
    fn decode_vec(bytes: Vec<u8>) -> Result<Self::Owned, BoxedError> {
        Self::decode(&bytes)
    }
}

/// [`Codec::encode`], with the error that the table's callers see.
#[inline]
pub(super) fn encode<C: Codec + ?Sized>(item: &C::Item) -> Result<C::Encoded<'_>> {
    encode_at::<C>(None, item)
}

/// [`Codec::encode`] of a value; `key` is what its key was encoded to.
#[inline]
pub(super) fn encode_value<'v, C: Codec + ?Sized>(
    key: &[u8],
    value: &'v C::Item,
) -> Result<C::Encoded<'v>> {
    encode_at::<C>(Some(key), value)
}

#[inline]
fn encode_at<'i, C: Codec + ?Sized>(
    key: Option<&[u8]>,
    item: &'i C::Item,
) -> Result<C::Encoded<'i>> {
    let encoded = C::encode(item).map_err(|reason| refused::<C>("encode", key, reason))?;
    check_length::<C>("encode", key, encoded.as_ref().len())?;
    Ok(encoded)
}

/// [`Codec::decode`] of something in the entry of `key`, with the error that the
/// table's callers see.
#[inline]
pub(super) fn decode<C: Codec + ?Sized>(key: &[u8], bytes: &[u8]) -> Result<C::Owned> {
    check_length::<C>("decode", Some(key), bytes.len())?;
    C::decode(bytes).map_err(|reason| refused::<C>("decode", Some(key), reason))
}

/// [`Codec::decode_vec`] of something in the entry of `key`, with the error that the
/// table's callers see.
#[inline]
pub(super) fn decode_vec<C: Codec + ?Sized>(key: &[u8], bytes: Vec<u8>) -> Result<C::Owned> {
    check_length::<C>("decode", Some(key), bytes.len())?;
    C::decode_vec(bytes).map_err(|reason| refused::<C>("decode", Some(key), reason))
}

/// Decodes a key with [`Codec::decode_vec`]. The codec may keep the bytes, and an error must still
/// name them, so a short key is copied to the stack first, and a long one is only lent.
#[inline]
pub(super) fn decode_key<C: Codec + ?Sized>(key: Vec<u8>) -> Result<C::Owned> {
    const SHORT: usize = 64;
    let mut copy = [0; SHORT];
    match copy.get_mut(..key.len()) {
        Some(copy) => {
            copy.copy_from_slice(&key);
            decode_vec::<C>(copy, key)
        }
        None => decode::<C>(&key, &key),
    }
}

/// Compares the length of an encoding with [`Codec::LENGTH`].
#[inline]
pub(super) fn check_length<C: Codec + ?Sized>(
    action: &'static str,
    key: Option<&[u8]>,
    found: usize,
) -> Result<()> {
    match C::LENGTH {
        Some(length) if length != found => {
            Err(refused::<C>(action, key, length_reason(found, length)))
        }
        _ => Ok(()),
    }
}

#[cold]
fn refused<C: Codec + ?Sized>(
    action: &'static str,
    key: Option<&[u8]>,
    source: BoxedError,
) -> Error {
    Error::Codec {
        action,
        codec: C::NAME,
        key: key.map(Box::from),
        source,
    }
}

#[cold]
pub(super) fn length_reason(found: usize, length: usize) -> BoxedError {
    format!("the encoding has {found} bytes instead of {length}").into()
}
