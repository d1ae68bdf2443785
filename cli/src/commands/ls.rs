//! `ls` lists tables.

use serde_json::json;
use shmtable::{Error, Table};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::out::{Side, columns, escaped, printable};
use crate::sample::{Sample, open_observer, user_name};
use crate::units::{age, count, since, size};

const HEADS: [(&str, Side); 9] = [
    ("NAME", Side::Left),
    ("ENTRIES", Side::Right),
    ("CAPACITY", Side::Right),
    ("USED", Side::Right),
    ("MEMORY", Side::Right),
    ("ATTACHED", Side::Right),
    ("OWNER", Side::Left),
    ("AGE", Side::Right),
    ("STATE", Side::Left),
];

pub(crate) fn ls(mut context: Context) -> Result {
    let mut rows = Vec::new();
    let mut tables = Vec::new();
    for name in Table::list_os()? {
        let Some(name) = name.to_str() else {
            let name = escaped(&name);
            let reason =
                "its name is not UTF-8, so it can't be a table; remove it with `shmtable rm`";
            tables.push(json!({ "name": name, "error": reason, "kind": "InvalidName" }));
            rows.push(unnamed(name));
            continue;
        };
        match open_observer(&context.options, name).and_then(|table| Sample::take(&table)) {
            Ok(sample) if context.out.json => tables.push(sample.to_json()),
            Ok(sample) => rows.push(row(&sample)),
            // It was removed after it was listed.
            Err(Failure::Table(Error::NotFound { .. })) => {}
            Err(failure) => {
                tables.push(json!({
                    "name": name, "error": failure.to_string(), "kind": failure.kind(),
                }));
                rows.push(unknown(name, &failure));
            }
        }
    }
    if context.out.json || !rows.is_empty() {
        context
            .out
            .either(|| json!({ "tables": tables }), || columns(&HEADS, &rows))?;
    }
    context.out.done(true)
}

fn row(sample: &Sample) -> Vec<String> {
    let stats = &sample.stats;
    let died = match sample.died() {
        0 => String::new(),
        died => format!(", {died} died"),
    };
    vec![
        printable(&sample.name),
        count(stats.entries as u64),
        count(stats.capacity as u64),
        size(sample.used()),
        size(sample.memory()),
        // Readers can't be counted.
        format!(
            "{}{}",
            sample.living(),
            if sample.readers { "+" } else { "" }
        ),
        user_name(sample.owner),
        age(since(stats.created)),
        format!("{}{died}", sample.state().name()),
    ]
}

/// The row of a table that can't be opened.
fn unknown(name: &str, failure: &Failure) -> Vec<String> {
    let (owner, state) = match failure {
        Failure::Table(Error::WrongOwner { owner, .. }) => (user_name(*owner), "not trusted"),
        Failure::Table(Error::PermissionDenied { .. }) => (String::new(), "no permission"),
        Failure::Table(Error::IncompatibleFormat { .. }) => (String::new(), "other version"),
        Failure::Table(Error::NotATable { .. }) => (String::new(), "not a table"),
        Failure::Table(Error::Corrupted { .. }) => (String::new(), "damaged"),
        _ => (String::new(), "unknown"),
    };
    let mut row = vec![printable(name)];
    row.extend((0..5).map(|_| "?".to_owned()));
    row.extend([owner, "?".to_owned(), state.to_owned()]);
    row
}

/// The row of a file among the tables with a name that no table can have.
fn unnamed(name: String) -> Vec<String> {
    let mut row = vec![name];
    row.extend((0..5).map(|_| "?".to_owned()));
    row.extend([String::new(), "?".to_owned(), "not a table".to_owned()]);
    row
}
