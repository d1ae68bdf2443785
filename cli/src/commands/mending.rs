//! `gc`, `check` and `repair`.

use std::io::{self, IsTerminal, Write};

use serde_json::json;
use shmtable::Table;

use super::{Context, interrupted};
use crate::args;
use crate::failure::Result;
use crate::interrupt;
use crate::out::printable;
use crate::sample::{Sample, look};

pub(crate) fn gc(mut context: Context, args: &args::Gc) -> Result {
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    let all = args.names.is_empty();
    let names = if all {
        Table::list()?
    } else {
        args.names.clone()
    };
    for name in names {
        let table = match look(&context.options, &name) {
            Ok(table) => table,
            // What cannot be opened, or has gone meanwhile, is not for us to remove.
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
                .map(|name| format!("{}: kept, a process has it open", printable(name)));
            removed.chain(kept).collect::<Vec<_>>().join("\n")
        },
    )?;
    context.out.done(all || !removed.is_empty())
}

/// Tells people, on a terminal, how long writers are going to wait if they will notice.
fn tell_of_waiting(table: &Table, seconds_for_a_million: f64) {
    let seconds = table.len() as f64 / 1e6 * seconds_for_a_million;
    let mut stderr = io::stderr();
    if seconds >= 0.1 && stderr.is_terminal() {
        let _ = writeln!(stderr, "writers wait for about {seconds:.1} s");
    }
}

pub(crate) fn check(mut context: Context, args: &args::Check) -> Result {
    let (table, _) = context.open(&args.name)?;
    interrupt::catch()?;
    let wrong = if args.stripes_only {
        table.check_stripes()
    } else {
        tell_of_waiting(&table, 0.45);
        table.check()
    };
    let wrong = wrong.map_err(interrupted)?;
    context
        .out
        .either(|| json!({ "wrong": wrong }), || wrong.join("\n"))?;
    context.out.done(wrong.is_empty())
}

pub(crate) fn repair(mut context: Context, args: &args::OneTable) -> Result {
    let (table, _) = context.open(&args.name)?;
    interrupt::catch()?;
    tell_of_waiting(&table, 2.7);
    let done = table.repair().map_err(interrupted)?;
    context
        .out
        .either(|| json!({ "repaired": done }), || done.join("\n"))?;
    context.out.done(true)
}
