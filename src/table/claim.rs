//! Claims: the right to compute the value of a key, and waiting for the caller that has it.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, Instant};

use super::Table;
use crate::error::{Error, Result};
use crate::index::probe::Hash;
use crate::locking::key_wait;
use crate::sync;
use crate::sys::fork;
use crate::write::claims::{self, Node};
use crate::write::writer::Writer;

/// The time between two searches for circles of waiters. Models know no time.
const SLICE: Duration = if cfg!(loom) {
    Duration::MAX
} else {
    Duration::from_millis(50)
};

/// What [`Table::get_or_claim`] found: a value, or the state of its computation.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Claimed {
    /// The key's value.
    Present(Vec<u8>),
    /// The key has no value, and the caller has the right to compute it.
    Mine(Claim),
    /// The key has no value, and another caller has the right to compute it.
    Others(OtherClaim),
}

/// The right to compute the value of a key, which one caller at a time has.
///
/// From [`Table::get_or_claim`] and [`Table::claim`]. It ends when it is dropped, and with its
/// process, however that ends. A forked child doesn't have it. It keeps its table open.
#[must_use = "a claim ends when it is dropped"]
pub struct Claim {
    right: Right,
    key: Vec<u8>,
}

/// A claim that another caller has, to wait for; from [`Table::get_or_claim`].
#[must_use = "it is there to be waited for"]
pub struct OtherClaim {
    wanted: Right,
    key: Vec<u8>,
    /// The circle of waiters that was last seen, and when it was first seen.
    suspected: Option<(Vec<Node>, Instant)>,
}

/// Attempts to claim a key which belong to one wait, as a closure of
/// [`wait_until`](crate::wait_until) makes them; from [`Table::claim_attempts`].
///
/// While it exists, the other waiters can see which claims its caller holds and which it wants, so
/// that circles are found.
#[must_use = "it is there to make attempts"]
pub struct ClaimAttempts {
    other: OtherClaim,
    holds: Waits,
    last_search: Option<Instant>,
}

/// A claim of a process, whichever of its threads has it.
#[derive(Clone)]
pub(super) struct Right {
    table: Table,
    byte: u64,
    /// The process: a forked child does not have its parent's claims.
    fork_generation: u64,
}

impl Right {
    /// The claim of a key, as this process would have it.
    pub(super) fn of(table: &Table, key: &[u8]) -> Result<Self> {
        table.writer()?.check_sizes(key, 0)?;
        Ok(Self {
            table: table.clone(),
            byte: Hash::of(table.segment(), key).claim_byte(),
            fork_generation: fork::generation(),
        })
    }

    /// Takes the claim if it is free.
    pub(super) fn take(&self, key: &[u8]) -> Result<Option<Claim>> {
        let writer = self.table.writer()?;
        // A claim that was held by a descriptor that was closed is held no more.
        writer.look()?;
        let free = writer
            .try_claim(self.byte)
            .map_err(|source| Error::system("claim a key", source))?;
        Ok(free.then(|| Claim {
            right: self.clone(),
            key: key.to_vec(),
        }))
    }

    fn node(&self) -> Node {
        Node::new(self.table.segment().seed.bits(), self.byte)
    }

    /// Returns the part of the handle that holds the claim; `None` in a forked child of that
    /// process.
    fn writer(&self) -> Option<&Writer> {
        let ours = self.fork_generation == fork::generation();
        let writer = ours.then(|| self.table.0.writer.get()).flatten();
        // In models, a process that died does nothing more.
        writer.filter(|writer| writer.me.is_ours())
    }

    fn is(&self, other: &Self) -> bool {
        let seed = |right: &Self| right.table.segment().seed.bits();
        self.byte == other.byte && seed(self) == seed(other)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(writer) = self.right.writer() {
            writer.end_claim(self.right.byte);
            let segment = self.right.table.segment();
            key_wait::wake(segment, Hash::of(segment, &self.key).stripe(segment));
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OtherClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtherClaim")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClaimAttempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimAttempts")
            .field("key", &self.other.key)
            .finish_non_exhaustive()
    }
}

impl Claim {
    /// Says that this thread computes the key's value, until the result is dropped.
    pub(super) fn begin_computing(&self) -> Computing<'_> {
        Computing::begin(&self.right)
    }

    /// Returns the claimed key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Stores a value unless the key already has one, and ends the claim.
    ///
    /// Returns `None` if the value is stored, otherwise the value that the key has instead. This is
    /// one step for all processes.
    ///
    /// ```
    /// use shmtable::Claimed;
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let Claimed::Mine(claim) = table.get_or_claim(b"k")? else { panic!() };
    /// // A claim doesn't keep others from writing.
    /// table.insert(b"k", b"1")?;
    /// assert_eq!(claim.insert(b"2")?, Some(b"1".to_vec()));
    /// assert_eq!(table.get(b"k")?, Some(b"1".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Table::insert`]; the claim ends in that case, too.
    pub fn insert(self, value: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        if let Some(writer) = self.right.writer() {
            // If the descriptor was closed, another caller may have the claim.
            writer.look()?;
        }
        let new = Some(value.as_ref());
        let stored = self.right.table.compare_exchange(&self.key, None, new)?;
        Ok(stored.err().flatten())
    }
}

impl OtherClaim {
    pub(super) fn new(wanted: Right, key: &[u8]) -> Self {
        Self {
            wanted,
            key: key.to_vec(),
            suspected: None,
        }
    }

    /// Returns the claimed key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Sleeps until the key has a value or the claim is free, and tries again, as
    /// [`Table::get_or_claim`] does.
    ///
    /// After the timeout the result is `Others` again. A value that is stored wakes the waiter, and
    /// so does the end of the claim; the death of the claimant is noticed within 50 ms.
    ///
    /// ```
    /// use shmtable::Claimed;
    /// use std::time::Duration;
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let Claimed::Mine(claim) = table.get_or_claim(b"k")? else { panic!() };
    /// let Claimed::Others(other) = table.get_or_claim(b"k")? else { panic!() };
    /// let Claimed::Others(other) = other.wait(Duration::ZERO)? else { panic!() };
    /// let worker = std::thread::spawn(move || claim.insert(b"1"));
    /// let found = other.wait(Duration::from_secs(10))?;
    /// assert!(matches!(found, Claimed::Present(value) if value == b"1"));
    /// # worker.join().unwrap()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Deadlock` if this thread computes a value for
    /// [`get_or_insert_with`](Table::get_or_insert_with) that the other claimant waits for;
    /// otherwise as [`Table::get_or_claim`].
    pub fn wait(self, timeout: Duration) -> Result<Claimed> {
        self.wait_holding(timeout, &[])
    }

    /// Waits as [`wait`](Self::wait) does, for a caller that holds claims itself.
    ///
    /// Until this returns, no caller can go on with the keys of those claims. If the other claimant
    /// waits for one of them, directly or through others, the waits could never end: one of these
    /// waiters gets `Deadlock`, after at least 50 ms, and the others go on waiting. For that, all
    /// of them must say which claims they hold, and on Windows they must be threads that share a
    /// handle: see `docs/platforms/windows.md`. The claims may be of any tables.
    ///
    /// ```
    /// use shmtable::{Claimed, Error};
    /// use std::time::Duration;
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let Claimed::Mine(claim) = table.get_or_claim(b"k")? else { panic!() };
    /// let Claimed::Others(other) = table.get_or_claim(b"k")? else { panic!() };
    /// // It would wait for itself.
    /// let waited = other.wait_holding(Duration::MAX, &[&claim]);
    /// assert!(matches!(waited, Err(Error::Deadlock { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Deadlock`; otherwise as [`Table::get_or_claim`].
    pub fn wait_holding(self, timeout: Duration, held: &[&Claim]) -> Result<Claimed> {
        let mut attempts = ClaimAttempts::new(self, held);
        let found = attempts.until(timeout, ClaimAttempts::get_or_claim)?;
        Ok(found.unwrap_or(Claimed::Others(attempts.other)))
    }

    /// Returns `Deadlock` if the waits form a circle and this waiter is the one to give up.
    fn look_for_circle(&mut self, holds: &Waits) -> Result<()> {
        if holds.rights.iter().any(|right| right.is(&self.wanted)) {
            return Err(Error::Deadlock);
        }
        let found = holds.circle(&self.wanted);
        self.suspected = match (found, self.suspected.take()) {
            (Some(circle), Some((seen, since))) if circle == seen => {
                // Its last node is the claim that this waiter holds.
                if since.elapsed() >= SLICE && circle.last() == circle.iter().max() {
                    return Err(Error::Deadlock);
                }
                Some((seen, since))
            }
            (found, _) => found.map(|circle| (circle, Instant::now())),
        };
        Ok(())
    }
}

impl ClaimAttempts {
    pub(super) fn new(other: OtherClaim, held: &[&Claim]) -> Self {
        let mut holds = Computing::all();
        holds.extend(held.iter().map(|claim| claim.right.clone()));
        let holds = Waits::announce(holds, other.wanted.node());
        Self {
            other,
            holds,
            last_search: None,
        }
    }

    /// Claims the key, whether it has a value or not; `None` if another caller has the claim.
    ///
    /// # Errors
    /// `Deadlock` if the claim is held by a caller that waits for one of the claims which this one
    /// holds, as [`OtherClaim::wait_holding`] says; otherwise as [`Table::claim`].
    pub fn claim(&mut self) -> Result<Option<Claim>> {
        let claim = self.other.wanted.take(&self.other.key)?;
        self.or_circle(claim)
    }

    /// Returns the key's value, or claims the key if it has none; `None` if another caller has the
    /// claim.
    ///
    /// # Errors
    /// As [`claim`](Self::claim), and as [`Table::get_or_claim`].
    pub fn get_or_claim(&mut self) -> Result<Option<Claimed>> {
        let found = match self.other.wanted.table.get_or_claim(&self.other.key)? {
            Claimed::Others(_) => None,
            found => Some(found),
        };
        self.or_circle(found)
    }

    /// Looks for a circle if nothing was found, but not more often than each 50 ms.
    fn or_circle<T>(&mut self, found: Option<T>) -> Result<Option<T>> {
        let last = self.last_search;
        if found.is_none() && last.is_none_or(|last| last.elapsed() >= SLICE) {
            self.last_search = Some(Instant::now());
            self.other.look_for_circle(&self.holds)?;
        }
        Ok(found)
    }

    /// Makes attempts until one returns something or the time is over: at once, whenever a value
    /// is stored in the key's stripe or a claim there ends, and each 50 ms.
    pub(super) fn until<T>(
        &mut self,
        timeout: Duration,
        attempt: impl Fn(&mut Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let table = self.other.wanted.table.clone();
        let segment = table.segment();
        let stripe = Hash::of(segment, &self.other.key).stripe(segment);
        key_wait::until(segment, stripe, false, timeout, || attempt(self))
    }
}

/// What a waiter holds, announced to those that wait for it.
struct Waits {
    rights: Vec<Right>,
    wants: Node,
}

impl Waits {
    fn announce(mut rights: Vec<Right>, wants: Node) -> Self {
        // A forked child does not hold what its parent does.
        rights.retain(|right| right.writer().is_some());
        for right in &rights {
            if let Some(writer) = right.writer() {
                writer.announce(right.node(), wants);
            }
        }
        Self { rights, wants }
    }

    /// Returns the circle that this wait closes, if any.
    fn circle(&self, wanted: &Right) -> Option<Vec<Node>> {
        if self.rights.is_empty() {
            return None;
        }
        let handles: Vec<&Writer> = std::iter::once(wanted)
            .chain(&self.rights)
            .filter_map(Right::writer)
            .collect();
        claims::circle(&handles, self.wants, |node| {
            self.rights.iter().any(|right| right.node() == node)
        })
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        for right in &self.rights {
            if let Some(writer) = right.writer() {
                writer.withdraw(right.node(), self.wants);
            }
        }
    }
}

// The macro of loom has no constant form.
#[allow(clippy::missing_const_for_thread_local)]
mod computing {
    use super::{RefCell, Right, sync};

    sync::thread_local! {
        /// The claims for which this thread computes values.
        pub(super) static COMPUTING: RefCell<Vec<Right>> = RefCell::new(Vec::new());
    }
}

/// While it exists, this thread computes the value of a claimed key.
pub(super) struct Computing<'c>(&'c Right);

impl<'c> Computing<'c> {
    fn begin(right: &'c Right) -> Self {
        Self::with(|all| all.push(right.clone()));
        Self(right)
    }

    fn all() -> Vec<Right> {
        Self::with(|all| all.clone()).unwrap_or_default()
    }

    /// Calls `act` with the thread's list; `None` if the thread is ending and the list is gone.
    fn with<R>(act: impl FnOnce(&mut Vec<Right>) -> R) -> Option<R> {
        computing::COMPUTING
            .try_with(|all| act(&mut all.borrow_mut()))
            .ok()
    }
}

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        // It isn't always the last one: a thread may switch between stacks.
        let ended = Self::with(|all| {
            let at = all.iter().rposition(|right| right.is(self.0));
            at.map(|at| all.remove(at))
        });
        drop(ended);
    }
}
