//! Many keys at once: in turns, between which signal handlers run. Other threads run while
//! the table works on a turn.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyTuple};
use shmtable::Iter;

use crate::encoding::messagepack::Buffer;
use crate::errors::{self, OrRaise};
use crate::handle::{Open, SharedDictBase};
use crate::imports::STATS;
use crate::turns::{TURN, TURN_BYTES, between_turns};

#[pymethods]
impl SharedDictBase {
    /// Returns the values of many keys, as a list in the order of the keys.
    ///
    /// Each key is looked up as by `get`, with the default for a missing one, but several times
    /// as fast: the memory accesses of many lookups overlap.
    ///
    /// >>> d = SharedDict({'a': 1, 'b': 2})
    /// >>> d.get_many(['b', 'c', 'a'])
    /// [2, None, 1]
    #[pyo3(signature = (keys, default=None))]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let open = self.open_long(py)?;
        let default = default.unwrap_or_else(|| py.None().into_bound(py));
        let values = PyList::empty(py);
        let mut keys = keys.try_iter()?;
        let mut turn = Vec::with_capacity(TURN);
        loop {
            encode_turn(&open, &mut keys, &mut turn)?;
            if turn.is_empty() {
                return Ok(values);
            }
            py.check_signals()?;
            get_turn(py, &open, &turn, &default, &values)?;
        }
    }

    /// Stores many values, from a mapping or from pairs.
    ///
    /// They are stored one after another, each as by `d[key] = value`. `update` does the same
    /// and takes keywords too.
    ///
    /// >>> d = SharedDict()
    /// >>> d.set_many({'a': 1, 'b': 2})
    /// >>> sorted(d.items())
    /// [('a', 1), ('b', 2)]
    fn set_many(&self, py: Python<'_>, entries: &Bound<'_, PyAny>) -> PyResult<()> {
        let open = self.open_long(py)?;
        if entries.is_exact_instance_of::<PyDict>() {
            return set_dict(py, &open, entries);
        }
        let mut stored = 0_usize;
        let mut store = |key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>| {
            open.insert(&open.key(key)?, value)?;
            stored += 1;
            if stored.is_multiple_of(TURN) {
                between_turns(py)?;
            }
            Ok::<(), PyErr>(())
        };
        if entries.hasattr("keys")? {
            for key in entries.call_method0("keys")?.try_iter()? {
                let key = key?;
                store(&key, &entries.get_item(&key)?)?;
            }
        } else {
            for (number, pair) in entries.try_iter()?.enumerate() {
                let (key, value) = pair_of(number, &pair?)?;
                store(&key, &value)?;
            }
        }
        Ok(())
    }

    /// Returns a plain dict of all entries, which is read while others may write.
    ///
    /// Each value is one that its key had during the call. `snapshot` returns all entries as
    /// they were at one moment.
    ///
    /// >>> SharedDict({'a': 1}).copy()
    /// {'a': 1}
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let open = self.open_long(py)?;
        let copy = PyDict::new(py);
        let mut left = open.table.iter();
        loop {
            let turn = entries(py, &mut left)?;
            if turn.is_empty() {
                return Ok(copy);
            }
            py.check_signals()?;
            for (key, value) in turn {
                copy.set_item(open.to_key(py, &key)?, open.to_value(py, &key, &value)?)?;
            }
        }
    }

    /// Returns a plain dict of all entries as they were at one moment.
    ///
    /// Takes all locks of the table: writers wait until the entries are read, and readers do
    /// not.
    ///
    /// >>> SharedDict({'a': 1}).snapshot()
    /// {'a': 1}
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let open = self.open_long(py)?;
        if open.table.is_read_only() {
            return Err(errors::read_only_snapshot(py));
        }
        let entries = py.detach(|| open.table.snapshot()).or_raise(py)?;
        let copy = PyDict::new(py);
        for (key, value) in entries {
            copy.set_item(open.to_key(py, &key)?, open.to_value(py, &key, &value)?)?;
        }
        Ok(copy)
    }

    /// Returns figures of the table: how full it is, who has it open, what happened.
    ///
    /// The result is a dict of names to ints, which `print` shows for people, with units. The
    /// documentation explains each figure.
    ///
    /// >>> stats = SharedDict({'a': 1}, capacity=1000).stats()
    /// >>> stats['entries'], stats['participants']
    /// (1, 1)
    /// >>> print(stats)  # doctest: +ELLIPSIS
    /// entries       1 of 1,000 (0.1 %), 2,240 slots
    /// ...
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let open = self.open_long(py)?;
        let stats = py.detach(|| open.table.stats()).or_raise(py)?;
        let figures = PyDict::new(py);
        for figure in stats.figures() {
            figures.set_item(figure.name, figure.value)?;
        }
        STATS.get(py)?.call1((figures,))
    }
}

/// Encodes the keys of one turn; none at the end.
pub(crate) fn encode_turn(
    open: &Open,
    keys: &mut Bound<'_, PyIterator>,
    turn: &mut Vec<Buffer>,
) -> PyResult<()> {
    turn.clear();
    for key in keys.by_ref().take(TURN) {
        turn.push(open.key(&key?)?);
    }
    Ok(())
}

/// The entries of one turn; none at the end.
pub(crate) fn entries(py: Python<'_>, left: &mut Iter) -> PyResult<Vec<(Vec<u8>, Vec<u8>)>> {
    let turn = py.detach(|| {
        let mut bytes = 0;
        let mut turn = Vec::with_capacity(TURN);
        while turn.len() < TURN
            && bytes < TURN_BYTES
            && let Some(entry) = left.next()
        {
            let entry = entry?;
            bytes += entry.1.len();
            turn.push(entry);
        }
        Ok(turn)
    });
    turn.or_raise(py)
}

fn get_turn(
    py: Python<'_>,
    open: &Open,
    keys: &[Buffer],
    default: &Bound<'_, PyAny>,
    values: &Bound<'_, PyList>,
) -> PyResult<()> {
    // All values behind one another, and where each ends.
    let (bytes, ends) = py
        .detach(|| {
            let mut bytes = Vec::new();
            let mut ends = Vec::with_capacity(keys.len());
            open.table.get_many_with(keys, |value| {
                ends.push(value.map(|value| {
                    bytes.extend_from_slice(value);
                    bytes.len()
                }));
            })?;
            Ok((bytes, ends))
        })
        .or_raise(py)?;
    let mut begin = 0;
    for (key, end) in keys.iter().zip(ends) {
        match end {
            Some(end) => {
                values.append(open.to_value(py, key, &bytes[begin..end])?)?;
                begin = end;
            }
            None => values.append(default)?,
        }
    }
    Ok(())
}

/// Stores a dict's entries, turn by turn.
fn set_dict(py: Python<'_>, open: &Open, entries: &Bound<'_, PyAny>) -> PyResult<()> {
    let store = |turn: &mut Vec<(Buffer, Buffer)>| {
        let entries = &*turn;
        let stored = py.detach(|| {
            open.table
                .insert_many(entries.iter().map(|(key, value)| (key, value)))
        });
        turn.clear();
        py.check_signals()?;
        stored.or_raise(py)
    };
    let mut turn = Vec::with_capacity(TURN);
    let mut bytes = 0;
    // Python's iterator, which notices when the dict changes its size.
    for pair in entries.call_method0("items")?.try_iter()? {
        let (key, value) = pair?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
        let value = open.value(&value)?;
        bytes += value.len();
        turn.push((open.key(&key)?, value));
        if turn.len() == TURN || bytes >= TURN_BYTES {
            store(&mut turn)?;
            bytes = 0;
        }
    }
    store(&mut turn)?;
    Ok(())
}

/// A key and a value, with dict's own errors.
fn pair_of<'py>(
    number: usize,
    pair: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let py = pair.py();
    let pair = match pair.cast::<PyTuple>() {
        Ok(pair) => pair.clone(),
        Err(_) => match py.get_type::<PyTuple>().call1((pair,)) {
            Ok(pair) => pair.cast_into()?,
            Err(error) if error.is_instance_of::<PyTypeError>(py) => {
                return Err(PyTypeError::new_err(format!(
                    "cannot convert dictionary update sequence element #{number} to a sequence"
                )));
            }
            Err(error) => return Err(error),
        },
    };
    if pair.len() != 2 {
        return Err(PyValueError::new_err(format!(
            "dictionary update sequence element #{number} has length {}; 2 is required",
            pair.len()
        )));
    }
    Ok((pair.get_item(0)?, pair.get_item(1)?))
}
