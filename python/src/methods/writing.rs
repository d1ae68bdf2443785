//! Writing one key.

use std::sync::PoisonError;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::encoding::messagepack::Buffer;
use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};
use crate::imports::MISSING;

/// An argument that may be left out, where `None` is a value of its own.
pub(crate) struct Given<'py>(pub(crate) Option<Bound<'py, PyAny>>);

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(Some(object.to_owned())))
    }
}

#[pymethods]
impl SharedDictBase {
    fn __setitem__(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let open = self.open(py)?;
        let key = open.key(key)?;
        open.insert(&key, value)
    }

    fn __delitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let open = self.open(py)?;
        let encoded = open.key(key)?;
        if open.table.remove(&encoded).or_raise(py)? {
            Ok(())
        } else {
            Err(errors::missing(key))
        }
    }

    /// Removes a key and returns its value, or the default.
    ///
    /// Without a default, a missing key raises `KeyError`. If several processes pop the same
    /// key, exactly one gets the value.
    ///
    /// >>> d = SharedDict({'a': 1})
    /// >>> d.pop('a'), d.pop('a', None)
    /// (1, None)
    #[pyo3(
        signature = (key, default=Given(None), /),
        text_signature = "($self, key, default=shmtable._missing.SHOWN, /)"
    )]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Given<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let open = self.open(py)?;
        let encoded = open.key(key)?;
        match take(py, &open, &encoded)? {
            Some(value) => Ok(value),
            None => default.0.ok_or_else(|| errors::missing(key)),
        }
    }

    /// Removes any one entry and returns its key and value.
    ///
    /// An empty table raises `KeyError`. If several processes pop, exactly one gets each entry.
    ///
    /// >>> d = SharedDict({'a': 1})
    /// >>> d.popitem()
    /// ('a', 1)
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let open = self.open_long(py)?;
        // Nothing is locked while keys are read and values are loaded: both may run
        // Python code, which may pop from this table again.
        let draining = || open.draining.lock().unwrap_or_else(PoisonError::into_inner);
        let left = draining().pop();
        // Where one stopped; once more from the beginning before giving up.
        let mut fresh = left.is_none();
        let mut keys = left.unwrap_or_else(|| open.table.keys());
        loop {
            if let Some(key) = keys.next() {
                let key = key.or_raise(py)?;
                // What cannot be loaded raises, and stays; the next call goes on behind it.
                let taken = open
                    .to_key(py, &key)
                    .and_then(|decoded| Ok((decoded, take(py, &open, &key)?)));
                match taken {
                    Ok((_, None)) => {}
                    Ok((key, Some(value))) => {
                        draining().push(keys);
                        return Ok((key, value));
                    }
                    Err(error) => {
                        draining().push(keys);
                        return Err(error);
                    }
                }
            } else if fresh {
                let message = "popitem(): the SharedDict is empty";
                return Err(errors::missing(PyString::new(py, message).as_any()));
            } else {
                fresh = true;
                keys = open.table.keys();
            }
        }
    }

    /// Returns the value of a key, and stores the default first if there is none.
    ///
    /// Atomic: if several processes do it at the same time, one stores its value, and all get
    /// that value.
    ///
    /// >>> d = SharedDict()
    /// >>> d.setdefault('a', 1), d.setdefault('a', 2)
    /// (1, 1)
    #[pyo3(signature = (key, default=None, /))]
    fn setdefault<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let open = self.open(py)?;
        let key = open.key(key)?;
        let default = default.unwrap_or_else(|| py.None().into_bound(py));
        let mut encoded = None;
        loop {
            if let Some(value) = open.read(py, &key)? {
                return Ok(value);
            }
            let new = match &encoded {
                Some(new) => new,
                None => encoded.insert(open.value(&default)?),
            };
            if open.write(py, new.len(), |table| table.try_insert(&key, new))? {
                return open.as_stored(py, &key, default, new);
            }
        }
    }

    /// Stores a value and returns the one that it replaced, or the default if there was none.
    ///
    /// Atomic: if several processes replace a key's value, each gets a different one.
    ///
    /// >>> d = SharedDict({'a': 1})
    /// >>> d.replace('a', 2), d.replace('b', 3), d.copy() == {'a': 2, 'b': 3}
    /// (1, None, True)
    #[pyo3(signature = (key, value, default=None))]
    fn replace<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let open = self.open_long(py)?;
        let (key, new) = (open.key(key)?, open.value(value)?);
        loop {
            let now = open.table.get(&key).or_raise(py)?;
            // A value that cannot be decoded is not lost.
            let old = now
                .as_deref()
                .map(|now| open.to_value(py, &key, now))
                .transpose()?;
            if exchange(py, &open, &key, now.as_deref(), Some(&new))? {
                return Ok(old.or(default).unwrap_or_else(|| py.None().into_bound(py)));
            }
            py.check_signals()?;
        }
    }

    /// Removes all entries. Entries that others store during the call may stay.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let open = self.open_long(py)?;
        py.detach(|| open.table.clear()).or_raise(py)
    }

    /// Gives all memory that the entries don't need back to the machine, and returns its bytes.
    ///
    /// A table that grows gives memory back by itself when it is cleared, or when most of its
    /// entries are gone, but keeps some for what comes next. This gives that back too, and what
    /// replaced values have left. A table of fixed capacity keeps its memory, and so does every
    /// table that is open read-only somewhere: then the result is 0.
    fn shrink_to_fit(&self, py: Python<'_>) -> PyResult<usize> {
        let open = self.open_long(py)?;
        py.detach(|| open.table.shrink_to_fit()).or_raise(py)
    }
}

/// Removes a value once it is decoded: a value that cannot be decoded stays.
pub(crate) fn take<'py>(
    py: Python<'py>,
    open: &Open,
    key: &[u8],
) -> PyResult<Option<Bound<'py, PyAny>>> {
    while let Some(found) = open.table.get(key).or_raise(py)? {
        let value = open.to_value(py, key, &found)?;
        let taken = open.table.compare_exchange(key, Some(&found), None);
        if taken.or_raise(py)?.is_ok() {
            return Ok(Some(value));
        }
        py.check_signals()?;
    }
    Ok(None)
}

/// The bytes to store for a value; none for `MISSING`.
pub(crate) fn stored(
    py: Python<'_>,
    open: &Open,
    value: &Bound<'_, PyAny>,
) -> PyResult<Option<Buffer>> {
    if value.is(MISSING.get(py)?) {
        Ok(None)
    } else {
        open.value(value).map(Some)
    }
}

/// Stores one value, or none, in place of another.
pub(crate) fn exchange(
    py: Python<'_>,
    open: &Open,
    key: &Buffer,
    expected: Option<&[u8]>,
    new: Option<&[u8]>,
) -> PyResult<bool> {
    let outcome = open.write(py, new.map_or(0, <[u8]>::len), |table| {
        table.compare_exchange(key, expected, new)
    })?;
    Ok(outcome.is_ok())
}
