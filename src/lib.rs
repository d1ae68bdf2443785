//! A concurrent hash table in a named shared-memory segment: processes on one
//! machine share a dict, without a server.
//!
//! Processes that have nothing in common but a name open the same table: forked
//! children, programs started by hand, threads. What one of them stores, all the others
//! see at once. Readers take no lock and write nothing. A process may be killed at any
//! instruction without harm to the others.
//!
//! # A first program
//!
//! ```
//! use shmtable::{Options, Table};
//!
//! # fn main() -> shmtable::Result<()> {
//! # let name = &format!("doc-guide-{}", std::process::id());
//! # /*
//! let name = "results";
//! # */
//! // One process creates the table, which grows with its entries.
//! let results = Options::new().create(name)?;
//! results.insert(b"worker 1", b"done")?;
//!
//! // Any other process can open it at any time: it only has to know the name.
//! let table = Table::open(name)?;
//! assert_eq!(table.get(b"worker 1")?.as_deref(), Some(&b"done"[..]));
//!
//! // The table outlives all of them, until its name is removed.
//! Table::unlink(name)?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Options`] has the rest: how large the table may get, which users may open it, how long to
//! wait for a lock. Use [`Options::open_or_create`] where any of the processes may come
//! first. [`Options::create_anonymous`] generates a name and removes it with its creator.
//! The examples below use it; pass [`Table::name`] on to processes that need it.
//!
//! # Reading
//!
//! [`Table::get`], [`get_into`](Table::get_into) (into a buffer of yours) and
//! [`contains_key`](Table::contains_key) are one lock-free lookup each.
//! [`get_many`](Table::get_many) looks up many keys at once. [`iter`](Table::iter) visits
//! all entries while others write, and [`scan_prefix`](Table::scan_prefix) those whose
//! keys begin with some bytes. [`snapshot`](Table::snapshot) makes writers wait and copies
//! one moment of the table.
//!
//! A key or value is anything that can be read as bytes: `"text"`, `b"bytes"`, a `String`,
//! a `Vec<u8>`, an array.
//!
//! ```
//! # fn main() -> shmtable::Result<()> {
//! # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
//! table.insert_many([("a", "1"), ("b", "2")])?;
//! let values = table.get_many(&["a", "b", "c"])?;
//! assert_eq!(values, [Some(b"1".to_vec()), Some(b"2".to_vec()), None]);
//!
//! let mut bytes = 0;
//! for entry in &table {
//!     let (key, value) = entry?;
//!     bytes += key.len() + value.len();
//! }
//! assert_eq!(bytes, 4);
//! # Ok(())
//! # }
//! ```
//!
//! A process that must not change anything opens the table with
//! [`Table::open_read_only`]: its mapping is read-only, and it needs no more than read
//! permission.
//!
//! # Writing
//!
//! Every write of one key is one step for all processes: no process sees half of it, and
//! of two writes that conflict one comes first. So you need no lock of your own to decide
//! which process goes first.
//!
//! ```
//! # fn main() -> shmtable::Result<()> {
//! # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
//! // Of all processes that try, exactly one gets `true`: it does the work.
//! if table.try_insert(b"claim/7", b"process 12")? {
//!     table.insert(b"result/7", b"49")?;
//! }
//! assert!(!table.try_insert(b"claim/7", b"process 13")?);
//!
//! // Read, change and write as one step.
//! table.update(b"longest", |old| match old {
//!     Some(old) if old.len() >= 3 => Some(old.to_vec()),
//!     _ => Some(b"abc".to_vec()),
//! })?;
//!
//! // Change a value only if it is still the one that you saw.
//! let outcome = table.compare_exchange(b"longest", Some(b"abc"), Some(b"abcd"))?;
//! assert_eq!(outcome, Ok(()));
//!
//! // Of all processes that try, exactly one gets the value.
//! assert_eq!(table.take(b"result/7")?.as_deref(), Some(&b"49"[..]));
//! assert_eq!(table.take(b"result/7")?, None);
//! # Ok(())
//! # }
//! ```
//!
//! The closures of [`update`](Table::update), [`remove_if`](Table::remove_if) and
//! [`retain`](Table::retain) run under a lock: keep them short. They may read the table; a
//! write to it fails with [`Error::Reentrant`], instead of a deadlock.
//!
//! # Counting
//!
//! A counter is a value of 8 bytes, little-endian. [`Table::fetch_add`] adds to it and
//! returns its value before the addition, so each caller gets a number of its own.
//!
//! ```
//! # fn main() -> shmtable::Result<()> {
//! # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
//! assert_eq!(table.fetch_add(b"hits", 1)?, 0);
//! assert_eq!(table.fetch_add(b"hits", 1)?, 1);
//! assert_eq!(table.get(b"hits")?, Some(2_i64.to_le_bytes().to_vec()));
//! # Ok(())
//! # }
//! ```
//!
//! # Waiting
//!
//! [`Table::wait`] sleeps until a key has a value, [`Table::wait_change`] until the value
//! differs from the one you saw, and [`wait_until`] until a condition on any number of keys
//! holds. The process that publishes the key wakes the waiters.
//!
//! ```
//! use std::time::Duration;
//!
//! # fn main() -> shmtable::Result<()> {
//! # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
//! std::thread::scope(|scope| {
//!     scope.spawn(|| table.insert(b"answer", b"42"));
//!     let answer = table.wait(b"answer", Duration::from_secs(10))?;
//!     assert_eq!(answer.as_deref(), Some(&b"42"[..]));
//!     Ok(())
//! })
//! # }
//! ```
//!
//! The closure that you give to [`Options::around_sleep`] is called around each sleep, and
//! may end the wait: for Ctrl-C, or for other threads of an interpreter.
//!
//! # Computing once
//!
//! [`Table::get_or_insert_with`] computes a value that is missing. If several callers ask
//! for it at the same time, in any threads of any processes, one computes and the others
//! wait; if its process dies, another caller computes. For computations in steps and for
//! queues of work there are the parts that it is made of, [`Table::get_or_claim`] and
//! [`Table::claim`].
//!
//! ```
//! # fn main() -> shmtable::Result<()> {
//! # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
//! let square = table.get_or_insert_with(b"7", || "49")?;
//! assert_eq!(square, b"49");
//! # Ok(())
//! # }
//! ```
//!
//! # Typed tables
//!
//! [`TypedTable`] puts codecs above the bytes: strings, numbers, arrays, your own types
//! with a few lines of [`Codec`], and with the feature `serde` any serde type, as
//! `MessagePack<T>`. It has every operation on entries that [`Table`] has, and counters of
//! any width. Opening a table with other types than it was created with is an error.
//!
//! ```
//! use shmtable::{Error, Options, TypedTable};
//!
//! # fn main() -> shmtable::Result<()> {
//! let words = TypedTable::<str, i64>::create_anonymous(Options::new().capacity(1000))?;
//! words.fetch_add("hello", 1)?;
//! assert_eq!(words.get("hello")?, Some(1));
//!
//! let name = words.as_table().name();
//! let other = TypedTable::<str, f64>::open(Options::new(), name);
//! assert!(matches!(other, Err(Error::CodecMismatch { .. })));
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! A table grows with its entries, up to the bounds that are fixed when it is created
//! ([`max_capacity`](Options::max_capacity), [`value_space`](Options::value_space)).
//! Everything that can run out has a variant of [`Error`], whose message names the limit,
//! what was asked for and the remedy. A call for one key that returns an error has changed
//! nothing. Closures that may fail ([`try_update`](Table::try_update),
//! [`get_or_try_insert_with`](Table::get_or_try_insert_with)) return an error of your own,
//! and `?` turns an `Error` into a [`std::io::Error`].
//!
//! ```
//! use shmtable::{Error, Options};
//!
//! # fn main() -> shmtable::Result<()> {
//! let small = Options::new().capacity(10).value_space(1000).create_anonymous()?;
//! let error = small.insert(b"key", &[0; 2000]).unwrap_err();
//! assert!(matches!(error, Error::ValueTooLarge { limit: 997, size: 2000, .. }));
//! println!("{error}");
//! # Ok(())
//! # }
//! ```
//!
//! A table's header is checked before the table is opened, and bytes that no writer of
//! this crate wrote are [`Error::Corrupted`], not a fault. [`Options::open_damaged`] reads
//! the entries of a table that can't be opened because its header is damaged.
//!
//! # Processes that die
//!
//! A process may be killed in the middle of anything. Every write that was acknowledged
//! stays; the one that was under way happened entirely or not at all. If the process held
//! a lock, the kernel says that it is dead, and the next process that wants the lock takes
//! it over and recovers what was half done, within milliseconds. A process that is only
//! stopped or slow keeps its lock: the others get [`Error::LockTimeout`] after
//! [`Options::lock_timeout`], and can try again.
//!
//! *Your* protocol must survive deaths too: a key that marks a job as taken, made with
//! `try_insert`, stays when its process dies. Claim such keys with [`Table::claim`], which
//! ends with the process; the example `word_count` shows another way.
//!
//! # Inspecting a table
//!
//! [`Table::stats`] tells how full a table is, [`Table::participants`] which processes use
//! it or died using it, and [`Table::stripe_stats`] which locks are contended.
//! [`Options::open_observer`] opens a table without counting as one of its users. A
//! creator that is killed leaves its anonymous table behind, as an orphan. A later
//! [`Options::create_anonymous`] of the same user removes it, and
//! [`Table::remove_orphans`] does so at once. Neither removes a table that a process has
//! open. The command `shmtable` shows all this (`docs/cli.md`).
//!
//! # Fork
//!
//! A handle that was open at a `fork` works in the child: at its first write the child
//! becomes a participant of its own, in a table that grows also at its first read of a larger
//! entry, if a slot is free. The child never unlinks its parent's anonymous table.
//! A child made by the bare system call, which bypasses the C library's fork handlers, must
//! not use inherited handles; `exec` and `posix_spawn` are fine.
//!
//! # What things cost
//!
//! - A lookup: a hash of the key, and a bucket, which is two neighboring cache lines. The
//!   bucket holds *small entries* entirely: key and value have at most 15 bytes together,
//!   and the value at most 8. For any other entry, the record is read too.
//! - A write: a lookup, an uncontended lock (one compare-exchange), and a copy of key and
//!   value, made before the lock is taken if they have more than 256 bytes. A value of at
//!   most 8 bytes that keeps its length is replaced in place.
//! - Memory: less than a megabyte for an empty table that grows, and about 32 bytes of index
//!   for each entry; with a [`capacity`](Options::capacity), about 31 bytes for each entry of
//!   it from the start. Small entries need no more. Any other takes its key and its value, each rounded up to 8 bytes, and 8
//!   bytes more. Replaced entries that are not yet cleaned away take about as much again.
//! - Locks: writers of different keys meet only by chance, if both keys belong to the same
//!   of many stripes.
//! - [`len`](Table::len) reads every stripe, [`stats`](Table::stats) every bucket, and
//!   [`snapshot`](Table::snapshot) holds every lock.
//!
//! # Further reading
//!
//! - [`Table`]: what is atomic and what is locked. [`Options`]: the defaults, and what
//!   [`value_space`](Options::value_space) promises.
//! - `docs/operations.md`: what each operation locks; `docs/sizing.md`: how large a table
//!   should be; `docs/limits.md`: what a table can't do.
//! - `docs/design.md`: why the protocols are right; `docs/format.md`: the segment, byte by byte.
//! - `examples/`: `shared_counter`, `result_cache`, `typed` and `word_count`, which each
//!   start several processes.

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("shmtable needs a 64-bit little-endian target: its words are the segment's format");

mod arena;
mod damage;
mod error;
mod index;
mod layout;
mod locking;
#[cfg(loom)]
#[doc(hidden)]
pub mod loom_model;
mod segment;
mod sync;
mod sys;
mod table;
mod typed;
mod write;

pub use damage::{Fault, FaultKind, FaultPlace, RepairOutcome, Repaired};
#[cfg(not(loom))]
pub use damage::{Salvage, SalvageFault};
pub use error::{BoxedError, Error, Result};
pub use layout::{codec_id, codec_names};
pub use table::{
    Claim, ClaimAttempts, Claimed, Figure, FigureKind, FigureUnit, Iter, Keys, Options, Orphan,
    OtherClaim, Participant, Snapshot, SnapshotIntoIter, SnapshotIter, Stats, StripeStats, Table,
    Trust, Values,
};
#[cfg(not(loom))]
pub use table::{Waker, wait_until};
#[cfg(feature = "serde")]
pub use typed::MessagePack;
pub use typed::{
    Codec, Number, TypedClaim, TypedClaimed, TypedIter, TypedKeys, TypedOtherClaim, TypedSnapshot,
    TypedSnapshotIter, TypedTable, TypedValues,
};

/// A number that a forked child doesn't share with its parent, for the Python package. It takes no
/// system call, unlike the process id.
#[cfg(not(loom))]
#[doc(hidden)]
#[must_use]
pub fn fork_generation() -> u64 {
    sys::fork::watched_generation()
}

/// The programs of the README run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs of the guide for Rust run as tests, too.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/rust/01-bytes-table.md")]
#[doc = include_str!("../docs/guide/rust/02-typed-table.md")]
#[doc = include_str!("../docs/guide/rust/03-atomic-updates.md")]
#[doc = include_str!("../docs/guide/rust/04-errors-and-sizes.md")]
#[doc = include_str!("../docs/guide/rust/05-processes.md")]
struct Guide;
