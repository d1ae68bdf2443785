//! Operations on one key that read and write in one step.
//!
//! No Python code runs under a lock. `add` of plain numbers runs in Rust under the lock; all
//! other operations read, compute, and store by compare and exchange, and start again if
//! the value has changed.

use std::cmp::Ordering;

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt};
use shmtable::{Error, Table};

use crate::codec::Codec;
use crate::encoding::messagepack::{self, Buffer};
use shmtable_numbers::Number;

use crate::encoding::{exact, key, number};
use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};
use crate::imports::{INDEX, MISSING, RATIONAL, REAL, SAME};
use crate::methods::writing::{Given, exchange, stored};

#[pymethods]
impl SharedDictBase {
    /// Adds to a number atomically and returns the sum; a missing key counts as 0.
    ///
    /// Unlike with `d[key] += n`, no addition is lost, however many processes add.
    ///
    /// Takes ints and floats, numpy's included, and the value must be one too. With
    /// `codec="raw"`, the value is a counter of 8 little-endian bytes.
    ///
    /// >>> d = SharedDict()
    /// >>> d.add('hits'), d.add('hits', 2), d.add('hits', 0.5)
    /// (1, 3, 3.5)
    #[pyo3(signature = (key, n=Given(None)), text_signature = "($self, /, key, n=1)")]
    fn add<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        n: Given<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let open = self.open(py)?;
        // Written in place: a moved buffer is a copied one.
        let mut encoded = Buffer::new();
        key::encode(open.codec, open.pickles, key, &mut encoded)?;
        if matches!(open.codec, Codec::Pickle | Codec::MessagePack) {
            // Mostly an integer is there, and keeps its length.
            let plain = match &n.0 {
                Some(n) => exact::<PyInt>(n).and_then(|n| n.extract().ok()),
                None => Some(1),
            };
            if let Some(n) = plain {
                let add = |value: &mut [u8]| number::add(value, n);
                if let Some(sum) = open.table.update_in_place(&encoded, add).or_raise(py)? {
                    return Ok(sum.into_pyobject(py)?.into_any());
                }
            }
        }
        add_slow(py, &open, &encoded, n.0)
    }

    /// Raises a number to `n` if it is less, atomically, and returns the larger of the two.
    ///
    /// A missing key gets `n`. Takes the numbers that `add` takes, and the value must be one
    /// too. Of numbers that are equal (`1` and `1.0`), and beside a nan, the value stays.
    ///
    /// >>> d = SharedDict()
    /// >>> d.max('peak', 7), d.max('peak', 7.5), d.max('peak', 2)
    /// (7, 7.5, 7.5)
    fn max<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        n: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.extreme(py, key, n, &MAX)
    }

    /// Lowers a number to `n` if it is greater, atomically, and returns the smaller of the
    /// two.
    ///
    /// A missing key gets `n`. Otherwise as `max`.
    ///
    /// >>> d = SharedDict()
    /// >>> d.min('fastest', 7), d.min('fastest', 6.5), d.min('fastest', 9)
    /// (7, 6.5, 6.5)
    fn min<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        n: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.extreme(py, key, n, &MIN)
    }

    /// Stores `new` if the value equals `expected`, atomically, and returns whether it did.
    ///
    /// `MISSING` stands for no value on both sides: as `expected` it inserts, as `new` it
    /// removes.
    ///
    /// Two values are equal if they are stored as the same bytes, or if `==` says so. This
    /// way, data frames and values that contain a nan equal their copies. A numpy array
    /// equals only an array of the same type, shape, dtype and items.
    ///
    /// >>> d = SharedDict({'state': 'waiting'})
    /// >>> d.compare_exchange('state', 'waiting', 'running')
    /// True
    /// >>> d.compare_exchange('state', 'waiting', 'running')
    /// False
    fn compare_exchange<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        expected: &Bound<'py, PyAny>,
        new: &Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        let open = self.open_long(py)?;
        let key = open.key(key)?;
        let missing = MISSING.get(py)?;
        let new = stored(py, &open, new)?;
        let expected = Expected::new(py, &open, expected)?;
        loop {
            let now = open.table.get(&key).or_raise(py)?;
            let equal = match &now {
                None => expected.value.is(missing),
                Some(now) => expected.equals(py, &open, &key, now)?,
            };
            if !equal {
                return Ok(false);
            }
            if exchange(py, &open, &key, now.as_deref(), new.as_deref())? {
                return Ok(true);
            }
            py.check_signals()?;
        }
    }

    /// Replaces a value with what a function makes of it, atomically, and returns the result.
    ///
    /// If another process or thread stores a value in between, the function is called again
    /// with that value. No lock is held while the function runs.
    ///
    /// The value of a missing key is the default, as it would be read from the table; without
    /// a default, a missing key raises `KeyError`. A function that returns `MISSING` removes
    /// the key.
    ///
    /// >>> d = SharedDict()
    /// >>> d.update_value('seen', lambda seen: seen + ['a'], [])
    /// ['a']
    #[pyo3(
        signature = (key, function, default=Given(None)),
        text_signature = "($self, /, key, function, default=shmtable._missing.SHOWN)"
    )]
    fn update_value<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        function: &Bound<'py, PyAny>,
        default: Given<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let open = self.open_long(py)?;
        let encoded = open.key(key)?;
        let default = default
            .0
            .filter(|value| MISSING.get(py).is_ok_and(|m| !value.is(m)));
        replace(py, &open, &encoded, |old| {
            let old = match (old, &default) {
                (Some(old), _) => old,
                // A copy for each call: the function may change it.
                (None, Some(default)) => open.to_value(py, &encoded, &open.value(default)?)?,
                (None, None) => return Err(errors::missing(key)),
            };
            function.call1((old,))
        })
    }
}

/// Which of two numbers stays, of `max` and `min`.
struct Extreme {
    name: &'static str,
    /// How a new number compares with one that it replaces.
    wins: Ordering,
    compare: CompareOp,
    of_counter: fn(&Table, &[u8], i64) -> shmtable::Result<i64>,
    of: fn(i64, i64) -> i64,
}

const MAX: Extreme = Extreme {
    name: "max",
    wins: Ordering::Greater,
    compare: CompareOp::Gt,
    of_counter: |table, key, n| table.fetch_max(key, n),
    of: i64::max,
};
const MIN: Extreme = Extreme {
    name: "min",
    wins: Ordering::Less,
    compare: CompareOp::Lt,
    of_counter: |table, key, n| table.fetch_min(key, n),
    of: i64::min,
};

impl SharedDictBase {
    fn extreme<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        n: &Bound<'py, PyAny>,
        extreme: &Extreme,
    ) -> PyResult<Bound<'py, PyAny>> {
        let open = self.open(py)?;
        let key = open.key(key)?;
        let n = argument(extreme.name, n)?;
        if let Codec::Raw = open.codec {
            let n = of_raw(&n)?;
            let before = (extreme.of_counter)(&open.table, &key, n).or_raise(py)?;
            return Ok((extreme.of)(before, n).into_pyobject(py)?.into_any());
        }
        if let (Codec::Pickle | Codec::MessagePack, Some(n)) = (open.codec, number::of(&n)) {
            let stays = compute_plain(py, &open, &key, |old| {
                let old = old.filter(|old| n.compare(*old) != Some(extreme.wins));
                Some(old.unwrap_or(n))
            })?;
            if let Some(stays) = stays {
                return number::into_object(stays, py);
            }
        }
        compute_any(py, &open, &key, extreme.name, |old| match old {
            Some(old) if !n.rich_compare(&old, extreme.compare)?.is_truthy()? => Ok(old),
            _ => Ok(n.clone()),
        })
    }
}

/// What `compare_exchange` expects.
pub(crate) struct Expected<'a, 'py> {
    pub(crate) value: &'a Bound<'py, PyAny>,
    /// As it would be stored; nothing for `MISSING`, and for what cannot be stored.
    pub(crate) encoded: Option<Buffer>,
}

impl<'a, 'py> Expected<'a, 'py> {
    pub(crate) fn new(
        py: Python<'py>,
        open: &Open,
        value: &'a Bound<'py, PyAny>,
    ) -> PyResult<Self> {
        let encoded = match stored(py, open, value) {
            Ok(encoded) => encoded,
            // `==` may still find it equal to what is stored.
            Err(error) if error.is_instance_of::<PyException>(py) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { value, encoded })
    }

    /// Whether the value that a key has now is the expected one.
    pub(crate) fn equals(
        &self,
        py: Python<'py>,
        open: &Open,
        key: &[u8],
        now: &[u8],
    ) -> PyResult<bool> {
        if self.value.is(MISSING.get(py)?) {
            return Ok(false);
        }
        if self.encoded.as_deref() == Some(now) {
            return Ok(true);
        }
        let value = open.to_value(py, key, now)?;
        let equal = value
            .rich_compare(self.value, CompareOp::Eq)
            .and_then(|equal| match equal.cast_exact::<PyBool>() {
                Ok(equal) => Ok(equal.is_true()),
                // Arrays answer with an array.
                Err(_) => SAME
                    .get(py)?
                    .call1((&value, self.value, equal))?
                    .is_truthy(),
            });
        match equal {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            // Frames are compared item by item, and those of other labels not at all.
            Err(error)
                if error.is_instance_of::<PyValueError>(py)
                    || error.is_instance_of::<PyTypeError>(py) => {}
            Err(error) => return Err(error),
        }
        // One value has several pickles, by how its parts were shared: that of a copy which
        // was read is the pickle of another one.
        match &self.encoded {
            Some(encoded) if messagepack::is_pickle(encoded) && messagepack::is_pickle(now) => {
                match open.value(&value) {
                    Ok(again) => Ok(again == *encoded),
                    Err(error) if error.is_instance_of::<PyException>(py) => Ok(false),
                    Err(error) => Err(error),
                }
            }
            _ => Ok(false),
        }
    }
}

/// Adds wherever the number is, and whatever it is.
#[inline(never)]
fn add_slow<'py>(
    py: Python<'py>,
    open: &Open,
    key: &Buffer,
    n: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let n = match n {
        Some(n) => argument("add", &n)?,
        None => 1_i64.into_pyobject(py)?.into_any(),
    };
    let sum = |old: Option<Bound<'py, PyAny>>| match old {
        Some(old) => old.add(&n),
        None => Ok(n.clone()),
    };
    match open.codec {
        Codec::Raw => {
            let n = of_raw(&n)?;
            let before = open.table.fetch_add(key, n).or_raise(py)?;
            Ok((before + n).into_pyobject(py)?.into_any())
        }
        Codec::Pickle | Codec::MessagePack => {
            let plain = number::of(&n).map(|n| {
                compute_plain(py, open, key, |old| {
                    old.unwrap_or(Number::Integer(0)).plus(n)
                })
            });
            match plain.transpose()?.flatten() {
                Some(sum) => number::into_object(sum, py),
                None => compute_any(py, open, key, "add", sum),
            }
        }
        Codec::Json => compute_any(py, open, key, "add", sum),
    }
}

/// Computes under the lock; `None`, with nothing changed, if the value is no number that Rust
/// code computes with, or `compute` gives none.
fn compute_plain(
    py: Python<'_>,
    open: &Open,
    key: &Buffer,
    compute: impl Fn(Option<Number>) -> Option<Number>,
) -> PyResult<Option<Number>> {
    /// Why nothing was stored.
    enum Refused {
        NotPlain,
        Table(Error),
    }
    impl From<Error> for Refused {
        fn from(error: Error) -> Self {
            Self::Table(error)
        }
    }

    // Mostly the value is there and keeps its length.
    let done = open.table.update_in_place(key, |value| {
        let new = compute(Some(number::read(value)?))?;
        let mut out = Buffer::new();
        number::write(new, &mut out);
        let fits = out.len() == value.len();
        fits.then(|| {
            value.copy_from_slice(&out);
            new
        })
    });
    if let Some(done) = done.or_raise(py)? {
        return Ok(Some(done));
    }
    let mut result = None;
    let updated = open.table.try_update(key, |old| {
        let old = match old {
            Some(old) => Some(number::read(old).ok_or(Refused::NotPlain)?),
            None => None,
        };
        let new = compute(old).ok_or(Refused::NotPlain)?;
        result = Some(new);
        let mut out = Buffer::new();
        number::write(new, &mut out);
        Ok(Some(out.into_vec()))
    });
    match updated {
        Ok(_) => Ok(result),
        Err(Refused::NotPlain) => Ok(None),
        Err(Refused::Table(error)) => Err(errors::raised(py, error)),
    }
}

/// Computes by Python's own operators, for a method of that name.
fn compute_any<'py>(
    py: Python<'py>,
    open: &Open,
    key: &Buffer,
    method: &str,
    compute: impl Fn(Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    replace(py, open, key, |old| match old {
        None => compute(None),
        Some(old) => {
            if let Some(old) = number(&old)? {
                return compute(Some(old));
            }
            let key = open.to_key(py, key)?.repr()?;
            let which = format!("the value of the key {key}");
            Err(no_number(method, &which, &old))
        }
    })
}

/// The number that a method was given.
fn argument<'py>(method: &str, n: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    number(n)?.ok_or_else(|| no_number(method, "n", n))
}

/// The number for a counter of a table with `codec="raw"`.
fn of_raw(n: &Bound<'_, PyAny>) -> PyResult<i64> {
    n.extract().map_err(|_| {
        let what = "a counter of a table with codec=\"raw\" takes integers of 64 bits";
        errors::not_a_number(n.py(), what.to_owned())
    })
}

/// A number as a plain int or float: also of truth values, subclasses, numpy's numbers, and
/// anything else that Python accepts as an index. `None` if it is no number.
fn number<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    if value.is_exact_instance_of::<PyInt>() || value.is_exact_instance_of::<PyFloat>() {
        return Ok(Some(value.clone()));
    }
    let int = py.get_type::<PyInt>();
    if value.is_instance_of::<PyInt>() || is_numpy_bool(value)? {
        return int.call1((value,)).map(Some);
    }
    match INDEX.get(py)?.call1((value,)) {
        Ok(index) => return int.call1((index,)).map(Some),
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {}
        Err(error) => return Err(error),
    }
    let real = value.is_instance(REAL.get(py)?)? && !value.is_instance(RATIONAL.get(py)?)?;
    if real {
        return py.get_type::<PyFloat>().call1((value,)).map(Some);
    }
    Ok(None)
}

/// Whether a value is a truth value of numpy's, which is no index.
pub(crate) fn is_numpy_bool(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let name = value.get_type().fully_qualified_name()?;
    Ok(name == "numpy.bool" || name == "numpy.bool_")
}

#[cold]
fn no_number(method: &str, which: &str, value: &Bound<'_, PyAny>) -> PyErr {
    match errors::type_of(value) {
        Ok(kind) => {
            let message = format!(
                "{method}() takes ints and floats, and {which} is {kind}; update_value() computes \
                 with any value"
            );
            errors::not_a_number(value.py(), message)
        }
        Err(error) => error,
    }
}

/// Replaces a value with what a function makes of it, again if the value changes in between.
fn replace<'py>(
    py: Python<'py>,
    open: &Open,
    key: &Buffer,
    mut function: impl FnMut(Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    loop {
        let now = open.table.get(key).or_raise(py)?;
        let old = now
            .as_deref()
            .map(|now| open.to_value(py, key, now))
            .transpose()?;
        let new = function(old)?;
        let encoded = stored(py, open, &new)?;
        if exchange(py, open, key, now.as_deref(), encoded.as_deref())? {
            return match encoded {
                Some(encoded) => open.as_stored(py, key, new, &encoded),
                None => Ok(new),
            };
        }
        py.check_signals()?;
    }
}
