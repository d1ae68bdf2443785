//! `cas` replaces a value if it is the expected one.

use serde_json::json;

use crate::args;
use crate::codec::Shown;
use crate::context::{Context, typed_key, typed_value};
use crate::failure::{Failure, Result};

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
    let key = typed_key(&args.key, args.typed, &table, &codec)?;
    let value = |text: Option<&String>| {
        text.map(|text| typed_value(text, args.typed, &table, &codec))
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
