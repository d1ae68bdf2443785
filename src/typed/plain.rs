//! Types that are their own codecs.

use std::str;

use super::codec::{Codec, length_reason};
use crate::BoxedError;

/// Returns `bytes` as an array, if there are `N` of them.
#[inline]
fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], BoxedError> {
    <[u8; N]>::try_from(bytes).map_err(|_| length_reason(bytes.len(), N))
}

impl Codec for [u8] {
    const NAME: &'static str = "bytes";
    type Item = [u8];
    type Owned = Vec<u8>;
    type Encoded<'a> = &'a [u8];

    #[inline]
    fn encode(item: &[u8]) -> Result<&[u8], BoxedError> {
        Ok(item)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Vec<u8>, BoxedError> {
        Ok(bytes.to_vec())
    }

    #[inline]
    fn decode_vec(bytes: Vec<u8>) -> Result<Vec<u8>, BoxedError> {
        Ok(bytes)
    }
}

impl<const N: usize> Codec for [u8; N] {
    const NAME: &'static str = ArrayName::<N>::NAME;
    const LENGTH: Option<usize> = Some(N);
    type Item = [u8; N];
    type Owned = [u8; N];
    type Encoded<'a> = &'a [u8];

    #[inline]
    fn encode(item: &[u8; N]) -> Result<&[u8], BoxedError> {
        Ok(item)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<[u8; N], BoxedError> {
        exactly(bytes)
    }
}

/// The name `bytes[N]`, written when the program is compiled.
struct ArrayName<const N: usize>;

impl<const N: usize> ArrayName<N> {
    /// The name, at the end of a field that takes the longest one.
    const FIELD: ([u8; 32], usize) = {
        let mut field = [0; 32];
        let mut at = field.len() - 1;
        field[at] = b']';
        let mut left = N;
        loop {
            at -= 1;
            field[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        let mut prefix = b"bytes[".as_slice();
        while let [rest @ .., last] = prefix {
            at -= 1;
            field[at] = *last;
            prefix = rest;
        }
        (field, at)
    };

    const NAME: &'static str = match str::from_utf8(Self::FIELD.0.split_at(Self::FIELD.1).1) {
        Ok(name) => name,
        Err(_) => unreachable!(),
    };
}

impl Codec for str {
    const NAME: &'static str = "str";
    type Item = str;
    type Owned = String;
    type Encoded<'a> = &'a [u8];

    #[inline]
    fn encode(item: &str) -> Result<&[u8], BoxedError> {
        Ok(item.as_bytes())
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<String, BoxedError> {
        Ok(str::from_utf8(bytes)?.to_owned())
    }

    #[inline]
    fn decode_vec(bytes: Vec<u8>) -> Result<String, BoxedError> {
        String::from_utf8(bytes).map_err(|error| error.utf8_error().into())
    }
}

/// Numbers are their own codecs: little-endian, all bits kept.
macro_rules! numbers {
    ($($number:ident)*) => {$(
        impl Codec for $number {
            const NAME: &'static str = stringify!($number);
            const LENGTH: Option<usize> = Some(size_of::<$number>());
            type Item = $number;
            type Owned = $number;
            type Encoded<'a> = [u8; size_of::<$number>()];

            #[inline]
            fn encode(item: &$number) -> Result<Self::Encoded<'_>, BoxedError> {
                Ok(item.to_le_bytes())
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<$number, BoxedError> {
                exactly(bytes).map($number::from_le_bytes)
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 }

impl Codec for bool {
    const NAME: &'static str = "bool";
    const LENGTH: Option<usize> = Some(1);
    type Item = bool;
    type Owned = bool;
    type Encoded<'a> = [u8; 1];

    #[inline]
    fn encode(item: &bool) -> Result<[u8; 1], BoxedError> {
        Ok([u8::from(*item)])
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<bool, BoxedError> {
        match exactly(bytes)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("{other} is neither 0 nor 1").into()),
        }
    }
}

impl Codec for () {
    const NAME: &'static str = "unit";
    const LENGTH: Option<usize> = Some(0);
    type Item = ();
    type Owned = ();
    type Encoded<'a> = [u8; 0];

    #[inline]
    fn encode((): &()) -> Result<[u8; 0], BoxedError> {
        Ok([])
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<(), BoxedError> {
        exactly(bytes).map(|[]: [u8; 0]| ())
    }
}
