//! `create` creates a table.

use serde_json::json;

use crate::args;
use crate::codec::Codec;
use crate::context::Context;
use crate::failure::{Result, or_replace};

pub(crate) fn create(mut context: Context, args: &args::Create) -> Result {
    let options = args
        .shape
        .applied_to(context.options.clone())
        .codec(args.codec.id);
    let options = args.details.applied_to(options);
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
                "grows": stats.grows,
                "value_space": stats.value_space,
                "codec": Codec::of(args.codec.id).name,
            })
        },
        String::new,
    )?;
    context.out.done(true)
}
