//! `cargo xtask weaken`: makes each ordering of the table weaker in turn, and tells
//! which model notices.

mod exceptions;
mod report;
mod scratch;
mod sites;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use self::report::{Noticed, Row, Rows};
use self::scratch::{End, Scratch, sources};
use self::sites::{Site, SiteId};
use crate::lanes::loom::{self, Model};
use crate::result::Result;

/// How many times its usual time a model may take before it counts as endless.
const PATIENCE: u32 = 10;
/// Added to that limit, for a busy machine.
const GRACE: Duration = Duration::from_secs(20);

/// What the command's options ask for.
#[derive(Default)]
struct Options<'a> {
    /// Try every model, not only up to the first that notices.
    all: bool,
    /// Try only the model that the report names for a change.
    quick: bool,
    /// Write the report after each change.
    write: bool,
    /// Try only sites with this in their file or function.
    filter: Option<&'a str>,
}

/// The orderings of the sources.
pub(crate) struct Sites {
    modelled: Vec<Site>,
    /// The number of orderings in each file that no model reaches.
    outside: BTreeMap<String, usize>,
}

impl Sites {
    fn find() -> Result<Self> {
        let mut found = Self {
            modelled: Vec::new(),
            outside: BTreeMap::new(),
        };
        for (file, text) in sources()? {
            let sites = sites::of_file(&file, &text)?;
            if exceptions::OUTSIDE.iter().any(|(name, _)| *name == file) {
                // Models have a back end of their own.
                if text.contains("crate::sync") && !file.starts_with("src/sys/portable/") {
                    return Err(format!("{file} is said to be outside and uses the models'").into());
                }
                found.outside.insert(file, sites.len());
            } else {
                found.modelled.extend(sites);
            }
        }
        let stale = exceptions::without_a_site(&found.modelled);
        if !stale.is_empty() {
            return Err(format!("exceptions without an ordering: {stale:?}").into());
        }
        Ok(found)
    }
}

impl Site {
    /// The call and its ordering.
    fn described(&self) -> String {
        format!("{} {}", self.callee, self.ordering)
    }
}

/// The result of one change.
enum Finding {
    Noticed(Vec<(String, String)>),
    /// With the number of models that reach the site, and those that did not end.
    Unnoticed(usize, Vec<String>),
}

/// The models, and what is known of them.
struct Models<'a> {
    scratch: &'a Scratch,
    all: Vec<Model>,
    reached: BTreeMap<String, (BTreeSet<usize>, Duration)>,
    /// How often a model noticed something in a file.
    noticed: BTreeMap<(String, String), usize>,
}

impl Models<'_> {
    /// The models in the order to try them: those that noticed this change before, then those
    /// that noticed most in this file, then the fastest.
    fn in_order(&self, file: &str, before: &[String]) -> Vec<Model> {
        let mut models = self.all.clone();
        models.sort_by_cached_key(|model| {
            let name = model.to_string();
            let known = !before.contains(&name);
            let noticed = self.noticed.get(&(file.to_owned(), name)).unwrap_or(&0);
            (known, usize::MAX - noticed, model.seconds)
        });
        models
    }

    fn credit(&mut self, file: &str, model: &str) {
        let of_file = (file.to_owned(), model.to_owned());
        *self.noticed.entry(of_file).or_default() += 1;
    }

    /// The time that a model takes without a change, if it reaches a site.
    fn reaches(&mut self, model: &Model, site: usize) -> Result<Option<Duration>> {
        let name = model.to_string();
        if !self.reached.contains_key(&name) {
            let reached = self.scratch.reached(model)?;
            self.reached.insert(name.clone(), reached);
        }
        let (sites, duration) = &self.reached[&name];
        Ok(sites.contains(&site).then_some(*duration))
    }

    /// Tries the models on a change.
    fn try_change(
        &mut self,
        (number, site): (usize, &Site),
        to: &str,
        before: &[String],
        options: &Options<'_>,
    ) -> Result<Finding> {
        let mut noticed = Vec::new();
        let mut timed_out = Vec::new();
        let mut tried = 0;
        for model in self.in_order(&site.id.file, before) {
            let name = model.to_string();
            if options.quick && !before.contains(&name) {
                continue;
            }
            let Some(usual) = self.reaches(&model, number)? else {
                continue;
            };
            tried += 1;
            let limit = usual * PATIENCE + GRACE;
            match self.scratch.run(&model, Some((number, to)), limit)? {
                End::Passed => {}
                End::TimedOut => timed_out.push(name),
                End::Failed(how) => {
                    self.credit(&site.id.file, &name);
                    noticed.push((name, how));
                    if !options.all {
                        break;
                    }
                }
            }
        }
        Ok(if noticed.is_empty() {
            Finding::Unnoticed(tried, timed_out)
        } else {
            Finding::Noticed(noticed)
        })
    }
}

/// The counts and the failures of a run.
#[derive(Default)]
struct Outcome {
    changes: usize,
    by: BTreeMap<String, usize>,
    exceptions: usize,
    wrong: Vec<String>,
}

impl Outcome {
    /// Counts the result of a change. Returns its description, and its row unless the result
    /// is a failure.
    fn take(&mut self, site: &Site, to: &str, finding: Finding) -> (String, Option<Row>) {
        self.changes += 1;
        let exception = exceptions::of(&site.id, to);
        let row = |noticed, said| {
            let ordering = site.described();
            Some(Row {
                ordering,
                noticed,
                said,
            })
        };
        match (finding, exception) {
            (Finding::Noticed(found), None) => {
                let said = found[0].1.clone();
                let models: Vec<String> = found.into_iter().map(|(model, _)| model).collect();
                for model in &models {
                    *self.by.entry(model.clone()).or_default() += 1;
                }
                let told = format!("{} ({said})", models.join(", "));
                (told, row(Noticed::By(models), said))
            }
            (Finding::Noticed(found), Some(number)) => {
                let told = format!(
                    "noticed by {}: no exception any more ({number})",
                    found[0].0
                );
                self.wrong.push(format!("{} -> {to}: {told}", site.id));
                (told, None)
            }
            (Finding::Unnoticed(_, slow), _) if !slow.is_empty() => {
                let told = format!("timed out: {}", slow.join(", "));
                self.wrong.push(format!("{} -> {to}: {told}", site.id));
                (told, None)
            }
            (Finding::Unnoticed(tried, _), Some(number)) => {
                self.exceptions += 1;
                let told = format!("none of {tried}: exception {number}");
                (told, row(Noticed::Exception(number), "-".to_owned()))
            }
            (Finding::Unnoticed(tried, _), None) => {
                let told = match tried {
                    0 => "no model reaches it".to_owned(),
                    tried => format!("NOTICED BY NONE of {tried}"),
                };
                self.wrong.push(format!("{} -> {to}: {told}", site.id));
                (told, None)
            }
        }
    }

    fn end(self, begin: Instant) -> Result {
        println!("\nchanges noticed by");
        for (model, count) in &self.by {
            println!("{count:4} {model}");
        }
        println!(
            "{} changes, {} of them exceptions, {} wrong; {:.0} s",
            self.changes,
            self.exceptions,
            self.wrong.len(),
            begin.elapsed().as_secs_f64()
        );
        if self.wrong.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "give each a model that notices it, weaken it, or say why it stays in \
                 xtask/src/weaken/exceptions.rs:\n{}",
                self.wrong.join("\n")
            )
            .into())
        }
    }
}

pub(crate) fn run(arguments: &[&str]) -> Result {
    let begin = Instant::now();
    let options = options(arguments)?;
    loom::check_files()?;
    let sites = Sites::find()?;
    let mut rows = report::read()?;
    let scratch = Scratch::build(&sites.modelled)?;
    println!("built: {:.0} s", begin.elapsed().as_secs_f64());
    let mut models = Models {
        scratch: &scratch,
        all: loom::models(loom::Selection::All).collect(),
        reached: BTreeMap::new(),
        noticed: BTreeMap::new(),
    };
    for ((id, _), row) in &rows {
        if let Noticed::By(by) = &row.noticed {
            for model in by {
                models.credit(&id.file, model);
            }
        }
    }
    let mut outcome = Outcome::default();
    for (number, site) in sites.modelled.iter().enumerate() {
        if options
            .filter
            .is_some_and(|filter| !is_meant(&site.id, filter))
        {
            continue;
        }
        // The weakest first: if no model notices that one, none notices those in between.
        let mut harmless = None;
        for &to in site.weaker().iter().rev() {
            let change = (site.id.clone(), to.to_owned());
            let before = match rows.get(&change).map(|row| &row.noticed) {
                Some(Noticed::By(models)) => models.clone(),
                _ => Vec::new(),
            };
            if options.quick && before.is_empty() {
                continue;
            }
            let begin = Instant::now();
            let finding = match harmless {
                Some(tried) => Finding::Unnoticed(tried, Vec::new()),
                None => models.try_change((number, site), to, &before, &options)?,
            };
            if let Finding::Unnoticed(tried, slow) = &finding
                && slow.is_empty()
                && site.weaker().last() == Some(&to)
            {
                harmless = Some(*tried);
            }
            let (told, row) = outcome.take(site, to, finding);
            println!(
                "{}:{} {}: {} -> {to}: {told}; {:.1} s",
                site.id.file,
                site.line,
                site.id.function,
                site.described(),
                begin.elapsed().as_secs_f64()
            );
            if options.write {
                keep(&mut rows, change, row);
                report::write(&rows, &sites.modelled, &sites.outside)?;
            }
        }
    }
    outcome.end(begin)
}

fn keep(rows: &mut Rows, change: (SiteId, String), row: Option<Row>) {
    match row {
        Some(row) => drop(rows.insert(change, row)),
        None => drop(rows.remove(&change)),
    }
}

fn is_meant(id: &SiteId, filter: &str) -> bool {
    id.to_string().contains(filter)
}

fn options<'a>(arguments: &[&'a str]) -> Result<Options<'a>> {
    let mut options = Options::default();
    for &argument in arguments {
        match argument {
            "--all" => options.all = true,
            "--quick" => options.quick = true,
            "--write" => options.write = true,
            filter if !filter.starts_with('-') && options.filter.is_none() => {
                options.filter = Some(filter);
            }
            other => return Err(format!("weaken does not know {other}").into()),
        }
    }
    if options.quick && (options.all || options.write) {
        return Err("--quick runs what the report names: neither --all nor --write with it".into());
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(finding: Finding, excepted: bool) -> (Option<Noticed>, Vec<String>) {
        let text = "fn f() { a.load(Ordering::Acquire) }";
        let mut site = sites::of_file("src/f.rs", text).unwrap().remove(0);
        let mut to = "Relaxed";
        if excepted {
            let (file, function, number, weaker) = exceptions::EXCEPTIONS[0].changes[0];
            (site.id, to) = (SiteId::new(file, function, number), weaker);
        }
        let mut outcome = Outcome::default();
        let (_, row) = outcome.take(&site, to, finding);
        (row.map(|row| row.noticed), outcome.wrong)
    }

    fn noticed() -> Finding {
        Finding::Noticed(vec![("file::test".to_owned(), "a torn value".to_owned())])
    }

    #[test]
    fn what_a_model_notices_is_right_unless_it_is_an_exception() {
        let by = Noticed::By(vec!["file::test".to_owned()]);
        assert_eq!(taken(noticed(), false), (Some(by), vec![]));
        let (row, wrong) = taken(noticed(), true);
        assert_eq!((row, wrong.len()), (None, 1));
        assert!(wrong[0].contains("no exception any more"), "{wrong:?}");
    }

    #[test]
    fn what_no_model_notices_is_wrong_unless_it_is_an_exception() {
        for (tried, says) in [(0, "no model reaches it"), (3, "NOTICED BY NONE of 3")] {
            let (row, wrong) = taken(Finding::Unnoticed(tried, vec![]), false);
            assert_eq!((row, wrong.len()), (None, 1));
            assert!(wrong[0].contains(says), "{wrong:?}");
        }
        let unnoticed = taken(Finding::Unnoticed(3, vec![]), true);
        assert_eq!(unnoticed, (Some(Noticed::Exception(1)), vec![]));
    }

    #[test]
    fn a_model_that_does_not_end_has_noticed_nothing() {
        for excepted in [false, true] {
            let slow = vec!["file::test".to_owned()];
            let (row, wrong) = taken(Finding::Unnoticed(3, slow), excepted);
            assert_eq!((row, wrong.len()), (None, 1));
            assert!(wrong[0].contains("timed out"), "{wrong:?}");
        }
    }
}
