//! Inspecting a table: which processes use it, which locks are contended, and whether it is an
//! orphan.

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

/// Attempts to be alone with a table that a process has open without using it: that process
/// may only be inspecting it, as this one is.
const LOOKS: usize = 20;
/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(1);

/// A handle that may write, or one whose process died; from [`Table::participants`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// The number of its participant slot, from 0.
    pub slot: usize,
    /// The id of its process, in that process's own PID namespace.
    pub pid: u32,
    /// When it attached, in nanoseconds since the Unix epoch.
    pub since: u64,
    /// Whether its process still has it open. If not, the process died without closing it,
    /// which can be seen until the slot is used again.
    pub alive: bool,
    /// The number of stripes whose lock it holds now.
    pub locks: usize,
    /// The number of chunks that it fills or cleans now.
    pub chunks: usize,
}

/// The figures of one stripe, from [`Table::stripe_stats`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StripeStats {
    /// The number of entries now.
    pub entries: u64,
    /// How often its lock was acquired, since the table was created.
    pub acquired: u64,
    /// How often acquiring it had to wait, since the table was created.
    pub contended: u64,
}

/// Inspecting a table.
impl Table {
    /// Returns the handles that may write, of all processes, in the order of their slots.
    ///
    /// Among them are the handles that dead processes left, but not those of readers; see
    /// [`has_readers`](Self::has_readers).
    ///
    /// Takes no lock. Costs a system call for each handle, and a read of each stripe's lock and of
    /// each chunk's state. A change during the call may be seen or not.
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
    /// `System` if the system doesn't say which processes are alive.
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
        let chunks: Vec<_> = (0..segment.chunks_with_state())
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

    /// Returns whether any process has a handle from [`open_read_only`](Self::open_read_only) open.
    ///
    /// This handle counts too. The system doesn't say how many there are. Costs three system calls.
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
    /// `System` if the system doesn't answer.
    pub fn has_readers(&self) -> Result<bool> {
        Ok(self.liveness()?.is_held_by_others(READERS_BYTE))
    }

    /// Returns the figures of each stripe: where the entries are, and which locks are contended.
    ///
    /// Takes no lock. Reads one cache line for each stripe.
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

    /// Returns the id of the user who owns the segment. Costs a system call.
    ///
    /// # Errors
    /// `System` if the system doesn't answer.
    pub fn owner(&self) -> Result<u32> {
        Ok(self.file_owner()?.user)
    }

    /// Returns whether this handle's name no longer leads to this table.
    ///
    /// That is so if the name was removed, or another table has it now. The handle goes on working,
    /// on a table that other processes can't open by that name. A program that runs for a long time
    /// can ask now and then, and open the name again. Costs a system call.
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
    /// `PermissionDenied`; `System` if the system doesn't answer.
    pub fn is_unlinked(&self) -> Result<bool> {
        let named = self.segment().map.has_name(self.name());
        let named = named.map_err(|source| system_error(source, self.name(), "look for"))?;
        Ok(!named)
    }

    /// Returns whether [`unlink_orphan`](Self::unlink_orphan) would remove the table.
    ///
    /// An orphan should have been removed with its creator
    /// ([`Options::create_anonymous`](crate::Options::create_anonymous)), was not
    /// [renamed](Self::rename), and no other process has it open or mapped. A creator that is
    /// killed leaves one.
    ///
    /// Call this on handles from [`Options::open_observer`](crate::Options::open_observer), as
    /// `unlink_orphan`. Where the system can't tell which processes have a file open (a file system
    /// without leases, a table of another user), the locks of writers and readers decide. A forked
    /// child that only reads by an inherited handle has no such lock.
    ///
    /// Costs a system call for each participant slot that was ever used, and up to 20 ms if a
    /// process has the table open without using it.
    ///
    /// # Errors
    /// `PermissionDenied`; `System` if the system doesn't answer.
    pub fn is_orphan(&self) -> Result<bool> {
        let map = &self.segment().map;
        self.while_orphan(LOOKS, true, || map.has_name(self.name()))
            .map(|named| named == Some(true))
    }

    /// Returns whether the table is anonymous, and no process holds a lock that shows a use.
    pub(crate) fn seems_orphaned(&self) -> Result<bool> {
        // A table that was given another name is to be kept.
        let anonymous = self.is_anonymous() && anonymous_name::is_generated(self.name());
        Ok(anonymous && self.living()? == 0 && !self.has_readers()?)
    }

    /// Removes the table's name if it is an [orphan](Self::is_orphan), and returns whether it did.
    ///
    /// The kernel says whether another process has the file open or mapped. No process can begin to
    /// use the table between that answer and the removal: opening it fails in that moment, as if it
    /// did not exist.
    ///
    /// Call this on handles from [`Options::open_observer`](crate::Options::open_observer): a table
    /// that another handle of this process uses is not an orphan. Where the system can't tell which
    /// processes have a file open (a file system without leases), the locks of writers and readers
    /// decide.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::Options;
    ///
    /// let table = Options::new().capacity(100).create_anonymous()?;
    /// let observer = Options::new().open_observer(table.name())?;
    /// assert!(!observer.unlink_orphan()?); // its creator is alive
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `PermissionDenied`; `System`.
    pub fn unlink_orphan(&self) -> Result<bool> {
        self.remove_if_orphan(LOOKS, true)
    }

    /// Removes an orphan as [`unlink_orphan`](Self::unlink_orphan) does, with fewer attempts, and
    /// only where the system tells which processes have the file open.
    pub(crate) fn remove_surely(&self, looks: usize) -> Result<bool> {
        self.remove_if_orphan(looks, false)
    }

    fn remove_if_orphan(&self, looks: usize, trusts_locks: bool) -> Result<bool> {
        let map = &self.segment().map;
        self.while_orphan(looks, trusts_locks, || map.unlink_if_same(self.name()))
            .map(|removed| removed == Some(true))
    }

    /// Calls `act` while the table is an orphan that no other process has open; `None` if it isn't
    /// an orphan.
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

    /// Returns the number of participant slots whose owners are alive.
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

    /// Returns a function that tells whether a participant slot is held.
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

    /// Returns a liveness that only asks: it holds nothing itself.
    fn liveness(&self) -> Result<Liveness> {
        let segment = self.segment();
        segment
            .map
            .liveness()
            .map_err(|source| Error::system("ask who is attached", source))
    }
}
