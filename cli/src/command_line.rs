//! The command line as it was typed, for messages.

use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};

/// The arguments after the program's name.
static ARGUMENTS: Mutex<Vec<OsString>> = Mutex::new(Vec::new());

/// Keeps the arguments of the command that begins.
pub(crate) fn keep(arguments: Vec<OsString>) {
    *ARGUMENTS.lock().unwrap_or_else(PoisonError::into_inner) = arguments;
}

fn arguments() -> Vec<OsString> {
    let arguments = ARGUMENTS.lock();
    arguments.unwrap_or_else(PoisonError::into_inner).clone()
}

/// Whether the command line asks for JSON. It may be one that can't be parsed.
pub(crate) fn asks_for_json() -> bool {
    arguments()
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--json")
}

/// The value that was typed for an option.
pub(crate) fn value_of(flag: &str) -> Option<String> {
    let arguments = arguments();
    let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix(flag) {
            Some("") => return arguments.next().map(Into::into),
            Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
            _ => {}
        }
    }
    None
}
