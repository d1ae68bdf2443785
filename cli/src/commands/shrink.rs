//! `shrink` gives memory that a table can spare back to the machine.

use serde_json::json;

use crate::args;
use crate::context::Context;
use crate::failure::{Result, interrupted};
use crate::interrupt;
use crate::units::size;

pub(crate) fn shrink(mut context: Context, args: &args::OneTable) -> Result {
    let (table, _) = context.open(&args.name)?;
    interrupt::catch()?;
    let given = table.shrink_to_fit().map_err(interrupted)?;
    context.out.either(
        || json!({ "given_back_bytes": given }),
        || format!("{} given back", size(given as u64)),
    )?;
    context.out.done(true)
}
