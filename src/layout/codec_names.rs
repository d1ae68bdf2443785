//! Codec ids, and the names of the codecs that an id stands for.

use xxhash_rust::xxh3::xxh3_64;

/// The names of the codecs of this crate and of its bindings to other languages, except
/// arrays of bytes.
pub(crate) const CODEC_NAMES: [&str; 19] = [
    "bytes",
    "str",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "f32",
    "f64",
    "bool",
    "unit",
    "messagepack",
    "messagepack+pickle",
    "json",
];

/// The length of the longest arrays of bytes that are recognized.
const LONGEST_ARRAY: usize = 64;

/// Returns the id that a segment stores for the codecs of its keys and values.
///
/// It is the XXH3-64 hash (seed 0) of the key codec's name, a zero byte and the value codec's name.
/// There are two exceptions: it is 0 for plain bytes (`bytes`, `bytes`), which is what a table
/// created through [`Options`](crate::Options) holds, and 1 if the hash is 0.
///
/// ```
/// use shmtable::codec_id;
///
/// assert_eq!(codec_id("bytes", "bytes"), 0);
/// assert_eq!(codec_id("str", "u64"), xxhash_rust::xxh3::xxh3_64(b"str\0u64"));
/// ```
pub fn codec_id(key: &str, value: &str) -> u64 {
    const PLAIN: &str = CODEC_NAMES[0];
    if key == PLAIN && value == PLAIN {
        0
    } else {
        xxh3_64([key, "\0", value].concat().as_bytes()).max(1)
    }
}

/// Returns the names of the key codec and the value codec that a [`codec_id`](crate::codec_id)
/// stands for.
///
/// It knows the codecs of this crate and of its Python package, and arrays up to `bytes[64]`; for
/// others it returns `None`. An id is a hash, so all pairs of names are tried, which takes about a
/// millisecond.
///
/// ```
/// use shmtable::{codec_id, codec_names};
///
/// let names = codec_names(codec_id("str", "u64")).unwrap();
/// assert_eq!(names, ("str".to_owned(), "u64".to_owned()));
/// assert_eq!(codec_names(codec_id("example.pixel/1", "u64")), None);
/// ```
pub fn codec_names(id: u64) -> Option<(String, String)> {
    let arrays = (0..=LONGEST_ARRAY).map(|length| format!("bytes[{length}]"));
    let names: Vec<String> = CODEC_NAMES
        .map(str::to_owned)
        .into_iter()
        .chain(arrays)
        .collect();
    let pair = |key: &String| {
        let value = names.iter().find(|value| codec_id(key, value) == id)?;
        Some((key.clone(), value.clone()))
    };
    names.iter().find_map(pair)
}

#[cfg(test)]
mod tests {
    use super::{CODEC_NAMES, codec_names};
    use crate::{Codec, codec_id};

    #[test]
    fn every_codec_of_this_crate_is_recognised() {
        fn recognised<C: Codec + ?Sized>() {
            let names = codec_names(codec_id(C::NAME, "u8"));
            assert_eq!(names, Some((C::NAME.to_owned(), "u8".to_owned())));
            let names = codec_names(codec_id("u8", C::NAME));
            assert_eq!(names, Some(("u8".to_owned(), C::NAME.to_owned())));
        }
        recognised::<[u8]>();
        recognised::<[u8; 0]>();
        recognised::<[u8; 32]>();
        recognised::<str>();
        recognised::<u128>();
        recognised::<i8>();
        recognised::<f32>();
        recognised::<bool>();
        recognised::<()>();
        #[cfg(feature = "serde")]
        recognised::<crate::MessagePack<()>>();
    }

    #[test]
    fn plain_bytes_are_zero_and_what_is_unknown_has_no_names() {
        let bytes = ("bytes".to_owned(), "bytes".to_owned());
        assert_eq!(codec_names(0), Some(bytes));
        assert_eq!(codec_names(codec_id("example.pixel/1", "u8")), None);
        assert_eq!(CODEC_NAMES[0], <[u8] as Codec>::NAME);
    }
}
