//! `count` counts entries.

use serde_json::json;

use crate::args;
use crate::context::Context;
use crate::failure::Result;
use crate::filter::Filter;
use crate::interrupt;

pub(crate) fn count(mut context: Context, args: &args::Count) -> Result {
    let (table, codec) = context.open_read_only(&args.name)?;
    let filter = Filter::new(&args.which, args.hex, &table, &codec)?;
    interrupt::catch()?;
    let mut entries = table.len();
    if !filter.is_all() {
        entries = 0;
        for key in table.keys() {
            interrupt::check()?;
            entries += usize::from(filter.wants(&key?));
        }
    }
    context
        .out
        .either(|| json!({ "entries": entries }), || entries.to_string())?;
    context.out.done(true)
}
