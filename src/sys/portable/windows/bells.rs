//! Sleeping on a word of the segment: `raw_sync`'s events.
//!
//! After the segment's own words there are bells, each shared by a part of the words. A bell
//! is the number of an event, which the system keeps as long as any process has a handle
//! of it: sleepers have one, wakers need none. A sleeper that finds no event with that number
//! makes one, and stores its number in the bell.
//!
//! # Why few wakes are lost, and what a lost one costs
//! A sleeper stores the number in the bell, resets the event and then reads the word. A
//! waker changes the word, then reads the number and sets the event. There is a sequentially
//! consistent fence between the two steps of each: either the sleeper sees
//! the new word, or the waker sees the number, and sets the event after its reset.
//! An event stays set, for all sleepers, until the next sleeper on the bell resets
//! it. If that reset comes after another sleeper read its word and before it waits, that
//! sleeper sleeps until it times out. So does a sleeper that can't make an event, or that is
//! in a different session of the machine than the waker. No sleep is longer than [`LONGEST`].
//!
//! A process that dies leaves at most the number of an event that no longer exists.

use std::io;
use std::time::Duration;

use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};

use super::super::memory::Memory;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::sys::process_crash_point;

/// The number of bells of a segment. Words that share a bell wake each other's sleepers.
const BELLS: usize = 64;

const PAGE: usize = 4096;

/// The longest sleep: then a sleeper reads its word again, in case a wake was lost.
const LONGEST: Duration = Duration::from_millis(10);
/// The resolution of the system's timer.
const SHORTEST: Duration = Duration::from_millis(1);

/// The location of a segment's bells.
pub(in crate::sys::portable) struct Bells {
    first: usize,
}

impl Bells {
    /// The number of bytes to map for a segment of `bytes` bytes.
    pub(in crate::sys::portable) fn length(bytes: usize) -> io::Result<usize> {
        bytes
            .checked_next_multiple_of(PAGE)
            .and_then(|bytes| bytes.checked_add(PAGE))
            .ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    pub(in crate::sys::portable) fn of(_memory: &Memory, bytes: usize) -> Self {
        Self {
            first: bytes.div_ceil(PAGE).saturating_mul(PAGE / size_of::<u64>()),
        }
    }

    /// The bell of a word. A damaged segment may have none.
    fn bell<'a>(&self, memory: &'a Memory, at: usize) -> Option<&'a AtomicU64> {
        // A line has eight words. A stripe's lock and its event are in one line, and have
        // two bells.
        let bell = (at / 8 * 2 + at % 2) % BELLS;
        memory.all().get(self.first.checked_add(bell)?)
    }

    pub(in crate::sys::portable) fn sleep(
        &self,
        memory: &Memory,
        at: usize,
        low_half: u32,
        timeout: Duration,
    ) {
        let Some(slept_on) = memory.words().get(at) else {
            return;
        };
        let timeout = timeout.min(LONGEST);
        let bell = self.bell(memory, at);
        let Some(event) = bell.and_then(open_or_make) else {
            super::super::poll(slept_on, low_half, timeout);
            return;
        };
        let reset = event.set(EventState::Clear);
        fence(Ordering::SeqCst);
        if reset.is_ok() && slept_on.load(Ordering::Acquire) as u32 == low_half {
            // Fails if it times out.
            let _ = event.wait(Timeout::Val(timeout.max(SHORTEST)));
        }
    }

    pub(in crate::sys::portable) fn ring(&self, memory: &Memory, at: usize) {
        fence(Ordering::SeqCst);
        let number = self
            .bell(memory, at)
            .map_or(0, |bell| bell.load(Ordering::SeqCst));
        // If no process has the event, none sleeps.
        if let Some(event) = open(number) {
            let _ = event.set(EventState::Signaled);
        }
    }
}

/// Opens the event of a bell, or makes one if there is none.
fn open_or_make(bell: &AtomicU64) -> Option<Box<dyn EventImpl>> {
    let seen = bell.load(Ordering::SeqCst);
    if let Some(event) = open(seen) {
        return Some(event);
    }
    let (event, number) = make()?;
    match bell.compare_exchange(seen, number, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => {
            process_crash_point!("sleep: bell has an event");
            Some(event)
        }
        // Another sleeper was first.
        Err(other) => open(other),
    }
}

/// Opens the event of a bell's word, which is 0, or an event's number plus one.
fn open(number: u64) -> Option<Box<dyn EventImpl>> {
    let mut id = u32::try_from(number.checked_sub(1)?).ok()?;
    // SAFETY: the event's own memory is `id`, four bytes that are aligned and
    // readable. On Windows the call reads the number there, and keeps no address.
    let opened = unsafe { Event::from_existing((&raw mut id).cast()) };
    opened.ok().map(|(event, _)| event)
}

/// Makes an event, which once set stays set for all sleepers, and returns it with its word.
fn make() -> Option<(Box<dyn EventImpl>, u64)> {
    let mut id = 0_u32;
    // SAFETY: as in `open`; the call writes the number there.
    let made = unsafe { Event::new((&raw mut id).cast(), false) };
    made.ok().map(|(event, _)| (event, u64::from(id) + 1))
}
