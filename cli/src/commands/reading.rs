//! `get` and `scan`.

use std::io::Write;

use serde_json::json;

use super::{Context, typed};
use crate::args;
use crate::failure::{Outcome, Result};
use crate::interrupt;
use crate::units::{hex, parse_hex};

pub(crate) fn get(mut context: Context, args: &args::Get) -> Result {
    let (table, codec) = context.open_read_only(&args.name)?;
    let key = typed("key", &table, &codec, codec.key(&args.key, args.typed))?;
    let value = table.get(&key)?;
    if let (Some(value), true) = (&value, args.raw) {
        context.out.write_all(value)?;
        return context.out.done(true);
    }
    let absent = json!({ "found": false });
    context.show_value(codec.value, value.as_deref(), args.typed.hex, &absent)
}

/// Keys and values, or keys alone.
type Entries<'a> = Box<dyn Iterator<Item = shmtable::Result<(Vec<u8>, Vec<u8>)>> + 'a>;

pub(crate) fn scan(mut context: Context, args: &args::Scan) -> Result {
    let (table, codec) = context.open_read_only(&args.name)?;
    let prefix = args.prefix.as_deref();
    let hex_prefix = match prefix {
        Some(prefix) if args.hex => Some(typed("prefix", &table, &codec, parse_hex(prefix))?),
        _ => None,
    };
    let wanted = |key: &[u8]| match (&hex_prefix, prefix) {
        (Some(bytes), _) => key.starts_with(bytes),
        (None, Some(prefix)) => codec.key.has_prefix(key, prefix),
        (None, None) => true,
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
        if !wanted(&key) {
            continue;
        }
        let json = || match (args.hex, args.keys) {
            (true, true) => json!({ "key": hex(&key) }),
            (true, false) => json!({ "key": hex(&key), "value": hex(&value) }),
            (false, true) => json!({ "key": codec.key.to_json(&key) }),
            (false, false) => json!({
                "key": codec.key.to_json(&key), "value": codec.value.to_json(&value),
            }),
        };
        let line = if context.out.json {
            json().to_string()
        } else {
            match (args.hex, args.keys) {
                (true, true) => hex(&key),
                (true, false) => format!("{}\t{}", hex(&key), hex(&value)),
                (false, true) => codec.key.to_line(&key),
                (false, false) => {
                    format!(
                        "{}\t{}",
                        codec.key.to_line(&key),
                        codec.value.to_line(&value)
                    )
                }
            }
        };
        context.out.line(&line)?;
        outcome = Outcome::Found;
        left -= 1;
    }
    context.out.done(outcome)
}
