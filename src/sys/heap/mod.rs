//! Segments in the memory of a loom model, where threads play processes.
//!
//! The model is of what the contract promises, and no more: words are loom's
//! atomics; a sleeper that finds its word unchanged sleeps until it is woken
//! **and never times out**, so a lost wake is a deadlock that loom reports;
//! a process dies when it is [killed](Killer::kill), or, without a trace in its
//! own threads, when its [`Liveness`] is dropped. There are no names.
//!
//! A death is the only event that causes no wake. From the first death on, or
//! when a model asks for it by [`Mapping::let_time_pass`], every sleep in the
//! segment ends at once, as if it had timed out. A process's first such sleep ends
//! without a yield to loom: after a yield loom lets others take at least one step, and
//! the sleeper would never read the word while its owner still has the lock.

// Models panic when something is wrong: that is how loom learns of it.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

mod death;
mod holes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering as LocalOrdering};
use std::time::Duration;

use loom::sync::{Arc, Condvar, Mutex};

use super::{Access, Owner, TooManyFiles};
use crate::sync::{self, AtomicU64, Ordering};
pub(crate) use death::{reach_crash_point, run_until_death};
use holes::Holes;

/// The longest name of a segment, as on Linux.
pub(crate) const MAX_NAME: usize = 246;

/// Models say themselves which tables grow.
pub(crate) const CAN_GROW: bool = true;

/// A segment as one process has it mapped.
pub(crate) struct Mapping {
    segment: Arc<HeapSegment>,
    process: Process,
    /// Whether a sleep of this process has timed out before.
    timed_out: AtomicBool,
}

struct HeapSegment {
    words: Vec<AtomicU64>,
    /// The end of the words that have pages, in a model that asks for it. It orders
    /// nothing: by the kernel's promise the pages are there for any process that knows so.
    pages: Option<AtomicU64>,
    /// The kernel's wait queues, under one lock as a hash bucket of them is.
    queues: Mutex<Queues>,
    locks: Mutex<Locks>,
    holes: Holes,
}

#[derive(Default)]
struct Queues {
    /// A queue for each word that was ever slept on.
    queues: BTreeMap<usize, std::sync::Arc<Condvar>>,
    /// Whether sleeps time out; see the module.
    time_passes: bool,
}

#[derive(Default)]
struct Locks {
    processes: usize,
    holders: usize,
    /// For each byte its holders, and whether they hold it alone.
    bytes: BTreeMap<u64, Vec<(Holder, bool)>>,
}

/// The identity of a [`Liveness`], and of the process with which it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Holder {
    process: usize,
    number: usize,
}

#[derive(Clone)]
struct Process {
    number: usize,
    /// Whether the process was killed. Not an atomic of loom's: only the process itself asks.
    dead: std::sync::Arc<AtomicBool>,
}

impl Mapping {
    /// Makes a segment of zero words. If `pages` is given, only that many words at its
    /// beginning have pages. If `holes` is true, loom knows when words lose and get them.
    pub(crate) fn in_heap(words: usize, pages: Option<usize>, holes: bool) -> Mapping {
        Self::of_a_process(Arc::new(HeapSegment {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            pages: pages.map(|end| AtomicU64::new(end as u64)),
            queues: Mutex::new(Queues::default()),
            locks: Mutex::new(Locks::default()),
            holes: Holes::new(holes),
        }))
    }

    /// Maps the segment in another process.
    pub(crate) fn share(&self) -> Mapping {
        Self::of_a_process(self.segment.clone())
    }

    /// Maps a segment in a new process.
    fn of_a_process(segment: Arc<HeapSegment>) -> Mapping {
        let mut locks = segment.locks.lock().unwrap();
        locks.processes += 1;
        let process = Process {
            number: locks.processes,
            dead: std::sync::Arc::default(),
        };
        drop(locks);
        Mapping {
            segment,
            process,
            timed_out: AtomicBool::new(false),
        }
    }

    pub(crate) fn create<E: From<io::Error>>(
        _name: &str,
        _words: usize,
        _mode: u32,
        _fill: impl FnMut(&Mapping) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }

    pub(crate) fn replace<E: From<io::Error>>(
        _name: &str,
        _words: usize,
        _mode: u32,
        _fill: impl FnMut(&Mapping) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }

    pub(crate) fn open<E: From<io::Error>>(
        _name: &str,
        _access: Access,
        _admit: impl FnOnce(Owner) -> Result<(), E>,
    ) -> Result<Mapping, E> {
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        &self.segment.words
    }

    #[allow(clippy::unused_self, reason = "elsewhere it does something")]
    pub(crate) fn make_huge_later(&self, _words: Range<usize>) {}

    #[allow(clippy::unused_self, reason = "elsewhere it does something")]
    pub(crate) fn populate_huge_later(&self, _words: Range<usize>) {}

    pub(crate) fn populate(&self, words: Range<usize>) -> io::Result<()> {
        if words.start > words.end || words.end > self.words().len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if let Some(pages) = &self.segment.pages {
            pages.fetch_max(words.end as u64, Ordering::Relaxed);
        }
        let keep = |word: &usize| !words.contains(word);
        self.segment.holes.change(|holes| holes.retain(keep));
        Ok(())
    }

    /// Gives the memory of these words back.
    pub(crate) fn give_back(&self, words: Range<usize>) -> io::Result<()> {
        if words.end > self.words().len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.segment.holes.change(|holes| holes.extend(words));
        Ok(())
    }

    /// Panics if the word may have no page: an access to it would be a deadly signal.
    pub(crate) fn touch(&self, at: usize) {
        self.segment.holes.touch(at);
        if let Some(pages) = &self.segment.pages {
            let end = pages.load(Ordering::Relaxed);
            assert!((at as u64) < end, "a store to memory that is not there");
        }
    }

    /// Sleeps while the low half of the word equals `low_half`.
    ///
    /// As in the kernel, a sleeper reads the word under the lock of its queue, and a waker
    /// takes the same lock after its store: either the sleeper sees the store, or it is in
    /// the queue when the waker comes.
    pub(crate) fn sleep(&self, at: usize, low_half: u32, _timeout: Duration) {
        let Some(value) = self.words().get(at) else {
            return;
        };
        let mut queues = self.segment.queues.lock().unwrap();
        if value.load(Ordering::Relaxed) as u32 != low_half {
            return;
        }
        if queues.time_passes {
            drop(queues);
            if self.timed_out.swap(true, LocalOrdering::Relaxed) {
                sync::yield_now();
            }
            return;
        }
        let queue = queues
            .queues
            .entry(at)
            .or_insert_with(|| std::sync::Arc::new(Condvar::new()))
            .clone();
        drop(queue.wait(queues).unwrap());
    }

    pub(crate) fn wake_one(&self, at: usize) {
        let queues = self.segment.queues.lock().unwrap();
        if let Some(queue) = queues.queues.get(&at) {
            queue.notify_one();
        }
    }

    pub(crate) fn wake_all(&self, at: usize) {
        let queues = self.segment.queues.lock().unwrap();
        if let Some(queue) = queues.queues.get(&at) {
            queue.notify_all();
        }
    }

    /// Ends all sleeps in the segment, and all later ones as soon as they begin.
    pub(crate) fn let_time_pass(&self) {
        self.segment.let_time_pass();
    }

    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn owner(&self) -> io::Result<Owner> {
        Ok(Owner {
            user: current_user(),
            mode: 0o600,
        })
    }

    pub(crate) fn liveness(&self) -> io::Result<Liveness> {
        let mut locks = self.segment.locks.lock().unwrap();
        locks.holders += 1;
        Ok(Liveness {
            segment: self.segment.clone(),
            process: self.process.clone(),
            number: locks.holders,
        })
    }

    #[allow(clippy::unused_self)]
    pub(crate) fn while_alone<R>(&self, _act: impl FnOnce() -> R) -> io::Result<Option<R>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    pub(crate) fn has_name(&self, _name: &str) -> io::Result<bool> {
        Ok(true)
    }

    pub(crate) fn owner_if_named(&self, _name: &str) -> io::Result<Option<Owner>> {
        self.owner().map(Some)
    }

    #[allow(clippy::unused_self)]
    pub(crate) fn unlink_if_same(&self, _name: &str) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The liveness bytes that a process holds, released when this is dropped or the process
/// is killed.
pub(crate) struct Liveness {
    segment: Arc<HeapSegment>,
    process: Process,
    number: usize,
}

impl HeapSegment {
    fn let_time_pass(&self) {
        let mut queues = self.queues.lock().unwrap();
        queues.time_passes = true;
        for queue in queues.queues.values() {
            queue.notify_all();
        }
    }

    fn release(&self, ends: impl Fn(Holder) -> bool) {
        if let Ok(mut locks) = self.locks.lock() {
            for holders in locks.bytes.values_mut() {
                holders.retain(|(holder, _)| !ends(*holder));
            }
        }
    }
}

/// The means to kill a process that is at work.
pub(crate) struct Killer {
    segment: Arc<HeapSegment>,
    process: Process,
}

impl Killer {
    /// Releases all bytes of the process, as the kernel does. The caller must ensure that
    /// the process does nothing from here on.
    pub(crate) fn kill(self) {
        self.process.dead.store(true, LocalOrdering::Relaxed);
        let number = self.process.number;
        self.segment.release(|holder| holder.process == number);
        self.segment.let_time_pass();
    }
}

impl Liveness {
    pub(crate) fn killer(&self) -> Killer {
        Killer {
            segment: self.segment.clone(),
            process: self.process.clone(),
        }
    }

    fn holder(&self) -> Holder {
        Holder {
            process: self.process.number,
            number: self.number,
        }
    }

    /// Whether the process was killed.
    pub(crate) fn is_dead(&self) -> bool {
        self.process.dead.load(LocalOrdering::Relaxed)
    }

    /// Whether it can still hold bytes: until the process is killed.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_dead()
    }

    pub(crate) fn try_hold(&self, byte: u64) -> io::Result<bool> {
        self.set(byte, true)
    }

    pub(crate) fn try_share(&self, byte: u64) -> io::Result<bool> {
        self.set(byte, false)
    }

    pub(crate) fn is_held_by_others(&self, byte: u64) -> bool {
        let locks = self.segment.locks.lock().unwrap();
        let holders = locks.bytes.get(&byte).map_or(&[][..], Vec::as_slice);
        holders.iter().any(|(holder, _)| *holder != self.holder())
    }

    pub(crate) fn release(&self, byte: u64) {
        if self.is_dead() {
            return;
        }
        let mut locks = self.segment.locks.lock().unwrap();
        if let Some(holders) = locks.bytes.get_mut(&byte) {
            holders.retain(|(holder, _)| *holder != self.holder());
        }
    }

    pub(crate) fn first_held_by_others(&self, bytes: Range<u64>) -> Option<u64> {
        let locks = self.segment.locks.lock().unwrap();
        let mut held = locks.bytes.range(bytes);
        let others = |holders: &[(Holder, bool)]| holders.iter().any(|(h, _)| *h != self.holder());
        held.find_map(|(byte, holders)| others(holders).then_some(*byte))
    }

    #[allow(clippy::unnecessary_wraps)]
    fn set(&self, byte: u64, alone: bool) -> io::Result<bool> {
        let mut locks = self.segment.locks.lock().unwrap();
        let holders = locks.bytes.entry(byte).or_default();
        let conflict = holders
            .iter()
            .any(|(holder, other_alone)| *holder != self.holder() && (alone || *other_alone));
        if !conflict {
            holders.retain(|(holder, _)| *holder != self.holder());
            holders.push((self.holder(), alone));
        }
        Ok(!conflict)
    }
}

impl Drop for Liveness {
    fn drop(&mut self) {
        // A model that has failed already unwinds through here.
        if std::thread::panicking() {
            return;
        }
        if !self.is_dead() {
            self.segment.release(|holder| holder == self.holder());
        }
    }
}

/// In a model both parts are fences of their own.
pub(crate) fn fence_everywhere() -> bool {
    sync::fence(Ordering::SeqCst);
    true
}

/// The other part.
pub(crate) fn fence_here() {
    sync::fence(Ordering::SeqCst);
}

pub(crate) fn unlink(_name: &OsStr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn rename(_from: &str, _to: &str, _replace: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[allow(clippy::unnecessary_wraps)]
pub(crate) fn list() -> io::Result<Vec<OsString>> {
    Ok(Vec::new())
}

#[allow(clippy::unnecessary_wraps)]
pub(crate) fn list_beginning(_beginning: &str) -> io::Result<Vec<String>> {
    Ok(Vec::new())
}

pub(crate) fn process_exists(_pid: u32) -> bool {
    false
}

pub(crate) fn is_open_here(_name: &str) -> bool {
    false
}

pub(crate) fn is_idle(_name: &str) -> bool {
    false
}

pub(crate) fn too_many_files(_error: &io::Error) -> Option<TooManyFiles> {
    None
}

/// A constant instead of random bits: loom must be able to repeat an execution.
#[allow(clippy::unnecessary_wraps)]
pub(crate) fn random() -> io::Result<u64> {
    Ok(0x9e37_79b9_7f4a_7c15)
}

pub(crate) fn current_user() -> u32 {
    0
}
