//! `gc` removes orphans.

use serde_json::json;
use shmtable::Table;

use crate::args;
use crate::context::Context;
use crate::failure::Result;
use crate::out::printable;
use crate::sample::{Sample, open_observer};

pub(crate) fn gc(mut context: Context, args: &args::Gc) -> Result {
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    let all = args.names.is_empty();
    let names = if all {
        Table::list()?
    } else {
        args.names.clone()
    };
    for name in names {
        let table = match open_observer(&context.options, &name) {
            Ok(table) => table,
            // A table that can't be opened, or is gone by now, isn't removed.
            Err(_) if all => continue,
            Err(failure) => return Err(failure),
        };
        let goes = if args.dry_run {
            table.is_orphan()?
        } else {
            table.unlink_orphan()?
        };
        if goes {
            removed.push(name);
        } else if Sample::take(&table)?.seems_orphaned() && Table::list()?.contains(&name) {
            kept.push(name);
        }
    }
    let verb = if args.dry_run {
        "would be removed"
    } else {
        "removed"
    };
    context.out.either(
        || json!({ "removed": removed, "kept": kept, "dry_run": args.dry_run }),
        || {
            let removed = removed
                .iter()
                .map(|name| format!("{}: {verb}", printable(name)));
            let kept = kept
                .iter()
                .map(|name| format!("{}: kept, because a process has it open", printable(name)));
            removed.chain(kept).collect::<Vec<_>>().join("\n")
        },
    )?;
    context.out.done(all || !removed.is_empty())
}
