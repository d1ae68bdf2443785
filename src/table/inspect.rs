//! Looking at a table from outside: who uses it, where its locks are wanted, and
//! whether anybody needs it any more.

use std::io;
use std::time::Duration;

use crate::arena::chunk::{self, State};
use crate::error::{Error, Result};
use crate::layout::{
    PARTICIPANT_PID, PARTICIPANT_SINCE, PARTICIPANT_STATE, READERS_BYTE, STRIPE_ACQUIRED,
    STRIPE_CONTENDED, STRIPE_ENTRIES, STRIPE_LOCK, anonymous_name,
};
use crate::locking::participants::{self, ATTACHED, OwnerId};
use crate::sync::{self, Ordering};
use crate::sys::Liveness;
use crate::table::Table;
use crate::table::options::system_error;

/// Looks at a file that somebody has open who does not use the table, before that counts:
/// it may be somebody who looks, as we do.
const LOOKS: usize = 20;
/// The time between two of them.
const PAUSE: Duration = Duration::from_millis(1);

/// A handle that may write, or one whose process died; from [`Table::participants`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Its participant slot, from 0.
    pub slot: usize,
    /// The id of its process, in that process's own namespace of ids.
    pub pid: u32,
    /// When it attached, in nanoseconds since the Unix epoch.
    pub since: u64,
    /// Whether its process has it open still. If not, the process died without closing
    /// it; this is known until the slot is used again.
    pub alive: bool,
    /// Stripes whose lock it holds now.
    pub locks: usize,
    /// Chunks that it fills or cleans now.
    pub chunks: usize,
}

/// Figures of one stripe, from [`Table::stripe_stats`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StripeStats {
    /// Entries now.
    pub entries: u64,
    /// Acquisitions of its lock, since creation.
    pub acquired: u64,
    /// Those of them that had to wait.
    pub contended: u64,
}

/// Looking from outside.
impl Table {
    /// The handles that may write, of all processes: the living ones, and those that
    /// dead processes left, in the order of their slots. Handles of readers are not
    /// among them, see [`has_readers`](Self::has_readers).
    ///
    /// Takes no lock. Costs a system call for each handle, a look at each stripe's lock
    /// and at each chunk's state; what changes meanwhile may be seen or not.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let participants = table.participants()?;
    /// assert_eq!(participants.len(), 1);
    /// assert_eq!(participants[0].pid, std::process::id());
    /// assert!(participants[0].alive);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `System` if the system does not tell who is alive.
    pub fn participants(&self) -> Result<Vec<Participant>> {
        let segment = self.segment();
        let geometry = &segment.geometry;
        let get = |at: usize| segment.words()[at].load(Ordering::Relaxed);
        let is_held = self.holders()?;
        let locks: Vec<_> = segment
            .stripes()
            .map(|stripe| stripe.word(STRIPE_LOCK).load(Ordering::Relaxed))
            .filter_map(OwnerId::from_bits)
            .collect();
        let chunks: Vec<_> = (0..geometry.chunks)
            .filter_map(|chunk| match chunk::state(segment, chunk) {
                State::Open(owner) | State::Cleaning(owner) => Some(owner),
                _ => None,
            })
            .collect();
        let of = |owners: &[OwnerId], me| owners.iter().filter(|owner| **owner == me).count();
        let mut participants = Vec::new();
        for slot in 0..geometry.participants {
            let at = geometry.participant(slot);
            let state = get(at + PARTICIPANT_STATE);
            if state & ATTACHED == 0 {
                continue;
            }
            let me = OwnerId {
                slot,
                generation: participants::generation(state),
            };
            participants.push(Participant {
                slot,
                pid: get(at + PARTICIPANT_PID) as u32,
                since: get(at + PARTICIPANT_SINCE),
                alive: is_held(slot),
                locks: of(&locks, me),
                chunks: of(&chunks, me),
            });
        }
        Ok(participants)
    }

    /// Whether any handle opened with [`open_read_only`](Self::open_read_only) is open in
    /// any process, this handle included. How many, the system does not tell.
    ///
    /// Costs three system calls.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert!(!table.has_readers()?);
    /// let reader = shmtable::Table::open_read_only(table.name())?;
    /// assert!(table.has_readers()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `System` if the system does not tell.
    pub fn has_readers(&self) -> Result<bool> {
        Ok(self.liveness()?.is_held_by_others(READERS_BYTE))
    }

    /// Figures of each stripe: where the entries are, and which locks are wanted.
    ///
    /// Takes no lock. Costs a look at one cache line for each stripe.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"k", b"1")?;
    /// let stripes = table.stripe_stats();
    /// assert_eq!(stripes.iter().map(|stripe| stripe.entries).sum::<u64>(), 1);
    /// assert!(stripes.iter().any(|stripe| stripe.acquired >= 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stripe_stats(&self) -> Vec<StripeStats> {
        let segment = self.segment();
        segment
            .stripes()
            .map(|stripe| {
                let get = |at: usize| stripe.word(at).load(Ordering::Relaxed);
                StripeStats {
                    entries: get(STRIPE_ENTRIES),
                    acquired: get(STRIPE_ACQUIRED),
                    contended: get(STRIPE_CONTENDED),
                }
            })
            .collect()
    }

    /// The id of the user whom the segment belongs to. Costs a system call.
    ///
    /// # Errors
    /// `System` if the system does not tell.
    pub fn owner(&self) -> Result<u32> {
        Ok(self.file_owner()?.user)
    }

    /// Whether the name that the handle was opened with leads to this table no more: it was
    /// removed or renamed, or another table has it now.
    ///
    /// A handle goes on working after that, on a table that nobody else can open by that
    /// name. A program that runs for long can ask now and then, and open the name again.
    /// Costs a system call.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Options, Table};
    ///
    /// # let name = &format!("doc-unlinked-{}", std::process::id());
    /// let old = Options::new().capacity(100).create(name)?;
    /// assert!(!old.is_unlinked()?);
    /// Table::unlink(name)?;
    /// assert!(old.is_unlinked()?);
    /// let new = Options::new().capacity(100).create(name)?;
    /// assert!(old.is_unlinked()? && !new.is_unlinked()?);
    /// # Table::unlink(name)
    /// # }
    /// ```
    ///
    /// # Errors
    /// `PermissionDenied`; `System` if the system does not tell.
    pub fn is_unlinked(&self) -> Result<bool> {
        let named = self.segment().map.has_name(self.name());
        let named = named.map_err(|source| system_error(source, self.name(), "look for"))?;
        Ok(!named)
    }

    /// Whether [`unlink_orphan`](Self::unlink_orphan) would remove the table.
    ///
    /// Such a table should have been removed with its creator
    /// ([`Options::create_anonymous`](crate::Options::create_anonymous)), was not
    /// [renamed](Self::rename), and no other process has it open or mapped, for whatever
    /// use. A creator that is killed leaves one.
    ///
    /// For handles from [`Options::open_observer`](crate::Options::open_observer), as `unlink_orphan`.
    /// Where the system cannot tell who has a file open (a file system without leases, a
    /// table of another user), the locks of writers and readers decide, which a forked
    /// child that only reads by an inherited handle does not have.
    ///
    /// Costs a system call for each participant slot that was ever used, and up to 20
    /// milliseconds if a process has the table open that does not use it.
    ///
    /// # Errors
    /// `PermissionDenied`; `System` if the system does not tell.
    pub fn is_orphan(&self) -> Result<bool> {
        let map = &self.segment().map;
        self.while_orphan(LOOKS, true, || map.has_name(self.name()))
            .map(|named| named == Some(true))
    }

    /// Whether the table is an anonymous one, and nobody holds a lock that shows a use.
    pub(crate) fn seems_orphaned(&self) -> Result<bool> {
        // Whoever gave it another name wants to keep it.
        let anonymous = self.is_anonymous() && anonymous_name::is_generated(self.name());
        Ok(anonymous && self.living()? == 0 && !self.has_readers()?)
    }

    /// Removes the table's name if it is an [orphan](Self::is_orphan); tells whether it did.
    ///
    /// The kernel tells whether another process has its file open or mapped. No process can
    /// come to use the table between this look and the removal: opening it fails in that
    /// moment, as if it were not there.
    ///
    /// For handles from [`Options::open_observer`](crate::Options::open_observer): a table that
    /// another handle of this process uses is no orphan. Where the system cannot tell
    /// who has a file open (a file system without leases) the locks of writers and
    /// readers decide.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::Options;
    ///
    /// let table = Options::new().capacity(100).create_anonymous()?;
    /// let looker = Options::new().open_observer(table.name())?;
    /// assert!(!looker.unlink_orphan()?); // its creator lives
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `PermissionDenied`; `System`.
    pub fn unlink_orphan(&self) -> Result<bool> {
        self.remove_if_orphan(LOOKS, true)
    }

    /// As [`unlink_orphan`](Self::unlink_orphan), with fewer looks, and only where the
    /// system tells who has the file open.
    pub(crate) fn remove_surely(&self, looks: usize) -> Result<bool> {
        self.remove_if_orphan(looks, false)
    }

    fn remove_if_orphan(&self, looks: usize, trusts_locks: bool) -> Result<bool> {
        let map = &self.segment().map;
        self.while_orphan(looks, trusts_locks, || map.unlink_if_same(self.name()))
            .map(|removed| removed == Some(true))
    }

    /// Calls `act` while the table is an orphan that nobody else has open; `None` if it is
    /// none.
    fn while_orphan<R>(
        &self,
        looks: usize,
        trusts_locks: bool,
        act: impl Fn() -> io::Result<R>,
    ) -> Result<Option<R>> {
        for look in 0..looks {
            if !self.seems_orphaned()? {
                return Ok(None);
            }
            if look > 0 {
                sync::pause(PAUSE);
            }
            let done = match self.segment().map.while_alone(&act) {
                Ok(None) => continue,
                Ok(Some(done)) => done,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    if !trusts_locks {
                        return Ok(None);
                    }
                    act()
                }
                Err(error) => Err(error),
            };
            return done
                .map(Some)
                .map_err(|source| system_error(source, self.name(), "unlink"));
        }
        Ok(None)
    }

    /// Participant slots whose owners live.
    pub(crate) fn living(&self) -> Result<usize> {
        let segment = self.segment();
        let geometry = &segment.geometry;
        let state = |slot| {
            let at = geometry.participant(slot) + PARTICIPANT_STATE;
            segment.words()[at].load(Ordering::Relaxed)
        };
        let is_held = self.holders()?;
        let slots = 0..geometry.participants;
        Ok(slots
            .filter(|&slot| state(slot) != 0 && is_held(slot))
            .count())
    }

    /// What tells whether somebody holds a participant slot.
    fn holders(&self) -> Result<Box<dyn Fn(usize) -> bool + '_>> {
        let geometry = &self.segment().geometry;
        if let Ok(writer) = self.writer() {
            let me = &writer.me;
            return Ok(Box::new(move |slot| {
                slot == me.id().slot || me.sees_holder(geometry, slot)
            }));
        }
        let liveness = self.liveness()?;
        Ok(Box::new(move |slot| {
            liveness.is_held_by_others(participants::byte(geometry, slot))
        }))
    }

    /// A liveness for questions: it holds nothing itself.
    fn liveness(&self) -> Result<Liveness> {
        let segment = self.segment();
        segment
            .map
            .liveness()
            .map_err(|source| Error::system("ask who is attached", source))
    }
}
