//! The documentation as a site, and whether its links lead anywhere.

use std::fs;

use crate::process::{root, run as run_command};
use crate::python::Tool;
use crate::result::Result;

const GENERATOR: Tool = Tool {
    environment: "venv-docs",
    requirements: "xtask/docs-site/requirements.txt",
    oldest: 11,
};

pub(crate) fn require_python() -> Result {
    GENERATOR.require()
}

/// Builds `docs/` as `mkdocs.yml` says, into `target/site`. A link to a page or a heading that
/// doesn't exist is an error, and so is anything that a page would load from another machine.
pub(crate) fn run() -> Result {
    let environment = GENERATOR.install()?;
    // `mkdocs.yml` names this folder, wherever other builds go.
    let site = root().join("target/site");
    if site.exists() {
        // Links to a page that was removed would still be good if the page stayed.
        fs::remove_dir_all(&site)?;
    }
    let options = ["-m", "zensical", "build", "--clean", "--strict"];
    run_command(environment.python().args(options))?;
    let check = "xtask/docs-site/check_links.py";
    run_command(environment.python().arg(check).arg(&site))?;
    println!("the site: {}", site.join("index.html").display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn pages(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(pages(&path));
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let page = path.strip_prefix(root().join("docs")).unwrap();
                found.push(page.to_str().unwrap().to_owned());
            }
        }
        found
    }

    #[test]
    fn every_page_is_in_the_navigation_once() {
        let site = fs::read_to_string(root().join("mkdocs.yml")).unwrap();
        let (_, navigation) = site.split_once("\nnav:\n").unwrap();
        let mut listed: Vec<&str> = navigation
            .lines()
            .filter_map(|line| line.split_once(": ").map(|(_, page)| page))
            .collect();
        listed.sort_unstable();
        let mut pages = pages(&root().join("docs"));
        pages.sort_unstable();
        assert_eq!(listed, pages);
    }
}
