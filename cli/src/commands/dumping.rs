//! `dump` and `load`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use serde_json::json;
use shmtable::{Error, Table};

use super::making::shaped;
use super::{Context, interrupted};
use crate::args;
use crate::codec::Codec;
use crate::dump::{Header, Reader, Writer};
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::units::{count, some_entries};

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

/// What was wrong with a damaged table.
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

    /// What is lost, for people.
    fn losses(&self) -> Option<String> {
        let mut lost = format!("{} lost", some_entries(self.lost as u64));
        if self.unsure > 0 {
            lost.push_str(", unless they are among those found beside the index");
        }
        match (self.lost, self.lost_more) {
            (0, false) => None,
            (0, true) => Some(
                "how many entries are lost with the part of the index that is gone is not known"
                    .to_owned(),
            ),
            (_, false) => Some(lost),
            (_, true) => Some(format!("at least {lost}")),
        }
    }
}

/// `dump --salvage`: looks at the table twice, because a dump begins with how much it has.
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
    };
    let salvaged = Salvaged {
        damage: salvage.damage().to_vec(),
        lost: salvage.lost(),
        lost_more: salvage.may_have_lost_more(),
        unsure: salvage.unsure(),
    };
    let mut remarks = salvaged.damage.clone();
    remarks.extend(salvaged.losses());
    if salvaged.unsure > 0 {
        let unsure = some_entries(salvaged.unsure as u64);
        remarks.push(format!(
            "{unsure} found beside the index: they may be outdated or removed"
        ));
    }
    for remark in remarks {
        // Nobody may be listening there.
        let _ = writeln!(io::stderr(), "shmtable: {remark}");
    }
    let again = open()?;
    let entries = || Ok(Box::new(again) as Entries);
    write(context, args, &header, entries, &salvaged)
}

/// Writes the dump to where it was asked for, if that can be written to.
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
    let mut partial = Partial::create(path).map_err(|source| file("create", source))?;
    let to = BufWriter::new(partial.file.take().expect("it was just made"));
    let written = write_to(to, args.format, header, entries);
    let (to, entries) = written.map_err(|failure| match failure {
        Failure::Output(source) => file("write", source),
        other => other,
    })?;
    to.into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|_| partial.publish(path))
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
    let mut writer = Writer::begin(format, to, header)?;
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

/// Drawn on the standard error, if that is a terminal.
fn bar(entries: Option<u64>) -> ProgressBar {
    let style = match entries {
        Some(_) => "{bar:40} {human_pos} of {human_len} entries, {per_sec}, {eta} left",
        None => "{spinner} {human_pos} entries, {per_sec}",
    };
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(entries, ProgressDrawTarget::stderr());
    bar.set_style(style);
    // After an error too.
    let bar = bar.with_finish(ProgressFinish::AndClear);
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    bar
}

/// A file that gets its name when it is complete, and goes if it never is.
struct Partial {
    path: Option<PathBuf>,
    file: Option<File>,
}

impl Partial {
    fn create(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            // A pipe, a device.
            let file = File::options().write(true).open(path)?;
            return Ok(Self {
                path: None,
                file: Some(file),
            });
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        let partial = path.with_file_name(name);
        let file = File::create_new(&partial)?;
        Ok(Self {
            path: Some(partial),
            file: Some(file),
        })
    }

    fn publish(&mut self, path: &Path) -> io::Result<()> {
        if let Some(partial) = self.path.take() {
            fs::rename(&partial, path).inspect_err(|_| self.path = Some(partial))?;
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(partial) = &self.path {
            let _ = fs::remove_file(partial);
        }
    }
}

/// What was loaded.
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
            text = format!(
                "{text}, {} of them in place of others",
                count(self.replaced)
            );
        }
        if self.kept > 0 {
            text = format!("{text}, {} left as they were", count(self.kept));
        }
        text
    }
}

pub(crate) fn load(mut context: Context, args: &args::Load) -> Result {
    if !args.create && (args.shape.capacity.is_some() || args.shape.value_space.is_some()) {
        return Err(Failure::Usage(
            "--capacity and --value-space are for the table that --create makes".to_owned(),
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
    let (mut reader, header) = Reader::begin(BufReader::new(Interruptible::new(input)))
        .map_err(|failure| tell(failure, nothing))?;
    let table = if args.create {
        create(&context, args, header.as_ref())?
    } else {
        let opened = context.options.open(&args.name);
        opened.map_err(|error| match error {
            Error::NotFound { name, .. } => Failure::NotFound {
                name,
                remedy: "give --create to make it",
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
            "the table that was created is removed again".to_owned()
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
    let mut options = context.options.clone();
    match header {
        Some(header) => {
            options = options
                .codec(header.codec)
                .capacity(header.capacity as usize)
                .value_space(header.value_space as usize);
        }
        None if args.shape.capacity.is_none() => return Err(Failure::NoShape),
        None => {}
    }
    Ok(shaped(options, &args.shape).create(&args.name)?)
}

/// Whether the dump is for such a table; its codec.
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
    reader: &mut Reader<BufReader<Interruptible>>,
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

/// A failure that also tells what has been done.
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

/// A reader on a thread of its own, so that Ctrl-C ends a wait for input.
pub(super) struct Interruptible {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Interruptible {
    pub(super) fn new(mut input: Box<dyn Read + Send>) -> Self {
        let (sender, pieces) = sync_channel(4);
        std::thread::spawn(move || {
            loop {
                let mut piece = vec![0; 1 << 16];
                let read = input.read(&mut piece);
                let last = !matches!(read, Ok(1..));
                let sent = sender.send(read.map(|length| {
                    piece.truncate(length);
                    piece
                }));
                if last || sent.is_err() {
                    break;
                }
            }
        });
        Self {
            pieces,
            piece: Vec::new(),
            at: 0,
        }
    }
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if interrupt::stopped() {
                return Err(io::Error::other("interrupted"));
            }
            match self.pieces.recv_timeout(Duration::from_millis(50)) {
                Ok(piece) => {
                    self.piece = piece?;
                    self.at = 0;
                    if self.piece.is_empty() {
                        return Ok(0);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}
