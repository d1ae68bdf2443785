//! Documents and plots, from results.

mod markdown;
mod page;
mod plots;

use std::fs;
use std::path::Path;

use shmtable_bench::Result;

use crate::goals;
use crate::results::Results;

/// The document, with places for what a run said.
const TEMPLATE: &str = include_str!("benchmarks.md");

const BEGIN: &str = "<!-- bench -->\n";
const END: &str = "<!-- /bench -->";

/// Writes `docs/benchmarks.md`, the plots beside it, and the README's table. What belongs
/// to sections that were not measured stays as it is.
pub(crate) fn write(results: &Results, root: &Path) -> Result {
    let page = root.join("docs/benchmarks.md");
    let goals = goals::judge(&results.figures);
    let measured: Vec<&str> = results
        .sections
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let earlier = fs::read_to_string(&page).unwrap_or_default();
    let parts = markdown::parts(results, &goals);
    fs::write(page, page::filled(TEMPLATE, parts, &measured, &earlier)?)?;
    plots::write(&results.figures, &root.join("docs/benchmarks"))?;

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
