//! Waiting for one key.

use std::time::Duration;

use super::Table;
use crate::error::Result;
use crate::index::probe::Hash;
use crate::locking::key_wait;

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
