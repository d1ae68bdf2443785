//! Time of a pass.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Runs since it was made.
///
/// What is told of one thread's pass is the processor's time, so that programs that
/// push it aside cost it little; page faults and system calls count. Who waits for a
/// server uses no processor meanwhile: there it is the clock's time.
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

    /// By the clock: cheap enough to be asked now and then.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// What the pass took.
    pub(crate) fn stop(&self) -> u64 {
        let took = match self.processor {
            Some(before) => processor().saturating_sub(before),
            None => self.elapsed(),
        };
        took.as_nanos() as u64
    }
}

/// This thread's time on a processor.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
