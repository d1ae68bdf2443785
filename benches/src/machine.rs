//! The machine that figures belong to.

use std::fs;
use std::thread;

use serde::{Deserialize, Serialize};
use shmtable_bench::Result;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory_gib: u64,
    linux: String,
    /// The load average of a minute: before the run, and at its end, when it includes the
    /// benchmark itself. Above the number of cores, don't trust the figures.
    load: [f64; 2],
}

impl Machine {
    /// This machine, with its load before the run; the current load if `None`.
    pub(crate) fn this(load_before: Option<f64>) -> Result<Self> {
        let memory = field("/proc/meminfo", "MemTotal")?;
        let kibibytes: u64 = memory.trim_end_matches(" kB").parse()?;
        let linux = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let linux = linux.split('-').next().unwrap_or_default().trim();
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or("unknown".to_owned()),
            cores: thread::available_parallelism()?.get(),
            memory_gib: kibibytes.div_ceil(1 << 20),
            linux: linux.to_owned(),
            load: [load_before.map_or_else(load, Ok)?, load()?],
        })
    }

    pub(crate) fn measure_load(&mut self) -> Result {
        self.load[1] = load()?;
        Ok(())
    }

    /// Continues a run of the same machine.
    pub(crate) fn go_on_from(&mut self, earlier: &Self) -> Result {
        if (&self.processor, self.cores) != (&earlier.processor, earlier.cores) {
            return Err("the last run was on another machine: do not resume it".into());
        }
        self.load[0] = self.load[0].max(earlier.load[0]);
        Ok(())
    }

    /// A description in one line.
    pub(crate) fn named(&self) -> String {
        let [before, after] = self.load;
        format!(
            "{}, {} cores, {} GiB, Linux {} (load before and at the end: {before:.1}, {after:.1})",
            self.processor, self.cores, self.memory_gib, self.linux
        )
    }

    /// Whether other programs were running before the run began.
    pub(crate) fn was_busy(&self) -> bool {
        self.load[0] > 0.5
    }
}

fn load() -> Result<f64> {
    let loads = fs::read_to_string("/proc/loadavg")?;
    Ok(loads.split(' ').next().unwrap_or_default().parse()?)
}

fn field(file: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(file)?;
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    let value = value.ok_or_else(|| format!("{file} has no {name}"))?.1;
    Ok(value.trim().to_owned())
}
