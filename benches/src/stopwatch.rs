//! Time of a pass.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Runs from its start.
///
/// It measures the thread's processor time, which other programs disturb little; page faults
/// and system calls count. A thread that waits for a server uses no processor while it waits,
/// so there it measures wall-clock time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch {
    begin: Instant,
    processor: Option<Duration>,
}

impl Stopwatch {
    pub(crate) fn start(waits: bool) -> Self {
        Self {
            processor: (!waits).then(processor),
            begin: Instant::now(),
        }
    }

    /// The wall-clock time, which is cheap to read.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// The nanoseconds that the pass took.
    pub(crate) fn stop(&self) -> u64 {
        let took = match self.processor {
            Some(before) => processor().saturating_sub(before),
            None => self.elapsed(),
        };
        took.as_nanos() as u64
    }
}

/// This thread's time on a processor.
pub(crate) fn processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
