//! `copy` copies a table to a new one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use shmtable::Table;

use crate::args::{self, Model};
use crate::context::Context;
use crate::failure::{Failure, Result, interrupted};
use crate::interrupt;
use crate::sample::segment_file;
use crate::units::some_entries;

pub(crate) fn copy(mut context: Context, args: &args::Copy) -> Result {
    let (from, _) = if args.snapshot {
        context.open(&args.from)?
    } else {
        context.open_read_only(&args.from)?
    };
    interrupt::catch()?;
    let stats = from.quick_stats()?;
    let mut options = context
        .options
        .clone()
        .codec(from.codec_id())
        .max_participants(stats.max_participants);
    if let Ok(data) = fs::metadata(segment_file(&args.from)) {
        options = options.mode(data.permissions().mode() & 0o777);
    }
    if stats.max_bytes > 0 {
        options = options.max_bytes(stats.max_bytes);
    }
    let model = Model {
        capacity: stats.capacity,
        value_space: stats.value_space,
        grows: stats.grows,
    };
    let options = args.shape.applied_after(model, options);
    let options = args.details.applied_to(options);
    if !args.replace && Table::list()?.contains(&args.to) {
        return Err(Failure::AlreadyExists {
            name: args.to.clone(),
        });
    }
    // The new table has a temporary name until it is complete.
    let partial = Partial(format!("{}.{}.partial", args.to, std::process::id()));
    let to = options.create(&partial.0)?;
    let mut entries = 0;
    let mut store = |key: &[u8], value: &[u8]| {
        interrupt::check()?;
        to.insert(key, value)?;
        entries += 1;
        Ok::<(), Failure>(())
    };
    if args.snapshot {
        for (key, value) in from.snapshot().map_err(interrupted)? {
            store(&key, &value)?;
        }
    } else {
        for entry in &from {
            let (key, value) = entry?;
            store(&key, &value)?;
        }
    }
    context.rename(&partial.0, &args.to, args.replace)?;
    context.out.either(
        || json!({ "copied": entries }),
        || format!("{} copied", some_entries(entries)),
    )?;
    context.out.done(true)
}

/// A table under a temporary name, which is removed unless it gets its final name.
struct Partial(String);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = Table::unlink(&self.0);
    }
}
