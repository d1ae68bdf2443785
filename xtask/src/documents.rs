//! `cargo xtask docs-cli` and `picture`: what the command's documentation shows.

use std::fs;

use crate::process::{cargo, root, run as run_command};
use crate::result::Result;

/// Writes `docs/cli.md`, and a page for each command in `docs/cli/`, from what the help of
/// `shmtable` says.
pub(crate) fn docs_cli() -> Result {
    let output = cargo("run --quiet --package shmtable-cli -- markdown").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let said = String::from_utf8(output.stdout)?;
    let mut parts = said.trim_end().split("\n\n## ");
    let overview = parts.next().unwrap_or_default();
    let folder = root().join("docs/cli");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir(&folder)?;
    let mut links = Vec::new();
    for page in parts {
        let title = page.lines().next().unwrap_or_default();
        let name = title
            .strip_prefix("shmtable ")
            .ok_or_else(|| format!("`{title}` isn't the title of a command"))?;
        fs::write(folder.join(format!("{name}.md")), format!("# {page}\n"))?;
        links.push(format!("- [{title}](cli/{name}.md)"));
    }
    let links = links.join("\n");
    let text = format!("{overview}\n\n## A page for each command\n\n{links}\n");
    fs::write(root().join("docs/cli.md"), text)?;
    Ok(())
}

/// Draws `docs/top.svg` from a run of `top` that takes some seconds.
pub(crate) fn picture() -> Result {
    run_command(&mut cargo(
        "run --release --package shmtable-cli --bin shmtable --quiet -- --version",
    ))?;
    let file = root().join("docs/top.svg");
    run_command(
        cargo("run --release --quiet --package shmtable-cli --example screenshot")
            .arg("--")
            .arg(file),
    )
}
