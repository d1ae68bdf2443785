//! Sleeping on words of segments, across processes.

use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{self, ClockId, Flags, Timespec, Wait, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::clock_gettime;

use super::mapping::Mapping;
use crate::sys::Doorbell;

/// The most words that the kernel lets a thread sleep on.
const MOST_WORDS: usize = 128;
/// The longest sleep that not all words can end.
const NAP: Duration = Duration::from_millis(2);

impl Mapping {
    /// Sleeps while the low half of the word equals `low_half`, until woken or
    /// timed out; may return early for no reason.
    pub(crate) fn sleep(&self, at: usize, low_half: u32, timeout: Duration) {
        let Some(address) = self.low_half(at) else {
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
    pub(crate) fn wake_one(&self, at: usize) {
        self.wake(at, 1);
    }

    /// Wakes all sleepers on the word.
    pub(crate) fn wake_all(&self, at: usize) {
        self.wake(at, i32::MAX as u32);
    }

    fn wake(&self, at: usize, sleepers: u32) {
        if let Some(address) = self.low_half(at) {
            // This fails only for addresses that are not mapped.
            let _ = futex::wake(address, Flags::empty(), sleepers);
        }
    }

    /// The low half of a word, as an address for the kernel only.
    fn low_half(&self, at: usize) -> Option<&AtomicU32> {
        let word = self.words().get(at)?;
        // SAFETY: the target is little-endian, so the low half is the word's
        // first four bytes, which are mapped and aligned as long as the word
        // is. No access is made through the reference in this program: it is
        // an address for the kernel.
        Some(unsafe { &*ptr::from_ref(word).cast::<AtomicU32>() })
    }
}

/// Sleeps while the low half of each word is what is said with it, until one of them is woken,
/// the bell was rung more often than `rings`, or time is out; may return early for no reason.
///
/// Kernels before 5.16 can't sleep on several words, and no kernel on more than
/// [`MOST_WORDS`]: the sleep is a short one then.
pub(crate) fn sleep_on_any(
    words: &[(&Mapping, usize, u32)],
    bell: &Doorbell,
    rings: u32,
    timeout: Duration,
) {
    let words = words.iter().filter_map(|&(mapping, word, low_half)| {
        let address = mapping.low_half(word)?;
        Some((address, low_half))
    });
    let mut waits: Vec<Wait> = std::iter::once((bell.word(), rings))
        .chain(words)
        .map(|(address, value)| {
            let mut wait = Wait::new();
            wait.val = value.into();
            wait.uaddr = WaitPtr::new(ptr::from_ref(address).cast_mut().cast());
            wait.flags = WaitFlags::SIZE_U32;
            wait
        })
        .collect();
    let timeout = if waits.len() > MOST_WORDS {
        timeout.min(NAP)
    } else {
        timeout
    };
    waits.truncate(MOST_WORDS);
    let end = end_of(timeout);
    match futex::waitv(
        &waits,
        WaitvFlags::empty(),
        end.as_ref(),
        ClockId::Monotonic,
    ) {
        Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
        Err(_) => std::thread::sleep(timeout.min(NAP)),
    }
}

/// When a sleep that begins now is over; `None` is never.
fn end_of(timeout: Duration) -> Option<Timespec> {
    let now = clock_gettime(ClockId::Monotonic);
    let nanoseconds = now.tv_nsec + i64::from(timeout.subsec_nanos());
    let seconds = i64::try_from(timeout.as_secs()).ok()?;
    Some(Timespec {
        tv_sec: now
            .tv_sec
            .checked_add(seconds)?
            .checked_add(nanoseconds / 1_000_000_000)?,
        tv_nsec: nanoseconds % 1_000_000_000,
    })
}

/// Wakes all sleepers of this process on a word of its own memory.
pub(crate) fn wake_here(word: &AtomicU32) {
    // This fails only for addresses that are not mapped.
    let _ = futex::wake(word, Flags::empty(), i32::MAX as u32);
}
