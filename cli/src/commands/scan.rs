//! `scan` prints entries.

use serde_json::json;

use crate::args;
use crate::codec::Shown;
use crate::context::Context;
use crate::failure::{Outcome, Result};
use crate::filter::Filter;
use crate::interrupt;

/// Keys with their values, or with empty ones if only keys are read.
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
    // With --keys, values aren't read.
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
