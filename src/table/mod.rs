//! The public table: its handle, and an index of its methods.
//!
//! | methods of [`Table`] | file |
//! |---|---|
//! | `open`, `open_read_only`, `as_read_only`, `name`, `capacity`, `codec_id`, `is_private`, `is_anonymous`, `is_read_only` | this one |
//! | `unlink*`, `rename*`, `list*` | `names` |
//! | `get`, `get_into`, `get_into_slice`, `get_into_slices`, `get_into_uninit`, `get_many`, `get_many_with`, `contains_key` | `reading` |
//! | `insert`, `insert_slices`, `try_insert`, `replace`, `remove`, `remove_if`, `take`, `update`, `try_update`, `compare_exchange` | `writing` |
//! | `fetch_add`, `fetch_max`, `fetch_min`, `update_in_place` | `counters` |
//! | `insert_many`, `remove_many`, `remove_prefix`, `retain`, `clear`, `shrink_to_fit`, `iter`, `scan_prefix`, `keys`, `values`, `for_each`, `len`, `is_empty`, `snapshot` | `many` |
//! | `wait`, `wait_change`, and the function `wait_until` | `waiting` |
//! | `claim`, `claim_within`, `claim_attempts`, `get_or_claim`, `get_or_insert_with`, `get_or_try_insert_with` | `compute_once` |
//! | `stats`, `quick_stats` | `stats` |
//! | `participants`, `has_readers`, `stripe_stats`, `owner`, `is_unlinked`, `is_orphan`, `unlink_orphan` | `inspect` |
//! | `orphans`, `remove_orphans` | `orphans` |
//! | `check`, `check_stripes`, `repair` | `damage` |
//!
//! How a table is created and opened is in `options`.

mod claim;
mod compute_once;
mod counters;
pub(crate) mod inspect;
pub(crate) mod iter;
mod many;
mod names;
pub(crate) mod options;
pub(crate) mod orphans;
mod reading;
mod snapshot;
mod stats;
mod waiting;
mod walk;
mod writing;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::layout::FLAG_ANONYMOUS;
use crate::locking::participants::Attachment;
use crate::segment::Segment;
use crate::sys::fork::{self, ForkCell};
use crate::sys::{self, Liveness, Owner};
use crate::write::writer::{ReentrancyGuard, Writer};

pub use claim::{Claim, ClaimAttempts, Claimed, OtherClaim};
pub use inspect::{Participant, StripeStats};
pub use iter::{Iter, Keys, Values};
pub use options::{Options, Trust};
pub use orphans::Orphan;
pub use snapshot::{Snapshot, SnapshotIntoIter, SnapshotIter};
pub use stats::{Figure, FigureKind, FigureUnit, Stats};
#[cfg(not(loom))]
pub use waiting::{Waker, wait_until};

/// A hash table in a named shared-memory segment.
///
/// Keys and values are bytes. Each method takes anything that can be read as bytes, such as
/// `"text"`, `b"bytes"`, a `String`, a `Vec<u8>` or `7_u64.to_le_bytes()`. Two methods take a value
/// that may be absent, [`compare_exchange`](Self::compare_exchange) and
/// [`wait_change`](Self::wait_change): there it is an `Option<&[u8]>`, because the compiler could
/// not infer the type of a bare `None`.
///
/// A key has 0 to 1 048 575 bytes. A key and its value together have at most as many bytes as the
/// table's [`value_space`](crate::Options::value_space).
///
/// A `Table` is a handle. Cloning it is cheap, threads share it, and a forked child goes on using
/// it as a participant of its own. (If the parent has written with it, dropping the inherited
/// handle in the child keeps the mapping until the child ends.) Other processes open the same
/// segment by its name. The segment exists until [`Table::unlink`] or a reboot, and while any
/// process has it open.
///
/// # What is atomic
/// Every method that takes one key is linearizable, among all threads of all
/// processes. Methods over many keys are not one moment of the table, except
/// [`snapshot`](Self::snapshot).
///
/// # What is locked
/// [`get`](Self::get), [`get_into`](Self::get_into), [`get_many`](Self::get_many),
/// [`contains_key`](Self::contains_key) and iteration take no lock and write
/// nothing to shared memory; they take the key's stripe lock only after they were
/// disturbed 64 times in a row. Every method that writes takes the stripe lock of
/// its key. A record of more than 256 bytes, and mostly a smaller one, is written before
/// the lock is taken; under the lock, one word is stored. [`update`](Self::update),
/// [`remove_if`](Self::remove_if) and [`retain`](Self::retain) run a closure under the lock;
/// [`replace`](Self::replace), [`take`](Self::take) and
/// [`compare_exchange`](Self::compare_exchange) copy or compare the old value.
///
/// # Errors of every method
/// - `Corrupted`, if the segment's bytes are damaged,
/// - `Interrupted`, if [`Options::around_sleep`](crate::Options::around_sleep) ended a wait; a
///   read waits only after it was disturbed 64 times in a row.
///
/// and of every method that writes, besides these:
/// - `ReadOnly` on a handle opened read-only,
/// - `LockTimeout` if a living process, perhaps a stopped one, kept the lock,
/// - `Reentrant` if called from a closure that runs under a lock of this table,
/// - `TooManyParticipants`, in the first write of a forked child.
///
/// A call that returns an error has not changed the table, unless its own documentation says
/// otherwise. No method panics because of what the segment holds.
#[derive(Clone)]
pub struct Table(Arc<Handle>);

struct Handle {
    segment: Arc<Segment>,
    /// Empty in a read-only handle.
    writer: Arc<ForkCell<Writer>>,
    /// The writer of the handle that a read-only one was made of: its slot stays in use as long as
    /// both read.
    origin: Option<Arc<ForkCell<Writer>>>,
    name: String,
    read_only: bool,
    /// Holds the readers' byte while a read-only handle is open.
    _presence: Option<Liveness>,
    /// The process that removes the segment when it drops the handle.
    creator: Option<u64>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.creator == Some(fork::generation()) {
            // Another process may have unlinked it already and created another table.
            let _ = self.segment.map.unlink_if_same(&self.name);
        }
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("name", &self.0.name)
            .field("capacity", &self.capacity())
            .field("read_only", &self.0.read_only)
            .finish_non_exhaustive()
    }
}

/// Opening tables, and what a handle is.
impl Table {
    /// Returns a new handle for writing; `creator` is the participant that created the segment, if
    /// this is its first handle.
    pub(crate) fn attach(
        name: &str,
        segment: Arc<Segment>,
        creator: Option<Attachment>,
    ) -> Result<Self> {
        let anonymous = creator.is_some() && segment.flags & FLAG_ANONYMOUS != 0;
        let table = Self(Arc::new(Handle {
            writer: Arc::new(ForkCell::new()),
            origin: None,
            segment,
            name: name.to_owned(),
            read_only: false,
            _presence: None,
            creator: anonymous.then(fork::generation),
        }));
        table.participant(&table.0.writer, creator)?;
        Ok(table)
    }

    /// Returns a new read-only handle. `presence` holds the readers' byte, if the handle counts as a
    /// user of the table.
    pub(crate) fn read_only(name: &str, segment: Arc<Segment>, presence: Option<Liveness>) -> Self {
        if presence.is_some() {
            segment.announcer.is_announced_by_handle();
        }
        Self::reader(name, segment, presence, None)
    }

    fn reader(
        name: &str,
        segment: Arc<Segment>,
        presence: Option<Liveness>,
        origin: Option<Arc<ForkCell<Writer>>>,
    ) -> Self {
        Self(Arc::new(Handle {
            writer: Arc::new(ForkCell::new()),
            origin,
            segment,
            name: name.to_owned(),
            read_only: true,
            _presence: presence,
            creator: None,
        }))
    }

    /// Returns a read-only handle of this table, with the same mapping.
    ///
    /// Its methods that write fail with `ReadOnly`, as those of
    /// [`open_read_only`](Self::open_read_only), and it takes no participant slot of its own; but it
    /// keeps this handle's, the memory of its mapping stays writable if this handle's is, and
    /// [`has_readers`](Self::has_readers) doesn't see it. Use it to hand a table to a part of the program that is only to read.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use shmtable::{Error, Options};
    ///
    /// let table = Options::new().capacity(100).create_anonymous()?;
    /// let reader = table.as_read_only();
    /// table.insert(b"k", b"1")?;
    /// assert_eq!(reader.get(b"k")?, Some(b"1".to_vec()));
    /// assert!(matches!(reader.insert(b"k", b"2"), Err(Error::ReadOnly)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_read_only(&self) -> Self {
        let origin = match &self.0.origin {
            None if !self.0.read_only => Some(Arc::clone(&self.0.writer)),
            origin => origin.clone(),
        };
        Self::reader(&self.0.name, Arc::clone(&self.0.segment), None, origin)
    }

    /// Opens a table with default [`Options`].
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let created = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// # let name = created.name();
    /// let table = shmtable::Table::open(name)?;
    /// table.insert(b"k", b"1")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(name: &str) -> Result<Self> {
        Options::new().open(name)
    }

    /// Opens a table with default [`Options`], for reading only.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let created = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// # let name = created.name();
    /// let table = shmtable::Table::open_read_only(name)?;
    /// assert_eq!(table.get(b"k")?, None);
    /// assert!(matches!(table.insert(b"k", b"1"), Err(shmtable::Error::ReadOnly)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Options::open_read_only`].
    pub fn open_read_only(name: &str) -> Result<Self> {
        Options::new().open_read_only(name)
    }

    /// Returns the name that the table was created or opened with.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns whether the handle was opened read-only.
    pub fn is_read_only(&self) -> bool {
        self.0.read_only
    }

    /// Returns the number of entries that the table was created for: the most, if it grows.
    pub fn capacity(&self) -> usize {
        self.segment().geometry.capacity
    }

    /// Returns the id of the codecs that the table was created with; 0 means plain bytes.
    pub fn codec_id(&self) -> u64 {
        self.segment().codec
    }

    /// Returns whether no other user may write to the segment.
    ///
    /// That is so if the segment belongs to this process's effective user and its mode lets no
    /// other user write. (A system's administrator may do anything.) Anyone with write access can
    /// store any bytes, so ask before you do more than read them, such as running them.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// let options = shmtable::Options::new().capacity(100);
    /// assert!(options.create_anonymous()?.is_private()?);
    /// assert!(!options.mode(0o666).create_anonymous()?.is_private()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `System` if the system doesn't answer.
    pub fn is_private(&self) -> Result<bool> {
        let owner = self.file_owner()?;
        Ok(owner.is_private_to(sys::current_user()))
    }

    /// Returns the current owner and mode of the segment's file.
    pub(crate) fn file_owner(&self) -> Result<Owner> {
        self.segment()
            .map
            .owner()
            .map_err(|source| Error::system("ask for the segment's owner", source))
    }

    /// Returns whether the table is removed with its creator.
    pub fn is_anonymous(&self) -> bool {
        self.segment().flags & FLAG_ANONYMOUS != 0
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.0.segment
    }

    /// Returns whether this process can write with the handle, and takes its participant slot if
    /// it has none. Costs a system call.
    pub(crate) fn may_write(&self) -> Result<bool> {
        if self.0.read_only {
            return Ok(false);
        }
        let writer = self.participant(&self.0.writer, None)?;
        Ok(writer.look().is_ok())
    }

    /// Returns what a cell has for this process; if it has nothing yet, the process becomes a
    /// participant, or `me` does.
    fn participant<'a>(
        &self,
        cell: &'a ForkCell<Writer>,
        me: Option<Attachment>,
    ) -> Result<&'a Writer> {
        let segment = &self.0.segment;
        let writer = cell.get_or_try_init(|| Writer::new(segment, me))?;
        if segment.geometry.grows() {
            let words = segment.geometry.reading(writer.me.id().slot);
            segment.announcer.announce_at(words.start);
        }
        Ok(writer)
    }

    /// Makes sure that this process can announce that it reads records.
    ///
    /// # Errors
    /// `System`.
    #[cold]
    #[inline(never)]
    pub(crate) fn get_ready_to_read(&self) -> Result<()> {
        let segment = self.segment();
        if !segment.geometry.grows() || segment.announcer.is_ready() {
            return Ok(());
        }
        let own = (!self.0.read_only).then_some(&self.0.writer);
        if let Some(cell) = own.or(self.0.origin.as_ref()) {
            // Without a slot it can read all the same.
            if self.participant(cell, None).is_ok() {
                return Ok(());
            }
        }
        segment
            .announcer
            .stay_silent(&segment.map)
            .map_err(|source| Error::system("lock a byte for reading", source))
    }

    /// Returns this process's part of the handle, if it may write now.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn writer(&self) -> Result<&Writer> {
        let sure = |writer: &&Writer| !writer.is_doubted();
        let Some(writer) = self.0.writer.get().filter(sure) else {
            return self.new_writer();
        };
        ReentrancyGuard::check(&writer.segment)?;
        Ok(writer)
    }

    /// Returns it if there is none yet, as in a read-only handle, or if other processes may take it
    /// for dead.
    #[cold]
    #[inline(never)]
    fn new_writer(&self) -> Result<&Writer> {
        if self.0.read_only {
            return Err(Error::ReadOnly);
        }
        ReentrancyGuard::check(self.segment())?;
        let writer = self.participant(&self.0.writer, None)?;
        writer.check()?;
        Ok(writer)
    }
}
