//! Documents and plots, from results.

mod cells;
mod losses;
mod markdown;
mod page;
mod plots;

use std::fs;
use std::path::Path;

use shmtable_bench::Result;

use crate::goals;
use crate::results::Results;

macro_rules! pages {
    ($($place:literal),* $(,)?) => {
        &[$(($place, include_str!(concat!("pages/", $place)))),*]
    };
}

/// Each page's place in `docs/`, and its template: the text, with places for what a run
/// measured.
const PAGES: &[(&str, &str)] = pages![
    "benchmarks.md",
    "benchmarks/method.md",
    "benchmarks/gets.md",
    "benchmarks/values.md",
    "benchmarks/writes.md",
    "benchmarks/full-tables.md",
    "benchmarks/counters.md",
    "benchmarks/processes.md",
    "benchmarks/latency.md",
    "benchmarks/opening.md",
    "benchmarks/growth.md",
    "benchmarks/memory.md",
    "benchmarks/locks.md",
    "benchmarks/instructions.md",
];

const BEGIN: &str = "<!-- bench -->\n";
const END: &str = "<!-- /bench -->";

/// Writes the pages, the plots beside them, and the README's table. The figures of sections
/// that were not measured stay as they are.
pub(crate) fn write(results: &Results, root: &Path) -> Result {
    let docs = root.join("docs");
    let goals = goals::judge(&results.figures);
    let measured: Vec<&str> = results
        .sections
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let parts = markdown::parts(results, &goals);
    plots::write(&results.figures, &docs.join("benchmarks"))?;
    for (place, template) in PAGES {
        let page = docs.join(place);
        let earlier = fs::read_to_string(&page).unwrap_or_default();
        fs::write(page, page::filled(template, &parts, &measured, &earlier)?)?;
    }

    if !results.has("sizes") {
        return Ok(());
    }
    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme)?;
    let (head, rest) = text.split_once(BEGIN).ok_or("README.md has no place")?;
    let (_, tail) = rest.split_once(END).ok_or("README.md's place has no end")?;
    let table = markdown::readme(results);
    fs::write(readme, format!("{head}{BEGIN}{table}{END}{tail}"))?;
    Ok(())
}

/// Writes the pages' text again, and keeps their figures: after a change of a template,
/// where there is no run to write from.
pub(crate) fn write_text(root: &Path) -> Result {
    for (place, template) in PAGES {
        let page = root.join("docs").join(place);
        let earlier = fs::read_to_string(&page)?;
        let text =
            page::renewed(template, &earlier).map_err(|error| format!("{place}: {error}"))?;
        fs::write(page, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SECTIONS;

    /// The project's folder.
    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn the_pages_have_the_text_of_their_templates() {
        for (place, template) in PAGES {
            let page = fs::read_to_string(root().join("docs").join(place)).expect(place);
            let renewed = page::renewed(template, &page).expect(place);
            assert!(
                renewed == page,
                "docs/{place} has another text than benches/src/report/pages/{place}: change it \
                 there, and run `cargo xtask bench --report-only`"
            );
        }
    }

    #[test]
    fn every_page_has_a_template() {
        let pages = fs::read_dir(root().join("docs/benchmarks")).expect("pages");
        for page in pages {
            let name = page.expect("a page").file_name();
            let place = format!("benchmarks/{}", name.to_str().expect("a name"));
            let known = PAGES.iter().any(|(known, _)| *known == place);
            let is_plot = Path::new(&place)
                .extension()
                .is_some_and(|end| end == "svg");
            assert!(known || is_plot, "{place}");
        }
    }

    #[test]
    fn a_run_fills_every_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let readme = folder.path().join("README.md");
        fs::write(&readme, format!("before\n{BEGIN}old\n{END}\nafter\n")).expect("written");
        let mut results = Results::of_nothing("full");
        for (name, _) in SECTIONS {
            results.sections.push((name.to_owned(), 1.0));
        }
        for (row, ours) in [("1000", 10.0), ("1000000", 50.0)] {
            for (name, times) in [("shmtable", 1.0), ("dashmap", 3.0)] {
                let at = ["sizes", row, "get", name];
                results.figures.add(at, ours * times);
            }
        }
        write(&results, folder.path()).expect("written");
        let page = |place: &str| fs::read_to_string(folder.path().join(place)).expect(place);
        for (place, _) in PAGES {
            let page = page(&format!("docs/{place}"));
            assert!(!page.contains("{{"), "{page}");
        }
        let row = "| 1,000,000 | 50 ns | 150 ns (3.00) |";
        assert!(page("docs/benchmarks/gets.md").contains(row));
        assert!(page("docs/benchmarks.md").contains("rate to dashmap's | 3.00 |"));
        let readme = page("README.md");
        assert!(readme.starts_with("before\n<!-- bench -->\n|"), "{readme}");
        assert!(readme.ends_with("<!-- /bench -->\nafter\n"), "{readme}");
        assert!(
            readme.contains("| dashmap | - | 150 ns (3.00) |"),
            "{readme}"
        );

        // Without the run, a page keeps the figures.
        let gets = folder.path().join("docs/benchmarks/gets.md");
        let text = page("docs/benchmarks/gets.md");
        fs::write(&gets, text.replace("# Gets", "# Old title")).expect("written");
        write_text(folder.path()).expect("written");
        assert_eq!(page("docs/benchmarks/gets.md"), text);
    }
}
