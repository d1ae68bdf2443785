//! Dying on purpose, between two stores to shared memory.
//!
//! Built only with `--cfg shmtable_crash_points`. Environment variables control it; they
//! are read at the first crash point passed:
//!
//! - `SHMTABLE_CRASH_AT=name` or `name:count`: the process kills itself at the
//!   `count`-th pass (the first by default) of the point `name`;
//! - `SHMTABLE_CRASH_HOLD=name` and `SHMTABLE_CRASH_GATE=path`: at the first pass
//!   of that point the process creates the file and waits until it is gone, so that
//!   a test can act while the process is at the point;
//! - `SHMTABLE_CRASH_LOG=path`: each of the first [`LOGGED`] passes of a point adds
//!   its name as a line to that file, so that tests learn which points an operation
//!   has; and every two stores of a thread that have no point between them add a
//!   line that begins with [`UNNAMED`].

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// The hash seed of every table, instead of a random one, so that the same steps
/// pass the same points.
pub(crate) const SEED: u64 = 0x5eed_5eed_5eed_5eed;

/// The number of passes of one point that are logged.
const LOGGED: u64 = 64;
/// The beginning of a log line about two stores without a point between them.
const UNNAMED: &str = "unnamed: ";

struct Plan {
    target: Option<Target>,
    hold: Option<(Target, PathBuf)>,
    log: Option<Mutex<Log>>,
}

struct Target {
    name: String,
    count: u64,
    passes: AtomicU64,
}

struct Log {
    file: File,
    passes: BTreeMap<&'static str, u64>,
    unnamed: BTreeSet<(&'static Location<'static>, &'static Location<'static>)>,
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

    /// Counts a pass of the point `name`; `true` if it is the one that was asked for.
    fn is_met(&self, name: &str) -> bool {
        self.name == name && self.passes.fetch_add(1, Ordering::Relaxed) + 1 == self.count
    }
}

impl Plan {
    fn get() -> &'static Self {
        static PLAN: OnceLock<Plan> = OnceLock::new();
        PLAN.get_or_init(|| {
            let target = |name| {
                let text = std::env::var(name).ok()?;
                Some(Target::parse(&text))
            };
            let gate = std::env::var_os("SHMTABLE_CRASH_GATE").map(PathBuf::from);
            let log = std::env::var_os("SHMTABLE_CRASH_LOG");
            let log =
                log.and_then(|path| OpenOptions::new().append(true).create(true).open(path).ok());
            Self {
                target: target("SHMTABLE_CRASH_AT"),
                hold: target("SHMTABLE_CRASH_HOLD").zip(gate),
                log: log.map(|file| {
                    Mutex::new(Log {
                        file,
                        passes: BTreeMap::new(),
                        unnamed: BTreeSet::new(),
                    })
                }),
            }
        })
    }

    fn log(&self) -> Option<MutexGuard<'_, Log>> {
        let log = self.log.as_ref()?;
        Some(log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

thread_local! {
    /// This thread's last store, if it has passed no point since.
    static UNCOVERED: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

/// Notes a store: called after each store to a word that may be shared.
#[track_caller]
pub(crate) fn stored() {
    let here = Location::caller();
    let before = UNCOVERED.try_with(|last| last.replace(Some(here)));
    if let Ok(Some(before)) = before
        && let Some(mut log) = Plan::get().log()
        && log.unnamed.insert((before, here))
    {
        let _ = log
            .file
            .write_all(format!("{UNNAMED}{before} and {here}\n").as_bytes());
    }
}

/// Notes a pass of a crash point, and returns whether the process is to die there.
pub(crate) fn reached(name: &'static str) -> bool {
    let _ = UNCOVERED.try_with(|last| last.set(None));
    let plan = Plan::get();
    if let Some(mut log) = plan.log() {
        let passes = log.passes.entry(name).or_default();
        *passes += 1;
        if *passes <= LOGGED {
            // One write, so that processes don't mix their lines.
            let _ = log.file.write_all(format!("{name}\n").as_bytes());
        }
    }
    if let Some((target, gate)) = &plan.hold
        && target.is_met(name)
        && File::create(gate).is_ok()
    {
        while gate.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    plan.target
        .as_ref()
        .is_some_and(|target| target.is_met(name))
}
