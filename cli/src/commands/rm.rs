//! `rm` removes tables by their names.

use serde_json::json;
use shmtable::{Error, Table};

use crate::args;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::out::escaped;

pub(crate) fn rm(mut context: Context, args: &args::Rm) -> Result {
    let mut removed = Vec::new();
    let mut failures = Vec::new();
    for name in &args.names {
        match Table::unlink_os(name) {
            Ok(()) => removed.push(escaped(name)),
            Err(Error::NotFound { name, .. }) => failures.push(Failure::NotFound {
                name,
                remedy: "`shmtable ls` lists the tables that exist",
            }),
            Err(error) => failures.push(error.into()),
        }
    }
    context
        .out
        .either(|| json!({ "removed": removed }), String::new)?;
    let done = context.out.done(true)?;
    match failures.len() {
        0 => Ok(done),
        1 if args.names.len() == 1 => Err(failures.remove(0)),
        failed => Err(Failure::Several {
            failed,
            asked: args.names.len(),
            reasons: failures
                .iter()
                .fold(String::new(), |text, error| format!("{text}\n  {error}")),
        }),
    }
}
