//! Documents and plots, from results.

mod markdown;
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

/// Writes `docs/benchmarks.md`, the plots beside it, and the README's table.
pub(crate) fn write(results: &Results, root: &Path) -> Result {
    let docs = root.join("docs");
    let goals = goals::judge(&results.figures);
    let mut text = TEMPLATE.to_owned();
    for (place, part) in markdown::parts(results, &goals) {
        let place = format!("{{{{{place}}}}}");
        if !text.contains(&place) {
            return Err(format!("the template has no {place}").into());
        }
        text = text.replace(&place, part.trim_end());
    }
    fs::write(docs.join("benchmarks.md"), text)?;
    plots::write(&results.figures, &docs.join("benchmarks"))?;

    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme)?;
    let (head, rest) = text.split_once(BEGIN).ok_or("README.md has no place")?;
    let (_, tail) = rest.split_once(END).ok_or("README.md's place has no end")?;
    let table = markdown::readme(results);
    fs::write(readme, format!("{head}{BEGIN}{table}{END}{tail}"))?;
    Ok(())
}
