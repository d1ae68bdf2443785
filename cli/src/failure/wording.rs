//! The crate's errors in the words of the command, with its verbs and options.

use std::borrow::Cow;
use std::error::Error as _;
use std::iter::successors;

use shmtable::Error;

use crate::codec::Codec;
use crate::command_line;

/// What the crate calls something, and what the command calls it. Longer phrases come first.
const WORDS: [(&str, &str); 31] = [
    ("the command `shmtable dump` of", "`shmtable dump` of"),
    (
        "unlink it, and load them",
        "remove it with `shmtable rm`, and load them",
    ),
    (
        "create it, or use open_or_create",
        "`shmtable ls` lists the tables that exist, `shmtable create` creates one",
    ),
    (
        "open it, unlink it, or use open_or_create",
        "choose another name, or remove it with `shmtable rm`",
    ),
    (
        "name the owner in Options::trust if you trust that user",
        "give the owner in --trust if you trust that user",
    ),
    ("see Options::mode, and how", "see `create --mode`, and how"),
    ("; open_read_only asks for less", ""),
    (
        "open it with the version that made it, or unlink it",
        "open it with the version that made it, or, if its header is damaged, save its entries \
         with `shmtable dump --salvage` and remove it with `shmtable rm`",
    ),
    ("or unlink it", "or remove it with `shmtable rm`"),
    (
        "unlink the table and create it again",
        "remove the table with `shmtable rm` and create it again",
    ),
    (
        "repair it with Table::repair",
        "repair it with `shmtable repair`",
    ),
    (
        "the command `shmtable dump --salvage` does",
        "`shmtable dump --salvage` does",
    ),
    ("or raise Options::lock_timeout", "or raise --lock-timeout"),
    (
        "close some, open read-only, or create",
        "end some processes that use it, or create",
    ),
    (
        "open the table with Table::open to write to it",
        "it can only be read",
    ),
    (
        "open it with the types it was created with",
        "`shmtable stat` tells its codec",
    ),
    ("does not fit i64", "is beyond 64 bits"),
    ("remove it first", "remove it first with `shmtable del`"),
    ("Options::create_or_replace", "`--replace`"),
    ("with create_or_replace", "with `create --replace`"),
    ("unlink it first", "remove it with `shmtable rm` first"),
    ("Table::remove_orphans", "`shmtable gc`"),
    ("Table::orphans", "`shmtable gc --dry-run`"),
    ("the option value_space", "the option --value-space"),
    ("value_space", "--value-space"),
    ("max_participants", "--max-participants"),
    ("max_capacity", "--max-capacity"),
    ("max_bytes", "--max-bytes"),
    ("chunk_size", "--chunk-size"),
    ("lock_timeout", "--lock-timeout"),
    ("Options::", "the option --"),
];

/// The message of an error, for users of the command.
pub(crate) fn in_command(error: &Error) -> String {
    if let Error::CodecMismatch {
        found, expected, ..
    } = error
    {
        return format!(
            "the table's codec is {}, not {}",
            Codec::of(*found).name,
            Codec::of(*expected).name
        );
    }
    if let Error::InvalidOption {
        option,
        given,
        allowed,
        ..
    } = error
    {
        return refused_option(option, *given, allowed);
    }
    // The system's error comes after what failed.
    let causes = successors(error.source(), |&cause| cause.source());
    let whole = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    translated(&whole)
}

/// Which values an option takes, as they are typed.
fn refused_option(option: &str, given: u128, allowed: &str) -> String {
    let flag = format!("--{}", option.replace('_', "-"));
    let (given, allowed) = if option == "mode" {
        // In octal, as it is typed.
        let allowed = allowed.split(';').next().unwrap_or(allowed);
        (format!("{given:o}"), allowed.replace("0o", ""))
    } else {
        let given = command_line::value_of(&flag).unwrap_or_else(|| given.to_string());
        (given, allowed.to_owned())
    };
    format!("the option {flag} is {given}; allowed is {allowed}")
}

/// The message of an error, for users who are already salvaging the table.
pub(crate) fn in_salvage(error: &Error) -> String {
    match error {
        Error::Corrupted { what, offset, .. } => format!(
            "the segment is damaged: {what} at byte {offset}, and without that no entry can be \
             found; remove it with `shmtable rm`"
        ),
        Error::IncompatibleFormat { .. } => {
            let message = error.to_string();
            let found = message
                .rsplit_once("; ")
                .map_or(&message[..], |parts| parts.0);
            format!(
                "{}; open it with the version that made it, or remove it with `shmtable rm`",
                translated(found)
            )
        }
        error => in_command(error),
    }
}

/// A message of the crate in the words of the command. Quoted names stay as they are.
fn translated(message: &str) -> String {
    let mut text = String::new();
    let mut rest = message;
    while let Some(begin) = rest.find('"') {
        let (before, quoted) = rest.split_at(begin);
        let end = end_of_quoted(quoted);
        text.push_str(&replaced(before));
        text.push_str(&quoted[..end]);
        rest = &quoted[end..];
    }
    text.push_str(&replaced(rest));
    text
}

/// Where the closing quotation mark of a text that begins with one ends.
fn end_of_quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

fn replaced(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for (library, command) in WORDS {
        if text.contains(library) {
            text = text.replace(library, command).into();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of the crate's errors, and their parts, from their source.
    fn messages() -> Vec<String> {
        let source = include_str!("../../../src/error/mod.rs");
        let code = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n");
        let mut messages = Vec::new();
        let mut rest = &code[..];
        while let Some(begin) = rest.find('"') {
            let quoted = &rest[begin..];
            let end = end_of_quoted(quoted);
            let lines = quoted[1..end - 1].split("\\\n").map(str::trim_start);
            messages.push(lines.collect::<String>().replace("\\\"", "\""));
            rest = &quoted[end..];
        }
        assert!(messages.len() > 20, "{messages:?}");
        messages
    }

    #[test]
    fn no_message_names_what_only_programs_can_do() {
        for message in messages() {
            let shown = replaced(&message);
            let words = shown.split(|c: char| !c.is_alphanumeric() && !":_{}`".contains(c));
            for word in words {
                let word = word.trim_end_matches([':', '`']);
                let is_code = word.contains("::") || word.contains('_');
                // Fields, and constants of the system.
                let is_field = word.contains('{') || !word.contains(char::is_lowercase);
                assert!(!is_code || is_field, "{word:?} in {shown:?}");
            }
        }
    }

    #[test]
    fn names_stay_as_they_are() {
        assert_eq!(
            translated("no \"value_space\" and \"a\\\"Options::mode\" or value_space"),
            "no \"value_space\" and \"a\\\"Options::mode\" or --value-space"
        );
    }
}
