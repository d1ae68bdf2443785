//! A copy of the workspace in which every ordering can be weakened without another
//! build: each names its site, and a variable of the environment says which one is
//! weaker in this run. Only the sources are copied; the rest are symbolic links.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::sites::Site;
use crate::lanes::loom::{self, Model};
use crate::process::{root, target_dir};
use crate::result::Result;

/// Where the copy's part of the instrumentation goes: all layers may import it.
const HOME: &str = "src/sync/mod.rs";
const INJECTED: &str = include_str!("injected.rs");

/// The sources of the table that may have orderings: not those of tests.
pub(crate) fn sources() -> Result<BTreeMap<String, String>> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "tests") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                sources.insert(relative(&path)?, fs::read_to_string(&path)?);
            }
        }
    }
    Ok(sources)
}

/// How a run of a model ended.
pub(crate) enum End {
    Passed,
    /// With the first words of the panic.
    Failed(String),
    TimedOut,
}

/// The build of the copy.
pub(crate) struct Scratch {
    folder: PathBuf,
    /// The program of each file of models.
    programs: BTreeMap<String, PathBuf>,
}

impl Scratch {
    /// Copies and builds. A site's number is its index.
    pub(crate) fn build(sites: &[Site]) -> Result<Self> {
        let folder = target_dir("weaken");
        let tree = folder.join("tree");
        fs::create_dir_all(&tree)?;
        for entry in fs::read_dir(root())? {
            let entry = entry?;
            let (name, to) = (entry.file_name(), tree.join(entry.file_name()));
            // A copy of the lock file, because cargo may want to write it.
            if name == "Cargo.lock" {
                fs::copy(entry.path(), to)?;
            } else if !["src", "target", ".git"].contains(&&*name.to_string_lossy()) {
                if to.is_symlink() {
                    fs::remove_file(&to)?;
                }
                symlink(entry.path(), to)?;
            }
        }
        copy_sources(&root().join("src"), &tree.join("src"), sites)?;
        let mut scratch = Self {
            folder,
            programs: BTreeMap::new(),
        };
        scratch.compile(&tree)?;
        Ok(scratch)
    }

    fn compile(&mut self, tree: &Path) -> Result {
        // Not into the folder of `cargo xtask loom`: cargo takes two workspaces with the same
        // packages for one, and the later build of either for that of both.
        let mut cargo = loom::cargo("");
        cargo
            .env("CARGO_TARGET_DIR", self.folder.join("build"))
            .current_dir(tree);
        self.programs = loom::build(&mut cargo)
            .map_err(|error| format!("the instrumented copy does not compile: {error}"))?;
        Ok(())
    }

    /// Runs a model with one site changed, or with none.
    pub(crate) fn run(
        &self,
        model: &Model,
        change: Option<(usize, &str)>,
        limit: Duration,
    ) -> Result<End> {
        let program = self.programs.get(model.file);
        let program = program.ok_or_else(|| format!("no program of {}", model.file))?;
        let mut command = Command::new(program);
        model.bound(&mut command);
        match change {
            Some((site, to)) => command.env("SHMTABLE_WEAKEN", format!("{site}={to}")),
            None => command.env("SHMTABLE_WEAKEN_REACHED", self.reached_file()),
        };
        let output = self.folder.join("output");
        let file = File::create(&output)?;
        let mut child = command
            .current_dir(root().join("loom-tests"))
            .args(["--exact", model.test, "--include-ignored", "--nocapture"])
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begin.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                return Ok(End::TimedOut);
            }
            thread::sleep(Duration::from_millis(5));
        };
        let said = String::from_utf8_lossy(&fs::read(&output)?).into_owned();
        if !status.success() {
            return Ok(End::Failed(
                panic(&said).unwrap_or_else(|| status.to_string()),
            ));
        }
        if !said.contains("1 passed") {
            return Err(format!("{model} did not run:\n{said}").into());
        }
        Ok(End::Passed)
    }

    /// The sites that a model reaches with nothing changed, and the time it takes.
    pub(crate) fn reached(&self, model: &Model) -> Result<(BTreeSet<usize>, Duration)> {
        let file = self.reached_file();
        File::create(&file)?;
        let begin = Instant::now();
        match self.run(model, None, Duration::from_mins(10))? {
            End::Passed => {}
            End::Failed(how) => return Err(format!("{model} fails as it is: {how}").into()),
            End::TimedOut => return Err(format!("{model} does not end as it is").into()),
        }
        let sites = fs::read_to_string(file)?
            .lines()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        Ok((sites, begin.elapsed()))
    }

    fn reached_file(&self) -> PathBuf {
        self.folder.join("reached")
    }
}

/// Brings a folder of the copy up to date with the instrumented sources. Files that don't
/// change are left alone, so that cargo doesn't build them again.
fn copy_sources(from: &Path, to: &Path, sites: &[Site]) -> Result {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let there = entry?;
        if !from.join(there.file_name()).exists() {
            if there.file_type()?.is_dir() {
                fs::remove_dir_all(there.path())?;
            } else {
                fs::remove_file(there.path())?;
            }
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_sources(&entry.path(), &to, sites)?;
            continue;
        }
        let name = relative(&entry.path())?;
        let mut text = instrumented(&name, fs::read_to_string(entry.path())?, sites);
        if name == HOME {
            text += &INJECTED.replace("SITES", &sites.len().to_string());
        }
        if !fs::read_to_string(&to).is_ok_and(|before| before == text) {
            fs::write(to, text)?;
        }
    }
    Ok(())
}

/// A file's path in the workspace, as reports show it.
fn relative(path: &Path) -> Result<String> {
    let name = path.strip_prefix(root())?;
    Ok(name.to_string_lossy().into_owned())
}

/// The source of a file with its sites named.
fn instrumented(file: &str, mut text: String, sites: &[Site]) -> String {
    // From the end, so that what is to come keeps its place.
    for (number, site) in sites.iter().enumerate().rev() {
        if site.id.file != file {
            continue;
        }
        let path = text[site.path.clone()].to_owned();
        if site.is_fence() {
            text.replace_range(site.path.clone(), &format!("{number}, {path}"));
            let before = if text[..site.name.start].ends_with(':') {
                // By a path already, which the copy must not break.
                text[..site.name.start]
                    .rfind(|sign: char| !sign.is_alphanumeric() && !"_:".contains(sign))
                    .map_or(0, |at| at + 1)
            } else {
                site.name.start
            };
            text.replace_range(before..site.name.end, "crate::sync::weaken::fence");
        } else {
            let named = format!("crate::sync::weaken::ordering({number}, {path})");
            text.replace_range(site.path.clone(), &named);
        }
    }
    text
}

/// The first panic's message, on one line.
fn panic(said: &str) -> Option<String> {
    let mut lines = said.lines();
    lines.find(|line| line.contains("panicked at"))?;
    let message: Vec<&str> = lines
        .take_while(|line| !line.is_empty() && !line.starts_with("note:"))
        .take(3)
        .map(str::trim)
        .collect();
    let message = message.join(" ").replace('|', "/").replace('`', "");
    let short: String = message.chars().take(80).collect();
    Some(if short == message {
        short
    } else {
        short + "…"
    })
}
