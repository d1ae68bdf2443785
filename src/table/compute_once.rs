//! Computing a value once, whatever the number of processes that ask for it.

use std::time::Duration;

use super::Table;
use super::claim::{Claim, ClaimAttempts, Claimed, OtherClaim, Right};
use crate::error::{Error, Result};

/// Computing a value once.
impl Table {
    /// Returns the value of a key or, if there is none, the right to compute it.
    ///
    /// One caller at a time has that right, among all threads of all processes. The caller that
    /// gets [`Claimed::Mine`] computes the value and [stores it](Claim::insert); the others can
    /// [wait](OtherClaim::wait). A claim doesn't keep others from writing the key, and no lock of
    /// the table is held while it exists. Claims of two keys whose hashes agree in 62 bits exclude
    /// each other.
    ///
    /// Costs a lookup if there is a value, otherwise a few system calls. A claim takes no
    /// descriptor and no room in the table, but each attempt makes the system search all claims
    /// that are held: a thousand at a time are no burden, tens of thousands are.
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
    /// If there is no value: `ReadOnly` and `KeyTooLarge`, where none could be stored; `System`.
    /// See [`Table`] for the rest.
    pub fn get_or_claim(&self, key: impl AsRef<[u8]>) -> Result<Claimed> {
        let key = key.as_ref();
        if let Some(value) = self.get(key)? {
            return Ok(Claimed::Present(value));
        }
        let right = Right::of(self, key)?;
        let Some(claim) = right.take(key)? else {
            return Ok(Claimed::Others(OtherClaim::new(right, key)));
        };
        // The last claimant may have stored the value after it was not found above.
        Ok(match self.get(key)? {
            Some(value) => Claimed::Present(value),
            None => Claimed::Mine(claim),
        })
    }

    /// Claims a key, whether it has a value or not; `None` if it is claimed already.
    ///
    /// One caller at a time holds a key's claim, among all threads of all processes. So workers can
    /// share jobs that are entries of the table: each job is one worker's, and a worker that dies
    /// leaves its job to the others. The claim is the right that
    /// [`get_or_claim`](Self::get_or_claim) gives, at the same cost, and keeps no one from reading
    /// or writing.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// table.insert(b"job 1", b"sweep")?;
    /// for key in table.keys() {
    ///     let key = key?;
    ///     let Some(claim) = table.claim(&key)? else { continue };
    ///     // No other worker has it now, but one may have done it already.
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
        Right::of(self, key)?.take(key)
    }

    /// Claims a key, and waits for it if it is claimed already; `None` after the timeout.
    ///
    /// As [`claim`](Self::claim): a lock for one thread of all processes, which ends with its
    /// holder. The end of a claim wakes all waiters, of whom one gets it, in no particular order;
    /// a holder that dies is noticed within 50 ms. `held` are claims that this thread holds: if
    /// their keys are waited for in a circle, one of the waiters gets `Deadlock`, as
    /// [`OtherClaim::wait_holding`] says.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use std::time::Duration;
    ///
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let printer = table.claim("printer")?.expect("it is free");
    /// assert!(table.claim_within("printer", Duration::ZERO, &[])?.is_none());
    /// let other = table.clone();
    /// let waiter = std::thread::spawn(move || {
    ///     other.claim_within("printer", Duration::from_secs(10), &[])
    /// });
    /// drop(printer);
    /// assert!(waiter.join().unwrap()?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Deadlock`; otherwise as [`claim`](Self::claim).
    pub fn claim_within(
        &self,
        key: impl AsRef<[u8]>,
        timeout: Duration,
        held: &[&Claim],
    ) -> Result<Option<Claim>> {
        let key = key.as_ref();
        let right = Right::of(self, key)?;
        if let Some(claim) = right.take(key)? {
            return Ok(Some(claim));
        }
        ClaimAttempts::new(OtherClaim::new(right, key), held).until(timeout, ClaimAttempts::claim)
    }

    /// Returns attempts to claim a key, for a wait that [`wait_until`](crate::wait_until) makes.
    ///
    /// [`claim_within`](Self::claim_within) and [`OtherClaim::wait`] keep a thread busy with one
    /// claim. A closure of `wait_until` makes attempts for many: the end of a claim wakes it, and a
    /// holder that died is noticed within 50 ms. `held` are the claims that the caller
    /// holds: when one of them ends, make new attempts.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// use std::time::Duration;
    ///
    /// use shmtable::{Waker, wait_until};
    ///
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let printers = [b"printer 1", b"printer 2"];
    /// let _first = table.claim(printers[0])?.expect("it is free");
    /// let mut attempts = Vec::new();
    /// for printer in printers {
    ///     attempts.push(table.claim_attempts(printer, &[])?);
    /// }
    /// let keys = printers.map(|printer| (&table, printer));
    /// // The first claim that is free.
    /// let claim = wait_until(&keys, &Waker::new(), Duration::from_secs(10), || {
    ///     for attempts in &mut attempts {
    ///         if let Some(claim) = attempts.claim()? {
    ///             return Ok(Some(claim));
    ///         }
    ///     }
    ///     Ok(None)
    /// })?;
    /// assert_eq!(claim.expect("it is free").key(), printers[1]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `ReadOnly`, `KeyTooLarge`. See [`Table`] for the rest.
    pub fn claim_attempts(&self, key: impl AsRef<[u8]>, held: &[&Claim]) -> Result<ClaimAttempts> {
        let key = key.as_ref();
        let other = OtherClaim::new(Right::of(self, key)?, key);
        Ok(ClaimAttempts::new(other, held))
    }

    /// Returns the value of a key; if there is none, computes it with a closure and stores it.
    ///
    /// If several callers ask at the same time, in any threads of any processes, one computes and
    /// the others wait for its value.
    ///
    /// If another value is stored while the closure runs, that one stays, and is returned. If the
    /// closure panics or its process dies, another caller computes; a death is noticed within 50 ms.
    /// A value that finds no room is returned but not stored, and the next caller computes it
    /// again; use [`Claim::insert`] to learn about that.
    ///
    /// No lock of the table is held while the closure runs, so it may do anything. It can ask for
    /// other keys in the same way if that leads to no circle; otherwise one of the callers that
    /// would wait forever gets `Deadlock`, as does a closure that asks for its own key. Apart from
    /// that, a wait has no end; see [`get_or_try_insert_with`](Self::get_or_try_insert_with).
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
    /// `Deadlock`; otherwise as [`get_or_claim`](Self::get_or_claim), and as
    /// [`insert`](Self::insert) without the errors about room.
    pub fn get_or_insert_with<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        compute: impl FnOnce() -> V,
    ) -> Result<Vec<u8>> {
        self.get_or_try_insert_with(key, Duration::MAX, || Ok(compute()))
    }

    /// Works as [`get_or_insert_with`](Self::get_or_insert_with), with a closure that may fail and
    /// a timeout.
    ///
    /// If the closure fails, nothing is stored, its error is returned, and another caller computes.
    /// The timeout is only for waiting while another caller computes; the closure may take as long
    /// as it likes. `Duration::MAX` waits forever.
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
    /// The closure's error; `ClaimTimeout`; otherwise as
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
        let computing = claim.begin_computing();
        let value = compute()?;
        drop(computing);
        let value = value.as_ref();
        match claim.insert(value) {
            Ok(Some(winner)) => Ok(winner),
            // Without room it is not stored, but it need not be lost.
            Ok(None)
            | Err(
                Error::TableFull { .. }
                | Error::ValueSpaceFull { .. }
                | Error::SharedMemoryFull { .. }
                | Error::MaxBytesReached { .. }
                | Error::ValueTooLarge { .. },
            ) => Ok(value.to_vec()),
            Err(error) => Err(error.into()),
        }
    }
}
