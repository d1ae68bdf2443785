//! What happened between two samples.

use std::time::Duration;

use serde_json::json;

use super::Sample;

/// Events per second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rates {
    pub(crate) writes: f64,
    pub(crate) contended: f64,
    pub(crate) entries: f64,
    pub(crate) cleanings: f64,
}

impl Rates {
    pub(crate) fn between(before: &Sample, after: &Sample, time: Duration) -> Self {
        let seconds = time.as_secs_f64().max(1e-9);
        let (then, now) = (&before.stats, &after.stats);
        let rate = |then: u64, now: u64| now.saturating_sub(then) as f64 / seconds;
        Self {
            writes: rate(then.acquired, now.acquired),
            contended: rate(then.contended, now.contended),
            entries: (now.entries as f64 - then.entries as f64) / seconds,
            cleanings: rate(then.cleanings, now.cleanings),
        }
    }

    pub(crate) fn to_json(self) -> serde_json::Value {
        json!({
            "locks_acquired": self.writes,
            "locks_contended": self.contended,
            "entries": self.entries,
            "cleanings": self.cleanings,
        })
    }
}
