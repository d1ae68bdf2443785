//! `create` and `rm`.

use serde_json::json;
use shmtable::{Error, Options, Table};

use super::Context;
use crate::args::{self, Details, Shape};
use crate::codec::Codec;
use crate::failure::{Failure, Result};
use crate::out::escaped;

/// The shape that was asked for.
pub(crate) fn shaped(mut options: Options, shape: &Shape) -> Options {
    if let Some(capacity) = shape.capacity {
        options = options.capacity(capacity);
    }
    if let Some(bytes) = shape.value_space {
        options = options.value_space(bytes);
    }
    options
}

/// The details that were asked for.
pub(crate) fn detailed(mut options: Options, details: &Details) -> Options {
    if let Some(mode) = details.mode {
        options = options.mode(mode);
    }
    if let Some(stripes) = details.stripes {
        options = options.stripes(stripes);
    }
    if let Some(bytes) = details.chunk_size {
        options = options.chunk_size(bytes);
    }
    if let Some(handles) = details.max_participants {
        options = options.max_participants(handles);
    }
    options
}

pub(crate) fn create(mut context: Context, args: &args::Create) -> Result {
    let options = shaped(context.options.clone(), &args.shape).codec(args.codec.id);
    let options = detailed(options, &args.details);
    let table = if args.replace {
        options.create_or_replace(&args.name)?
    } else {
        options.create(&args.name).map_err(or_replace)?
    };
    let stats = table.quick_stats()?;
    context.out.either(
        || {
            json!({
                "name": args.name,
                "capacity": stats.capacity,
                "value_space": stats.value_space,
                "codec": Codec::of(args.codec.id).name,
            })
        },
        String::new,
    )?;
    context.out.done(true)
}

/// What a command that has `--replace` says of a name that is taken.
pub(crate) fn or_replace(error: Error) -> Failure {
    match error {
        Error::AlreadyExists { name, .. } => Failure::AlreadyExists { name },
        error => error.into(),
    }
}

pub(crate) fn rm(mut context: Context, args: &args::Rm) -> Result {
    let mut removed = Vec::new();
    let mut failures = Vec::new();
    for name in &args.names {
        match Table::unlink_os(name) {
            Ok(()) => removed.push(escaped(name)),
            Err(Error::NotFound { name, .. }) => failures.push(Failure::NotFound {
                name,
                remedy: "`shmtable ls` lists those that there are",
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
