//! The command line: its commands, arguments and help.

#![allow(clippy::doc_markdown, reason = "the help is plain text")]

mod dumps;
mod entries;
mod shape;
mod tables;
mod typed;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use dumps::{Dump, Format, Load};
pub(crate) use entries::{Add, Cas, Count, Del, Extreme, Get, Put, Scan, Take, Wait, Watch};
pub(crate) use shape::Model;
pub(crate) use tables::{
    Bench, Check, Copy, Create, Diff, Gc, OneTable, Rename, Rm, ServeMetrics, Stat, Top,
};
pub(crate) use typed::{Typed, Which};

use crate::units::parse_duration;

const AFTER: &str = "\
Exit status:
  0  success: done, or found
  1  not found: no such key, no match, a timeout, a difference, damage that `check` found
  2  error: no such table, no permission, no room, wrong usage
It is not an error if the reader of the output closes the pipe early. Ctrl-C stops a command:
files and new tables that are not complete are discarded; `clear`, `del` and `load` keep what
they have done so far.

How keys and values are typed and shown depends on the table's codec:
  bytes, text       the text itself; bytes that are not plain text are shown as 0x...
  numbers           in decimal
  MessagePack,      JSON; anything that is not JSON is a string. So 42 is a number, '\"42\"' and x
  JSON              are strings, and '[1, \"a\"]' is a tuple in Python. As in Python, the keys 1,
                    1.0 and true are one key. Objects stand for what JSON lacks:
                    {\"$bin\": \"00ff\"}        bytes
                    {\"$ext\": [80, \"00ff\"]}  an extension type; 80 and 66 are
                                            pickles of Python's, never loaded
                    {\"$map\": [[1, \"a\"]]}    a map whose keys are not all strings
                    {\"$float\": \"nan\"}       nan, inf or -inf
  --hex             the stored bytes, in hexadecimal; with --hex-value, for values alone
  --text            a string, even if it looks like JSON, in MessagePack and JSON tables

Put a key or a value that begins with a hyphen after `--`, as in `get T -- --key`. Before `--`, a
word that begins with a hyphen is an option, unless it is a negative number.";

/// The heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Inspect, change and repair live hash tables in shared memory
///
/// Every command works while other processes use the table. Readers never wait for a command.
/// Writers wait for `check`, `repair`, `dump --snapshot` and `copy --snapshot`; the help of each
/// says for how long. With --json, every object has the field `schema`; docs/json.md lists the
/// fields of each command.
#[derive(Debug, Parser)]
#[command(name = "shmtable", version, after_help = AFTER, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Print JSON, for scripts: one object, or one object on each line
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// Also open tables that belong to these users: user ids separated by commas, or `anyone`.
    /// The owner of a table can change its contents at any time
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "USERS", value_parser = parse_trust)]
    pub(crate) trust: Option<Trusted>,
    /// How long to wait for a lock that a living process holds
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(crate) lock_timeout: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct Trusted(pub(crate) shmtable::Trust);

fn parse_trust(text: &str) -> Result<Trusted, String> {
    if text == "anyone" {
        return Ok(Trusted(shmtable::Trust::Anyone));
    }
    let users: Result<Vec<u32>, _> = text.split(',').map(str::parse).collect();
    users
        .map(|users| Trusted(shmtable::Trust::Users(users)))
        .map_err(|_| "give `anyone`, or user ids separated by commas".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List all tables on this machine
    ///
    /// A table is `used` if a process has it open, and `unused` if none has. An `orphan` is an
    /// anonymous table whose creator was killed and that no process uses; `shmtable gc` removes
    /// it. Listing a table doesn't count as using it.
    Ls,
    /// Show a table's figures, and the processes that use it
    Stat(Stat),
    /// Show tables in a live full-screen view
    ///
    /// Without a name, it shows all tables, and Enter opens one. Keys: q quits, Esc goes back, p
    /// or space pauses, s sorts by the next column, r reverses the order, + and - change the
    /// interval, and the arrow keys select.
    ///
    /// Only writes are counted, by the locks that they take. Readers write nothing, so their
    /// reads can't be counted. With --json, it prints the figures at each interval.
    Top(Top),
    /// Remove orphans: tables that killed creators left behind
    ///
    /// An anonymous table should be removed with its creator. If the creator was killed, and no
    /// process has the table open, this command removes it. It never touches other tables.
    Gc(Gc),
    /// Remove tables; processes that have one open can keep using it
    Rm(Rm),
    /// Create a table
    Create(Create),
    /// Print the value of a key, or of several
    Get(Get),
    /// Store a value
    Put(Put),
    /// Add to a number, as one atomic step, and print the sum
    ///
    /// In a table of bytes, a number is 8 bytes, little-endian and signed. A missing key counts
    /// as 0.
    Add(Add),
    /// Raise a number if it is less, as one atomic step, and print what is there then
    ///
    /// In a table of bytes, a number is 8 bytes, little-endian and signed. A missing key gets the
    /// number.
    Max(Extreme),
    /// Lower a number if it is greater, as one atomic step, and print what is there then
    ///
    /// In a table of bytes, a number is 8 bytes, little-endian and signed. A missing key gets the
    /// number.
    Min(Extreme),
    /// Remove keys, and print how many entries were removed
    ///
    /// A single `-` stands for the keys on the standard input, one on each line. Empty lines are
    /// skipped, and a carriage return at the end of a line is not part of the key. (The key `-`
    /// itself is `2d` with --hex.) The exit status is 1 if nothing was removed.
    Del(Del),
    /// Remove a key, and print its value
    ///
    /// The key is removed even if its value can't be printed, for example because the disk is
    /// full.
    Take(Take),
    /// Replace a key's value if it is the expected one, as one atomic step
    ///
    /// If the key has another value, prints that value and exits with status 1. With --absent,
    /// the key is expected to have no value: `cas T k --absent NEW`. With --remove, the key is
    /// removed: `cas T k EXPECTED --remove`. Values are compared as stored bytes.
    Cas(Cas),
    /// Remove all entries, but keep the table
    ///
    /// Clears one stripe after the other. Entries that other processes store at the same time
    /// may remain. A table that grows gives the memory of its values back to the machine.
    Clear(OneTable),
    /// Give memory that a table doesn't need back to the machine
    ///
    /// Moves values together, while others read and write, and prints how much was given back.
    /// A table that grows does this by itself when it is cleared, or when most of its entries are
    /// removed, but keeps some memory for what comes next. A table of fixed capacity keeps its
    /// memory, and so does any table that a process has open read-only.
    Shrink(OneTable),
    /// Wait until a key has a value, and print it
    ///
    /// If the table is removed, renamed or replaced during the wait, the exit status is 2.
    Wait(Wait),
    /// Print keys and values, in no particular order
    ///
    /// An entry that exists throughout the scan is printed exactly once. A tab separates a key
    /// from its value.
    Scan(Scan),
    /// Print the number of entries
    ///
    /// With --prefix or --match, reads every key; otherwise, adds up the counts of the stripes.
    /// The exit status is 0 even if there are no entries.
    Count(Count),
    /// Print how long keys and values are
    ///
    /// Counts entries by the length of their keys and of their values, in powers of two. Also
    /// prints the total size of keys and of values, and the largest entry.
    Sizes(OneTable),
    /// Print the changes of a table as they happen
    ///
    /// `+` marks a new key, `~` a new value and `-` a removed key. The command polls the table,
    /// and reads it only if there were writes. It prints several changes of a key between two
    /// polls as one, and misses a key that comes and goes between two polls. It keeps all keys
    /// in memory. The exit status is 1 if the time passes without a change, and 2 if the table
    /// is removed, renamed or replaced.
    Watch(Watch),
    /// Write all entries to a file or to the standard output
    ///
    /// A dump is weakly consistent: an entry that exists throughout the dump is written exactly
    /// once. `load` restores every key and value byte for byte. A file appears under its name
    /// when it is complete. With --snapshot, writers wait while the entries are copied: about
    /// 1.5 seconds for a million entries.
    Dump(Dump),
    /// Store the entries of a dump
    ///
    /// Entries that exist already are replaced. If anything goes wrong, the exit status is 2,
    /// and the message tells how many entries were loaded. A table that --create created is then
    /// removed again.
    Load(Load),
    /// Copy a table to a new one, which may have another size
    ///
    /// By default, the new table has the size and the codec of the old one. It appears under its
    /// name when it is complete. The copy is weakly consistent, as a dump is. With --snapshot,
    /// writers wait while the entries are copied: about 1.5 seconds for a million entries.
    Copy(Copy),
    /// Rename a table, in one step; processes that have it open can keep using it
    Rename(Rename),
    /// Print how two tables differ (exit status 1), or nothing
    ///
    /// `-` marks an entry of the first table, `+` one of the second.
    Diff(Diff),
    /// Verify a table's structure
    ///
    /// Prints what is wrong and exits with status 1, or prints nothing if all is well.
    ///
    /// Readers don't wait for it, but writers do: for each stripe while its keys are read, and
    /// then for all stripes while the chunks are verified, about 0.45 seconds for a million
    /// entries and ten times that for ten times as many. A writer gives up after its lock
    /// timeout, 5 seconds by default. With --stripes-only, no writer waits for more than one
    /// stripe.
    Check(Check),
    /// Repair a damaged table, and print what was done
    ///
    /// Readers don't wait for it, but writers do: about 2.7 seconds for a million entries, and
    /// ten times that for ten times as many. A writer gives up after its lock timeout, 5 seconds
    /// by default. A table whose header is damaged can't be opened, and so can't be repaired:
    /// `dump --salvage` reads its entries.
    Repair(OneTable),
    /// Measure how fast a table is on this machine
    ///
    /// Creates a table of its own, fills it, reads it, empties it and removes it.
    Bench(Bench),
    /// Serve the figures of tables to Prometheus, over HTTP at /metrics
    ///
    /// Inspects the tables at each request. Anyone who can reach the address can read the
    /// figures, and nothing else.
    ServeMetrics(ServeMetrics),
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page of shmtable, or of one of its commands
    Man {
        /// The command
        command: Option<String>,
    },
    /// Print docs/cli.md
    #[command(hide = true)]
    Markdown,
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use clap::{ArgAction, CommandFactory};

    use super::*;

    /// Each command with words for all its positional arguments; the repeated ones have two.
    fn commands() -> Vec<Vec<String>> {
        let mut root = Cli::command();
        root.build();
        let commands = root.get_subcommands().map(|command| {
            let words = command.get_positionals().flat_map(|arg| {
                let word = match arg.get_possible_values().first() {
                    Some(value) => value.get_name().to_owned(),
                    None => "7".to_owned(),
                };
                let repeated = matches!(arg.get_action(), ArgAction::Append);
                std::iter::repeat_n(word, 1 + usize::from(repeated))
            });
            std::iter::once(command.get_name().to_owned())
                .chain(words)
                .collect()
        });
        let commands: Vec<Vec<String>> = commands.collect();
        assert!(commands.len() > 20, "{commands:?}");
        commands
            .into_iter()
            .filter(|command| command[0] != "help")
            .collect()
    }

    /// The command line with an option at each place after the command's name.
    fn with(command: &[String], option: &'static str) -> Vec<Vec<String>> {
        (1..=command.len())
            .map(|at| {
                let mut line = vec!["shmtable".to_owned()];
                line.extend_from_slice(&command[..at]);
                line.push(option.to_owned());
                line.extend_from_slice(&command[at..]);
                line
            })
            .collect()
    }

    #[test]
    fn a_known_option_is_one_wherever_it_stands_in_every_command() {
        for command in commands() {
            for line in with(&command, "--json") {
                let parsed = Cli::try_parse_from(&line);
                let parsed = parsed.unwrap_or_else(|error| panic!("{line:?}: {error}"));
                assert!(parsed.global.json, "{line:?}");
            }
        }
    }

    #[test]
    fn a_misspelt_option_is_a_usage_error_wherever_it_stands_in_every_command() {
        for command in commands() {
            for option in ["--josn", "-Q"] {
                for line in with(&command, option) {
                    let error = Cli::try_parse_from(&line).expect_err(&line.join(" "));
                    assert_eq!(error.kind(), ErrorKind::UnknownArgument, "{line:?}");
                }
            }
        }
    }

    #[test]
    fn an_option_is_no_value_of_another_one() {
        let mut root = Cli::command();
        root.build();
        for command in root.get_subcommands() {
            for arg in command.get_arguments() {
                assert!(!arg.is_allow_hyphen_values_set(), "{arg:?}");
            }
        }
    }

    #[test]
    fn what_begins_with_a_hyphen_is_a_key_behind_two_hyphens() {
        let line = ["shmtable", "del", "T", "a", "--", "--json", "-x"];
        let parsed = Cli::try_parse_from(line).unwrap();
        assert!(!parsed.global.json);
        let Command::Del(del) = parsed.command else {
            panic!("another command");
        };
        assert_eq!(del.keys, ["a", "--json", "-x"]);
    }

    #[test]
    fn negative_numbers_are_keys_values_and_amounts() {
        for line in [
            &["shmtable", "put", "T", "-1", "-2.5"][..],
            &["shmtable", "add", "T", "n", "-1e3"],
            &["shmtable", "get", "T", "-7"],
            &["shmtable", "del", "T", "-7", "-8", "--json"],
            &["shmtable", "wait", "T", "-7"],
        ] {
            Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        }
    }
}
