//! What a run leaves: a file from which documents and plots are written.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shmtable_bench::Result;
use shmtable_bench::figure::{Figure, Figures};

use crate::machine::Machine;

const FILE: &str = "results.json";

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// The name of the scale.
    pub(crate) scale: String,
    /// Entries of the tables of different sizes.
    pub(crate) sizes: Vec<usize>,
    pub(crate) rounds: usize,
    pub(crate) turns: usize,
    /// Names, setups and hashers.
    pub(crate) contenders: Vec<[String; 3]>,
    /// The contenders that are left out, and why.
    pub(crate) notes: Vec<String>,
    /// The sections that were completed, and the seconds they took.
    pub(crate) sections: Vec<(String, f64)>,
    pub(crate) figures: Figures,
}

impl Results {
    pub(crate) fn save(&self, folder: &Path) -> Result {
        fs::create_dir_all(folder)?;
        Ok(fs::write(
            folder.join(FILE),
            serde_json::to_string_pretty(self)?,
        )?)
    }

    /// Whether a section was measured.
    pub(crate) fn has(&self, section: &str) -> bool {
        self.sections.iter().any(|(name, _)| name == section)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.sections.iter().map(|(_, seconds)| seconds).sum()
    }

    /// Drops the figures of sections that are to be measured again.
    pub(crate) fn forget(&mut self, sections: &[String]) {
        self.sections.retain(|(name, _)| !sections.contains(name));
        let keeps = |figure: &Figure| !sections.iter().any(|name| name == measured_in(figure));
        self.figures.0.retain(keeps);
    }

    /// Continues an interrupted run.
    pub(crate) fn go_on_from(&mut self, earlier: Self) -> Result {
        if (&self.scale, &self.sizes) != (&earlier.scale, &earlier.sizes) {
            let (now, then) = (&self.scale, earlier.scale);
            return Err(format!("the last run, a {then} one, is not this {now} one").into());
        }
        if self.contenders != earlier.contenders {
            return Err("the last run had other contenders: do not resume it".into());
        }
        self.machine.go_on_from(&earlier.machine)?;
        self.sections = earlier.sections;
        self.figures = earlier.figures;
        Ok(())
    }

    /// Whether a run left its figures in this folder.
    pub(crate) fn are_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}; run it first", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }
}

#[cfg(test)]
impl Results {
    /// A run that measured nothing so far.
    pub(crate) fn of_nothing(scale: &str) -> Self {
        Self {
            machine: Machine::this(None).expect("a machine"),
            scale: scale.to_owned(),
            sizes: vec![1000],
            rounds: 1,
            turns: 1,
            contenders: Vec::new(),
            notes: Vec::new(),
            sections: Vec::new(),
            figures: Figures::default(),
        }
    }
}

/// The section of the benchmark that measures a figure. Some sections store figures under
/// several names.
fn measured_in(figure: &Figure) -> &str {
    match figure.section.as_str() {
        "memory" => "sizes",
        "attach" if figure.operation.starts_with("attach, full") => "sizes",
        "latency" | "counters" => "shared",
        section if section.starts_with("growth") => "growth",
        section => section,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_where_one_of_its_kind_was_broken_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut broken_off = Results::of_nothing("full");
        broken_off.sections.push(("sizes".to_owned(), 7.0));
        broken_off.figures.add(["sizes", "1000", "get", "us"], 12.0);
        broken_off.save(folder.path()).expect("saved");
        let earlier = || Results::load(folder.path()).expect("loaded");

        let mut resumed = Results::of_nothing("full");
        resumed.go_on_from(earlier()).expect("of the same kind");
        assert_eq!(resumed.sections, broken_off.sections);
        assert_eq!(resumed.figures, broken_off.figures);
        let took = resumed.seconds().total_cmp(&7.0);
        assert!(took.is_eq());

        let mut other = Results::of_nothing("quick");
        let refused = other.go_on_from(earlier()).expect_err("of another scale");
        assert!(refused.to_string().contains("full"), "{refused}");
        let mut other = Results::of_nothing("full");
        other.sizes.push(100_000_000);
        other.go_on_from(earlier()).expect_err("of other sizes");
        let mut other = Results::of_nothing("full");
        other.contenders.push(["Redis", "", ""].map(str::to_owned));
        other.go_on_from(earlier()).expect_err("among others");
        assert_eq!(other.figures, Figures::default());
    }

    #[test]
    fn a_section_that_is_measured_again_leaves_the_figures_of_others() {
        let mut results = Results::of_nothing("full");
        for (name, seconds) in [("sizes", 3.0), ("shared", 2.0), ("attach", 1.0)] {
            results.sections.push((name.to_owned(), seconds));
        }
        for at in [
            ["sizes", "1000", "get", "us"],
            ["memory", "1000", "bytes", "us"],
            ["attach", "1000", "attach, full", "us"],
            ["attach", "1000", "create", "us"],
            ["latency", "2", "95/5, read p50", "us"],
        ] {
            results.figures.add(at, 1.0);
        }
        results.forget(&["sizes".to_owned()]);
        assert!(!results.has("sizes") && results.has("shared"));
        assert!(results.seconds().total_cmp(&3.0).is_eq());
        let operations = results.figures.0.iter().map(|figure| &figure.operation);
        assert_eq!(operations.collect::<Vec<_>>(), ["create", "95/5, read p50"]);
    }
}
