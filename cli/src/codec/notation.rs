//! `MessagePack` as JSON without loss. What JSON lacks is an object with one key that begins
//! with `$`.

use rmpv::{Integer, Utf8String, Value as Packed};
use serde_json::{Map, Number, Value as Json, json};
use shmtable_numbers::FloatKey;

use crate::units::{hex, parse_hex};

/// The extension type of Python's pickles. They are shown, but never loaded.
pub(crate) const PICKLE: i8 = b'P' as i8;
/// The extension type of Python's pickles with buffers.
pub(crate) const BUFFERS: i8 = b'B' as i8;
/// How deep arrays and maps of a table may be nested, as in Python and in Rust.
const NESTING: usize = 128;
/// How deep the decoder may recurse. It takes two levels for an array or a map, and up to four for
/// what is in it.
const DEPTH: usize = 2 * NESTING + 4;
/// How deep JSON may be nested. A map takes three levels if it is written as pairs; what is in the
/// last one may take two, and a line of a dump takes one.
const JSON_NESTING: usize = 3 * NESTING + 3;

/// Decodes a `MessagePack` value that takes all of `bytes`.
pub(crate) fn unpack(mut bytes: &[u8]) -> Result<Packed, String> {
    if bytes.first() == Some(&0xc1) {
        // This byte is reserved; the decoder would take it for nil.
        return Err("not MessagePack: it begins with a reserved byte".to_owned());
    }
    let value = rmpv::decode::read_value_with_max_depth(&mut bytes, DEPTH)
        .map_err(|error| format!("not MessagePack: {error}"))?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err("not MessagePack: bytes are left over at its end".to_owned())
    }
}

/// Encodes a value in its shortest form.
pub(crate) fn pack(value: &Packed) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).expect("a vector takes everything");
    bytes
}

/// How many buffers a pickle with buffers has, by the content of its extension.
pub(crate) fn buffers(mut content: &[u8]) -> Option<usize> {
    match rmpv::decode::read_value_with_max_depth(&mut content, DEPTH) {
        Ok(Packed::Array(head)) => match head.as_slice() {
            [Packed::Integer(_), Packed::Array(buffers)] => Some(buffers.len()),
            _ => None,
        },
        _ => None,
    }
}

/// Writes a value as JSON.
pub(crate) fn to_json(value: &Packed) -> Json {
    match value {
        Packed::Nil => Json::Null,
        Packed::Boolean(value) => Json::Bool(*value),
        Packed::Integer(value) => integer_to_json(*value),
        Packed::F32(value) => float_to_json((*value).into()),
        Packed::F64(value) => float_to_json(*value),
        Packed::String(text) => match text.as_str() {
            Some(text) => Json::from(text),
            None => json!({ "$text": hex(text.as_bytes()) }),
        },
        Packed::Binary(bytes) => json!({ "$bin": hex(bytes) }),
        Packed::Array(items) => items.iter().map(to_json).collect(),
        Packed::Map(entries) => map_to_json(entries),
        Packed::Ext(kind, bytes) => json!({ "$ext": [kind, hex(bytes)] }),
    }
}

fn integer_to_json(value: Integer) -> Json {
    match (value.as_u64(), value.as_i64()) {
        (Some(value), _) => value.into(),
        (None, Some(value)) => value.into(),
        (None, None) => Json::Null,
    }
}

fn float_to_json(value: f64) -> Json {
    match Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None if value.is_nan() => json!({ "$float": "nan" }),
        None if value > 0.0 => json!({ "$float": "inf" }),
        None => json!({ "$float": "-inf" }),
    }
}

fn map_to_json(entries: &[(Packed, Packed)]) -> Json {
    let mut object = Map::new();
    for (key, value) in entries {
        let fresh = key
            .as_str()
            .is_some_and(|key| object.insert(key.to_owned(), to_json(value)).is_none());
        if !fresh {
            return pairs_to_json(entries);
        }
    }
    if special(&object).is_some() {
        return pairs_to_json(entries);
    }
    Json::Object(object)
}

fn pairs_to_json(entries: &[(Packed, Packed)]) -> Json {
    let pair = |(key, value): &(Packed, Packed)| json!([to_json(key), to_json(value)]);
    json!({ "$map": entries.iter().map(pair).collect::<Vec<_>>() })
}

/// The name and the content of an object that stands for what JSON lacks.
pub(crate) fn special(object: &Map<String, Json>) -> Option<(&str, &Json)> {
    let (name, content) = object.iter().next()?;
    (object.len() == 1 && name.starts_with('$')).then_some((name, content))
}

/// Parses JSON, nested deep enough for every value that a table can have.
pub(crate) fn parse_json(text: &[u8]) -> Result<Json, String> {
    // The parser's own limit is 127. Without it, the parser's stack would have none.
    if nesting(text) > JSON_NESTING {
        return Err(format!("it is nested more than {JSON_NESTING} deep"));
    }
    let mut parser = serde_json::Deserializer::from_slice(text);
    parser.disable_recursion_limit();
    let mut values = parser.into_iter::<Json>();
    let value = values.next().ok_or("there is nothing")?;
    let value = value.map_err(|error| error.to_string())?;
    match values.next() {
        None => Ok(value),
        Some(_) => Err("there is more after its end".to_owned()),
    }
}

/// How deep arrays and objects are nested in a text, if it is JSON.
fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Reads a value from JSON.
pub(crate) fn from_json(json: &Json) -> Result<Packed, String> {
    nested_from_json(json, NESTING)
}

/// Reads a value that may be nested this deep.
fn nested_from_json(json: &Json, left: usize) -> Result<Packed, String> {
    let inner = |json: &Json| match left.checked_sub(1) {
        Some(left) => nested_from_json(json, left),
        None => Err(format!("it is nested more than {NESTING} deep")),
    };
    Ok(match json {
        Json::Null => Packed::Nil,
        Json::Bool(value) => Packed::Boolean(*value),
        Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), ..) => value.into(),
            (_, Some(value), _) => value.into(),
            (.., Some(value)) => Packed::F64(value),
            _ => return Err(format!("{number} is not a number of 64 bits")),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Packed::Array(items.iter().map(inner).collect::<Result<_, _>>()?),
        Json::Object(object) => match special(object) {
            Some((name, content)) => special_from_json(name, content, inner)?,
            None => Packed::Map(
                object
                    .iter()
                    .map(|(key, value)| Ok((key.as_str().into(), inner(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
        },
    })
}

/// Reads what JSON lacks; `inner` reads what is in a map.
fn special_from_json(
    name: &str,
    content: &Json,
    inner: impl Fn(&Json) -> Result<Packed, String>,
) -> Result<Packed, String> {
    let text = || {
        content
            .as_str()
            .ok_or_else(|| format!("{name} takes a string"))
    };
    match name {
        "$bin" => Ok(Packed::Binary(parse_hex(text()?)?)),
        "$text" => Ok(Packed::String(
            String::from_utf8(parse_hex(text()?)?)
                .map(Utf8String::from)
                .map_err(|_| "$text is not UTF-8".to_owned())?,
        )),
        "$float" => match text()? {
            "nan" => Ok(Packed::F64(f64::NAN)),
            "inf" => Ok(Packed::F64(f64::INFINITY)),
            "-inf" => Ok(Packed::F64(f64::NEG_INFINITY)),
            other => Err(format!("$float takes nan, inf or -inf, not {other:?}")),
        },
        "$ext" => {
            let parts = content.as_array().map(Vec::as_slice);
            let Some([kind, Json::String(bytes)]) = parts else {
                return Err("$ext takes a type and hexadecimal, such as [80, \"00ff\"]".to_owned());
            };
            let kind = kind.as_i64().and_then(|kind| i8::try_from(kind).ok());
            let kind = kind.ok_or("the type of $ext is from -128 to 127")?;
            Ok(Packed::Ext(kind, parse_hex(bytes)?))
        }
        "$map" => {
            let wrong = || "$map takes pairs, such as [[1, \"a\"]]".to_owned();
            let pairs = content.as_array().ok_or_else(wrong)?.iter().map(|pair| {
                match pair.as_array().map(Vec::as_slice) {
                    Some([key, value]) => Ok((inner(key)?, inner(value)?)),
                    _ => Err(wrong()),
                }
            });
            Ok(Packed::Map(pairs.collect::<Result<_, _>>()?))
        }
        other => Err(format!(
            "{other} is unknown; the known names are $bin, $ext, $float, $map and $text"
        )),
    }
}

/// The one form of keys that are equal in Python: whole numbers and booleans become integers.
pub(crate) fn canonical(key: Packed) -> Result<Packed, String> {
    Ok(match key {
        Packed::Boolean(value) => Packed::from(u8::from(value)),
        Packed::F32(value) => canonical(Packed::F64(value.into()))?,
        Packed::F64(value) => match FloatKey::from(value) {
            FloatKey::Float(value) => Packed::F64(value),
            FloatKey::Integer(whole) => integer_key(whole).ok_or_else(|| too_large(value))?,
            FloatKey::Large => return Err(too_large(value)),
            FloatKey::NotANumber => {
                return Err("nan cannot be a key: it does not equal itself".to_owned());
            }
        },
        Packed::Array(items) => {
            Packed::Array(items.into_iter().map(canonical).collect::<Result<_, _>>()?)
        }
        Packed::Map(_) => return Err("a map cannot be a key".to_owned()),
        other => other,
    })
}

/// An integer as a key, if 64 bits hold it.
fn integer_key(value: i128) -> Option<Packed> {
    let unsigned = u64::try_from(value).map(Packed::from);
    unsigned
        .or_else(|_| i64::try_from(value).map(Packed::from))
        .ok()
}

fn too_large(value: f64) -> String {
    format!("{value} is beyond 64 bits; give it as $ext or --hex")
}

/// The JSON of a typed value; what isn't JSON, or is meant as plain text, is a string.
pub(crate) fn typed(text: &str, plain: bool) -> Json {
    if plain {
        return text.into();
    }
    parse_json(text.as_bytes()).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_messagepack_can_say_goes_through_json_and_back() {
        let values = [
            Packed::Nil,
            true.into(),
            (-5).into(),
            u64::MAX.into(),
            1.0.into(),
            f64::INFINITY.into(),
            "text".into(),
            Packed::Binary(vec![0, 255]),
            Packed::Ext(PICKLE, vec![1, 2]),
            // As Python writes the keys of datetimes.
            Packed::Ext(-1, vec![0; 8]),
            Packed::Array(vec![1.into(), "a".into()]),
            Packed::Map(vec![("a".into(), 1.into())]),
            Packed::Map(vec![(1.into(), 1.into())]),
            Packed::Map(vec![("$bin".into(), "a".into())]),
            Packed::Map(vec![("a".into(), 1.into()), ("a".into(), 2.into())]),
        ];
        for value in values {
            let text = to_json(&value).to_string();
            let back = from_json(&parse_json(text.as_bytes()).unwrap()).unwrap();
            assert_eq!(pack(&back), pack(&value), "{text}");
            assert_eq!(unpack(&pack(&value)).unwrap(), value);
        }
        for text in [r#"{"$bin":"0"}"#, r#"{"$ext":[300,""]}"#, r#"{"$what":1}"#] {
            assert!(from_json(&serde_json::from_str(text).unwrap()).is_err());
        }
    }

    #[test]
    fn arrays_and_maps_go_through_json_128_deep() {
        let array = |inner| Packed::Array(vec![inner]);
        let map = |inner| Packed::Map(vec![("a".into(), inner)]);
        let pairs = |inner| Packed::Map(vec![(1.into(), inner)]);
        let around: [&dyn Fn(Packed) -> Packed; 3] = [&array, &map, &pairs];
        for around in around {
            let nested = |depth| (0..depth).fold(Packed::from("text"), |inner, _| around(inner));
            let bytes = pack(&nested(128));
            let json = to_json(&unpack(&bytes).unwrap());
            // As in a line of a dump.
            let line = json!({ "value": json }).to_string();
            let line = parse_json(line.as_bytes()).unwrap();
            assert_eq!(pack(&from_json(&line["value"]).unwrap()), bytes);
            let deeper = to_json(&nested(129));
            assert!(from_json(&deeper).unwrap_err().contains("128 deep"));
        }
    }

    #[test]
    fn brackets_that_nest_without_end_are_refused() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for depth in [388, 1_000_000] {
                let text = [open.repeat(depth), "1".into(), close.repeat(depth)].concat();
                assert!(parse_json(text.as_bytes()).unwrap_err().contains("deep"));
                assert!(parse_json(open.repeat(depth).as_bytes()).is_err());
            }
        }
    }

    #[test]
    fn brackets_in_strings_and_beside_each_other_do_not_nest() {
        let brackets = "[{".repeat(1000);
        for text in [
            format!("\"{brackets}\""),
            format!("[\"\\\"{brackets}\"]"),
            format!("[\"\\\\\",\"{brackets}\"]"),
            format!("[{}0]", "[],{\"a\":1},".repeat(1000)),
        ] {
            let expected: Json = serde_json::from_str(&text).unwrap();
            assert_eq!(parse_json(text.as_bytes()), Ok(expected));
        }
    }

    #[test]
    fn one_value_is_parsed_and_nothing_after_it() {
        for text in ["", " ", "[", "1 2", "[] x", "1,", "\"a\"\"b\"", "nul"] {
            assert!(parse_json(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(parse_json(b" [1] \n"), Ok(json!([1])));
    }

    #[test]
    fn keys_are_canonical_as_pythons() {
        let key = |text| canonical(from_json(&typed(text, false)).unwrap()).map(|key| pack(&key));
        assert_eq!(key("1.0"), key("1"));
        assert_eq!(key("true"), key("1"));
        assert_ne!(key("\"1\""), key("1"));
        assert_eq!(key("[1.0, \"a\"]"), key("[1,\"a\"]"));
        assert!(key("1e300").is_err());
        assert!(key("{\"a\": 1}").is_err());
    }
}
