//! The parts of error messages that depend on what happened.

use super::{LENGTH, VERSION};
use crate::layout::{anonymous_name, codec_names};

/// Says what a table of a codec id holds.
pub(super) fn holdings(id: u64, names: Option<(&str, &str)>) -> String {
    match names {
        _ if id == 0 => "bytes".to_owned(),
        Some((key, value)) => format!("({key}, {value})"),
        None => codec_names(id).map_or_else(
            || format!("entries of codecs that this version doesn't know (id {id:#x})"),
            |(key, value)| format!("({key}, {value})"),
        ),
    }
}

/// Says how much memory could be had by removing orphans.
pub(super) fn orphans_hold(orphans: usize, bytes: usize) -> String {
    match orphans {
        0 => String::new(),
        1 => format!(
            "; 1 table of a creator that was killed holds {bytes} bytes: remove it with \
             Table::remove_orphans"
        ),
        _ => format!(
            "; {orphans} tables of creators that were killed hold {bytes} bytes: remove them \
             with Table::remove_orphans"
        ),
    }
}

/// Says what to do about a table that doesn't exist.
pub(super) fn remedy_for_missing(name: &str) -> &'static str {
    if anonymous_name::is_generated(name) {
        ": its creator closed it or ended; keep it open until all who need it have opened it"
    } else {
        "; create it, or use open_or_create"
    }
}

/// What a header says, and what it should say.
pub(super) fn found_for_expected(what: &str, found: u64, expected: u64) -> String {
    match what {
        LENGTH => format!("{found}, at least {expected} are needed"),
        VERSION => format!("{found}, expected {expected}"),
        _ => format!("{found:#x}, expected {expected:#x}"),
    }
}

/// Says what to do about a table of another format.
pub(super) fn remedy_for_format(what: &str, found: u64, expected: u64) -> &'static str {
    if what == VERSION && (1..expected).contains(&found) {
        "save its entries with the command `shmtable dump` of the older version that made it, \
         unlink it, and load them with `shmtable load --create` of this one"
    } else {
        "open it with the version that made it, or unlink it"
    }
}

/// Bytes of a key that a message shows.
const SHOWN: usize = 40;

/// Names the entry of a key, in words that follow what is in it.
pub(super) fn entry_of(key: Option<&[u8]>) -> String {
    match key {
        None => String::new(),
        Some(key) if key.len() <= SHOWN => {
            format!(" in the entry of the key \"{}\"", key.escape_ascii())
        }
        Some(key) => format!(
            " in the entry of the key \"{}\"... ({} bytes)",
            key[..SHOWN].escape_ascii(),
            key.len()
        ),
    }
}
