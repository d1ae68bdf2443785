//! `wait`.

use std::time::{Duration, Instant};

use serde_json::json;
use shmtable::{Error, Table};

use super::{Context, interrupted, typed};
use crate::args;
use crate::failure::{Failure, Result};
use crate::interrupt;

/// Time between two looks whether the table has its name still.
pub(super) const TURN: Duration = Duration::from_secs(1);

/// Fails if others find another table under its name, or none.
pub(super) fn still_named(table: &Table) -> Result<()> {
    if table.is_unlinked()? {
        return Err(Failure::Unlinked {
            name: table.name().to_owned(),
        });
    }
    Ok(())
}

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
    let seen = if args.change { table.get(&key)? } else { None };
    let begin = Instant::now();
    let (ended, value) = loop {
        let left = timeout.saturating_sub(begin.elapsed());
        let turn = left.min(TURN);
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
        if ended || left <= TURN {
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
