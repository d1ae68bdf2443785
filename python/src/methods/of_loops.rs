//! Which claims tasks of event loops have.
//!
//! A plain wait in the thread of such a loop stops the loop, and so would wait forever for a claim
//! that another of its tasks has.

use std::collections::BTreeMap;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// A claim: the name of its table, and the key.
type Place = (String, Vec<u8>);

/// The process and the thread of the task that has the claim. A forked child has its parent's
/// list, and none of these claims.
type Holder = (u32, ThreadId);

static HELD: Mutex<BTreeMap<Place, Holder>> = Mutex::new(BTreeMap::new());

fn held() -> MutexGuard<'static, BTreeMap<Place, Holder>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that a task of this thread's loop has a claim.
pub(crate) fn add(table: &str, key: &[u8]) {
    let holder = (process::id(), thread::current().id());
    held().insert((table.to_owned(), key.to_owned()), holder);
}

/// Says that no task has the claim any more.
pub(crate) fn remove(table: &str, key: &[u8]) {
    held().remove(&(table.to_owned(), key.to_owned()));
}

/// Whether a task of this thread's loop has a claim.
pub(crate) fn is_held_here(table: &str, key: &[u8]) -> bool {
    let held = held();
    !held.is_empty()
        && held.get(&(table.to_owned(), key.to_owned()))
            == Some(&(process::id(), thread::current().id()))
}
