//! Reads and writes `loom-tests/orderings.md`, the table of what was found.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use super::exceptions::{EXCEPTIONS, OUTSIDE};
use super::sites::{Site, SiteId};
use crate::process::root;
use crate::result::Result;

const FILE: &str = "loom-tests/orderings.md";

const HEAD: &str = "\
# Every ordering, weakened

Made by `cargo xtask weaken --write`: do not edit. `cargo xtask weaken --quick` runs for each
row the model that is named in it, and `cargo test --package xtask` holds the rows against
the sources.

A row is a use of an ordering in a function, the first, second and so on in functions of
this name in this file; what it was weakened to; and a model that failed then, the first
that was found, with what it said.

| file | function | | ordering | weakened to | noticed by | which said |
|---|---|---|---|---|---|---|
";

/// The row of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The call and its ordering.
    pub(crate) ordering: String,
    /// Models, or the number of an exception.
    pub(crate) noticed: Noticed,
    pub(crate) said: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Noticed {
    By(Vec<String>),
    Exception(usize),
}

/// Rows by the id of the site and by what the site is weakened to.
pub(crate) type Rows = BTreeMap<(SiteId, String), Row>;

/// The rows that the report has.
pub(crate) fn read() -> Result<Rows> {
    let path = root().join(FILE);
    if !path.exists() {
        return Ok(Rows::new());
    }
    let text = fs::read_to_string(path)?;
    let rows = text.lines().filter(|line| line.starts_with("| `src/"));
    rows.map(|line| row(line).ok_or_else(|| format!("{FILE}: no row: {line}").into()))
        .collect()
}

fn row(line: &str) -> Option<((SiteId, String), Row)> {
    let cells: Vec<&str> = line
        .strip_prefix("| ")?
        .strip_suffix(" |")?
        .split(" | ")
        .collect();
    let [file, function, number, ordering, to, noticed, said] = cells[..] else {
        return None;
    };
    let [file, function] = [file, function].map(|name| name.trim_matches('`'));
    let id = SiteId::new(file, function, number.parse().ok()?);
    let noticed = match noticed.strip_prefix("none: see ") {
        Some(exception) => Noticed::Exception(exception.parse().ok()?),
        None => Noticed::By(noticed.split(", ").map(str::to_owned).collect()),
    };
    let row = Row {
        ordering: ordering.to_owned(),
        noticed,
        said: said.to_owned(),
    };
    Some(((id, to.to_owned()), row))
}

/// Writes the rows that belong to a site.
pub(crate) fn write(rows: &Rows, sites: &[Site], outside: &BTreeMap<String, usize>) -> Result {
    fs::write(root().join(FILE), render(rows, sites, outside))?;
    Ok(())
}

/// The file, with the rows in the order of the sites.
fn render(rows: &Rows, sites: &[Site], outside: &BTreeMap<String, usize>) -> String {
    let mut text = HEAD.to_owned();
    for site in sites {
        for to in site.weaker() {
            let Some(row) = rows.get(&(site.id.clone(), (*to).to_owned())) else {
                continue;
            };
            let SiteId {
                file,
                function,
                number,
            } = &site.id;
            let noticed = match &row.noticed {
                Noticed::By(models) => models.join(", "),
                Noticed::Exception(number) => format!("none: see {number}"),
            };
            let _ = writeln!(
                text,
                "| `{file}` | `{function}` | {number} | {} | {to} | {noticed} | {} |",
                row.ordering, row.said
            );
        }
    }
    text += "\n## Noticed by none, and why they stay\n\n";
    for (number, exception) in EXCEPTIONS.iter().enumerate() {
        let _ = writeln!(text, "{}. {}", number + 1, exception.reason);
    }
    text += "\n## In no model\n\n";
    for (file, reason) in OUTSIDE {
        let count = outside.get(*file).copied().unwrap_or(0);
        let _ = writeln!(text, "- `{file}` ({count} orderings): {reason}.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::Sites;
    use super::*;
    use crate::lanes::loom;

    const AGAIN: &str = "run `cargo xtask weaken --write [FILE]`";

    /// An ordering that comes, goes or changes must be weakened again.
    #[test]
    fn the_report_has_the_orderings_of_the_sources_and_no_others() {
        let sites = Sites::find().unwrap();
        let rows = read().unwrap();
        let of_sources: BTreeMap<_, _> = sites
            .modelled
            .iter()
            .flat_map(|site| {
                let ordering = site.described();
                let row = |to: &&str| ((site.id.clone(), (*to).to_owned()), ordering.clone());
                site.weaker().iter().map(row).collect::<Vec<_>>()
            })
            .collect();
        for (change, ordering) in &of_sources {
            let row = rows.get(change).map(|row| &row.ordering);
            assert_eq!(row, Some(ordering), "{change:?}: {AGAIN}");
        }
        for change in rows.keys() {
            assert!(of_sources.contains_key(change), "{change:?}: {AGAIN}");
        }
        let text = fs::read_to_string(root().join(FILE)).unwrap();
        let made = render(&rows, &sites.modelled, &sites.outside);
        assert_eq!(text, made, "{AGAIN}");
    }

    #[test]
    fn the_models_of_the_report_are_there() {
        for ((id, to), row) in read().unwrap() {
            match row.noticed {
                Noticed::By(models) => {
                    for model in models {
                        let known = loom::models(loom::Selection::All)
                            .any(|known| known.to_string() == model);
                        assert!(known, "{id}: there is no model {model}: {AGAIN}");
                    }
                }
                Noticed::Exception(number) => {
                    let now = super::super::exceptions::of(&id, &to);
                    assert_eq!(now, Some(number), "{id}: {AGAIN}");
                }
            }
        }
    }
}
