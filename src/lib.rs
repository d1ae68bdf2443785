//! A concurrent hash table in a named shared-memory segment: processes on one
//! machine share a dict, without a server.
//!
//! Processes that have nothing in common but a name open the same table. What one
//! of them stores, all the others see at once: forked children, programs started
//! by hand, threads. Readers take no lock and write nothing; a process may be
//! killed at any instruction and harms no other.
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
//! // One process creates the table and says how much it must hold.
//! let results = Options::new().capacity(10_000).create(name)?;
//! results.insert(b"worker 1", b"done")?;
//!
//! // Any other process, at any time, knows the name and nothing else.
//! let table = Table::open(name)?;
//! assert_eq!(table.get(b"worker 1")?.as_deref(), Some(&b"done"[..]));
//!
//! // The table outlives all of them, until somebody removes its name.
//! Table::unlink(name)?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Options`] has the rest: how large, who may open it, how long to wait for a
//! lock. [`Options::open_or_create`] is for processes of which any may come first.
//! [`Options::create_anonymous`] generates a name and removes it with its creator;
//! the examples below use it, and pass [`Table::name`] on where others need it.
//!
//! # Reading
//!
//! [`Table::get`], [`get_into`](Table::get_into) (into a buffer of yours) and
//! [`contains_key`](Table::contains_key) are one lock-free look-up each.
//! [`get_many`](Table::get_many) has many under way at once. [`iter`](Table::iter)
//! goes through everything while others write, and [`scan_prefix`](Table::scan_prefix)
//! through the keys that begin with some bytes; [`snapshot`](Table::snapshot) stops
//! the writers and copies one moment of the table.
//!
//! Keys and values are whatever can be seen as bytes: `"text"`, `b"bytes"`, a `String`, a
//! `Vec<u8>`, an array.
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
//! [`Table::open_read_only`]: its mapping is read-only, and read permission is all
//! it needs.
//!
//! # Writing
//!
//! Every write of one key is one step for all processes: nobody sees half of it, and
//! of two that conflict one comes first. So the usual questions of who goes first
//! need no lock of your own.
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
//! // The same without a closure, as processors do it.
//! let outcome = table.compare_exchange(b"longest", Some(b"abc"), Some(b"abcd"))?;
//! assert_eq!(outcome, Ok(()));
//!
//! // Of all processes that try, exactly one takes it away.
//! assert_eq!(table.take(b"result/7")?.as_deref(), Some(&b"49"[..]));
//! assert_eq!(table.take(b"result/7")?, None);
//! # Ok(())
//! # }
//! ```
//!
//! The closures of [`update`](Table::update), [`remove_if`](Table::remove_if) and
//! [`retain`](Table::retain) run under a lock: keep them short. They may read the table; a write to it from inside is
//! [`Error::Reentrant`], not a deadlock.
//!
//! # Counting
//!
//! A counter is a value of 8 bytes, little-endian. [`Table::fetch_add`] adds to it,
//! and returns what it was before: each caller gets a number of its own.
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
//! [`Table::wait`] sleeps until a key is there, [`Table::wait_change`] until it is no
//! longer what the caller saw. Whoever publishes the key wakes them.
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
//! [`Options::around_sleep`] is called around each sleep, and may end it: for Ctrl-C, or
//! for other threads of an interpreter.
//!
//! # Computing once
//!
//! [`Table::get_or_insert_with`] computes a value that is not there. Of all threads of
//! all processes that ask for it at the same time, one computes; if it dies, another
//! one takes its place. [`Table::get_or_claim`] and [`Table::claim`] are the parts that it
//! is made of: for computations in steps, and for queues of work.
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
//! [`TypedTable`] puts codecs above the bytes: strings, numbers, arrays, your own
//! types by a few lines of [`Codec`], and with the feature `serde` any serde type,
//! as `MessagePack<T>`. It has every operation on entries of [`Table`], and counts by numbers of
//! any width. Opening a table by other types than it was created with is an error.
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
//! A table never grows: its capacity and its value space are fixed when it is
//! created. Running out of anything is one of the variants of [`Error`], which tells
//! the limit, what was asked for and the remedy. A call for one key that returns an
//! error has changed nothing. Closures that may fail
//! ([`try_update`](Table::try_update),
//! [`get_or_try_insert_with`](Table::get_or_try_insert_with)) return an error of your own,
//! and an `Error` becomes a [`std::io::Error`] by `?`.
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
//! What can be opened is checked in full first, and bytes that no writer of this
//! crate wrote are [`Error::Corrupted`], not a fault. [`Options::open_damaged`] reads the
//! entries of a table that cannot be opened any more, because its header is damaged.
//!
//! # Processes that die
//!
//! A process may be killed in the middle of anything. What it had acknowledged
//! stays; what it was doing happened entirely or not at all. If it held a lock, the
//! kernel says that it is dead, and the next process that wants the lock takes it
//! over and repairs what was half done, within milliseconds. A process that is only
//! stopped or slow keeps its lock: the others get [`Error::LockTimeout`] after
//! [`Options::lock_timeout`], and can try again.
//!
//! *Your* protocol must bear deaths too: a claim made with `try_insert` stays when
//! its process dies. The example `word_count` shows one way to take it over.
//!
//! # Looking from outside
//!
//! [`Table::stats`] tells how full a table is, [`Table::participants`] who uses it and who died
//! using it, [`Table::stripe_stats`] which locks are wanted. [`Options::open_observer`] opens a table
//! without counting as one who uses it. A creator that is killed leaves its anonymous table
//! behind, as an orphan. The next [`Options::create_anonymous`] of the same user removes it;
//! [`Table::remove_orphans`] does so at once. Neither removes a table that anybody has open.
//! The command `shmtable` shows all this (`docs/cli.md`).
//!
//! # Fork
//!
//! A handle that was open at a `fork` works in the child: at the first write the
//! child becomes a participant of its own. The child never unlinks its parent's
//! anonymous table. A child made by the bare system call, past the C library's fork
//! handlers, must not use inherited handles; `exec` and `posix_spawn` are fine.
//!
//! # What things cost
//!
//! - A look-up: a hash of the key, and a bucket, which is two neighbouring cache lines. It
//!   holds *small entries* as a whole: those of 15 bytes at most, key and value together,
//!   whose value has 8 at most. Others cost a record more.
//! - A write: the same, an uncontended lock (one compare-exchange), and a copy of
//!   key and value, made before the lock is taken if they have more than 256 bytes.
//!   A value of 8 bytes at most that keeps its length is replaced in place.
//! - Memory: about 31 bytes for each entry of the capacity from the start, and nothing
//!   more for small ones; for others key and value, each rounded up to 8 bytes, and 8
//!   bytes more; then what was replaced and not cleaned away yet, about as much again.
//! - Locks: writers of different keys meet only by chance, if their keys fall on the
//!   same of many stripes.
//! - [`len`](Table::len) looks at every stripe, [`stats`](Table::stats) at every
//!   bucket, [`snapshot`](Table::snapshot) holds every lock.
//!
//! # Where to read on
//!
//! - [`Table`]: what is atomic, what is locked. [`Options`]: the defaults, and what
//!   [`value_space`](Options::value_space) promises.
//! - `docs/operations.md`: what each operation locks; `docs/sizing.md`: how large a table should be;
//!   `docs/limits.md`: what it can't do.
//! - `docs/design.md`: why it is right; `docs/format.md`: the segment, byte by byte.
//! - `examples/`: `shared_counter`, `result_cache`, `typed` and `word_count`, each of
//!   several processes.

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

#[cfg(not(loom))]
pub use damage::Salvage;
pub use damage::{Fault, FaultKind, FaultPlace, RepairOutcome, Repaired};
pub use error::{BoxedError, Error, Result};
pub use layout::{codec_id, codec_names};
pub use table::{
    Claim, Claimed, Figure, FigureKind, FigureUnit, Iter, Keys, Options, Orphan, OtherClaim,
    Participant, Snapshot, SnapshotIntoIter, SnapshotIter, Stats, StripeStats, Table, Trust,
    Values,
};
#[cfg(feature = "serde")]
pub use typed::MessagePack;
pub use typed::{
    Codec, Number, TypedClaim, TypedClaimed, TypedIter, TypedKeys, TypedOtherClaim, TypedSnapshot,
    TypedSnapshotIter, TypedTable, TypedValues,
};

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
