//! `dump` writes all entries to a file or to the output.

use std::io::{self, BufWriter, Write};

use serde_json::json;
use shmtable_dump::Replacement;

use crate::args;
use crate::context::Context;
use crate::dump_format::{DumpWriter, Header};
use crate::failure::{Failure, Result, interrupted};
use crate::interrupt;
use crate::progress::bar;
use crate::units::some_entries;

pub(crate) fn dump(context: Context, args: &args::Dump) -> Result {
    if args.salvage {
        return salvage(context, args);
    }
    let (table, _) = if args.snapshot {
        context.open(&args.name)?
    } else {
        context.open_read_only(&args.name)?
    };
    interrupt::catch()?;
    let stats = table.quick_stats()?;
    let header = Header {
        codec: table.codec_id(),
        capacity: stats.capacity as u64,
        value_space: stats.value_space as u64,
        entries: stats.entries as u64,
        grows: stats.grows,
    };
    let entries = || {
        if args.snapshot {
            let snapshot = table.snapshot().map_err(interrupted)?;
            return Ok(Box::new(snapshot.into_iter().map(Ok)) as Entries);
        }
        Ok(Box::new(table.iter()) as Entries)
    };
    write(context, args, &header, entries, &Salvaged::default())
}

type Entries = Box<dyn Iterator<Item = shmtable::Result<(Vec<u8>, Vec<u8>)>>>;

/// The damage to a table, and what it costs.
#[derive(Default)]
struct Salvaged {
    damage: Vec<String>,
    lost: usize,
    lost_more: bool,
    unsure: usize,
}

impl Salvaged {
    fn is_all(&self) -> bool {
        self.lost == 0 && !self.lost_more
    }

    /// What is lost, in words.
    fn losses(&self) -> Option<String> {
        let mut lost = format!("{} lost", some_entries(self.lost as u64));
        if self.unsure > 0 {
            lost.push_str(", unless they are among the entries that the index doesn't lead to");
        }
        match (self.lost, self.lost_more) {
            (0, false) => None,
            (0, true) => Some(
                "an unknown number of entries is lost with the missing part of the index"
                    .to_owned(),
            ),
            (_, false) => Some(lost),
            (_, true) => Some(format!("at least {lost}")),
        }
    }
}

/// `dump --salvage`: reads the table twice, because a dump begins with the number of its entries.
fn salvage(context: Context, args: &args::Dump) -> Result {
    interrupt::catch()?;
    let open = || {
        let opened = context.options.open_damaged(&args.name);
        opened.map_err(Failure::Salvage)
    };
    let mut salvage = open()?;
    let (mut entries, mut bytes) = (0, 0);
    for entry in salvage.by_ref() {
        interrupt::check()?;
        let (key, value) = entry?;
        entries += 1;
        bytes += (key.len() + value.len()) as u64;
    }
    let header = Header {
        codec: salvage.codec_id(),
        capacity: (salvage.capacity() as u64).max(entries),
        value_space: (salvage.value_space() as u64).max(bytes),
        entries,
        grows: salvage.grows(),
    };
    let salvaged = Salvaged {
        damage: salvage.damage().iter().map(ToString::to_string).collect(),
        lost: salvage.lost(),
        lost_more: salvage.may_have_lost_more(),
        unsure: salvage.unsure(),
    };
    let mut remarks = salvaged.damage.clone();
    remarks.extend(salvaged.losses());
    if salvaged.unsure > 0 {
        let unsure = some_entries(salvaged.unsure as u64);
        remarks.push(format!(
            "{unsure} that the index doesn't lead to: they may be outdated or removed"
        ));
    }
    for remark in remarks {
        // If the standard error is closed, the dump goes on.
        let _ = writeln!(io::stderr(), "shmtable: {remark}");
    }
    let again = open()?;
    let entries = || Ok(Box::new(again) as Entries);
    write(context, args, &header, entries, &salvaged)
}

/// Writes the dump to the file or to the standard output.
fn write(
    mut context: Context,
    args: &args::Dump,
    header: &Header,
    entries: impl FnOnce() -> Result<Entries>,
    salvaged: &Salvaged,
) -> Result {
    let found = salvaged.is_all();
    let Some(path) = &args.output else {
        let (_, _) = write_to(&mut context.out, args.format, header, entries)?;
        return context.out.done(found);
    };
    let file = |action, source| Failure::File {
        action,
        path: path.clone(),
        source,
    };
    let to = Replacement::begin(path).map_err(|source| file("create", source))?;
    let to = BufWriter::new(to);
    let written = write_to(to, args.format, header, entries);
    let (to, entries) = written.map_err(|failure| match failure {
        Failure::Output(source) => file("write", source),
        other => other,
    })?;
    to.into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(Replacement::publish)
        .map_err(|source| file("write", source))?;
    context.out.either(
        || {
            let mut json = json!({ "entries": entries });
            if args.salvage {
                json["lost"] = salvaged.lost.into();
                json["lost_more"] = salvaged.lost_more.into();
                json["unsure"] = salvaged.unsure.into();
                json["damage"] = salvaged.damage.clone().into();
            }
            json
        },
        || format!("{} dumped", some_entries(entries)),
    )?;
    context.out.done(found)
}

fn write_to<W: Write>(
    to: W,
    format: args::Format,
    header: &Header,
    entries: impl FnOnce() -> Result<Entries>,
) -> Result<(W, u64)> {
    let mut writer = DumpWriter::begin(format, to, header)?;
    let bar = bar(Some(header.entries));
    for entry in entries()? {
        interrupt::check()?;
        let (key, value) = entry?;
        writer.entry(&key, &value)?;
        bar.inc(1);
    }
    drop(bar);
    let (mut to, entries) = writer.end()?;
    to.flush()?;
    Ok((to, entries))
}
