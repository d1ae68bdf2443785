//! Waiting for a key, and for several.

#[cfg(not(loom))]
use std::sync::Arc;
use std::time::Duration;

use super::Table;
use crate::error::Result;
use crate::index::probe::Hash;
use crate::locking::key_wait;
#[cfg(not(loom))]
use crate::locking::key_wait::Listened;
#[cfg(not(loom))]
use crate::sys::Doorbell;

/// Waiting.
impl Table {
    /// Waits until a key has a value, and returns the value; `None` after the timeout.
    ///
    /// Sleeps without using the processor; the process that publishes the key wakes it. A read-only
    /// handle can't ask to be woken, and reads the key again every 5 ms or more often.
    ///
    /// It waits for the table of this handle, even if the name is removed or given to a new table
    /// in the meantime: see [`is_unlinked`](Self::is_unlinked).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let worker = table.clone();
    /// let handle = std::thread::spawn(move || worker.insert(b"result", b"42"));
    /// let value = table.wait(b"result", Duration::from_secs(10))?;
    /// assert_eq!(value.as_deref(), Some(&b"42"[..]));
    /// # handle.join().unwrap()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Table`]; never `LockTimeout`.
    #[inline]
    pub fn wait(&self, key: impl AsRef<[u8]>, timeout: Duration) -> Result<Option<Vec<u8>>> {
        self.wait_for_bytes(key.as_ref(), timeout)
    }

    fn wait_for_bytes(&self, key: &[u8], timeout: Duration) -> Result<Option<Vec<u8>>> {
        let stripe = Hash::of(self.segment(), key).stripe(self.segment());
        key_wait::until(self.segment(), stripe, self.0.read_only, timeout, || {
            self.get_bytes(key)
        })
    }

    /// Waits until a key's value differs from the one you saw, and returns the new one.
    ///
    /// `None` in `seen`, and in the inner `Option`, stands for an absent key. The outer `Option` is
    /// `None` after the timeout. A value that changes and changes back while this waits may go
    /// unnoticed.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// use std::time::Duration;
    ///
    /// table.insert(b"state", b"running")?;
    /// let changed = table.wait_change(b"state", Some(b"waiting"), Duration::from_secs(1))?;
    /// assert_eq!(changed, Some(Some(b"running".to_vec())));
    /// assert_eq!(table.wait_change(b"state", Some(b"running"), Duration::ZERO)?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_change(
        &self,
        key: impl AsRef<[u8]>,
        seen: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Option<Option<Vec<u8>>>> {
        let key = key.as_ref();
        let stripe = Hash::of(self.segment(), key).stripe(self.segment());
        key_wait::until(self.segment(), stripe, self.0.read_only, timeout, || {
            let now = self.get_bytes(key)?;
            Ok((now.as_deref() != seen).then_some(now))
        })
    }
}

/// Makes a [`wait_until`] in another thread of this process call its closure again.
///
/// Clones wake the same waits.
#[cfg(not(loom))]
#[derive(Debug, Clone, Default)]
pub struct Waker(Arc<Doorbell>);

#[cfg(not(loom))]
impl Waker {
    /// Returns a waker that no wait uses yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the waits that were given this waker; each calls its closure again.
    ///
    /// A wait that is not asleep calls its closure once more before it sleeps. What this thread did
    /// before is seen by that call. Costs a system call.
    pub fn wake(&self) {
        self.0.ring();
    }
}

/// Waits for a condition on any number of keys, of any tables: calls a closure until it returns
/// something.
///
/// The closure is called at once, again whenever one of the keys may have changed, when the waker is
/// woken, and every 50 ms. Between these calls, the thread sleeps without using the processor. `Ok(None)`
/// is the end of the timeout.
///
/// On Linux 5.16 and later, the process that changes a key wakes the sleeper, if the keys are in at
/// most 127 different stripes, which `Table::stripe_stats` counts. Otherwise, with a handle that is
/// read-only, and on other systems, the closure is called every 5 ms or more often.
///
/// ```
/// use std::time::Duration;
///
/// use shmtable::{Waker, wait_until};
///
/// # fn main() -> shmtable::Result<()> {
/// let table = shmtable::Options::new().capacity(100).create_anonymous()?;
/// let keys: [&[u8]; 2] = [b"left", b"right"];
/// # let handle = table.clone();
/// # let worker =
/// std::thread::spawn(move || handle.insert(b"right", b"1"));
/// // The first of the keys that has a value.
/// let found = wait_until(&keys.map(|key| (&table, key)), &Waker::new(), Duration::from_secs(10), || {
///     for key in keys {
///         if let Some(value) = table.get(key)? {
///             return Ok(Some((key, value)));
///         }
///     }
///     Ok(None)
/// })?;
/// assert_eq!(found, Some((&b"right"[..], b"1".to_vec())));
/// # worker.join().unwrap()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The closure's error; `Interrupted`, if the [`Options::around_sleep`](crate::Options::around_sleep)
/// of the first key's handle ended the wait.
#[cfg(not(loom))]
pub fn wait_until<K: AsRef<[u8]>, T>(
    keys: &[(&Table, K)],
    waker: &Waker,
    timeout: Duration,
    look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let mut stripes: Vec<(usize, usize, Listened<'_>)> = keys
        .iter()
        .map(|(table, key)| {
            let segment = table.segment();
            let stripe = Hash::of(segment, key.as_ref()).stripe(segment);
            let listened = Listened {
                segment,
                stripe,
                read_only: table.0.read_only,
            };
            let address = std::ptr::from_ref(segment).addr();
            (address, segment.at_of(stripe), listened)
        })
        .collect();
    stripes.sort_by_key(|(segment, stripe, _)| (*segment, *stripe));
    stripes.dedup_by_key(|(segment, stripe, _)| (*segment, *stripe));
    let stripes: Vec<_> = stripes
        .into_iter()
        .map(|(_, _, listened)| listened)
        .collect();
    let hooks = keys.first().map(|(table, _)| &table.segment().hooks);
    key_wait::until_any(&stripes, hooks, &waker.0, timeout, look)
}
