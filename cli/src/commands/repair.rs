//! `repair` repairs a damaged table.

use serde_json::json;

use crate::args;
use crate::context::{Context, tell_of_waiting};
use crate::failure::{Result, interrupted};
use crate::interrupt;

pub(crate) fn repair(mut context: Context, args: &args::OneTable) -> Result {
    let (table, _) = context.open(&args.name)?;
    interrupt::catch()?;
    tell_of_waiting(&table, 2.7);
    let repaired = table.repair().map_err(interrupted)?;
    let done: Vec<String> = repaired.iter().map(ToString::to_string).collect();
    context
        .out
        .either(|| json!({ "repaired": done }), || done.join("\n"))?;
    context.out.done(true)
}
