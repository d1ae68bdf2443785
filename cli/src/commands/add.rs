//! `add` adds to a number and prints the sum.

use rmpv::Value as Packed;
use serde_json::{Value as Json, json};
use shmtable::Table;

use crate::args;
use crate::codec::{Codec, Form, integer, notation};
use crate::context::{Context, typed_key};
use crate::failure::{Failure, Result};

pub(crate) fn add(mut context: Context, args: &args::Add) -> Result {
    let (table, codec) = context.open(&args.name)?;
    let key = typed_key(&args.key, args.typed, &table, &codec)?;
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

/// An addition that the table's own counters can't do.
#[derive(Clone, Copy)]
struct Adding<'a> {
    table: &'a Table,
    codec: &'a Codec,
    /// The amount as it was typed.
    typed: &'a str,
}

impl Adding<'_> {
    /// Adds as one atomic step.
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

    /// The sum, as stored and as shown.
    fn plus(self, before: &Json, amount: &Packed) -> Result<(Vec<u8>, Json)> {
        let form = self.codec.value;
        let sum = match form {
            Form::Unsigned(_) | Form::Signed(_) => {
                let amount = whole(amount).ok_or_else(|| self.is_not("a whole number"))?;
                let old = match before {
                    // A number beyond 64 bits is shown as a string.
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
