//! Removing many entries: those that a function decides on, and those of given keys.

use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::errors::OrRaise;
use crate::handle::{Open, SharedDictBase};
use crate::methods::many::{encode_turn, entries};
use crate::methods::writing::take;
use crate::turns::{TURN, between_turns};

#[pymethods]
impl SharedDictBase {
    /// Removes the entries for which `function(key, value)` is false, and returns how many.
    ///
    /// Each removal is atomic: if the value changes while the function runs, the function is
    /// called again with the new value. No lock is held while it runs. Entries that others
    /// store during the call may stay without being asked about.
    ///
    /// >>> d = SharedDict({'a': 1, 'b': 2, 'c': 3})
    /// >>> d.retain(lambda key, value: value > 2), d.copy()
    /// (2, {'c': 3})
    fn retain(&self, py: Python<'_>, function: &Bound<'_, PyAny>) -> PyResult<usize> {
        let open = self.open_long(py)?;
        let mut left = open.table.iter();
        let mut removed = 0;
        loop {
            let turn = entries(py, &mut left)?;
            if turn.is_empty() {
                return Ok(removed);
            }
            py.check_signals()?;
            for (key, value) in turn {
                removed += usize::from(removed_unless(py, &open, &key, value, function)?);
            }
        }
    }

    /// Removes many keys and returns how many of them were there.
    ///
    /// Each removal is atomic by itself.
    ///
    /// >>> d = SharedDict({'a': 1, 'b': 2})
    /// >>> d.remove_many(['a', 'c']), list(d)
    /// (1, ['b'])
    fn remove_many(&self, py: Python<'_>, keys: &Bound<'_, PyAny>) -> PyResult<usize> {
        let open = self.open_long(py)?;
        let mut keys = keys.try_iter()?;
        let mut turn = Vec::with_capacity(TURN);
        let mut removed = 0;
        loop {
            encode_turn(&open, &mut keys, &mut turn)?;
            if turn.is_empty() {
                return Ok(removed);
            }
            py.check_signals()?;
            let outcome = py.detach(|| {
                for key in &turn {
                    removed += usize::from(open.table.remove(key)?);
                }
                Ok(())
            });
            outcome.or_raise(py)?;
        }
    }

    /// Removes many keys and returns their values, as a list in the order of the keys.
    ///
    /// Each key is removed as by `pop`, with the default for a missing one. If the call raises,
    /// the values removed so far are in the exception's attribute `popped`.
    ///
    /// >>> d = SharedDict({'a': 1, 'b': 2})
    /// >>> d.pop_many(['b', 'c', 'a']), len(d)
    /// ([2, None, 1], 0)
    #[pyo3(signature = (keys, default=None))]
    fn pop_many<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let open = self.open_long(py)?;
        let default = default.unwrap_or_else(|| py.None().into_bound(py));
        let values = PyList::empty(py);
        match pop_each(py, &open, keys, &default, &values) {
            Ok(()) => Ok(values),
            Err(error) => {
                // What was taken is nowhere else any more.
                error.value(py).setattr("popped", values)?;
                Err(error)
            }
        }
    }
}

/// Pops each of many keys into a list.
fn pop_each<'py>(
    py: Python<'py>,
    open: &Open,
    keys: &Bound<'py, PyAny>,
    default: &Bound<'py, PyAny>,
    values: &Bound<'py, PyList>,
) -> PyResult<()> {
    for (number, key) in keys.try_iter()?.enumerate() {
        if number % TURN == TURN - 1 {
            between_turns(py)?;
        }
        let key = open.key(&key?)?;
        match take(py, open, &key)? {
            Some(value) => values.append(value)?,
            None => values.append(default)?,
        }
    }
    Ok(())
}

/// Removes an entry if a function returns false for it. If the value has changed by then,
/// the function is called again with the new one.
fn removed_unless(
    py: Python<'_>,
    open: &Open,
    key: &[u8],
    value: Vec<u8>,
    function: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let decoded = open.to_key(py, key)?;
    let mut now = value;
    loop {
        let value = open.to_value(py, key, &now)?;
        if function.call1((&decoded, value))?.is_truthy()? {
            return Ok(false);
        }
        match open
            .table
            .compare_exchange(key, Some(&now), None)
            .or_raise(py)?
        {
            Ok(()) => return Ok(true),
            Err(Some(other)) => now = other,
            Err(None) => return Ok(false),
        }
        py.check_signals()?;
    }
}
