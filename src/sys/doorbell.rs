//! A word of this process's own memory, by which one thread ends the sleep of another.
//!
//! A sleeper reads the count of rings, then whatever it waits for, and sleeps only while the
//! count is the one it read. Whoever changes what the sleeper waits for rings afterwards. If
//! the sleeper read the count of that ring, it sees the change too: the ring is a release, and
//! the read an acquire. If it read an older count, it doesn't sleep, or is woken.

use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Doorbell(AtomicU32);

impl Doorbell {
    /// How often it was rung.
    pub(crate) fn rings(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Ends the sleeps on it.
    pub(crate) fn ring(&self) {
        self.0.fetch_add(1, Ordering::Release);
        super::wake_here(&self.0);
    }

    /// The word, for a system that can sleep on it.
    #[cfg(all(target_os = "linux", not(shmtable_portable)))]
    pub(super) fn word(&self) -> &AtomicU32 {
        &self.0
    }
}
