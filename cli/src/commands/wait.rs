//! `wait` waits for the value of a key.

use std::time::{Duration, Instant};

use serde_json::json;
use shmtable::Error;

use crate::args;
use crate::context::{Context, NAME_CHECK, still_named, typed_key};
use crate::failure::{Failure, Result, interrupted};
use crate::interrupt;

pub(crate) fn wait(context: Context, args: &args::Wait) -> Result {
    // A handle for writing is woken; a read-only handle has to poll.
    let (table, codec) = match context.open(&args.name) {
        Err(Failure::Table(Error::PermissionDenied { .. } | Error::TooManyParticipants { .. })) => {
            context.open_read_only(&args.name)?
        }
        opened => opened?,
    };
    let key = typed_key(&args.key, args.typed, &table, &codec)?;
    let timeout = args.timeout.unwrap_or(Duration::MAX);
    interrupt::catch()?;
    let seen = if args.change { table.get(&key)? } else { None };
    let begin = Instant::now();
    let (ended, value) = loop {
        let left = timeout.saturating_sub(begin.elapsed());
        let turn = left.min(NAME_CHECK);
        let (ended, value) = if args.change {
            let changed = table.wait_change(&key, seen.as_deref(), turn);
            match changed.map_err(interrupted)? {
                Some(value) => (true, value),
                None => (false, None),
            }
        } else {
            let value = table.wait(&key, turn).map_err(interrupted)?;
            (value.is_some(), value)
        };
        if ended || left <= NAME_CHECK {
            break (ended, value);
        }
        still_named(&table)?;
    };
    let absent = json!({ "found": false, "timeout": !ended });
    context.show_value(
        codec.value,
        value.as_deref(),
        args.typed.hex_values(),
        &absent,
    )
}
