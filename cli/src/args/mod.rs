//! What can be said on the command line, and the help.

#![allow(clippy::doc_markdown, reason = "the help is plain text")]

mod dumps;
mod entries;
mod shape;
mod tables;
mod typed;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use dumps::{Dump, Format, Load};
pub(crate) use entries::{Add, Cas, Count, Del, Get, Put, Scan, Take, Wait, Watch};
pub(crate) use tables::{
    Bench, Check, Copy, Create, Diff, Gc, OneTable, Rename, Rm, ServeMetrics, Stat, Top,
};
pub(crate) use typed::{Typed, Which};

use crate::units::parse_duration;

const AFTER: &str = "\
Exit status:
  0  done, found
  1  not found: no such key, nothing that matches, a wait that timed out, a difference,
     damage in a check
  2  error: no such table, no permission, no room, wrong usage
A reader that closes the pipe early is not an error. Ctrl-C stops the command. New files and
tables are discarded; `clear`, `del` and `load` keep what they have done so far.

Keys and values, as typed and as shown, depend on what the table was created for:
  bytes, text       the text itself; bytes that are not plain text are shown as 0x...
  numbers           in decimal
  MessagePack,      JSON; what is not JSON is a string. So 42 is a number, '\"42\"' and x are
  JSON              strings, '[1, \"a\"]' is a tuple in Python. What JSON lacks:
                    {\"$bin\": \"00ff\"} bytes, {\"$ext\": [80, \"00ff\"]} an extension type
                    (80 is a pickle of Python's, which is never loaded),
                    {\"$map\": [[1, \"a\"]]} a map with other keys than strings,
                    {\"$float\": \"nan\"}. Keys are made canonical as Python's are.
  --hex             any bytes in hexadecimal, as they are stored; --hex-value for values alone
  --text            in MessagePack and JSON tables a string, even if it looks like JSON

A key or a value that begins with a hyphen stands after `--`, as in `get T -- --key`: options
are options wherever they stand before it. Negative numbers need no `--`.";

/// The heading of the options that every command takes.
const EVERYWHERE: &str = "Options of every command";

/// Looks inside live tables in shared memory, and repairs them.
///
/// Every command works while other processes use the table. Readers never wait for it.
/// Writers wait for `check`, `repair`, `dump --snapshot` and `copy --snapshot`, by their size:
/// the help of each says how long. With --json every object has the field `schema`; docs/json.md
/// lists the fields of each command.
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
    /// Print JSON, for scripts: one object, or one on each line
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// Open tables of these users too: numbers of users with commas between, or `anyone`.
    /// Who owns a table can change it at any time
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "USERS", value_parser = parse_trust)]
    pub(crate) trust: Option<Trusted>,
    /// How long to wait for a lock that a living process keeps
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
        .map_err(|_| "give `anyone`, or numbers of users with commas between".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List all tables on this machine
    ///
    /// Looking does not count as using: no table is in use because it is listed.
    /// A table is an `orphan` if it should have gone with its creator, which was killed,
    /// and nobody uses it: `shmtable gc` removes it. `unused` is one with a name of its
    /// own that nobody uses now.
    Ls,
    /// Show a table's figures, and who uses it
    Stat(Stat),
    /// A live full-screen view
    ///
    /// Of one table, or without a name of all; Enter goes into one. Keys: q ends, Esc
    /// goes back, p or space pauses, s sorts by the next column, r turns the order
    /// around, + and - change the interval, arrows choose.
    ///
    /// Only writes are counted, by the locks they take: readers write nothing, so nobody
    /// can count them. With --json the figures of all tables are printed at each interval.
    Top(Top),
    /// Remove the tables that killed creators left
    ///
    /// Removes tables that should have gone with their creator (anonymous ones), and that
    /// no process has open, for whatever use. Others are never touched.
    Gc(Gc),
    /// Remove a table's name; processes that have it open can go on using it
    Rm(Rm),
    /// Create a table
    Create(Create),
    /// Print the value of a key
    Get(Get),
    /// Store a value
    Put(Put),
    /// Add to a number, in one step among all processes, and print the sum
    ///
    /// In a table of bytes a number has 8 bytes, little-endian, signed. A key that is not
    /// there counts as 0.
    Add(Add),
    /// Remove keys, and print how many there were
    ///
    /// A single `-` stands for the standard input, with a key on each line. Empty lines are
    /// skipped, and a carriage return at a line's end is not part of the key. (The key `-` itself
    /// is `2d` with --hex.)
    Del(Del),
    /// Remove the value of a key, and print it
    ///
    /// If the output fails (a full disk, a reader that has gone), the value is gone all the same.
    Take(Take),
    /// Compare a key's value, and set it if it is the expected one, in one step
    ///
    /// If it is another one the exit status is 1, and it is printed. With --absent the key is
    /// expected to have no value: `cas T k --absent NEW`. With --remove it has none afterwards:
    /// `cas T k EXPECTED --remove`. Values are compared as they are stored.
    Cas(Cas),
    /// Remove all entries; the table and whoever uses it stay
    ///
    /// Stripe by stripe: what others store meanwhile may stay. The memory stays reserved.
    Clear(OneTable),
    /// Wait until a key has a value, and print it
    ///
    /// If the table is removed, renamed or replaced meanwhile, the exit status is 2.
    Wait(Wait),
    /// Print keys and values, in no order
    ///
    /// An entry that exists throughout the scan is printed exactly once. A key and its value are
    /// separated by a tab.
    Scan(Scan),
    /// Print how many entries there are
    ///
    /// With --prefix or --match every key is looked at, else only the counts of the stripes.
    /// The exit status is 0 even if there are none.
    Count(Count),
    /// Print how long keys and values are
    ///
    /// Entries by the length of their keys and values, in powers of two; all bytes of each;
    /// and the largest entry.
    Sizes(OneTable),
    /// Print the changes of a table as they come
    ///
    /// `+` a new key, `~` a new value, `-` a removed key. Looks at the table again and again,
    /// and only if anybody wrote to it: several changes of a key between two looks are one, and
    /// what was there only between two of them is missed. Keeps all keys in memory. The exit
    /// status is 1 if the time ends without a change, and 2 if the table is removed, renamed or
    /// replaced meanwhile.
    Watch(Watch),
    /// Write all entries to a file or to the standard output
    ///
    /// Weakly consistent: an entry that exists throughout the dump is written exactly once. `load` restores
    /// every key and value byte for byte. A file appears when it is complete. With --snapshot
    /// writers wait while the entries are copied: about 1.5 seconds for a million of them.
    Dump(Dump),
    /// Store what `dump` wrote
    ///
    /// Entries that are there already are replaced. If anything goes wrong the exit status
    /// is 2 and the number of entries that were loaded is told; a table that `--create`
    /// made is removed again.
    Load(Load),
    /// Copy a table to a new one, which may have another size
    ///
    /// By default the new one is as large as the old one, and it has its codec. It
    /// appears under its name when it is complete. Weakly consistent, as `dump`; with --snapshot
    /// writers wait while the entries are copied: about 1.5 seconds for a million of them.
    Copy(Copy),
    /// Give a table another name, in one step; processes that have it open can go on using it
    Rename(Rename),
    /// Print how two tables differ (exit status 1), or nothing
    ///
    /// `-` and `+` before a key and its value: in the first table, in the second one.
    Diff(Diff),
    /// Verify a table's structure
    ///
    /// Prints what is wrong and exits with 1; prints nothing if all is well.
    ///
    /// Writers wait for it, readers do not: for each stripe while its keys are read, then all of
    /// them while the chunks are verified, about 0.45 seconds for a million entries and ten times
    /// that for ten times as many. Writers give up after their lock timeout, by default 5
    /// seconds. With --stripes-only nobody waits for more than a stripe.
    Check(Check),
    /// Repair a damaged table, and say what was done
    ///
    /// Writers wait for it, readers do not: about 2.7 seconds for a million entries, and ten
    /// times that for ten times as many. Writers give up after their lock timeout, by default 5
    /// seconds. A table whose header is damaged cannot be opened
    /// to repair it: `dump --salvage` reads its entries.
    Repair(OneTable),
    /// Measure this machine: a table of its own, filled and read
    Bench(Bench),
    /// Serve the figures of tables to Prometheus, over HTTP at /metrics
    ///
    /// The tables are looked at when somebody asks. Whoever can reach the address can read
    /// the figures, and nothing else.
    ServeMetrics(ServeMetrics),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page, or that of a command
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

    /// The command with an option at each place behind its name.
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
