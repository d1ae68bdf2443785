//! `wait`.

use std::time::Duration;

use serde_json::json;
use shmtable::Error;

use super::{Context, interrupted, typed};
use crate::args;
use crate::failure::{Failure, Result};
use crate::interrupt;

pub(crate) fn wait(context: Context, args: &args::Wait) -> Result {
    // A handle for writing is woken; one for reading has to look again and again.
    let (table, codec) = match context.open(&args.name) {
        Err(Failure::Table(Error::PermissionDenied { .. } | Error::TooManyParticipants { .. })) => {
            context.open_read_only(&args.name)?
        }
        opened => opened?,
    };
    let key = typed("key", &table, &codec, codec.key(&args.key, args.typed))?;
    let timeout = args.timeout.unwrap_or(Duration::MAX);
    interrupt::catch()?;
    let (ended, value) = if args.change {
        let seen = table.get(&key)?;
        let changed = table.wait_change(&key, seen.as_deref(), timeout);
        match changed.map_err(interrupted)? {
            Some(value) => (true, value),
            None => (false, None),
        }
    } else {
        let value = table.wait(&key, timeout).map_err(interrupted)?;
        (value.is_some(), value)
    };
    let absent = json!({ "found": false, "timeout": !ended });
    context.show_value(
        codec.value,
        value.as_deref(),
        args.typed.hex_values(),
        &absent,
    )
}
