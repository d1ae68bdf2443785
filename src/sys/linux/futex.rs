//! Sleeping on a word of the segment, across processes.

use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};

use super::mapping::Mapping;

impl Mapping {
    /// Sleeps while the low half of the word equals `low_half`, until woken or
    /// timed out; may return early for no reason.
    pub(crate) fn sleep(&self, word: usize, low_half: u32, timeout: Duration) {
        let Some(address) = self.low_half(word) else {
            return;
        };
        let wait = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match futex::wait(address, Flags::empty(), low_half, Some(&wait)) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
            // The system refuses futexes, perhaps for good. Then the caller polls, but it
            // must not spin.
            Err(_) => std::thread::sleep(timeout.min(Duration::from_millis(1))),
        }
    }

    /// Wakes one sleeper on the word.
    pub(crate) fn wake_one(&self, word: usize) {
        self.wake(word, 1);
    }

    /// Wakes all sleepers on the word.
    pub(crate) fn wake_all(&self, word: usize) {
        self.wake(word, i32::MAX as u32);
    }

    fn wake(&self, word: usize, sleepers: u32) {
        if let Some(address) = self.low_half(word) {
            // This fails only for addresses that are not mapped.
            let _ = futex::wake(address, Flags::empty(), sleepers);
        }
    }

    /// The low half of a word, as an address for the kernel only.
    fn low_half(&self, word: usize) -> Option<&AtomicU32> {
        let word = self.words().get(word)?;
        // SAFETY: the target is little-endian, so the low half is the word's
        // first four bytes, which are mapped and aligned as long as the word
        // is. No access is made through the reference in this program: it is
        // an address for the kernel.
        Some(unsafe { &*ptr::from_ref(word).cast::<AtomicU32>() })
    }
}
