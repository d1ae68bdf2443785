//! `put`, `add` and `del`.

use std::fs;
use std::io::{self, Read};

use rmpv::Value as Packed;
use serde_json::json;
use shmtable::{Error, Table};

use super::{Context, typed};
use crate::args;
use crate::codec::{Codec, Form};
use crate::failure::{Failure, Result};
use crate::notation;

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
    let verbatim = matches!(codec.value, Form::Bytes) && !args.typed.hex;
    if args.raw || verbatim {
        return Ok(bytes);
    }
    let parsed = match std::str::from_utf8(&bytes) {
        // What a program writes ends with a line's end, which is none of the value.
        Ok(text) if !matches!(codec.value, Form::Text) || args.typed.hex => {
            codec.value(text.trim_end_matches(['\n', '\r']), args.typed)
        }
        Ok(text) => codec.value(text, args.typed),
        Err(_) => Err("it is not UTF-8; --raw stores it as it is".to_owned()),
    };
    typed("value", table, codec, parsed)
}

pub(crate) fn del(mut context: Context, args: &args::Del) -> Result {
    let (table, codec) = context.open(&args.name)?;
    let keys = args
        .keys
        .iter()
        .map(|key| typed("key", &table, &codec, codec.key(key, args.typed)))
        .collect::<Result<Vec<_>>>()?;
    let mut removed = 0;
    for key in &keys {
        removed += usize::from(table.remove(key)?);
    }
    context
        .out
        .either(|| json!({ "removed": removed }), String::new)?;
    // As of several files that are searched: one is enough.
    context.out.done(removed > 0)
}

pub(crate) fn add(mut context: Context, args: &args::Add) -> Result {
    let (table, codec) = context.open(&args.name)?;
    let key = typed("key", &table, &codec, codec.key(&args.key, args.typed))?;
    let amount = serde_json::from_str(&args.amount)
        .map_err(|_| "it is no number".to_owned())
        .and_then(|json| notation::from_json(&json));
    let amount = amount.map_err(|reason| Failure::Notation {
        what: "amount",
        table: args.name.clone(),
        codec: codec.name.clone(),
        reason,
    })?;
    let sum = match (codec.value, amount.as_i64()) {
        (Form::Bytes | Form::Signed(8), Some(amount)) => {
            let before = table.fetch_add(&key, amount)?;
            Packed::from(before + amount)
        }
        (form, _) => add_by(&table, &key, form, &amount)?,
    };
    let shown = notation::to_json(&sum);
    context
        .out
        .either(|| json!({ "value": shown }), || shown.to_string())?;
    context.out.done(true)
}

/// Adds to a number that is not a counter of the table's own, as one step.
fn add_by(table: &Table, key: &[u8], form: Form, amount: &Packed) -> Result<Packed> {
    let mut sum = Err(Failure::NotANumber {
        table: table.name().to_owned(),
        value: "absent".to_owned(),
    });
    let changed = table.try_update(key, |old| {
        let before = old.map_or(serde_json::Value::from(0), |old| form.to_json(old));
        let (bytes, result) = match plus(table.name(), form, &before, amount) {
            Ok((bytes, value)) => (Some(bytes), Ok(value)),
            Err(failure) => (None, Err(failure)),
        };
        sum = result;
        match bytes {
            Some(bytes) => Ok(Some(bytes)),
            // Nothing is to change; which error it is, `sum` tells.
            None => Err(Error::NotACounter {
                length: old.map_or(0, <[u8]>::len),
            }),
        }
    });
    let value = match (changed, sum) {
        (Ok(_), sum) => sum?,
        (Err(Error::NotACounter { .. }), Err(failure)) => return Err(failure),
        (Err(error), _) => return Err(error.into()),
    };
    Ok(value)
}

/// The sum as the table stores it, and as it is shown.
fn plus(
    table: &str,
    form: Form,
    before: &serde_json::Value,
    amount: &Packed,
) -> Result<(Vec<u8>, Packed)> {
    let not_a_number = || Failure::NotANumber {
        table: table.to_owned(),
        value: before.to_string(),
    };
    let overflow = || Failure::Overflow {
        value: before.to_string(),
        amount: amount.to_string(),
    };
    let old = notation::from_json(before).map_err(|_| not_a_number())?;
    let whole = |value: &Packed| match value {
        Packed::Boolean(value) => Some(i128::from(*value)),
        Packed::Integer(value) => value
            .as_i64()
            .map(i128::from)
            .or_else(|| value.as_u64().map(i128::from)),
        _ => None,
    };
    let sum = match (whole(&old), whole(amount)) {
        (Some(a), Some(b)) => match (u64::try_from(a + b), i64::try_from(a + b)) {
            (Ok(sum), _) => Packed::from(sum),
            (_, Ok(sum)) => Packed::from(sum),
            _ => return Err(overflow()),
        },
        _ => match (old.as_f64(), amount.as_f64()) {
            (Some(a), Some(b)) => Packed::F64(a + b),
            _ => return Err(not_a_number()),
        },
    };
    let bytes = form
        .bytes_of(&notation::to_json(&sum), false)
        .map_err(|_| overflow())?;
    Ok((bytes, sum))
}
