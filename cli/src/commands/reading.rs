//! `get` and `scan`.

use std::io::Write;

use serde_json::{Value as Json, json};

use super::{Context, typed};
use crate::args;
use crate::codec::Codec;
use crate::failure::{Failure, Outcome, Result};
use crate::filter::Filter;
use crate::interrupt;
use crate::units::hex;

pub(crate) fn get(mut context: Context, args: &args::Get) -> Result {
    let (table, codec) = context.open_read_only(&args.name)?;
    let keys = args
        .keys
        .iter()
        .map(|key| typed("key", &table, &codec, codec.key(key, args.typed)))
        .collect::<Result<Vec<_>>>()?;
    let hex_values = args.typed.hex_values();
    if let [key] = &keys[..] {
        let value = table.get(key)?;
        if let (Some(value), true) = (&value, args.raw) {
            context.out.write_all(value)?;
            return context.out.done(true);
        }
        let absent = json!({ "found": false });
        return context.show_value(codec.value, value.as_deref(), hex_values, &absent);
    }
    if args.raw {
        return Err(Failure::Usage(
            "--raw prints the value of one key".to_owned(),
        ));
    }
    let mut all = true;
    for (key, value) in keys.iter().zip(table.get_many(&keys)?) {
        all &= value.is_some();
        let shown = Shown {
            codec: &codec,
            hex_keys: args.typed.hex,
            hex_values,
        };
        if context.out.json {
            let mut json = json!({ "key": shown.key_json(key), "found": value.is_some() });
            if let Some(value) = value {
                json["value"] = shown.value_json(&value);
            }
            context.out.object(json)?;
        } else if let Some(value) = value {
            context.out.line(&shown.line(key, &value))?;
        }
    }
    context.out.done(all)
}

/// How entries are shown.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) codec: &'a Codec,
    pub(super) hex_keys: bool,
    pub(super) hex_values: bool,
}

impl Shown<'_> {
    pub(super) fn key_json(self, key: &[u8]) -> Json {
        if self.hex_keys {
            hex(key).into()
        } else {
            self.codec.key.to_json(key)
        }
    }

    pub(super) fn value_json(self, value: &[u8]) -> Json {
        if self.hex_values {
            hex(value).into()
        } else {
            self.codec.value.to_json(value)
        }
    }

    pub(super) fn key(self, key: &[u8]) -> String {
        if self.hex_keys {
            hex(key)
        } else {
            self.codec.key.to_line(key)
        }
    }

    pub(super) fn value(self, value: &[u8]) -> String {
        if self.hex_values {
            hex(value)
        } else {
            self.codec.value.to_line(value)
        }
    }

    /// Both on a line.
    pub(super) fn line(self, key: &[u8], value: &[u8]) -> String {
        format!("{}\t{}", self.key(key), self.value(value))
    }
}

/// Keys and values, or keys alone.
type Entries<'a> = Box<dyn Iterator<Item = shmtable::Result<(Vec<u8>, Vec<u8>)>> + 'a>;

pub(crate) fn scan(mut context: Context, args: &args::Scan) -> Result {
    let (table, codec) = context.open_read_only(&args.name)?;
    let filter = Filter::new(&args.which, args.hex, &table, &codec)?;
    let shown = Shown {
        codec: &codec,
        hex_keys: args.hex,
        hex_values: args.hex || args.hex_value,
    };
    interrupt::catch()?;
    // Values are not read if nobody asked for them.
    let entries: Entries<'_> = if args.keys {
        Box::new(table.keys().map(|key| Ok((key?, Vec::new()))))
    } else {
        Box::new(table.iter())
    };
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut outcome = Outcome::NotFound;
    for entry in entries {
        interrupt::check()?;
        if left == 0 {
            break;
        }
        let (key, value) = entry?;
        if !filter.wants(&key) {
            continue;
        }
        if context.out.json {
            let mut json = json!({ "key": shown.key_json(&key) });
            if !args.keys {
                json["value"] = shown.value_json(&value);
            }
            context.out.object(json)?;
        } else if args.keys {
            context.out.line(&shown.key(&key))?;
        } else {
            context.out.line(&shown.line(&key, &value))?;
        }
        outcome = Outcome::Found;
        left -= 1;
    }
    context.out.done(outcome)
}
