//! `take` removes a key and prints its value.

use std::io::Write;

use serde_json::json;

use crate::args;
use crate::context::{Context, typed_key};
use crate::failure::Result;

pub(crate) fn take(mut context: Context, args: &args::Take) -> Result {
    let (table, codec) = context.open(&args.name)?;
    let key = typed_key(&args.key, args.typed, &table, &codec)?;
    let value = table.take(&key)?;
    if let (Some(value), true) = (&value, args.raw) {
        context.out.write_all(value)?;
        return context.out.done(true);
    }
    let absent = json!({ "found": false });
    let hex_values = args.typed.hex_values();
    context.show_value(codec.value, value.as_deref(), hex_values, &absent)
}
