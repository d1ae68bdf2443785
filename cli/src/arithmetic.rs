//! Computing with a number of a table as one step: `add`, `max` and `min`.

use std::cmp::Ordering;

use rmpv::Value as Packed;
use serde_json::{Value as Json, json};
use shmtable::Table;
use shmtable_numbers::Number;

use crate::args::Typed;
use crate::codec::{Codec, Form, integer, notation};
use crate::context::{Context, typed_key};
use crate::failure::{Failure, Result};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Max,
    Min,
}

impl Operator {
    /// How a number compares with the one that it takes the place of.
    fn wins(self) -> Ordering {
        match self {
            Self::Add => Ordering::Equal,
            Self::Max => Ordering::Greater,
            Self::Min => Ordering::Less,
        }
    }
}

/// Computes with the number of a key and a number as it was typed, and prints the result.
pub(crate) fn compute(
    mut context: Context,
    operator: Operator,
    (name, key, typed): (&str, &str, Typed),
    number: &str,
) -> Result {
    let (table, codec) = context.open(name)?;
    let key = typed_key(key, typed, &table, &codec)?;
    let computing = Computing {
        operator,
        table: &table,
        codec: &codec,
        typed: number,
    };
    let number = match serde_json::from_str(number) {
        Ok(json @ Json::Number(_)) => notation::from_json(&json).map_err(|_| "a number"),
        _ => Err("a number"),
    };
    let number = number.map_err(|what| computing.is_not(what))?;
    let result = match (codec.value, number.as_i64()) {
        (Form::Bytes | Form::Signed(8), Some(n)) => Json::from(match operator {
            Operator::Add => table.fetch_add(&key, n)? + n,
            Operator::Max => table.fetch_max(&key, n)?.max(n),
            Operator::Min => table.fetch_min(&key, n)?.min(n),
        }),
        (Form::Bytes, None) => {
            return Err(computing.is_not("a whole number of 64 bits with a sign"));
        }
        _ => computing.update(&key, &number)?,
    };
    context
        .out
        .either(|| json!({ "value": result }), || result.to_string())?;
    context.out.done(true)
}

/// A computation that the table's own counters can't do.
#[derive(Clone, Copy)]
struct Computing<'a> {
    operator: Operator,
    table: &'a Table,
    codec: &'a Codec,
    /// The number as it was typed.
    typed: &'a str,
}

impl Computing<'_> {
    /// Computes and stores as one atomic step.
    fn update(self, key: &[u8], amount: &Packed) -> Result<Json> {
        let form = self.codec.value;
        let mut result = None;
        self.table.try_update(key, |old| {
            let before = old.map(|old| form.to_json(old));
            let (bytes, value) = self.result(before, amount)?;
            result = Some(value);
            Ok::<_, Failure>(Some(bytes))
        })?;
        result.ok_or_else(|| self.not_a_number(&"absent".into()))
    }

    /// The result, as stored and as shown.
    fn result(self, before: Option<Json>, amount: &Packed) -> Result<(Vec<u8>, Json)> {
        let form = self.codec.value;
        let before = &before.unwrap_or_else(|| match self.operator {
            Operator::Add => Json::from(0),
            Operator::Max | Operator::Min => notation::to_json(amount),
        });
        let result = match form {
            Form::Unsigned(_) | Form::Signed(_) => {
                let amount = whole(amount).ok_or_else(|| self.is_not("a whole number"))?;
                let old = match before {
                    // A number beyond 64 bits is shown as a string.
                    Json::String(text) => text.parse().ok(),
                    json => notation::from_json(json).ok().and_then(|old| whole(&old)),
                };
                let is_number = before.is_number() || before.is_string();
                match old {
                    Some(old) => match self.operator {
                        Operator::Add => old.checked_add(amount),
                        Operator::Max => Some(old.max(amount)),
                        Operator::Min => Some(old.min(amount)),
                    }
                    .map(|result| integer(0, Some(result)))
                    .ok_or_else(|| self.overflow(before))?,
                    None if is_number => return Err(self.overflow(before)),
                    None => return Err(self.not_a_number(before)),
                }
            }
            Form::Float(_) | Form::MessagePack | Form::Pickle | Form::Json => {
                let old = notation::from_json(before).map_err(|_| self.not_a_number(before))?;
                let (Some(a), Some(b)) = (number(&old), number(amount)) else {
                    return Err(self.not_a_number(before));
                };
                if self.operator == Operator::Add {
                    match a.plus(b).ok_or_else(|| self.overflow(before))? {
                        Number::Integer(sum) => integer(0, Some(sum)),
                        Number::Float(sum) => notation::to_json(&Packed::F64(sum)),
                    }
                } else {
                    let order = b.compare(a).ok_or_else(|| self.not_a_number(before))?;
                    let wins = order == self.operator.wins();
                    notation::to_json(if wins { amount } else { &old })
                }
            }
            Form::Bytes | Form::Text | Form::Bool | Form::Unit => {
                return Err(Failure::NoNumbers {
                    table: self.table.name().to_owned(),
                    form: form.name(),
                });
            }
        };
        let bytes = form.bytes_of(&result, false);
        Ok((bytes.map_err(|_| self.overflow(before))?, result))
    }

    fn is_not(self, what: &str) -> Failure {
        Failure::Notation {
            what: match self.operator {
                Operator::Add => "amount",
                Operator::Max | Operator::Min => "number",
            },
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

    /// The failure of a result that the table's type has no room for.
    fn overflow(self, before: &Json) -> Failure {
        if self.operator != Operator::Add {
            return self.is_not(self.codec.value.name());
        }
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

/// A number that Python has too, if it is one.
fn number(value: &Packed) -> Option<Number> {
    match whole(value) {
        Some(value) => Some(Number::Integer(value)),
        None => value.as_f64().map(Number::Float),
    }
}
