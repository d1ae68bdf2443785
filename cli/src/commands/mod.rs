//! What each command does.

mod bench;
mod comparing;
mod copying;
mod counting;
mod documents;
mod dumping;
mod figures;
pub(crate) mod listing;
mod making;
mod mending;
mod reading;
mod waiting;
mod watching;
mod writing;

use serde_json::{Value as Json, json};
use shmtable::{Error, Options, Table};

use crate::args::{Cli, Command, Global};
use crate::codec::{Codec, Form};
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::out::Out;
use crate::units::hex;
use crate::{metrics, top};

/// What every command works with.
pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) out: Out,
}

pub(crate) fn run(cli: Cli) -> Result {
    let context = Context::new(&cli.global);
    match cli.command {
        Command::Ls => listing::ls(context),
        Command::Stat(args) => listing::stat(context, &args),
        Command::Top(args) => top::top(context, args),
        Command::ServeMetrics(args) => metrics::serve(context, args),
        Command::Rm(args) => making::rm(context, &args),
        Command::Create(args) => making::create(context, &args),
        Command::Get(args) => reading::get(context, &args),
        Command::Scan(args) => reading::scan(context, &args),
        Command::Put(args) => writing::put(context, &args),
        Command::Add(args) => writing::add(context, &args),
        Command::Del(args) => writing::del(context, &args),
        Command::Take(args) => writing::take(context, &args),
        Command::Cas(args) => writing::cas(context, &args),
        Command::Clear(args) => writing::clear(context, &args),
        Command::Count(args) => counting::count(context, &args),
        Command::Sizes(args) => counting::sizes(context, &args),
        Command::Watch(args) => watching::watch(context, &args),
        Command::Copy(args) => copying::copy(context, &args),
        Command::Rename(args) => copying::rename(context, &args),
        Command::Diff(args) => comparing::diff(context, &args),
        Command::Wait(args) => waiting::wait(context, &args),
        Command::Dump(args) => dumping::dump(context, &args),
        Command::Load(args) => dumping::load(context, &args),
        Command::Gc(args) => mending::gc(context, &args),
        Command::Check(args) => mending::check(context, &args),
        Command::Repair(args) => mending::repair(context, &args),
        Command::Bench(args) => bench::bench(context, &args),
        Command::Completions { shell } => documents::completions(context, shell),
        Command::Man { command } => documents::man(context, command.as_deref()),
        Command::Markdown => documents::markdown(context),
    }
}

impl Context {
    /// Prints a value, and ends with whether there is one; `absent` is what JSON says if
    /// there is none.
    fn show_value(
        mut self,
        form: Form,
        value: Option<&[u8]>,
        in_hex: bool,
        absent: &Json,
    ) -> Result {
        if self.out.json {
            let shown = match value {
                Some(value) if in_hex => json!({ "found": true, "hex": hex(value) }),
                Some(value) => json!({ "found": true, "value": form.to_json(value) }),
                None => absent.clone(),
            };
            self.out.object(shown)?;
        } else if let Some(value) = value {
            let shown = if in_hex {
                hex(value)
            } else {
                form.to_lines(value)
            };
            // An empty value is a line too.
            self.out.line(&shown)?;
        }
        self.out.done(value.is_some())
    }

    fn new(global: &Global) -> Self {
        let mut options = Options::new()
            .lock_timeout(global.lock_timeout)
            .waiting(interrupt::around);
        if let Some(trust) = &global.trust {
            options = options.trust(trust.0.clone());
        }
        Self {
            options,
            out: Out::new(global.json),
        }
    }

    /// For writing.
    pub(crate) fn open(&self, name: &str) -> Result<(Table, Codec)> {
        let table = self.options.open(name)?;
        let codec = Codec::of(table.codec_id());
        Ok((table, codec))
    }

    /// For reading.
    pub(crate) fn open_read_only(&self, name: &str) -> Result<(Table, Codec)> {
        let table = self.options.open_read_only(name)?;
        let codec = Codec::of(table.codec_id());
        Ok((table, codec))
    }
}

/// The bytes of a key or a value, as the table's codec has it.
pub(crate) fn typed(
    what: &'static str,
    table: &Table,
    codec: &Codec,
    bytes: Result<Vec<u8>, String>,
) -> Result<Vec<u8>> {
    bytes.map_err(|reason| Failure::Notation {
        what,
        table: table.name().to_owned(),
        codec: codec.name.clone(),
        reason,
    })
}

/// An interrupted operation of the table is an interrupted command.
pub(crate) fn interrupted(error: Error) -> Failure {
    match error {
        Error::Interrupted => Failure::Interrupted(String::new()),
        error => error.into(),
    }
}
