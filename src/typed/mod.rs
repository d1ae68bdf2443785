//! Typed tables: codecs above the bytes of a [`Table`].
//!
//! A [`TypedTable`] encodes what goes in and decodes what comes out. It holds no lock and no state
//! of its own, and knows nothing of the segment but the codec id in it.
//!
//! - `codec`: the [`Codec`] trait, and the one place that makes an [`Error::Codec`] of a codec's
//!   refusal.
//! - `plain`: types that are their own codecs; `messagepack`: serde types.
//! - `entries`: operations on one key; `compute_once`: computing the value of a key once, with
//!   `claim`; `numbers`: counters; `bulk`: operations on many keys, with `iter` and `snapshot`;
//!   `handle`: methods that need no codec.

mod bulk;
mod claim;
mod codec;
mod compute_once;
mod entries;
mod handle;
mod iter;
#[cfg(feature = "serde")]
mod messagepack;
mod numbers;
mod plain;
mod snapshot;

use std::fmt;
use std::marker::PhantomData;

use crate::layout::codec_id;
use crate::{Error, Options, Result, Table};

pub use claim::{TypedClaim, TypedClaimed, TypedOtherClaim};
pub use codec::Codec;
pub use iter::{TypedIter, TypedKeys, TypedValues};
#[cfg(feature = "serde")]
pub use messagepack::MessagePack;
pub use numbers::Number;
pub use snapshot::{TypedSnapshot, TypedSnapshotIter};

/// A [`Table`] whose keys and values are Rust values instead of bytes, by means of two
/// [codecs](Codec).
///
/// It encodes what goes in and decodes what comes out, and the guarantees of [`Table`] hold
/// unchanged. Clones share one handle, as clones of `Table` do. Like `Table` it is `Send + Sync`,
/// whatever the types, because only bytes are shared.
///
/// ```
/// use shmtable::{Options, TypedTable};
///
/// let words = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(1000))?;
/// words.insert("hello", &1)?;
/// words.update("hello", |count| Some(count.unwrap_or(0) + 1))?;
/// assert_eq!(words.get("hello")?, Some(2));
/// assert_eq!(words.as_table().get(b"hello")?.as_deref(), Some(&2_u64.to_le_bytes()[..]));
/// # Ok::<(), shmtable::Error>(())
/// ```
///
/// # What is copied
/// On the way in, strings and bytes are borrowed and numbers are a few bytes on the stack:
/// writing allocates no more than plain bytes would. On the way out, a `String` is made of
/// the one buffer that a get of bytes fills, and a [`get`](Self::get) of a number allocates
/// nothing.
///
/// # Types are checked when a table is opened
/// A segment remembers the codecs it was created with as one number, the
/// [`codec_id`](Self::codec_id). Opening it with other types fails with
/// [`Error::CodecMismatch`]. The entries themselves carry no type: a program that writes
/// bytes to the table, through [`Table`], must keep to the encoding. An entry that breaks it
/// is an [`Error::Codec`] when it is read, never a panic.
///
/// # Keys are equal when their encodings are
/// `0.0` and `-0.0` are two keys, and a NaN is found by its bits.
///
/// # Errors of every method
/// Those of the method of that name of [`Table`], and [`Error::Codec`] if a key or a value
/// can't be encoded or decoded. If something can't be *encoded*, the table is unchanged. If
/// something can't be *decoded*, the methods that write say what has happened.
pub struct TypedTable<K: Codec + ?Sized, V: Codec + ?Sized> {
    table: Table,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> TypedTable<K, V> {
    /// Creates a table of this name, as [`Options::create`] does.
    ///
    /// It gets this type's [`codec_id`](Self::codec_id).
    ///
    /// # Errors
    /// Those of [`Options::create`].
    pub fn create(options: Options, name: &str) -> Result<Self> {
        Self::from_table(Self::options(options).create(name)?)
    }

    /// Opens the table of this name, or creates it if there is none, as [`Options::open_or_create`]
    /// does.
    ///
    /// # Errors
    /// Those of [`Options::open_or_create`], and [`Error::CodecMismatch`] if the table exists and
    /// was created with other types.
    pub fn open_or_create(options: Options, name: &str) -> Result<Self> {
        Self::from_table(Self::options(options).open_or_create(name)?)
    }

    /// Creates a table of this name, in place of the one that has it, as
    /// [`Options::create_or_replace`] does.
    ///
    /// It gets this type's [`codec_id`](Self::codec_id).
    ///
    /// # Errors
    /// Those of [`Options::create_or_replace`].
    pub fn create_or_replace(options: Options, name: &str) -> Result<Self> {
        Self::from_table(Self::options(options).create_or_replace(name)?)
    }

    /// Opens the table of this name for reading and writing, as [`Options::open`] does.
    ///
    /// # Errors
    /// Those of [`Options::open`], and [`Error::CodecMismatch`] if the table
    /// was created with other types.
    pub fn open(options: Options, name: &str) -> Result<Self> {
        Self::from_table(Self::options(options).open(name)?)
    }

    /// Opens the table of this name for reading only, as [`Options::open_read_only`] does.
    ///
    /// Methods that write fail with [`Error::ReadOnly`].
    ///
    /// # Errors
    /// Those of [`Options::open_read_only`], and [`Error::CodecMismatch`] if
    /// the table was created with other types.
    pub fn open_read_only(options: Options, name: &str) -> Result<Self> {
        Self::from_table(Self::options(options).open_read_only(name)?)
    }

    /// Opens the table of this name without counting as a user of it, as [`Options::open_observer`]
    /// does.
    ///
    /// Methods that write fail with [`Error::ReadOnly`].
    ///
    /// # Errors
    /// Those of [`Options::open_observer`], and [`Error::CodecMismatch`] if the table was
    /// created with other types.
    pub fn open_observer(options: Options, name: &str) -> Result<Self> {
        Self::from_table(Self::options(options).open_observer(name)?)
    }

    /// Creates a table with a generated name, which is removed with its creator, as
    /// [`Options::create_anonymous`] does.
    ///
    /// # Errors
    /// Those of [`Options::create_anonymous`].
    pub fn create_anonymous(options: Options) -> Result<Self> {
        Self::from_table(Self::options(options).create_anonymous()?)
    }

    /// Gives types to an open table. Reads nothing but its codec id.
    ///
    /// # Errors
    /// [`Error::CodecMismatch`] if the table was created with other types; a table created through
    /// [`Options`] is one of `<[u8], [u8]>`.
    ///
    /// ```
    /// use shmtable::{Error, Options, TypedTable};
    ///
    /// let bytes = Options::new().capacity(10).create_anonymous()?;
    /// let numbers = TypedTable::<str, u64>::from_table(bytes.clone());
    /// assert!(matches!(numbers, Err(Error::CodecMismatch { found: 0, .. })));
    /// assert!(TypedTable::<[u8], [u8]>::from_table(bytes).is_ok());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_table(table: Table) -> Result<Self> {
        let found = table.codec_id();
        if Self::codec_ids().contains(&found) {
            Ok(Self {
                table,
                types: PhantomData,
            })
        } else {
            Err(Error::CodecMismatch {
                found,
                expected: Self::codec_id(),
                view: Some((K::NAME, V::NAME)),
            })
        }
    }

    /// Returns a read-only handle of this table, as [`Table::as_read_only`] does.
    #[must_use]
    pub fn as_read_only(&self) -> Self {
        Self {
            table: self.table.as_read_only(),
            types: PhantomData,
        }
    }

    /// Returns the same handle without its types, for every operation on bytes.
    ///
    /// Write only bytes through it that the codecs would write.
    pub fn as_table(&self) -> &Table {
        &self.table
    }

    /// Returns the handle without its types.
    pub fn into_table(self) -> Table {
        self.table
    }

    /// Returns the id of this type's two codecs, as the segment stores it.
    ///
    /// It is the [`codec_id`] of their [`NAME`](Codec::NAME)s.
    ///
    /// ```
    /// use shmtable::{TypedTable, codec_id};
    ///
    /// assert_eq!(TypedTable::<[u8], [u8]>::codec_id(), 0);
    /// assert_eq!(TypedTable::<str, u64>::codec_id(), codec_id("str", "u64"));
    /// ```
    pub fn codec_id() -> u64 {
        codec_id(K::NAME, V::NAME)
    }

    fn options(options: Options) -> Options {
        options.codecs(Self::codec_ids(), Some((K::NAME, V::NAME)))
    }

    /// Returns the id of the tables that this type creates, then those of others that it opens.
    fn codec_ids() -> Vec<u64> {
        let keys = || [K::NAME].into_iter().chain(K::ALSO_READS.iter().copied());
        let values = || [V::NAME].into_iter().chain(V::ALSO_READS.iter().copied());
        keys()
            .flat_map(|key| values().map(move |value| codec_id(key, value)))
            .collect()
    }
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> Clone for TypedTable<K, V> {
    fn clone(&self) -> Self {
        Self {
            table: self.table.clone(),
            types: PhantomData,
        }
    }
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> fmt::Debug for TypedTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedTable")
            .field("name", &self.table.name())
            .field("key", &K::NAME)
            .field("value", &V::NAME)
            .finish()
    }
}

impl<K: Codec + ?Sized, V: Codec + ?Sized> AsRef<Table> for TypedTable<K, V> {
    fn as_ref(&self) -> &Table {
        &self.table
    }
}
