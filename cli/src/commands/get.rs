//! `get` prints values.

use std::io::Write;

use serde_json::json;

use crate::args;
use crate::codec::Shown;
use crate::context::{Context, typed_key};
use crate::failure::{Failure, Result};

pub(crate) fn get(mut context: Context, args: &args::Get) -> Result {
    let (table, codec) = context.open_read_only(&args.name)?;
    let keys = args
        .keys
        .iter()
        .map(|key| typed_key(key, args.typed, &table, &codec))
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
