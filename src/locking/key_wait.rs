//! Waiting for a key, or for the claim of a key.
//!
//! A waiter sets SLEEPERS in the stripe's lock word, reads the key once more,
//! and sleeps on the stripe's event word; a waiter for several keys does so with each of their
//! stripes, and sleeps on all the words. The exchange that releases the lock
//! sees the flag, raises the event and wakes all waiters.
//!
//! # Why no wake-up is lost
//! Setting the flag and releasing the lock are read-modify-writes of one
//! word, so one comes first. If the flag comes first, the unlocking exchange sees
//! it and raises the event, which the waiter read before: the kernel refuses to
//! put it to sleep, or it is woken. If the unlock comes first, the flag's
//! exchange reads it (or a later one) with acquire, and the waiter's read of the
//! key sees what was published under the lock. No sequentially consistent fence is
//! needed, and writers pay nothing when there is no waiter. The flag's exchange is a release
//! as well: the event is read before the flag is set.
//!
//! The end of a claim changes no key and takes no lock: see [`wake`]. Its holder releases the
//! claim and then reads the flag; a waiter sets the flag and then tries to take the claim. Both
//! go through the lock of the kernel that decides who has the claim (among the threads of a
//! handle, through its mutex). If the waiter's attempt comes first, the holder sees the flag, or
//! an unlock has cleared it and raised the event since the waiter read it; otherwise the attempt
//! succeeds.
//!
//! A writer that dies between its publication and its unlock wakes no waiter. Every sleep is
//! bounded by [`SLICE`], and the waiter reads the key again after it.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::layout::{STRIPE_EVENT, STRIPE_LOCK};
use crate::locking::lock::{self, SLEEPERS};
use crate::segment::Segment;
#[cfg(not(loom))]
use crate::segment::hooks::Hooks;
use crate::segment::stripe::Stripe;
use crate::sync::{self, Ordering};
use crate::sys::process_crash_point;
#[cfg(not(loom))]
use crate::sys::{self, Doorbell, Mapping};

/// The longest sleep before a waiter reads the key again.
const SLICE: Duration = Duration::from_millis(50);
/// The first and the longest sleep of a read-only handle, which can't ask to be woken; each is
/// twice the one before.
const POLL: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(5));

/// Asks to be woken at the next change in a stripe, and returns the event to sleep on. The reads
/// that decide whether to sleep come after this.
fn listen(stripe: Stripe<'_>, read_only: bool) -> u32 {
    let event = stripe.word(STRIPE_EVENT).load(Ordering::Relaxed);
    if !read_only {
        stripe
            .word(STRIPE_LOCK)
            .fetch_or(SLEEPERS, Ordering::AcqRel);
        process_crash_point!("wait: sleepers flagged");
    }
    event as u32
}

/// Wakes those who wait for a key of a stripe, if there are any, though no key has changed.
///
/// The flag stays: the next unlock wakes them again.
pub(crate) fn wake(segment: &Segment, stripe: Stripe<'_>) {
    if stripe.word(STRIPE_LOCK).load(Ordering::Relaxed) & SLEEPERS != 0 {
        lock::wake_sleepers(segment, stripe);
    }
}

/// Calls `look` until it returns something or the time is over.
pub(crate) fn until<T>(
    segment: &Segment,
    stripe: Stripe<'_>,
    read_only: bool,
    timeout: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let at = segment.at_of(stripe);
    let deadline = Instant::now().checked_add(timeout);
    let mut poll = POLL.0;
    loop {
        let event = listen(stripe, read_only);
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        let left = deadline.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(None);
        }
        if read_only {
            segment.hooks.sleep(|| sync::pause(poll.min(left)))?;
            poll = (poll * 2).min(POLL.1);
        } else {
            segment.hooks.sleep(|| {
                segment.map.sleep(at + STRIPE_EVENT, event, SLICE.min(left));
            })?;
        }
    }
}

/// A stripe of any segment, to sleep on.
#[cfg(not(loom))]
#[derive(Clone, Copy)]
pub(crate) struct Listened<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) stripe: Stripe<'a>,
    pub(crate) read_only: bool,
}

/// Calls `look` until it returns something or the time is over: again after each change in one of
/// the stripes, and when the bell is rung.
#[cfg(not(loom))]
pub(crate) fn until_any<T>(
    stripes: &[Listened<'_>],
    hooks: Option<&Hooks>,
    bell: &Doorbell,
    timeout: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = Instant::now().checked_add(timeout);
    let polls = stripes.iter().any(|listened| listened.read_only);
    let mut poll = POLL.0;
    let mut events = Vec::with_capacity(stripes.len());
    loop {
        let rings = bell.rings();
        events.clear();
        for listened in stripes {
            let at = listened.segment.at_of(listened.stripe);
            let event = listen(listened.stripe, listened.read_only);
            let mapping: &Mapping = &listened.segment.map;
            events.push((mapping, at + STRIPE_EVENT, event));
        }
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        let left = deadline.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(None);
        }
        let mut slice = SLICE.min(left);
        if polls {
            slice = slice.min(poll);
            poll = (poll * 2).min(POLL.1);
        }
        let sleep = || sys::sleep_on_any(&events, bell, rings, slice);
        match hooks {
            Some(hooks) => hooks.sleep(sleep)?,
            None => sleep(),
        }
    }
}
