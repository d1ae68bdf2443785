//! Counters of any width.

use sealed::Counted;

use super::TypedTable;
use super::codec::{Codec, encode};
use crate::{Error, Result, Table};

/// A number that [`TypedTable::fetch_add`] can add to: `i8` to `i64`, `u8` to `u64`, `f32` and
/// `f64`.
pub trait Number: Counted {}

mod sealed {
    use super::{Codec, Error, Result, Table};

    /// A number that is its own codec, which only this crate may say of a type.
    pub trait Counted: Codec<Item = Self, Owned = Self> + Copy + Default + PartialOrd {
        /// Returns the sum, or an error if it overflows.
        fn plus(self, add: Self) -> Result<Self>;

        /// Returns the difference, or an error if it overflows.
        fn minus(self, subtract: Self) -> Result<Self>;

        fn from_bytes(bytes: &[u8]) -> Result<Self>;

        fn fetch_add(table: &Table, key: &[u8], add: Self) -> Result<Self> {
            change(table, key, |before: Self| before.plus(add))
        }

        fn fetch_sub(table: &Table, key: &[u8], subtract: Self) -> Result<Self> {
            change(table, key, |before: Self| before.minus(subtract))
        }

        fn fetch_max(table: &Table, key: &[u8], n: Self) -> Result<Self> {
            store_if(table, key, n, |value| n > value)
        }

        fn fetch_min(table: &Table, key: &[u8], n: Self) -> Result<Self> {
            store_if(table, key, n, |value| n < value)
        }
    }

    /// Stores `n` if there is no number, or if it `gives_way`. Returns what it was, or `n`.
    pub(super) fn store_if<N: Counted>(
        table: &Table,
        key: &[u8],
        n: N,
        gives_way: impl Fn(N) -> bool,
    ) -> Result<N> {
        let mut before = n;
        table.try_update(key, |old| {
            before = old.map_or(Ok(n), N::from_bytes)?;
            let after = if gives_way(before) { n } else { before };
            let encoded = super::encode::<N>(&after)?;
            Ok::<_, Error>(Some(encoded.as_ref().to_vec()))
        })?;
        Ok(before)
    }

    /// Stores the result of a calculation with a number, and returns the number before.
    pub(super) fn change<N: Counted>(
        table: &Table,
        key: &[u8],
        change: impl Fn(N) -> Result<N>,
    ) -> Result<N> {
        let mut before = N::default();
        table.try_update(key, |old| {
            before = old.map_or(Ok(N::default()), N::from_bytes)?;
            let after = change(before)?;
            let encoded = super::encode::<N>(&after)?;
            Ok::<_, Error>(Some(encoded.as_ref().to_vec()))
        })?;
        Ok(before)
    }
}

macro_rules! from_bytes {
    ($number:ident) => {
        fn from_bytes(bytes: &[u8]) -> Result<Self> {
            let wrong = |_| Error::NotACounter {
                length: bytes.len(),
                size: size_of::<$number>(),
            };
            bytes.try_into().map(Self::from_le_bytes).map_err(wrong)
        }
    };
}

macro_rules! integers {
    ($($number:ident { $($faster:tt)* })*) => {$(
        impl Number for $number {}

        impl Counted for $number {
            from_bytes!($number);

            #[inline]
            fn plus(self, add: Self) -> Result<Self> {
                self.checked_add(add).ok_or(Error::CounterOverflow {
                    value: self.into(),
                    add: add.into(),
                    number: stringify!($number),
                })
            }

            #[inline]
            fn minus(self, subtract: Self) -> Result<Self> {
                self.checked_sub(subtract).ok_or(Error::CounterOverflow {
                    value: self.into(),
                    add: -i128::from(subtract),
                    number: stringify!($number),
                })
            }

            $($faster)*
        }
    )*};
}

integers! {
    u8 {} u16 {} u32 {} u64 {} i8 {} i16 {} i32 {}
    i64 {
        #[inline]
        fn fetch_add(table: &Table, key: &[u8], add: Self) -> Result<Self> {
            table.fetch_add(key, add)
        }

        #[inline]
        fn fetch_sub(table: &Table, key: &[u8], subtract: Self) -> Result<Self> {
            match subtract.checked_neg() {
                Some(add) => table.fetch_add(key, add),
                None => sealed::change(table, key, |before: i64| before.minus(subtract)),
            }
        }

        fn fetch_max(table: &Table, key: &[u8], n: Self) -> Result<Self> {
            table.fetch_max(key, n)
        }

        fn fetch_min(table: &Table, key: &[u8], n: Self) -> Result<Self> {
            table.fetch_min(key, n)
        }
    }
}

macro_rules! floats {
    ($($number:ident)*) => {$(
        impl Number for $number {}

        impl Counted for $number {
            from_bytes!($number);

            #[inline]
            fn plus(self, add: Self) -> Result<Self> {
                Ok(self + add)
            }

            #[inline]
            fn minus(self, subtract: Self) -> Result<Self> {
                Ok(self - subtract)
            }
        }
    )*};
}

floats! { f32 f64 }

/// Counters.
impl<K: Codec + ?Sized, V: Number> TypedTable<K, V> {
    /// Adds to the number of a key, and returns its value before the addition.
    ///
    /// An absent key counts as 0. This is one step for all processes. For `i64` it is
    /// [`Table::fetch_add`](crate::Table::fetch_add), which is the fastest; for other types it is
    /// an [`update`](Self::update). Floats are added as `+` does, and overflow to infinity.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` can't be encoded,
    /// [`Error::NotACounter`](crate::Error::NotACounter) if the value was stored as bytes and has
    /// another length, [`Error::CounterOverflow`](crate::Error::CounterOverflow) if the sum is
    /// outside the type's range, and those of `Table::fetch_add`. The number is unchanged in that
    /// case.
    ///
    /// ```
    /// # use shmtable::{Error, Options, TypedTable};
    /// let hits = TypedTable::<str, u32>::create_anonymous(Options::new().capacity(10))?;
    /// assert_eq!(hits.fetch_add("/", 1)?, 0);
    /// assert_eq!(hits.fetch_add("/", 1)?, 1);
    /// assert_eq!(hits.get("/")?, Some(2));
    /// let overflow = hits.fetch_add("/", u32::MAX);
    /// assert!(matches!(overflow, Err(Error::CounterOverflow { .. })));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    #[inline]
    pub fn fetch_add(&self, key: &K::Item, add: V) -> Result<V> {
        V::fetch_add(&self.table, encode::<K>(key)?.as_ref(), add)
    }

    /// Subtracts from the number of a key, and returns its value before the subtraction.
    ///
    /// An absent key counts as 0. In all else this is [`fetch_add`](Self::fetch_add).
    ///
    /// # Errors
    /// Those of [`fetch_add`](Self::fetch_add).
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let free = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10))?;
    /// free.insert("seats", &3)?;
    /// assert_eq!(free.fetch_sub("seats", 2)?, 3);
    /// assert!(free.fetch_sub("seats", 2).is_err());
    /// assert_eq!(free.get("seats")?, Some(1));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    #[inline]
    pub fn fetch_sub(&self, key: &K::Item, subtract: V) -> Result<V> {
        V::fetch_sub(&self.table, encode::<K>(key)?.as_ref(), subtract)
    }

    /// Raises the number of a key to `n` if it is less, and returns its value before.
    ///
    /// An absent key counts as `n`, which is stored. This is one step for all processes. For `i64`
    /// it is [`Table::fetch_max`](crate::Table::fetch_max); for other types it is an
    /// [`update`](Self::update). Floats are compared as `<` does: a NaN is neither less nor greater
    /// than any number, so it stays, and is stored only where there is no number.
    ///
    /// # Errors
    /// [`Error::Codec`](crate::Error::Codec) if `key` can't be encoded,
    /// [`Error::NotACounter`](crate::Error::NotACounter) if the value was stored as bytes and has
    /// another length, and those of `Table::fetch_max`. The number is unchanged in that case.
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let peaks = TypedTable::<str, f64>::create_anonymous(Options::new().capacity(10))?;
    /// assert_eq!(peaks.fetch_max("load", 0.5)?, 0.5);
    /// assert_eq!(peaks.fetch_max("load", 2.5)?, 0.5);
    /// assert_eq!(peaks.fetch_max("load", 1.5)?, 2.5);
    /// assert_eq!(peaks.get("load")?, Some(2.5));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn fetch_max(&self, key: &K::Item, n: V) -> Result<V> {
        V::fetch_max(&self.table, encode::<K>(key)?.as_ref(), n)
    }

    /// Lowers the number of a key to `n` if it is greater, and returns its value before.
    ///
    /// An absent key counts as `n`, which is stored. In all else this is
    /// [`fetch_max`](Self::fetch_max).
    ///
    /// # Errors
    /// Those of [`fetch_max`](Self::fetch_max).
    ///
    /// ```
    /// # use shmtable::{Options, TypedTable};
    /// let fastest = TypedTable::<str, u32>::create_anonymous(Options::new().capacity(10))?;
    /// assert_eq!(fastest.fetch_min("/", 20)?, 20);
    /// assert_eq!(fastest.fetch_min("/", 15)?, 20);
    /// assert_eq!(fastest.get("/")?, Some(15));
    /// # Ok::<(), shmtable::Error>(())
    /// ```
    pub fn fetch_min(&self, key: &K::Item, n: V) -> Result<V> {
        V::fetch_min(&self.table, encode::<K>(key)?.as_ref(), n)
    }
}
