//! One computation of a value, by one of all who want it.

use std::time::Duration;

use super::Table;
use crate::error::{Error, Result};
use crate::index::probe::Hash;
use crate::sys::Liveness;

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
pub enum Claimed {
    /// The key's value.
    Present(Vec<u8>),
    /// There is none, and it is the caller's to compute.
    Mine(Claim),
    /// There is none, and somebody else computes it.
    Others,
}

/// The right to compute a key's value, while it lives; see
/// [`Table::get_or_claim`].
///
/// It is given back by dropping it, and by the kernel when the process ends,
/// however it ends. A forked child does not have it.
#[must_use = "a claim ends when it is dropped"]
pub struct Claim {
    _held: Liveness,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").finish_non_exhaustive()
    }
}

/// Computing a value once.
impl Table {
    /// The key's value, or else the right to compute it, which one at a time has
    /// among all threads of all processes.
    ///
    /// Who gets [`Claimed::Mine`] computes the value, [inserts](Self::insert) it
    /// and drops the claim, in this order. A claim keeps nobody from writing the
    /// key without one, and no lock of the table is held meanwhile. Claims of two
    /// keys whose hashes agree in 62 bits exclude each other.
    ///
    /// A look-up if there is a value, else three or four system calls.
    /// [`get_or_insert_with`](Self::get_or_insert_with) does the whole thing.
    ///
    /// ```
    /// use shmtable::Claimed;
    ///
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// let Claimed::Mine(claim) = table.get_or_claim(b"k")? else { panic!() };
    /// assert!(matches!(table.get_or_claim(b"k")?, Claimed::Others));
    /// table.insert(b"k", b"1")?;
    /// drop(claim);
    /// assert!(matches!(table.get_or_claim(b"k")?, Claimed::Present(value) if value == b"1"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there is no value: `ReadOnly` and `KeyTooLarge` where none could be stored,
    /// `System` (no descriptor is left, for instance). See [`Table`] for the rest.
    pub fn get_or_claim(&self, key: impl AsRef<[u8]>) -> Result<Claimed> {
        let key = key.as_ref();
        if let Some(value) = self.get(key)? {
            return Ok(Claimed::Present(value));
        }
        self.writer()?.check_sizes(key, 0)?;
        let system = |source| Error::System {
            action: "claim a key's computation",
            source,
        };
        let held = self.segment().map.liveness().map_err(system)?;
        let byte = Hash::of(self.segment(), key).claim_byte();
        if !held.try_hold(byte).map_err(system)? {
            return Ok(Claimed::Others);
        }
        // Who had the claim before may have stored the value since we looked.
        Ok(match self.get(key)? {
            Some(value) => Claimed::Present(value),
            None => Claimed::Mine(Claim { _held: held }),
        })
    }

    /// The key's value; if there is none, what a closure computes, which is
    /// stored. Of all threads of all processes that ask at the same time one
    /// computes, and the others wait for it. If it fails, panics or dies, another
    /// one takes its place within 50 ms.
    ///
    /// No lock of the table is held while the closure runs; it may do anything but
    /// ask for the same key in this way, which would wait for ever.
    ///
    /// ```
    /// # fn main() -> shmtable::Result<()> {
    /// # let table = shmtable::Options::new().capacity(100).create_anonymous()?;
    /// assert_eq!(table.get_or_insert_with(b"6 * 7", || Ok(b"42".to_vec()))?, b"42");
    /// assert_eq!(table.get_or_insert_with(b"6 * 7", || unreachable!())?, b"42");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The closure's; then nothing is stored. As
    /// [`get_or_claim`](Self::get_or_claim) and [`insert`](Self::insert).
    pub fn get_or_insert_with(
        &self,
        key: impl AsRef<[u8]>,
        compute: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let key = key.as_ref();
        loop {
            match self.get_or_claim(key)? {
                Claimed::Present(value) => return Ok(value),
                Claimed::Mine(claim) => {
                    let value = compute()?;
                    self.insert(key, &value)?;
                    drop(claim);
                    return Ok(value);
                }
                Claimed::Others => {
                    self.wait(key, SLICE)?;
                }
            }
        }
    }
}
