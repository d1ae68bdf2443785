//! One computation of a value, by one of all who want it.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, Instant};

use super::Table;
use crate::error::{Error, Result};
use crate::index::probe::Hash;
use crate::sync;
use crate::sys::fork;
use crate::write::claims::{self, Node};
use crate::write::writer::Writer;

/// How long others sleep before they look whether a claim was given up. Models know
/// no time: there a wake-up, or time that passes, must end the sleep.
const SLICE: Duration = if cfg!(loom) {
    Duration::MAX
} else {
    Duration::from_millis(50)
};

/// What [`Table::get_or_claim`] found.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Claimed {
    /// The key's value.
    Present(Vec<u8>),
    /// The key has no value, and the caller has the right to compute it.
    Mine(Claim),
    /// The key has no value, and somebody else has the right to compute it.
    Others(OtherClaim),
}

/// The right to a key, which one at a time has: see [`Table::get_or_claim`] and
/// [`Table::claim`].
///
/// It ends when it is dropped, and with its process, however that ends. A forked child
/// does not have it. It keeps its table open.
#[must_use = "a claim ends when it is dropped"]
pub struct Claim {
    right: Right,
    key: Vec<u8>,
}

/// A claim that somebody else has, to wait for: see [`Table::get_or_claim`].
#[must_use = "it is there to be waited for"]
pub struct OtherClaim {
    wanted: Right,
    key: Vec<u8>,
    /// The circle of waiters that was last seen, and since when it is there.
    suspected: Option<(Vec<Node>, Instant)>,
}

/// A claim of a process, by whoever in it.
#[derive(Clone)]
struct Right {
    table: Table,
    byte: u64,
    /// The process: a forked child does not have its parent's claims.
    fork_generation: u64,
}

impl Right {
    fn node(&self) -> Node {
        Node::new(self.table.segment().seed.bits(), self.byte)
    }

    /// The part of the handle that holds it; none in a forked child of that process.
    fn writer(&self) -> Option<&Writer> {
        let ours = self.fork_generation == fork::generation();
        ours.then(|| self.table.0.writer.get()).flatten()
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

impl Claim {
    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Stores a value unless the key has one by now, and ends the claim. `None`: it is
    /// stored; otherwise the value that stands there instead. One step for all processes.
    ///
    /// ```
    /// use shmtable::Claimed;
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let Claimed::Mine(claim) = table.get_or_claim(b"k")? else { panic!() };
    /// // A claim keeps nobody from writing.
    /// table.insert(b"k", b"1")?;
    /// assert_eq!(claim.insert(b"2")?, Some(b"1".to_vec()));
    /// assert_eq!(table.get(b"k")?, Some(b"1".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Table::insert`]; the claim ends then, too.
    pub fn insert(self, value: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        if let Some(writer) = self.right.writer() {
            // Others may have it.
            writer.look()?;
        }
        let new = Some(value.as_ref());
        let stored = self.right.table.compare_exchange(&self.key, None, new)?;
        Ok(stored.err().flatten())
    }
}

impl OtherClaim {
    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Sleeps until the key has a value or the claim is free, and tries again, as
    /// [`Table::get_or_claim`]. After the timeout it is `Others` still.
    ///
    /// A value that is stored wakes the waiter; a claim that ends without one is seen
    /// within 50 ms.
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
    /// [`get_or_insert_with`](Table::get_or_insert_with) that the other one waits for;
    /// then as [`Table::get_or_claim`].
    pub fn wait(self, timeout: Duration) -> Result<Claimed> {
        self.wait_holding(timeout, &[])
    }

    /// [`wait`](Self::wait) for a caller that holds claims itself, so that nobody can go
    /// on with those keys before this returns.
    ///
    /// If the other one waits for one of those claims, or for somebody who does, the waits
    /// could never end: the call of one of these waiters returns `Deadlock`, after 50 ms at
    /// the earliest, and the others go on waiting. All of them must say what they hold,
    /// and on Windows they must be threads that share a handle: see `docs/platforms.md`.
    /// The claims may be of any tables.
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
    /// `Deadlock`; then as [`Table::get_or_claim`].
    pub fn wait_holding(mut self, timeout: Duration, held: &[&Claim]) -> Result<Claimed> {
        let deadline = Instant::now().checked_add(timeout);
        let mut holds = Computing::all();
        holds.extend(held.iter().map(|claim| claim.right.clone()));
        let holds = Waits::announce(holds, self.wanted.node());
        loop {
            match self.wanted.table.get_or_claim(&self.key)? {
                Claimed::Others(_) => self.look_for_circle(&holds)?,
                found => return Ok(found),
            }
            let left = deadline.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(Claimed::Others(self));
            }
            let waited = self.wanted.table.wait(&self.key, left.min(SLICE))?;
            if let Some(value) = waited {
                return Ok(Claimed::Present(value));
            }
        }
    }

    /// `Deadlock` if it is this waiter's to give up.
    fn look_for_circle(&mut self, holds: &Waits) -> Result<()> {
        if holds.rights.iter().any(|right| right.is(&self.wanted)) {
            return Err(Error::Deadlock);
        }
        let found = holds.circle(&self.wanted);
        self.suspected = match (found, self.suspected.take()) {
            (Some(circle), Some((seen, since))) if circle == seen => {
                // It ends with the claim that this waiter holds.
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

/// What a waiter holds, announced to those who wait for it.
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

    /// The circle that this wait closes, if any.
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

// loom's has no constant form.
#[allow(clippy::missing_const_for_thread_local)]
mod computing {
    use super::{RefCell, Right, sync};

    sync::thread_local! {
        /// The claims that this thread computes values for.
        pub(super) static COMPUTING: RefCell<Vec<Right>> = RefCell::new(Vec::new());
    }
}

/// While it lives, this thread computes the value of a claimed key.
struct Computing<'c>(&'c Right);

impl<'c> Computing<'c> {
    fn begin(right: &'c Right) -> Self {
        Self::with(|all| all.push(right.clone()));
        Self(right)
    }

    fn all() -> Vec<Right> {
        Self::with(|all| all.clone()).unwrap_or_default()
    }

    /// `None` while the thread ends and its list is gone already.
    fn with<R>(act: impl FnOnce(&mut Vec<Right>) -> R) -> Option<R> {
        computing::COMPUTING
            .try_with(|all| act(&mut all.borrow_mut()))
            .ok()
    }
}

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        // Not always the last: a thread may switch between stacks.
        let ended = Self::with(|all| {
            let at = all.iter().rposition(|right| right.is(self.0));
            at.map(|at| all.remove(at))
        });
        drop(ended);
    }
}

/// Computing a value once.
impl Table {
    /// The value of a key, or else the right to compute it, which one at a time has
    /// among all threads of all processes.
    ///
    /// Whoever gets [`Claimed::Mine`] computes the value and
    /// [stores it](Claim::insert); the others can [wait](OtherClaim::wait). A claim keeps
    /// nobody from writing the key without one, and no lock of the table is held
    /// meanwhile. Claims of two keys whose hashes agree in 62 bits exclude each other.
    ///
    /// A look-up if there is a value, else a few system calls. Claims take no descriptor
    /// and no room in the table, but each attempt makes the system look through all that
    /// are held: a thousand at a time are no burden, and tens of thousands are.
    /// [`get_or_insert_with`](Self::get_or_insert_with) does the whole thing.
    ///
    /// ```
    /// use shmtable::Claimed;
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let Claimed::Mine(claim) = table.get_or_claim(b"k")? else { panic!() };
    /// assert!(matches!(table.get_or_claim(b"k")?, Claimed::Others(_)));
    /// assert_eq!(claim.insert(b"1")?, None);
    /// assert!(matches!(table.get_or_claim(b"k")?, Claimed::Present(value) if value == b"1"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there is no value: `ReadOnly` and `KeyTooLarge` where none could be stored,
    /// `System`. See [`Table`] for the rest.
    pub fn get_or_claim(&self, key: impl AsRef<[u8]>) -> Result<Claimed> {
        let key = key.as_ref();
        if let Some(value) = self.get(key)? {
            return Ok(Claimed::Present(value));
        }
        let right = self.right(key)?;
        let Some(claim) = right.take(key)? else {
            return Ok(Claimed::Others(OtherClaim {
                wanted: right,
                key: key.to_vec(),
                suspected: None,
            }));
        };
        // Who had the claim before may have stored the value since we looked.
        Ok(match self.get(key)? {
            Some(value) => Claimed::Present(value),
            None => Claimed::Mine(claim),
        })
    }

    /// Claims a key, whether it has a value or not; `None` if it is claimed already. One
    /// thread of one process at a time holds a key's claim.
    ///
    /// So workers can share jobs that are entries of the table: each job is one worker's,
    /// and one that dies leaves its job to the others. It is the right that
    /// [`get_or_claim`](Self::get_or_claim) gives, and keeps nobody from reading or
    /// writing. Costs a few system calls, as there.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"job 1", b"sweep")?;
    /// for key in table.keys() {
    ///     let key = key?;
    ///     let Some(claim) = table.claim(&key)? else { continue };
    ///     // Nobody else works on it now; somebody may have done it before.
    ///     if let Some(job) = table.get(&key)? {
    ///         assert!(table.claim(&key)?.is_none());
    ///         assert_eq!(job, b"sweep");
    ///         table.remove(&key)?;
    ///     }
    ///     drop(claim);
    /// }
    /// assert!(table.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `ReadOnly`, `KeyTooLarge`, `System`. See [`Table`] for the rest.
    pub fn claim(&self, key: impl AsRef<[u8]>) -> Result<Option<Claim>> {
        let key = key.as_ref();
        self.right(key)?.take(key)
    }

    /// The value of a key; if there is none, what a closure returns, which is stored.
    /// Of all threads of all processes that ask at the same time one computes, and the
    /// others wait for it.
    ///
    /// A value that somebody else stored while the closure ran stands, and is returned.
    /// If the closure panics or its process dies, another one takes its place within 50 ms.
    /// A value that has no room is returned though it is not stored, and the next caller
    /// computes it again; [`Claim::insert`] tells.
    ///
    /// No lock of the table is held while the closure runs, so it may do anything. It can
    /// ask for other keys in this way, in an order that leads to no circle: otherwise one
    /// of those who would wait for ever gets `Deadlock`, as does a closure that asks for
    /// its own key. Waits have no end otherwise; see
    /// [`get_or_try_insert_with`](Self::get_or_try_insert_with).
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert_eq!(table.get_or_insert_with(b"6 * 7", || "42")?, b"42");
    /// assert_eq!(table.get_or_insert_with(b"6 * 7", || -> String { unreachable!() })?, b"42");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Deadlock`; as [`get_or_claim`](Self::get_or_claim), and as
    /// [`insert`](Self::insert) but for those of room.
    pub fn get_or_insert_with<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        compute: impl FnOnce() -> V,
    ) -> Result<Vec<u8>> {
        self.get_or_try_insert_with(key, Duration::MAX, || Ok(compute()))
    }

    /// Like [`get_or_insert_with`](Self::get_or_insert_with), for a closure that may fail,
    /// and with a timeout for waiting while another caller computes.
    ///
    /// If the closure fails nothing is stored, its error is returned, and another caller
    /// computes. The timeout is for waiting alone, the closure may take as long as it
    /// likes. `Duration::MAX` waits for ever.
    ///
    /// ```
    /// use shmtable::{Claimed, Error};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let read = || std::fs::read("/no such file");
    /// # #[derive(Debug)] enum Failed { Table(Error), Io(std::io::Error) }
    /// # impl From<Error> for Failed { fn from(e: Error) -> Self { Self::Table(e) } }
    /// let read = || read().map_err(Failed::Io);
    /// let failed = table.get_or_try_insert_with(b"file", Duration::from_secs(5), read);
    /// assert!(matches!(failed, Err(Failed::Io(_))));
    ///
    /// let Claimed::Mine(_claim) = table.get_or_claim(b"file")? else { panic!() };
    /// let waited = table.get_or_try_insert_with(b"file", Duration::ZERO, read);
    /// assert!(matches!(waited, Err(Failed::Table(Error::ClaimTimeout { .. }))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The closure's; `ClaimTimeout`; as
    /// [`get_or_insert_with`](Self::get_or_insert_with).
    pub fn get_or_try_insert_with<V: AsRef<[u8]>, E: From<Error>>(
        &self,
        key: impl AsRef<[u8]>,
        timeout: Duration,
        compute: impl FnOnce() -> Result<V, E>,
    ) -> Result<Vec<u8>, E> {
        let claimed = match self.get_or_claim(key)? {
            Claimed::Others(other) => other.wait(timeout)?,
            claimed => claimed,
        };
        let claim = match claimed {
            Claimed::Present(value) => return Ok(value),
            Claimed::Others(_) => return Err(Error::ClaimTimeout { timeout }.into()),
            Claimed::Mine(claim) => claim,
        };
        let computing = Computing::begin(&claim.right);
        let value = compute()?;
        drop(computing);
        let value = value.as_ref();
        match claim.insert(value) {
            Ok(Some(winner)) => Ok(winner),
            // Without room it is not stored, and need not be lost.
            Ok(None)
            | Err(
                Error::TableFull { .. }
                | Error::ValueSpaceFull { .. }
                | Error::SharedMemoryFull { .. }
                | Error::ValueTooLarge { .. },
            ) => Ok(value.to_vec()),
            Err(error) => Err(error.into()),
        }
    }

    fn right(&self, key: &[u8]) -> Result<Right> {
        self.writer()?.check_sizes(key, 0)?;
        Ok(Right {
            table: self.clone(),
            byte: Hash::of(self.segment(), key).claim_byte(),
            fork_generation: fork::generation(),
        })
    }
}

impl Right {
    /// Takes the claim if nobody has it.
    fn take(&self, key: &[u8]) -> Result<Option<Claim>> {
        let writer = self.table.writer()?;
        // What was held by a descriptor that was closed is held no more.
        writer.look()?;
        let free = writer
            .try_claim(self.byte)
            .map_err(|source| Error::system("claim a key", source))?;
        Ok(free.then(|| Claim {
            right: self.clone(),
            key: key.to_vec(),
        }))
    }
}
