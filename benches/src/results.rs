//! What a run leaves: a file from which documents and plots are made.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shmtable_bench::Result;
use shmtable_bench::figure::Figures;

use crate::machine::Machine;

const FILE: &str = "results.json";

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// How much was done.
    pub(crate) scale: String,
    pub(crate) rounds: usize,
    pub(crate) turns: usize,
    pub(crate) seconds: f64,
    /// Names and set-ups.
    pub(crate) contenders: Vec<(String, String)>,
    /// Who is left out, and why.
    pub(crate) notes: Vec<String>,
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

    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}; run it first", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }
}
