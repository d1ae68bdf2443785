//! `check` verifies a table's structure.

use serde_json::json;

use crate::args;
use crate::context::{Context, tell_of_waiting};
use crate::failure::{Result, interrupted};
use crate::interrupt;

pub(crate) fn check(mut context: Context, args: &args::Check) -> Result {
    let (table, _) = context.open(&args.name)?;
    interrupt::catch()?;
    let faults = if args.stripes_only {
        table.check_stripes()
    } else {
        tell_of_waiting(&table, 0.45);
        table.check()
    };
    let faults = faults.map_err(interrupted)?;
    let wrong: Vec<String> = faults.iter().map(ToString::to_string).collect();
    context
        .out
        .either(|| json!({ "wrong": wrong }), || wrong.join("\n"))?;
    context.out.done(wrong.is_empty())
}
