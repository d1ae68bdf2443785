//! `rename` gives a table another name.

use serde_json::json;
use shmtable::Table;

use crate::args;
use crate::context::Context;
use crate::failure::{Failure, Result};

pub(crate) fn rename(mut context: Context, args: &args::Rename) -> Result {
    if args.from == args.to && !args.replace && Table::list()?.contains(&args.to) {
        return Err(Failure::SameName {
            name: args.to.clone(),
        });
    }
    context.rename(&args.from, &args.to, args.replace)?;
    context
        .out
        .either(|| json!({ "renamed": args.to }), String::new)?;
    context.out.done(true)
}
