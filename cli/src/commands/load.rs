//! `load` stores the entries of a dump.

use std::fs::File;
use std::io::{self, BufReader, Read};

use indicatif::ProgressBar;
use serde_json::json;
use shmtable::{Error, Table};

use crate::args::{self, Model};
use crate::codec::Codec;
use crate::context::Context;
use crate::dump_format::{DumpReader, Header};
use crate::failure::{Failure, Result};
use crate::interrupt::{self, Input};
use crate::progress::bar;
use crate::units::{count, some_entries};

/// How many entries were loaded.
#[derive(Debug, Clone, Copy, Default)]
struct Loaded {
    entries: u64,
    replaced: u64,
    kept: u64,
}

impl Loaded {
    fn text(self) -> String {
        let mut text = format!("{} loaded", some_entries(self.entries));
        if self.replaced > 0 {
            text = format!("{text}, {} of which replaced others", count(self.replaced));
        }
        if self.kept > 0 {
            text = format!("{text}, {} left as they were", count(self.kept));
        }
        text
    }
}

pub(crate) fn load(mut context: Context, args: &args::Load) -> Result {
    if !args.create && args.shape.is_given() {
        return Err(Failure::Usage(
            "--capacity, --max-capacity and --value-space are for the table that --create creates"
                .to_owned(),
        ));
    }
    interrupt::catch()?;
    let input: Box<dyn Read + Send> = match &args.input {
        Some(path) => Box::new(File::open(path).map_err(|source| Failure::File {
            action: "read",
            path: path.clone(),
            source,
        })?),
        None => Box::new(io::stdin()),
    };
    let nothing = "nothing was loaded";
    let (mut reader, header) = DumpReader::begin(BufReader::new(Input::new(input)))
        .map_err(|failure| tell(failure, nothing))?;
    let table = if args.create {
        create(&context, args, header.as_ref())?
    } else {
        let opened = context.options.open(&args.name);
        opened.map_err(|error| match error {
            Error::NotFound { name, .. } => Failure::NotFound {
                name,
                remedy: "give --create to create it",
            },
            error => error.into(),
        })?
    };
    let mut loaded = Loaded::default();
    let result = admit(&table, header.as_ref()).and_then(|codec| {
        let bar = bar(header.as_ref().map(|header| header.entries));
        fill(&table, &mut reader, &codec, args.keep, &mut loaded, &bar)
    });
    if let Err(failure) = result {
        let told = if args.create {
            Table::unlink(&args.name)?;
            "the table that was created has been removed again".to_owned()
        } else {
            loaded.text()
        };
        return Err(tell(failure, &told));
    }
    context.out.either(
        || {
            json!({
                "loaded": loaded.entries, "replaced": loaded.replaced, "kept": loaded.kept,
            })
        },
        || loaded.text(),
    )?;
    context.out.done(true)
}

fn create(context: &Context, args: &args::Load, header: Option<&Header>) -> Result<Table> {
    let options = context.options.clone();
    let options = match header {
        Some(header) => {
            let model = Model {
                capacity: header.capacity as usize,
                value_space: header.value_space as usize,
                grows: header.grows,
            };
            args.shape.applied_after(model, options.codec(header.codec))
        }
        None => args.shape.applied_to(options),
    };
    Ok(options.create(&args.name)?)
}

/// Checks that the dump fits the table, and returns the codec.
fn admit(table: &Table, header: Option<&Header>) -> Result<Codec> {
    let codec = Codec::of(table.codec_id());
    let Some(header) = header else {
        return Ok(codec);
    };
    if header.codec != codec.id {
        return Err(Failure::OtherCodec {
            dump: Codec::of(header.codec).name,
            table: table.name().to_owned(),
            codec: codec.name,
        });
    }
    if header.entries > table.capacity() as u64 {
        return Err(Failure::DumpTooLarge {
            entries: header.entries,
            table: table.name().to_owned(),
            capacity: table.capacity(),
        });
    }
    Ok(codec)
}

fn fill(
    table: &Table,
    reader: &mut DumpReader<BufReader<Input>>,
    codec: &Codec,
    keep: bool,
    loaded: &mut Loaded,
    bar: &ProgressBar,
) -> Result<()> {
    loop {
        interrupt::check()?;
        let Some((key, value)) = reader.next(codec)? else {
            return Ok(());
        };
        bar.inc(1);
        if !keep {
            loaded.replaced += u64::from(!table.insert(&key, &value)?);
        } else if !table.try_insert(&key, &value)? {
            loaded.kept += 1;
            continue;
        }
        loaded.entries += 1;
    }
}

/// The failure with what was done before it.
fn tell(failure: Failure, told: &str) -> Failure {
    let told = told.to_owned();
    match failure {
        _ if interrupt::stopped() => Failure::Interrupted(format!("; {told}")),
        Failure::Table(Error::Interrupted) => Failure::Interrupted(format!("; {told}")),
        Failure::Dump { at, reason, .. } => Failure::Dump { at, reason, told },
        Failure::Table(error) => Failure::Load { error, told },
        other => other,
    }
}
