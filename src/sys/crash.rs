//! Dying on purpose, between two stores to shared memory.
//!
//! Built only with `--cfg shmtable_crash_points`, and steered by two variables
//! of the environment, read at the first crash point passed:
//!
//! - `SHMTABLE_CRASH_AT=name` or `name:count`: the process kills itself at the
//!   `count`-th pass (the first by default) of the point `name`, counted from
//!   the first process of its family line on;
//! - `SHMTABLE_CRASH_LOG=path`: the first pass of each point adds its name as a
//!   line to that file, so that tests can learn which points an operation has.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::{Signal, getpid, kill_process};

struct Plan {
    target: Option<Target>,
    log: Option<PathBuf>,
    logged: Mutex<BTreeSet<&'static str>>,
}

struct Target {
    name: String,
    count: u64,
    passes: AtomicU64,
}

impl Target {
    fn parse(text: &str) -> Self {
        // Names have colons of their own: only a number is a count.
        let count = text
            .rsplit_once(':')
            .and_then(|(name, count)| Some((name, count.parse().ok()?)));
        let (name, count) = count.unwrap_or((text, 1));
        Self {
            name: name.to_owned(),
            count,
            passes: AtomicU64::new(0),
        }
    }
}

/// Called at each crash point.
pub(crate) fn reached(name: &'static str) {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    let plan = PLAN.get_or_init(|| Plan {
        target: std::env::var("SHMTABLE_CRASH_AT")
            .ok()
            .map(|text| Target::parse(&text)),
        log: std::env::var_os("SHMTABLE_CRASH_LOG").map(PathBuf::from),
        logged: Mutex::new(BTreeSet::new()),
    });
    if let Some(log) = &plan.log {
        let mut logged = plan.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.insert(name)
            && let Ok(mut file) = OpenOptions::new().append(true).create(true).open(log)
        {
            // One write, so that processes do not mix their lines.
            let _ = file.write_all(format!("{name}\n").as_bytes());
        }
    }
    if let Some(target) = &plan.target
        && target.name == name
        && target.passes.fetch_add(1, Ordering::Relaxed) + 1 == target.count
    {
        loop {
            // The signal may take effect a little after the call returns.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_name_and_perhaps_a_count() {
        let target = Target::parse("lock: taken");
        assert_eq!((target.name.as_str(), target.count), ("lock: taken", 1));
        let target = Target::parse("lock: taken:12");
        assert_eq!((target.name.as_str(), target.count), ("lock: taken", 12));
    }
}
