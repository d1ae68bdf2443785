//! What commands share: how they open tables, read keys and values, and print.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value as Json, json};
use shmtable::{Options, Table};

use crate::args::{Global, Typed};
use crate::codec::{Codec, Form};
use crate::failure::{Failure, Result, or_replace};
use crate::interrupt;
use crate::out::Out;
use crate::units::{hex, some_entries};

/// The options for opening tables, and the output.
pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) out: Out,
}

impl Context {
    /// The options and the output that the command line asks for.
    pub(crate) fn new(global: &Global) -> Self {
        let mut options = Options::new()
            .lock_timeout(global.lock_timeout)
            .around_sleep(interrupt::around);
        if let Some(trust) = &global.trust {
            options = options.trust(trust.0.clone());
        }
        Self {
            options,
            out: Out::new(global.json),
        }
    }

    /// Opens a table for writing.
    pub(crate) fn open(&self, name: &str) -> Result<(Table, Codec)> {
        let table = self.options.open(name)?;
        let codec = Codec::of(table.codec_id());
        Ok((table, codec))
    }

    /// Opens a table for reading.
    pub(crate) fn open_read_only(&self, name: &str) -> Result<(Table, Codec)> {
        let table = self.options.open_read_only(name)?;
        let codec = Codec::of(table.codec_id());
        Ok((table, codec))
    }

    /// Prints a value, and ends the command with whether there is one. In JSON, `absent` is
    /// printed if there is none.
    pub(crate) fn show_value(
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

    /// Prints a text of many lines, and ends the command.
    pub(crate) fn print_page(mut self, text: &[u8]) -> Result {
        let text = String::from_utf8_lossy(text).into_owned();
        self.out
            .either(|| json!({ "text": text }), || text.trim_end().to_owned())?;
        self.out.done(true)
    }

    /// Gives a table another name.
    pub(crate) fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        let renamed = if replace {
            self.options.rename_or_replace(from, to)
        } else {
            Table::rename(from, to)
        };
        renamed.map_err(or_replace)
    }
}

/// The bytes of a key as it was typed.
pub(crate) fn typed_key(text: &str, typed: Typed, table: &Table, codec: &Codec) -> Result<Vec<u8>> {
    parsed("key", table, codec, typed.key(codec, text))
}

/// The bytes of a value as it was typed.
pub(crate) fn typed_value(
    text: &str,
    typed: Typed,
    table: &Table,
    codec: &Codec,
) -> Result<Vec<u8>> {
    parsed("value", table, codec, typed.value(codec, text))
}

/// The bytes of what was typed, or a failure that names the table and its codec.
pub(crate) fn parsed(
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

/// How often a command that waits checks that the table still has its name.
pub(crate) const NAME_CHECK: Duration = Duration::from_secs(1);

/// Fails if the table no longer has its name.
pub(crate) fn still_named(table: &Table) -> Result<()> {
    if table.is_unlinked()? {
        return Err(Failure::Unlinked {
            name: table.name().to_owned(),
        });
    }
    Ok(())
}

/// Says on a terminal for how long writers are about to wait, if they may notice.
pub(crate) fn tell_of_waiting(table: &Table, seconds_for_a_million: f64) {
    let seconds = table.len() as f64 / 1e6 * seconds_for_a_million;
    let mut stderr = io::stderr();
    if seconds >= 0.1 && stderr.is_terminal() {
        let _ = writeln!(stderr, "writers wait for about {seconds:.1} s");
    }
}

/// The result of a removal; if it was interrupted, the failure says how many entries were removed.
pub(crate) fn or_removed(done: Result<()>, removed: usize) -> Result<()> {
    match done {
        _ if interrupt::stopped() => Err(Failure::Interrupted(format!(
            "; {} removed",
            some_entries(removed as u64)
        ))),
        done => done,
    }
}
