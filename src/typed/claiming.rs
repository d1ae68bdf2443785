//! Computing a value once, with codecs.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::TypedTable;
use super::codec::{Codec, decode_vec, encode, encode_value};
use crate::{Claim, Claimed, Error, OtherClaim, Result};

/// What [`TypedTable::get_or_claim`] found: a value, or the state of its computation.
#[must_use]
#[non_exhaustive]
pub enum TypedClaimed<V: Codec + ?Sized> {
    /// The key's value.
    Present(V::Owned),
    /// The key has no value, and the caller has the right to compute it.
    Mine(TypedClaim<V>),
    /// The key has no value, and another caller has the right to compute it.
    Others(TypedOtherClaim<V>),
}

/// The right to compute the value of a key, which one caller at a time has: a [`Claim`] whose
/// values are encoded.
#[must_use = "a claim ends when it is dropped"]
pub struct TypedClaim<V: Codec + ?Sized> {
    claim: Claim,
    types: PhantomData<fn(&V)>,
}

/// A claim that another caller has, to wait for: an [`OtherClaim`] whose values are decoded.
#[must_use = "it is there to be waited for"]
pub struct TypedOtherClaim<V: Codec + ?Sized> {
    other: OtherClaim,
    types: PhantomData<fn(&V)>,
}

impl<V: Codec + ?Sized> TypedClaimed<V> {
    fn new(key: &[u8], claimed: Claimed) -> Result<Self> {
        Ok(match claimed {
            Claimed::Present(value) => Self::Present(decode_vec::<V>(key, value)?),
            Claimed::Mine(claim) => Self::Mine(TypedClaim::new(claim)),
            Claimed::Others(other) => Self::Others(TypedOtherClaim {
                other,
                types: PhantomData,
            }),
        })
    }
}

impl<V: Codec + ?Sized> TypedClaim<V> {
    fn new(claim: Claim) -> Self {
        Self {
            claim,
            types: PhantomData,
        }
    }

    /// Returns the claimed key, encoded.
    pub fn key(&self) -> &[u8] {
        self.claim.key()
    }

    /// Stores a value unless the key already has one, and ends the claim.
    ///
    /// Returns `None` if the value is stored, otherwise the value that the key has instead. See
    /// [`Claim::insert`].
    ///
    /// # Errors
    /// [`Error::Codec`] if `value` can't be encoded or the key's other value can't be decoded, and
    /// those of `Claim::insert`; the claim ends in that case, too.
    pub fn insert(self, value: &V::Item) -> Result<Option<V::Owned>> {
        let key = self.claim.key().to_vec();
        let value = encode_value::<V>(&key, value)?;
        let winner = self.claim.insert(value)?;
        winner
            .map(|winner| decode_vec::<V>(&key, winner))
            .transpose()
    }
}

impl<V: Codec + ?Sized> TypedOtherClaim<V> {
    /// Returns the claimed key, encoded.
    pub fn key(&self) -> &[u8] {
        self.other.key()
    }

    /// Sleeps until the key has a value or the claim is free, and tries again.
    ///
    /// After the timeout the result is `Others` again. See [`OtherClaim::wait`].
    ///
    /// # Errors
    /// [`Error::Codec`] if the value cannot be decoded, and those of `OtherClaim::wait`.
    pub fn wait(self, timeout: Duration) -> Result<TypedClaimed<V>> {
        self.wait_holding(timeout, &[])
    }

    /// Waits as [`wait`](Self::wait) does, for a caller that holds claims itself, of any tables.
    ///
    /// Pass typed claims as [`AsRef<Claim>`](TypedClaim#impl-AsRef<Claim>-for-TypedClaim<V>). See
    /// [`OtherClaim::wait_holding`].
    ///
    /// # Errors
    /// [`Error::Codec`] if the value cannot be decoded, and those of
    /// `OtherClaim::wait_holding`.
    pub fn wait_holding(self, timeout: Duration, held: &[&Claim]) -> Result<TypedClaimed<V>> {
        let key = self.other.key().to_vec();
        TypedClaimed::new(&key, self.other.wait_holding(timeout, held)?)
    }
}

impl<V: Codec + ?Sized> AsRef<Claim> for TypedClaim<V> {
    fn as_ref(&self) -> &Claim {
        &self.claim
    }
}

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

/// Shows which variant it is, but no value.
impl<V: Codec + ?Sized> fmt::Debug for TypedClaimed<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present(_) => f.debug_tuple("Present").finish_non_exhaustive(),
            Self::Mine(claim) => f.debug_tuple("Mine").field(claim).finish(),
            Self::Others(other) => f.debug_tuple("Others").field(other).finish(),
        }
    }
}

impl<V: Codec + ?Sized> fmt::Debug for TypedClaim<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedClaim").field(&self.claim).finish()
    }
}

impl<V: Codec + ?Sized> fmt::Debug for TypedOtherClaim<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedOtherClaim").field(&self.other).finish()
    }
}
