//! `clear` removes all entries.

use serde_json::json;

use crate::args;
use crate::context::{Context, or_removed};
use crate::failure::{Result, interrupted};
use crate::interrupt;
use crate::units::some_entries;

pub(crate) fn clear(mut context: Context, args: &args::OneTable) -> Result {
    let (table, _) = context.open(&args.name)?;
    interrupt::catch()?;
    let entries = table.len();
    let done = table.clear().map_err(interrupted);
    let removed = entries.saturating_sub(table.len());
    or_removed(done, removed)?;
    context.out.either(
        || json!({ "removed": removed }),
        || format!("{} removed", some_entries(removed as u64)),
    )?;
    context.out.done(true)
}
