//! Claims whose values are encoded.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::codec::{Codec, decode_vec, encode_value};
use crate::{Claim, Claimed, OtherClaim, Result};

/// What [`TypedTable::get_or_claim`](crate::TypedTable::get_or_claim) found: a value, or the state of its computation.
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
    pub(super) fn new(key: &[u8], claimed: Claimed) -> Result<Self> {
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
    pub(super) fn new(claim: Claim) -> Self {
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
    /// [`Error::Codec`](crate::Error::Codec) if `value` can't be encoded or the key's other value can't be decoded, and
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
    /// [`Error::Codec`](crate::Error::Codec) if the value cannot be decoded, and those of `OtherClaim::wait`.
    pub fn wait(self, timeout: Duration) -> Result<TypedClaimed<V>> {
        self.wait_holding(timeout, &[])
    }

    /// Waits as [`wait`](Self::wait) does, for a caller that holds claims itself, of any tables.
    ///
    /// Pass typed claims as [`AsRef<Claim>`](TypedClaim#impl-AsRef<Claim>-for-TypedClaim<V>). See
    /// [`OtherClaim::wait_holding`].
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if the value cannot be decoded, and those of
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
