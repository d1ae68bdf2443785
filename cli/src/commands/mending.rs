//! `gc`, `check` and `repair`.

use serde_json::json;
use shmtable::Table;

use super::{Context, interrupted};
use crate::args;
use crate::failure::Result;
use crate::interrupt;
use crate::out::printable;
use crate::sample::look;

pub(crate) fn gc(mut context: Context, args: &args::Gc) -> Result {
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    for name in Table::list()? {
        // What cannot be opened, or has gone meanwhile, is not for us to remove.
        let Ok(table) = look(&context.options, &name) else {
            continue;
        };
        if !table.is_orphan()? {
            continue;
        }
        if args.dry_run || table.unlink_orphan()? {
            removed.push(name);
        } else if Table::list()?.contains(&name) {
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
                .map(|name| format!("{}: kept, a process has it open", printable(name)));
            removed.chain(kept).collect::<Vec<_>>().join("\n")
        },
    )?;
    context.out.done(true)
}

pub(crate) fn check(mut context: Context, args: &args::OneTable) -> Result {
    let (table, _) = context.open(&args.name)?;
    interrupt::catch()?;
    let wrong = table.check().map_err(interrupted)?;
    context
        .out
        .either(|| json!({ "wrong": wrong }), || wrong.join("\n"))?;
    context.out.done(wrong.is_empty())
}

pub(crate) fn repair(mut context: Context, args: &args::OneTable) -> Result {
    let (table, _) = context.open(&args.name)?;
    interrupt::catch()?;
    let done = table.repair().map_err(interrupted)?;
    context
        .out
        .either(|| json!({ "repaired": done }), || done.join("\n"))?;
    context.out.done(true)
}
