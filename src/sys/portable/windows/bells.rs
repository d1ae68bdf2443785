//! Sleeping on a word of the segment: `raw_sync`'s events.
//!
//! Behind the segment's own words are bells, one for every so many of them. A bell is
//! the number of an event, which the system keeps as long as any process has a handle
//! of it: sleepers do, wakers need none. Whoever finds no event behind the number
//! makes one, and puts its number there.
//!
//! # Why few wake-ups are lost, and what a lost one costs
//! A sleeper puts the number there, resets the event and then looks at the word; a
//! waker changes the word, then reads the number and sets the event. A sequentially
//! consistent fence stands between the two steps of each: either the sleeper sees
//! the new word, or the waker sees the number, and sets the event after its reset.
//! An event set stays so, for all sleepers, until the next sleeper on the bell resets
//! it; if that comes after another one looked and before it waits, that one sleeps
//! until its timeout. So does a sleeper that cannot make an event, or that is in
//! another session of the machine than the waker. No sleep is longer than [`LONGEST`].
//!
//! Who dies leaves at most a number behind which there is no event.

use std::io;
use std::time::Duration;

use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};

use super::super::memory::Memory;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::sys::process_crash_point;

/// Bells of a segment; words that share one wake each other's sleepers.
const BELLS: usize = 64;

const PAGE: usize = 4096;

/// Sleepers look at their word after so long, in case a wake-up was lost.
const LONGEST: Duration = Duration::from_millis(10);
/// What the system's timer can tell.
const SHORTEST: Duration = Duration::from_millis(1);

/// Where the bells of a segment are.
pub(in crate::sys::portable) struct Bells {
    first: usize,
}

impl Bells {
    /// The bytes to map for a segment of so many.
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
    fn bell<'a>(&self, memory: &'a Memory, word: usize) -> Option<&'a AtomicU64> {
        // Eight words are a line: a stripe's lock and its event are in one line, and
        // have two bells.
        let bell = (word / 8 * 2 + word % 2) % BELLS;
        memory.all().get(self.first.checked_add(bell)?)
    }

    pub(in crate::sys::portable) fn sleep(
        &self,
        memory: &Memory,
        word: usize,
        low_half: u32,
        timeout: Duration,
    ) {
        let Some(slept_on) = memory.words().get(word) else {
            return;
        };
        let timeout = timeout.min(LONGEST);
        let bell = self.bell(memory, word);
        let Some(event) = bell.and_then(open_or_make) else {
            super::super::poll(slept_on, low_half, timeout);
            return;
        };
        let reset = event.set(EventState::Clear);
        fence(Ordering::SeqCst);
        if reset.is_ok() && slept_on.load(Ordering::Acquire) as u32 == low_half {
            // Fails when the time is over.
            let _ = event.wait(Timeout::Val(timeout.max(SHORTEST)));
        }
    }

    pub(in crate::sys::portable) fn ring(&self, memory: &Memory, word: usize) {
        fence(Ordering::SeqCst);
        let number = self
            .bell(memory, word)
            .map_or(0, |bell| bell.load(Ordering::SeqCst));
        // Nobody has the event: nobody sleeps.
        if let Some(event) = open(number) {
            let _ = event.set(EventState::Signaled);
        }
    }
}

/// The event of a bell, made if need be.
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

/// A bell's word is 0, or an event's number plus one.
fn open(number: u64) -> Option<Box<dyn EventImpl>> {
    let mut id = u32::try_from(number.checked_sub(1)?).ok()?;
    // SAFETY: the event's own memory is `id`, four bytes that are aligned and
    // readable; on Windows the call reads the number there and keeps no address.
    let opened = unsafe { Event::from_existing((&raw mut id).cast()) };
    opened.ok().map(|(event, _)| event)
}

/// A new event, which stays set for all sleepers, and its number.
fn make() -> Option<(Box<dyn EventImpl>, u64)> {
    let mut id = 0_u32;
    // SAFETY: as in `open`; the call writes the number there.
    let made = unsafe { Event::new((&raw mut id).cast(), false) };
    made.ok().map(|(event, _)| (event, u64::from(id) + 1))
}
