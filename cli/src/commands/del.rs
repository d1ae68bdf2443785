//! `del` removes keys.

use std::io::{self, BufRead, BufReader};

use serde_json::json;
use shmtable::Table;

use crate::args;
use crate::codec::Codec;
use crate::context::{Context, or_removed, typed_key};
use crate::failure::{Failure, Result, interrupted};
use crate::filter::Filter;
use crate::interrupt::{self, Input};
use crate::units::some_entries;

pub(crate) fn del(mut context: Context, args: &args::Del) -> Result {
    if args.keys.is_empty() && args.which.prefix.is_none() && args.which.glob.is_none() {
        return Err(Failure::Usage(
            "give keys, `-` to read them from the standard input, --prefix or --match".to_owned(),
        ));
    }
    let (table, codec) = context.open(&args.name)?;
    interrupt::catch()?;
    let mut removed = 0;
    let done = if args.keys.is_empty() {
        let filter = Filter::new(&args.which, args.typed.hex, &table, &codec)?;
        let kept = |key: &[u8]| interrupt::stopped() || !filter.wants(key);
        let done = table.retain(|key, _| {
            let keep = kept(key);
            removed += usize::from(!keep);
            keep
        });
        done.map(drop).map_err(interrupted)
    } else {
        keys(args, &table, &codec)?.try_for_each(|key| {
            interrupt::check()?;
            removed += usize::from(table.remove(key?).map_err(interrupted)?);
            Ok(())
        })
    };
    or_removed(done, removed)?;
    context.out.either(
        || json!({ "removed": removed }),
        || format!("{} removed", some_entries(removed as u64)),
    )?;
    // One removed entry is enough, as one match is for grep.
    context.out.done(removed > 0)
}

type Keys<'a> = Box<dyn Iterator<Item = Result<Vec<u8>>> + 'a>;

/// The keys that were typed, or those on the lines of the standard input.
fn keys<'a>(args: &'a args::Del, table: &'a Table, codec: &'a Codec) -> Result<Keys<'a>> {
    let key = |text: &str| typed_key(text, args.typed, table, codec);
    if args.keys != ["-"] {
        // If one of them is not valid, none is removed.
        let keys = args.keys.iter().map(|text| key(text));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        return Ok(Box::new(keys.into_iter().map(Ok)));
    }
    let lines = BufReader::new(Input::new(Box::new(io::stdin()))).lines();
    let lines = lines.map(|line| line.map_err(Failure::Input));
    let keys = lines.filter_map(move |line| match line {
        // The last line may have a carriage return without a line feed.
        Ok(line) => match line.strip_suffix('\r').unwrap_or(&line) {
            "" => None,
            text => Some(key(text)),
        },
        Err(failure) => Some(Err(failure)),
    });
    Ok(Box::new(keys))
}
