//! Computing a value once, with codecs.

use std::time::Duration;

use super::TypedTable;
use super::claim::{TypedClaim, TypedClaimed};
use super::codec::{Codec, decode_vec, encode, encode_value};
use crate::{Claim, Error, Result};

/// Computing a value once.
impl<K: Codec + ?Sized, V: Codec + ?Sized> TypedTable<K, V> {
    /// Returns the value of a key or, if there is none, the right to compute it.
    ///
    /// One caller at a time has that right, among all threads of all processes. See
    /// [`Table::get_or_claim`](crate::Table::get_or_claim).
    ///
    /// # Errors
    /// [`Error::Codec`] if `key` cannot be encoded or the value cannot be decoded, and
    /// those of `Table::get_or_claim`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedClaimed, TypedTable};
    /// let squares = TypedTable::<u32, u64>::create_anonymous(Options::new().capacity(10))?;
    /// match squares.get_or_claim(&7)? {
    ///     TypedClaimed::Mine(claim) => assert_eq!(claim.insert(&49)?, None),
    ///     _ => unreachable!("there is no other caller"),
    /// }
    /// assert!(matches!(squares.get_or_claim(&7)?, TypedClaimed::Present(49)));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn get_or_claim(&self, key: &K::Item) -> Result<TypedClaimed<V>> {
        let key = encode::<K>(key)?;
        TypedClaimed::new(key.as_ref(), self.table.get_or_claim(&key)?)
    }

    /// Claims a key, whether it has a value or not; `None` if it is claimed already.
    ///
    /// See [`Table::claim`](crate::Table::claim).
    ///
    /// # Errors
    /// [`Error::Codec`] if `key` cannot be encoded, and those of `Table::claim`.
    pub fn claim(&self, key: &K::Item) -> Result<Option<TypedClaim<V>>> {
        let claim = self.table.claim(encode::<K>(key)?)?;
        Ok(claim.map(TypedClaim::new))
    }

    /// Claims a key, and waits for it if it is claimed already; `None` after the timeout.
    ///
    /// See [`Table::claim_within`](crate::Table::claim_within). Pass typed claims as
    /// [`AsRef<Claim>`](TypedClaim#impl-AsRef<Claim>-for-TypedClaim<V>).
    ///
    /// # Errors
    /// [`Error::Codec`] if `key` cannot be encoded, and those of `Table::claim_within`.
    pub fn claim_within(
        &self,
        key: &K::Item,
        timeout: Duration,
        held: &[&Claim],
    ) -> Result<Option<TypedClaim<V>>> {
        let key = encode::<K>(key)?;
        let claim = self.table.claim_within(key, timeout, held)?;
        Ok(claim.map(TypedClaim::new))
    }

    /// Returns the value of a key; if there is none, computes it with a closure and stores it.
    ///
    /// If several callers ask at the same time, in any threads of any processes, one computes.
    /// [`Table::get_or_insert_with`](crate::Table::get_or_insert_with) says what the others wait
    /// for, and what happens to a value that finds no room.
    ///
    /// # Errors
    /// [`Error::Codec`] if `key` or the new value cannot be encoded or the value cannot
    /// be decoded, and those of `Table::get_or_insert_with`.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let squares = TypedTable::<u32, u64>::create_anonymous(Options::new().capacity(10))?;
    /// assert_eq!(squares.get_or_insert_with(&7, || 49)?, 49);
    /// assert_eq!(squares.get_or_insert_with(&7, || unreachable!())?, 49);
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn get_or_insert_with(
        &self,
        key: &K::Item,
        compute: impl FnOnce() -> V::Owned,
    ) -> Result<V::Owned> {
        self.get_or_try_insert_with(key, Duration::MAX, || Ok::<_, Error>(compute()))
    }

    /// Works as [`get_or_insert_with`](Self::get_or_insert_with), with a closure that may fail and
    /// a timeout.
    ///
    /// The error is of a type of your own. The timeout is for waiting while another caller
    /// computes; see [`Table::get_or_try_insert_with`](crate::Table::get_or_try_insert_with).
    ///
    /// # Errors
    /// The closure's error; those of [`get_or_insert_with`](Self::get_or_insert_with);
    /// [`Error::ClaimTimeout`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use shmtable::{Error, Options, TypedTable};
    /// #[derive(Debug)]
    /// enum FetchError {
    ///     NotANumber(std::num::ParseIntError),
    ///     Table(Error),
    /// }
    ///
    /// impl From<Error> for FetchError {
    ///     fn from(error: Error) -> Self {
    ///         Self::Table(error)
    ///     }
    /// }
    ///
    /// let parsed = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// let parse = |text: &str| {
    ///     let parse = || text.parse().map_err(FetchError::NotANumber);
    ///     parsed.get_or_try_insert_with(text, Duration::from_secs(10), parse)
    /// };
    /// assert!(matches!(parse("12"), Ok(12)));
    /// assert!(matches!(parse("twelve"), Err(FetchError::NotANumber(_))));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn get_or_try_insert_with<E: From<Error>>(
        &self,
        key: &K::Item,
        timeout: Duration,
        compute: impl FnOnce() -> Result<V::Owned, E>,
    ) -> Result<V::Owned, E> {
        let key = encode::<K>(key)?;
        let value = self.table.get_or_try_insert_with(&key, timeout, || {
            let value = compute()?;
            let encoded = encode_value::<V>(key.as_ref(), std::borrow::Borrow::borrow(&value))?;
            Ok::<_, E>(encoded.as_ref().to_vec())
        })?;
        Ok(decode_vec::<V>(key.as_ref(), value)?)
    }
}
