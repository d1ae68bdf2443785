//! One clock for all processes.
//!
//! Linux's `CLOCK_MONOTONIC` counts from the boot and never goes back, and it is one
//! clock for all processors and processes of a machine; `Instant` is that clock too, but
//! hides its number. A counter in shared memory would order as well, but make every
//! operation of every process pass through one cache line, which spreads out the very
//! races that are looked for.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};
use xxhash_rust::xxh3::xxh3_64;

/// Nanoseconds since the boot.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A number that no other run had.
pub(crate) fn seed() -> u64 {
    xxh3_64(&now().to_le_bytes()) >> 32
}

/// When an operation begins: nothing of it happens before this moment.
///
/// The exchange's operand is the time, and an exchange is a full barrier: no later
/// load can be executed before the clock was read.
pub(crate) fn begin(mark: &AtomicU64) -> u64 {
    let time = now();
    mark.swap(time, Ordering::SeqCst);
    time
}

/// When an operation has ended: nothing of it happens after this moment.
///
/// The exchange lets all stores go out, and the kernel's clock waits for all loads.
pub(crate) fn end(mark: &AtomicU64) -> u64 {
    mark.swap(0, Ordering::SeqCst);
    now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_ends_after_it_began() {
        let mark = AtomicU64::new(0);
        let begun = begin(&mark);
        assert_eq!(mark.load(Ordering::Relaxed), begun);
        assert!(end(&mark) >= begun);
        assert_eq!(mark.load(Ordering::Relaxed), 0);
    }
}
