//! `diff` compares two tables.

use serde_json::json;

use crate::args;
use crate::codec::Shown;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::interrupt;

pub(crate) fn diff(mut context: Context, args: &args::Diff) -> Result {
    let (first, codec) = context.open_read_only(&args.first)?;
    let (second, other) = context.open_read_only(&args.second)?;
    if codec.id != other.id {
        return Err(Failure::TwoCodecs {
            first: args.first.clone(),
            first_codec: codec.name,
            second: args.second.clone(),
            second_codec: other.name,
        });
    }
    interrupt::catch()?;
    let shown = Shown {
        codec: &codec,
        hex_keys: args.hex,
        hex_values: args.hex,
    };
    let mut same = true;
    for entry in &first {
        interrupt::check()?;
        let (key, value) = entry?;
        let there = second.get(&key)?;
        if there.as_ref() == Some(&value) {
            continue;
        }
        same = false;
        differs(&mut context, shown, &key, Some(&value), there.as_deref())?;
    }
    for key in second.keys() {
        interrupt::check()?;
        let key = key?;
        if !first.contains_key(&key)?
            && let Some(value) = second.get(&key)?
        {
            same = false;
            differs(&mut context, shown, &key, None, Some(&value))?;
        }
    }
    context.out.done(same)
}

fn differs(
    context: &mut Context,
    shown: Shown<'_>,
    key: &[u8],
    first: Option<&[u8]>,
    second: Option<&[u8]>,
) -> Result<()> {
    if context.out.json {
        let mut json = json!({ "key": shown.key_json(key) });
        for (name, value) in [("first", first), ("second", second)] {
            if let Some(value) = value {
                json[name] = shown.value_json(value);
            }
        }
        return context.out.object(json);
    }
    for (sign, value) in [('-', first), ('+', second)] {
        if let Some(value) = value {
            let line = shown.line(key, value);
            context.out.line(&format!("{sign} {line}"))?;
        }
    }
    Ok(())
}
