//! A page: a template whose places are filled with what a run measured. A run that did
//! not measure all sections keeps the rest of the page that is there.
//!
//! In the page each part is between two comments, by which the next run finds it again.

use shmtable_bench::Result;

use crate::SECTIONS;

/// How a part of the page changes after a run of some sections.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Replaces it if all of these sections were measured.
    Of(&'static [&'static str]),
    /// Replaces rows of a table by rows with the same beginning; the others stay.
    Rows,
    /// Replaces the rows of a table, but for those that it did not measure.
    Verdicts,
    /// Puts what it says before what earlier runs said, with the sections that each is about.
    Beside,
}

const PARTS: [(&str, Part); 28] = [
    ("run", Part::Beside),
    ("notes", Part::Beside),
    ("goals", Part::Verdicts),
    (
        "losses",
        Part::Of(&["sizes", "values", "shared", "attach", "growth"]),
    ),
    ("contenders", Part::Beside),
    ("spread", Part::Rows),
    ("gets", Part::Of(&["sizes"])),
    ("get-limits", Part::Of(&["sizes"])),
    ("bounds", Part::Of(&["locks"])),
    ("value-gets", Part::Of(&["values"])),
    ("value-limits", Part::Of(&["values"])),
    ("inserts", Part::Of(&["sizes"])),
    ("value-writes", Part::Of(&["values"])),
    ("fullness", Part::Of(&["fullness"])),
    ("counters", Part::Of(&["shared"])),
    ("shared-counters", Part::Of(&["shared"])),
    ("counter-latency", Part::Of(&["shared"])),
    ("shared-values", Part::Of(&["shared"])),
    ("latency", Part::Of(&["shared"])),
    ("attach", Part::Of(&["sizes", "attach"])),
    ("memory", Part::Of(&["sizes"])),
    ("growth-fill", Part::Of(&["growth"])),
    ("growth-latency", Part::Of(&["growth"])),
    ("growth-gets", Part::Of(&["growth"])),
    ("growth-memory", Part::Of(&["growth"])),
    ("growth-opening", Part::Of(&["growth"])),
    ("take-over", Part::Of(&["take-over"])),
    ("locks", Part::Of(&["locks"])),
];

/// The template with its places filled by the parts of these names.
pub(super) fn filled(
    template: &str,
    parts: &[(&str, String)],
    measured: &[&str],
    earlier: &str,
) -> Result<String> {
    let complete = SECTIONS.iter().all(|(name, _)| measured.contains(name));
    let mut page = template.to_owned();
    for name in places(template) {
        let new = parts.iter().find(|(known, _)| *known == name);
        let part = PARTS.iter().find(|(known, _)| *known == name);
        let (Some((_, new)), Some((_, part))) = (new, part) else {
            return Err(format!("no part fills the place {name}").into());
        };
        let old = between(earlier, name).filter(|_| !complete);
        let text = old.map_or(new.clone(), |old| part.merged(new, old, measured));
        page = with_part(&page, name, &text);
    }
    Ok(page)
}

/// The template with its places filled by the parts of the page that is there.
pub(super) fn renewed(template: &str, earlier: &str) -> Result<String> {
    let mut page = template.to_owned();
    for name in places(template) {
        let old = between(earlier, name);
        let old = old.ok_or_else(|| format!("no figures for {name}: run the benchmark"))?;
        page = with_part(&page, name, old);
    }
    Ok(page)
}

/// The names of a template's places, which are between double braces.
fn places(template: &str) -> impl Iterator<Item = &str> {
    let rests = template.split("{{").skip(1);
    rests.filter_map(|rest| Some(rest.split_once("}}")?.0))
}

/// The page with a part in its place.
fn with_part(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = comments(name);
    let part = format!("{begin}\n{}\n{end}", text.trim());
    page.replace(&format!("{{{{{name}}}}}"), &part)
}

fn comments(name: &str) -> (String, String) {
    (format!("<!-- {name} -->"), format!("<!-- /{name} -->"))
}

fn between<'p>(page: &'p str, name: &str) -> Option<&'p str> {
    let (begin, end) = comments(name);
    let (_, rest) = page.split_once(&begin)?;
    Some(rest.split_once(&end)?.0.trim())
}

impl Part {
    fn merged(self, new: &str, old: &str, measured: &[&str]) -> String {
        match self {
            Self::Of(sections) if sections.iter().all(|name| measured.contains(name)) => {
                new.to_owned()
            }
            Self::Of(_) => old.to_owned(),
            Self::Rows => rows(new, old, |_| true),
            Self::Verdicts => rows(new, old, |row| !row.contains("| not measured |")),
            Self::Beside => beside(new, old, measured),
        }
    }
}

/// The old table with its rows replaced by the new ones that were measured, in the new
/// order, and the rows that only the old table has behind them if all new ones were.
fn rows(new: &str, old: &str, was_measured: impl Fn(&str) -> bool) -> String {
    let first_cell = |row: &str| row.split('|').nth(1).map(str::to_owned);
    let same = |row: &str, table: &str| {
        let mut rows = table.lines();
        rows.find(|other| first_cell(other) == first_cell(row))
            .map(str::to_owned)
    };
    let mut merged: Vec<String> = Vec::new();
    let mut all_measured = true;
    for row in new.lines() {
        let old_row = same(row, old).filter(|_| !was_measured(row));
        all_measured &= was_measured(row);
        merged.push(old_row.unwrap_or_else(|| row.to_owned()));
    }
    if all_measured {
        let others = old.lines().filter(|row| same(row, new).is_none());
        merged.extend(others.map(str::to_owned));
    }
    merged.join("\n")
}

const SECTIONS_BEGIN: &str = "**Sections ";
const OTHERS: &str = "**The other sections:**";
const HEAD_END: &str = ":**";

/// The new text with the sections that it is about, then the old ones with theirs.
fn beside(new: &str, old: &str, measured: &[&str]) -> String {
    let about = |sections: &[&str], text: &str| {
        let sections = sections.join(", ");
        format!("{SECTIONS_BEGIN}{sections}{HEAD_END}\n\n{}", text.trim())
    };
    let mut texts = vec![about(measured, new)];
    let mut rest = old;
    while let Some((head, tail)) = rest
        .strip_prefix(SECTIONS_BEGIN)
        .and_then(|rest| rest.split_once(HEAD_END))
    {
        let end = tail.find(SECTIONS_BEGIN).or_else(|| tail.find(OTHERS));
        let (text, next) = tail.split_at(end.unwrap_or(tail.len()));
        let mut left: Vec<&str> = head.split(", ").collect();
        left.retain(|name| !measured.contains(name));
        if !left.is_empty() {
            texts.push(about(&left, text));
        }
        rest = next;
    }
    let rest = rest.strip_prefix(OTHERS).unwrap_or(rest).trim();
    if !rest.is_empty() {
        texts.push(format!("{OTHERS}\n\n{rest}"));
    }
    texts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 8] = [
        "sizes",
        "values",
        "shared",
        "fullness",
        "attach",
        "growth",
        "take-over",
        "locks",
    ];

    fn page(parts: &[(&'static str, &str)], measured: &[&str], earlier: &str) -> String {
        let places = parts.iter().map(|(name, _)| format!("{{{{{name}}}}}\n"));
        let parts = parts.iter().map(|(name, text)| (*name, (*text).to_owned()));
        filled(
            &places.collect::<String>(),
            &parts.collect::<Vec<_>>(),
            measured,
            earlier,
        )
        .expect("filled")
    }

    #[test]
    fn every_part_has_one_place() {
        let mut placed: Vec<&str> = crate::report::PAGES
            .iter()
            .flat_map(|(_, template)| places(template))
            .collect();
        let mut known = PARTS.map(|(name, _)| name);
        placed.sort_unstable();
        known.sort_unstable();
        assert_eq!(placed, known);
    }

    #[test]
    fn a_whole_run_replaces_all_and_one_section_its_own_part() {
        let whole = page(
            &[("gets", "old"), ("value-gets", "old")],
            &ALL,
            "<!-- gets -->",
        );
        assert!(!whole.contains("Sections"), "{whole}");
        let parts = [("gets", ""), ("value-gets", "new")];
        let one = page(&parts, &["values"], &whole);
        assert_eq!(between(&one, "gets"), Some("old"));
        assert_eq!(between(&one, "value-gets"), Some("new"));
        // What the earlier page lacks is filled with what there is.
        let parts = [("attach", "new"), ("gets", "new")];
        let one = page(&parts, &["sizes"], &page(&parts[..1], &ALL, ""));
        assert_eq!(between(&one, "gets"), Some("new"));
    }

    #[test]
    fn each_run_keeps_its_line_as_long_as_a_section_of_it_is_there() {
        let run = |text, measured: &[&str], earlier: &str| {
            let page = page(&[("run", text)], measured, earlier);
            let line = between(&page, "run").expect("a line").replace("\n\n", " ");
            (page, line)
        };
        let (first, line) = run("one", &ALL, "");
        assert_eq!(line, "one");
        let (second, line) = run("two", &["sizes", "locks"], &first);
        assert_eq!(
            line,
            "**Sections sizes, locks:** two **The other sections:** one"
        );
        let (third, line) = run("three", &["sizes"], &second);
        assert_eq!(
            line,
            "**Sections sizes:** three **Sections locks:** two **The other sections:** one"
        );
        let (_, line) = run("four", &["locks", "sizes"], &third);
        assert_eq!(
            line,
            "**Sections locks, sizes:** four **The other sections:** one"
        );
        assert_eq!(run("five", &ALL, &third).1, "five");
    }

    #[test]
    fn rows_that_were_not_measured_stay() {
        let head = "| ratio | found |  |\n|---|---|---|\n";
        let old = format!("{head}| a | 1 | reached |\n| b | 2 | reached |\n| gone | 3 | reached |");
        let new = format!("{head}| b | 5 | reached |\n| a | - | not measured |");
        let table = Part::Verdicts.merged(&new, &old, &["sizes"]);
        assert_eq!(
            table,
            format!("{head}| b | 5 | reached |\n| a | 1 | reached |")
        );
        let new = format!("{head}| b | 5 | |");
        let table = Part::Rows.merged(&new, &old, &["sizes"]);
        let rows = "| b | 5 | |\n| a | 1 | reached |\n| gone | 3 | reached |";
        assert_eq!(table, format!("{head}{rows}"));
    }
}
