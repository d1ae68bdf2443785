//! `put`, `add`, `del`, `take`, `cas` and `clear`.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};

use rmpv::Value as Packed;
use serde_json::{Value as Json, json};
use shmtable::Table;

use super::dumping::Interruptible;
use super::reading::Shown;
use super::{Context, interrupted, typed};
use crate::args;
use crate::codec::{Codec, Form, integer};
use crate::failure::{Failure, Result};
use crate::filter::Filter;
use crate::units::some_entries;
use crate::{interrupt, notation};

pub(crate) fn put(mut context: Context, args: &args::Put) -> Result {
    let (table, codec) = context.open(&args.name)?;
    let key = typed("key", &table, &codec, codec.key(&args.key, args.typed))?;
    let value = value(args, &table, &codec)?;
    let (stored, replaced) = if args.if_absent {
        (table.try_insert(&key, &value)?, false)
    } else {
        (true, !table.insert(&key, &value)?)
    };
    context.out.either(
        || json!({ "stored": stored, "replaced": replaced }),
        String::new,
    )?;
    context.out.done(stored)
}

fn value(args: &args::Put, table: &Table, codec: &Codec) -> Result<Vec<u8>> {
    let bytes = match (&args.value, &args.file) {
        (Some(text), _) if args.raw => return Ok(text.clone().into_bytes()),
        (Some(text), _) => return typed("value", table, codec, codec.value(text, args.typed)),
        (None, Some(path)) => fs::read(path).map_err(|source| Failure::File {
            action: "read",
            path: path.clone(),
            source,
        })?,
        (None, None) => {
            let mut bytes = Vec::new();
            io::stdin()
                .read_to_end(&mut bytes)
                .map_err(Failure::Input)?;
            bytes
        }
    };
    let verbatim = matches!(codec.value, Form::Bytes) && !args.typed.hex_values();
    if args.raw || verbatim {
        return Ok(bytes);
    }
    let parsed = match std::str::from_utf8(&bytes) {
        // What a program writes ends with a line's end, which is none of the value.
        Ok(text) if !matches!(codec.value, Form::Text) || args.typed.hex_values() => {
            codec.value(text.trim_end_matches(['\n', '\r']), args.typed)
        }
        Ok(text) => codec.value(text, args.typed),
        Err(_) => Err("it is not UTF-8; --raw stores it as it is".to_owned()),
    };
    typed("value", table, codec, parsed)
}

pub(crate) fn del(mut context: Context, args: &args::Del) -> Result {
    if args.keys.is_empty() && args.which.prefix.is_none() && args.which.glob.is_none() {
        return Err(Failure::Usage(
            "give the keys, or `-` to read them from the standard input, or --prefix or --match"
                .to_owned(),
        ));
    }
    let (table, codec) = context.open(&args.name)?;
    interrupt::catch()?;
    let mut removed = 0;
    let done = if args.keys.is_empty() {
        let filter = Filter::new(&args.which, args.typed.hex, &table, &codec)?;
        let kept = |key: &[u8]| interrupt::stopped() || !filter.wants(key);
        let done = table.retain(|key, _| {
            let keep = kept(key);
            removed += usize::from(!keep);
            keep
        });
        done.map(drop).map_err(interrupted)
    } else {
        keys(args, &table, &codec)?.try_for_each(|key| {
            interrupt::check()?;
            removed += usize::from(table.remove(key?).map_err(interrupted)?);
            Ok(())
        })
    };
    or_removed(done, removed)?;
    context.out.either(
        || json!({ "removed": removed }),
        || format!("{} removed", some_entries(removed as u64)),
    )?;
    // As of several files that are searched: one is enough.
    context.out.done(removed > 0)
}

/// An interruption tells how many entries were removed before it.
fn or_removed(done: Result<()>, removed: usize) -> Result<()> {
    match done {
        _ if interrupt::stopped() => Err(Failure::Interrupted(format!(
            "; {} removed",
            some_entries(removed as u64)
        ))),
        done => done,
    }
}

type Keys<'a> = Box<dyn Iterator<Item = Result<Vec<u8>>> + 'a>;

/// The keys as they were typed, or as the lines of the standard input have them.
fn keys<'a>(args: &'a args::Del, table: &'a Table, codec: &'a Codec) -> Result<Keys<'a>> {
    let key = |text: &str| typed("key", table, codec, codec.key(text, args.typed));
    if args.keys != ["-"] {
        // If one of them is wrong none is removed.
        let keys = args.keys.iter().map(|text| key(text));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        return Ok(Box::new(keys.into_iter().map(Ok)));
    }
    let lines = BufReader::new(Interruptible::new(Box::new(io::stdin()))).lines();
    let lines = lines.map(|line| line.map_err(Failure::Input));
    let keys = lines.filter_map(move |line| match line {
        // The last line may have no line feed behind its carriage return.
        Ok(line) => match line.strip_suffix('\r').unwrap_or(&line) {
            "" => None,
            text => Some(key(text)),
        },
        Err(failure) => Some(Err(failure)),
    });
    Ok(Box::new(keys))
}

pub(crate) fn take(mut context: Context, args: &args::Take) -> Result {
    let (table, codec) = context.open(&args.name)?;
    let key = typed("key", &table, &codec, codec.key(&args.key, args.typed))?;
    let value = table.take(&key)?;
    if let (Some(value), true) = (&value, args.raw) {
        context.out.write_all(value)?;
        return context.out.done(true);
    }
    let absent = json!({ "found": false });
    let hex_values = args.typed.hex_values();
    context.show_value(codec.value, value.as_deref(), hex_values, &absent)
}

pub(crate) fn cas(mut context: Context, args: &args::Cas) -> Result {
    let (expected, new) = match (args.absent, args.remove, &args.expected, &args.new) {
        (false, false, Some(expected), Some(new)) => (Some(expected), Some(new)),
        (true, false, Some(new), None) => (None, Some(new)),
        (false, true, Some(expected), None) => (Some(expected), None),
        _ => {
            let usage = "give EXPECTED and NEW, or --absent and NEW, or EXPECTED and --remove";
            return Err(Failure::Usage(usage.to_owned()));
        }
    };
    let (table, codec) = context.open(&args.name)?;
    let key = typed("key", &table, &codec, codec.key(&args.key, args.typed))?;
    let value = |text: Option<&String>| {
        text.map(|text| typed("value", &table, &codec, codec.value(text, args.typed)))
            .transpose()
    };
    let (expected, new) = (value(expected)?, value(new)?);
    let found = match table.compare_exchange(&key, expected.as_deref(), new.as_deref())? {
        Ok(()) => {
            context
                .out
                .either(|| json!({ "exchanged": true }), String::new)?;
            return context.out.done(true);
        }
        Err(found) => found,
    };
    let shown = Shown {
        codec: &codec,
        hex_keys: args.typed.hex,
        hex_values: args.typed.hex_values(),
    };
    let mut json = json!({ "exchanged": false, "found": found.is_some() });
    if let Some(found) = &found {
        json["value"] = shown.value_json(found);
    }
    context.out.either(
        || json,
        || found.map_or_else(String::new, |found| shown.value(&found)),
    )?;
    context.out.done(false)
}

pub(crate) fn clear(mut context: Context, args: &args::OneTable) -> Result {
    let (table, _) = context.open(&args.name)?;
    interrupt::catch()?;
    let entries = table.len();
    let done = table.clear().map_err(interrupted);
    let removed = entries.saturating_sub(table.len());
    or_removed(done, removed)?;
    context.out.either(
        || json!({ "removed": removed }),
        || format!("{} removed", some_entries(removed as u64)),
    )?;
    context.out.done(true)
}

pub(crate) fn add(mut context: Context, args: &args::Add) -> Result {
    let (table, codec) = context.open(&args.name)?;
    let key = typed("key", &table, &codec, codec.key(&args.key, args.typed))?;
    let adding = Adding {
        table: &table,
        codec: &codec,
        typed: &args.amount,
    };
    let amount = match serde_json::from_str(&args.amount) {
        Ok(json @ Json::Number(_)) => notation::from_json(&json).map_err(|_| "a number"),
        _ => Err("a number"),
    };
    let amount = amount.map_err(|what| adding.is_not(what))?;
    let sum = match (codec.value, amount.as_i64()) {
        (Form::Bytes | Form::Signed(8), Some(amount)) => {
            let before = table.fetch_add(&key, amount)?;
            Json::from(before + amount)
        }
        (Form::Bytes, None) => return Err(adding.is_not("a whole number of 64 bits with a sign")),
        _ => adding.add(&key, &amount)?,
    };
    context
        .out
        .either(|| json!({ "value": sum }), || sum.to_string())?;
    context.out.done(true)
}

/// An addition to a number that is not a counter of the table's own.
#[derive(Clone, Copy)]
struct Adding<'a> {
    table: &'a Table,
    codec: &'a Codec,
    /// The amount as it was typed.
    typed: &'a str,
}

impl Adding<'_> {
    /// Adds in one step.
    fn add(self, key: &[u8], amount: &Packed) -> Result<Json> {
        let form = self.codec.value;
        let mut sum = None;
        self.table.try_update(key, |old| {
            let before = old.map_or(Json::from(0), |old| form.to_json(old));
            let (bytes, value) = self.plus(&before, amount)?;
            sum = Some(value);
            Ok::<_, Failure>(Some(bytes))
        })?;
        sum.ok_or_else(|| self.not_a_number(&"absent".into()))
    }

    /// The sum as the table stores it, and as it is shown.
    fn plus(self, before: &Json, amount: &Packed) -> Result<(Vec<u8>, Json)> {
        let form = self.codec.value;
        let sum = match form {
            Form::Unsigned(_) | Form::Signed(_) => {
                let amount = whole(amount).ok_or_else(|| self.is_not("a whole number"))?;
                let old = match before {
                    // Beyond 64 bits.
                    Json::String(text) => text.parse().ok(),
                    json => notation::from_json(json).ok().and_then(|old| whole(&old)),
                };
                let is_number = before.is_number() || before.is_string();
                match old {
                    Some(old) => old
                        .checked_add(amount)
                        .map(|sum| integer(0, Some(sum)))
                        .ok_or_else(|| self.overflow(before))?,
                    None if is_number => return Err(self.overflow(before)),
                    None => return Err(self.not_a_number(before)),
                }
            }
            Form::Float(_) | Form::MessagePack | Form::Pickle | Form::Json => {
                let old = notation::from_json(before).map_err(|_| self.not_a_number(before))?;
                match (whole(&old), whole(amount)) {
                    (Some(a), Some(b)) => match (u64::try_from(a + b), i64::try_from(a + b)) {
                        (Ok(sum), _) => sum.into(),
                        (_, Ok(sum)) => sum.into(),
                        _ => return Err(self.overflow(before)),
                    },
                    _ => match (old.as_f64(), amount.as_f64()) {
                        (Some(a), Some(b)) => notation::to_json(&Packed::F64(a + b)),
                        _ => return Err(self.not_a_number(before)),
                    },
                }
            }
            Form::Bytes | Form::Text | Form::Bool | Form::Unit => {
                return Err(Failure::NoNumbers {
                    table: self.table.name().to_owned(),
                    form: form.name(),
                });
            }
        };
        let bytes = form.bytes_of(&sum, false);
        Ok((bytes.map_err(|_| self.overflow(before))?, sum))
    }

    fn is_not(self, what: &str) -> Failure {
        Failure::Notation {
            what: "amount",
            table: self.table.name().to_owned(),
            codec: self.codec.name.clone(),
            reason: format!("{} is not {what}", self.typed),
        }
    }

    fn not_a_number(self, value: &Json) -> Failure {
        Failure::NotANumber {
            table: self.table.name().to_owned(),
            value: value.to_string(),
        }
    }

    fn overflow(self, before: &Json) -> Failure {
        Failure::Overflow {
            value: before
                .as_str()
                .map_or_else(|| before.to_string(), str::to_owned),
            amount: self.typed.to_owned(),
            limit: match self.codec.value {
                form @ (Form::Unsigned(_) | Form::Signed(_)) => form.name(),
                _ => "64 bits",
            },
        }
    }
}

/// A whole number; booleans are numbers, as in Python.
fn whole(value: &Packed) -> Option<i128> {
    match value {
        Packed::Boolean(value) => Some(i128::from(*value)),
        Packed::Integer(value) => value
            .as_i64()
            .map(i128::from)
            .or_else(|| value.as_u64().map(i128::from)),
        _ => None,
    }
}
