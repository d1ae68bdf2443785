//! The codecs of tables: how keys and values are encoded, typed and shown.

pub(crate) mod notation;
mod shown;

use std::borrow::Cow;

use serde_json::{Value as Json, json};
use shmtable::codec_id;

pub(crate) use shown::Shown;

use crate::units::{hex, parse_hex};

/// How a key or a value is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Bytes,
    Text,
    Unsigned(u8),
    Signed(u8),
    Float(u8),
    Bool,
    Unit,
    MessagePack,
    /// `MessagePack` in which an extension type is a pickle.
    Pickle,
    Json,
}

/// All forms, with their names in codec ids.
const FORMS: [(&str, Form); 19] = [
    ("bytes", Form::Bytes),
    ("str", Form::Text),
    ("u8", Form::Unsigned(1)),
    ("u16", Form::Unsigned(2)),
    ("u32", Form::Unsigned(4)),
    ("u64", Form::Unsigned(8)),
    ("u128", Form::Unsigned(16)),
    ("i8", Form::Signed(1)),
    ("i16", Form::Signed(2)),
    ("i32", Form::Signed(4)),
    ("i64", Form::Signed(8)),
    ("i128", Form::Signed(16)),
    ("f32", Form::Float(4)),
    ("f64", Form::Float(8)),
    ("bool", Form::Bool),
    ("unit", Form::Unit),
    ("messagepack", Form::MessagePack),
    ("messagepack+pickle", Form::Pickle),
    ("json", Form::Json),
];

/// Python's codecs: their names, and the forms of their keys and values.
const PYTHON: [(&str, &str, &str); 4] = [
    ("raw", "bytes", "bytes"),
    ("msgpack", "messagepack", "messagepack"),
    ("pickle", "messagepack", "messagepack+pickle"),
    ("json", "messagepack", "json"),
];

/// How a table encodes its keys and values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codec {
    pub(crate) id: u64,
    pub(crate) key: Form,
    pub(crate) value: Form,
    /// The name of the codec, or its number if it is unknown.
    pub(crate) name: String,
}

fn form(name: &str) -> Option<Form> {
    FORMS.iter().find(|form| form.0 == name).map(|form| form.1)
}

impl Codec {
    /// The codec of an id. An unknown one is shown as bytes.
    pub(crate) fn of(id: u64) -> Self {
        let names = || FORMS.iter().map(|form| form.0);
        let known = names()
            .flat_map(|key| names().map(move |value| (key, value)))
            .find(|(key, value)| codec_id(key, value) == id);
        match known {
            Some((key, value)) => Self::named(key, value),
            None => Self {
                id,
                key: Form::Bytes,
                value: Form::Bytes,
                name: format!("unknown ({id:#018x})"),
            },
        }
    }

    fn named(key: &str, value: &str) -> Self {
        let python = PYTHON.iter().find(|(_, k, v)| (*k, *v) == (key, value));
        Self {
            id: codec_id(key, value),
            key: form(key).unwrap_or(Form::Bytes),
            value: form(value).unwrap_or(Form::Bytes),
            name: match python {
                Some(("raw", ..)) => "bytes".to_owned(),
                Some((name, ..)) => (*name).to_owned(),
                None => format!("{key}/{value}"),
            },
        }
    }

    /// Parses the name of a codec: `bytes`, a name of Python's, or `KEY/VALUE`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "bytes" {
            return Ok(Self::named("bytes", "bytes"));
        }
        if let Some((_, key, value)) = PYTHON.iter().find(|codec| codec.0 == text) {
            return Ok(Self::named(key, value));
        }
        match text.split_once('/') {
            Some((key, value)) if form(key).is_some() && form(value).is_some() => {
                Ok(Self::named(key, value))
            }
            _ => Err(format!(
                "give bytes, msgpack, pickle or json, or two of {} with a slash between them",
                FORMS.map(|form| form.0).join(", ")
            )),
        }
    }
}

impl Form {
    /// The form's name in codec ids.
    pub(crate) fn name(self) -> &'static str {
        FORMS
            .iter()
            .find(|form| form.1 == self)
            .map_or("unknown", |form| form.0)
    }

    /// The bytes of a typed text; `plain` says that it is a string even if it looks like JSON.
    pub(crate) fn parse(self, text: &str, plain: bool, key: bool) -> Result<Vec<u8>, String> {
        match self {
            Self::Bytes | Self::Text => Ok(text.as_bytes().to_vec()),
            Self::MessagePack | Self::Pickle | Self::Json => {
                self.bytes_of(&notation::typed(text, plain), key)
            }
            _ => {
                let json = serde_json::from_str(text).unwrap_or_else(|_| text.into());
                self.bytes_of(&json, key)
            }
        }
    }

    /// The bytes as JSON, from which [`bytes_of`](Self::bytes_of) restores them. Bytes that
    /// aren't of this form become `{"$raw": ...}`.
    pub(crate) fn to_json(self, bytes: &[u8]) -> Json {
        let raw = || json!({ "$raw": hex(bytes) });
        match self {
            Self::Bytes => match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => json!({ "$bin": hex(bytes) }),
            },
            Self::Text => std::str::from_utf8(bytes).map_or_else(|_| raw(), Json::from),
            Self::Unsigned(width) | Self::Signed(width) | Self::Float(width)
                if bytes.len() != usize::from(width) =>
            {
                raw()
            }
            Self::Unsigned(_) => integer(unsigned(bytes), None),
            Self::Signed(width) => {
                let shift = 128 - 8 * u32::from(width);
                integer(0, Some((unsigned(bytes) << shift) as i128 >> shift))
            }
            Self::Float(_) => {
                let value = match *bytes {
                    [a, b, c, d] => f32::from_le_bytes([a, b, c, d]).into(),
                    _ => f64::from_bits(unsigned(bytes) as u64),
                };
                notation::to_json(&rmpv::Value::F64(value))
            }
            Self::Bool => match bytes {
                [0] => false.into(),
                [1] => true.into(),
                _ => raw(),
            },
            Self::Unit if bytes.is_empty() => Json::Null,
            Self::Unit => raw(),
            Self::MessagePack | Self::Pickle => {
                notation::unpack(bytes).map_or_else(|_| raw(), |value| notation::to_json(&value))
            }
            Self::Json => match notation::parse_json(bytes) {
                Ok(Json::Object(object)) if notation::special(&object).is_some() => raw(),
                Ok(value) => value,
                Err(_) => raw(),
            },
        }
    }

    /// The bytes that JSON stands for.
    pub(crate) fn bytes_of(self, json: &Json, key: bool) -> Result<Vec<u8>, String> {
        if let Some(("$raw" | "$bin", Json::String(bytes))) =
            json.as_object().and_then(notation::special)
            && (matches!(self, Self::Bytes) || json.get("$raw").is_some())
        {
            return parse_hex(bytes);
        }
        let wrong = |what: &str| format!("{json} is not {what}");
        match self {
            Self::Bytes | Self::Text => match json {
                Json::String(text) => Ok(text.clone().into_bytes()),
                _ => Err(wrong("a string")),
            },
            Self::Unsigned(width) => {
                let number = text_of(json).parse::<u128>();
                number
                    .ok()
                    .filter(|number| width == 16 || number >> (8 * width) == 0)
                    .map(|number| number.to_le_bytes()[..width.into()].to_vec())
                    .ok_or_else(|| wrong(&format!("an unsigned integer of {width} bytes")))
            }
            Self::Signed(width) => {
                let shift = 128 - 8 * u32::from(width);
                let number = text_of(json).parse::<i128>();
                number
                    .ok()
                    .filter(|number| number << shift >> shift == *number)
                    .map(|number| number.to_le_bytes()[..width.into()].to_vec())
                    .ok_or_else(|| wrong(&format!("a signed integer of {width} bytes")))
            }
            Self::Float(width) => {
                let number = match json {
                    Json::String(text) => text.parse().ok(),
                    json => notation::from_json(json)?.as_f64(),
                };
                let number = number.ok_or_else(|| wrong("a number"))?;
                Ok(match width {
                    4 => (number as f32).to_le_bytes().to_vec(),
                    _ => number.to_le_bytes().to_vec(),
                })
            }
            Self::Bool => json
                .as_bool()
                .map(|value| vec![value.into()])
                .ok_or_else(|| wrong("true or false")),
            Self::Unit => match json {
                Json::Null => Ok(Vec::new()),
                Json::String(text) if text.is_empty() => Ok(Vec::new()),
                _ => Err(wrong("null, the only value in a set")),
            },
            Self::MessagePack | Self::Pickle => {
                let value = notation::from_json(json)?;
                let value = if key {
                    notation::canonical(value)?
                } else {
                    value
                };
                let bytes = notation::pack(&value);
                // Lengths have 32 bits, and the encoder truncates longer ones.
                if u32::try_from(bytes.len()).is_err() {
                    return Err(format!(
                        "the value has {} bytes of MessagePack, and the limit is {}; give it as --hex",
                        bytes.len(),
                        u32::MAX
                    ));
                }
                Ok(bytes)
            }
            Self::Json => Ok(json.to_string().into_bytes()),
        }
    }

    /// The bytes as JSON that restores exactly these bytes: raw bytes if nothing else does.
    pub(crate) fn to_exact_json(self, bytes: &[u8], key: bool) -> Json {
        let json = self.to_json(bytes);
        match self.bytes_of(&json, key) {
            Ok(back) if back == bytes => json,
            _ => json!({ "$raw": hex(bytes) }),
        }
    }

    /// The bytes as text on one line.
    pub(crate) fn to_line(self, bytes: &[u8]) -> String {
        self.to_text(bytes, |c| !c.is_control())
    }

    /// The bytes as text that may have several lines.
    pub(crate) fn to_lines(self, bytes: &[u8]) -> String {
        self.to_text(bytes, |c| !c.is_control() || c == '\n' || c == '\t')
    }

    /// The bytes as text, without control characters, which would steer a terminal.
    fn to_text(self, bytes: &[u8], shown: impl Fn(char) -> bool) -> String {
        let raw = || format!("0x{}", hex(bytes));
        match self {
            Self::Bytes | Self::Text => match std::str::from_utf8(bytes) {
                Ok(text) if text.chars().all(shown) => text.to_owned(),
                _ => raw(),
            },
            Self::Pickle
                if let Ok(rmpv::Value::Ext(notation::PICKLE, pickle)) = notation::unpack(bytes) =>
            {
                format!("<pickle, {} bytes>", pickle.len())
            }
            Self::Pickle
                if let Ok(rmpv::Value::Ext(notation::BUFFERS, pickle)) =
                    notation::unpack(bytes)
                    && let Some(buffers) = notation::buffers(&pickle) =>
            {
                let plural = if buffers == 1 { "" } else { "s" };
                format!(
                    "<pickle with {buffers} buffer{plural}, {} bytes>",
                    pickle.len()
                )
            }
            _ => match self.to_json(bytes) {
                Json::Object(object) if matches!(notation::special(&object), Some(("$raw", _))) => {
                    raw()
                }
                // The JSON serializer escapes most control characters itself.
                json => json
                    .to_string()
                    .chars()
                    .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                    .collect(),
            },
        }
    }

    /// Whether a key begins with a prefix. A number begins as it is shown.
    pub(crate) fn has_prefix(self, bytes: &[u8], prefix: &str) -> bool {
        match self {
            Self::MessagePack | Self::Pickle => notation::unpack(bytes)
                .is_ok_and(|key| key.as_str().is_some_and(|key| key.starts_with(prefix))),
            Self::Bytes | Self::Text => bytes.starts_with(prefix.as_bytes()),
            _ => self.to_line(bytes).starts_with(prefix),
        }
    }

    /// The text that patterns match: a string, or a number as it is shown, else `None`.
    pub(crate) fn as_text(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::MessagePack | Self::Pickle => notation::unpack(bytes)
                .ok()
                .and_then(|key| key.as_str().map(str::to_owned)),
            Self::Bytes | Self::Text => std::str::from_utf8(bytes).ok().map(str::to_owned),
            _ => Some(self.to_line(bytes)),
        }
    }
}

fn unsigned(bytes: &[u8]) -> u128 {
    let mut wide = [0; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    u128::from_le_bytes(wide)
}

/// An integer as JSON: a string if it is beyond 64 bits.
pub(crate) fn integer(unsigned: u128, signed: Option<i128>) -> Json {
    let text = signed.map_or_else(|| unsigned.to_string(), |signed| signed.to_string());
    match (text.parse::<u64>(), text.parse::<i64>()) {
        (Ok(small), _) => small.into(),
        (_, Ok(small)) => small.into(),
        _ => text.into(),
    }
}

fn text_of(json: &Json) -> Cow<'_, str> {
    match json {
        Json::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_known_by_their_ids() {
        for (id, name) in [
            (0, "bytes"),
            (codec_id("messagepack", "messagepack+pickle"), "pickle"),
            (codec_id("str", "u64"), "str/u64"),
        ] {
            assert_eq!(Codec::of(id).name, name);
            assert_eq!(Codec::parse(name).unwrap(), Codec::of(id));
        }
        assert!(Codec::of(12345).name.starts_with("unknown"));
        assert!(Codec::parse("str/what").is_err());
    }

    #[test]
    fn every_form_gives_its_bytes_back() {
        for (_, form) in FORMS {
            let samples: [&[u8]; 9] = [
                b"",
                b"text",
                b"\0",
                b"\x01",
                b"\xff\xfe",
                b"\xff\xff\xff\xff\xff\xff\xff\x7f",
                b"\x93\x01\xc3\xcb\x3f\xf0\0\0\0\0\0\0",
                b"{\"$raw\": \"00\"}",
                &[0x80; 16],
            ];
            for bytes in samples {
                for key in [false, true] {
                    let json = form.to_exact_json(bytes, key).to_string();
                    let json = serde_json::from_str(&json).unwrap();
                    assert_eq!(form.bytes_of(&json, key).unwrap(), bytes, "{form:?} {json}");
                }
            }
        }
    }

    #[test]
    fn numbers_keep_to_their_widths() {
        let parse = |form: Form, text| form.parse(text, false, false);
        assert_eq!(parse(Form::Unsigned(1), "255"), Ok(vec![255]));
        assert!(parse(Form::Unsigned(1), "256").is_err());
        assert_eq!(parse(Form::Signed(2), "-2"), Ok(vec![254, 255]));
        assert!(parse(Form::Signed(1), "128").is_err());
        assert_eq!(Form::Signed(2).to_line(&[254, 255]), "-2");
        assert_eq!(
            Form::Unsigned(16).to_json(&[255; 16]),
            u128::MAX.to_string()
        );
    }
}
