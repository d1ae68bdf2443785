//! The options of a table: Python's as the crate's.

use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use shmtable::{Options, Trust};

use crate::codec::Codec;
use crate::errors;
use crate::sleep::around_sleep;

/// What a table is created with; opening one takes its shape from the segment.
///
/// Python's `Settings`: a tuple, which is pickled with a handle.
pub(crate) struct Settings<'py> {
    capacity: Bound<'py, PyAny>,
    max_capacity: Bound<'py, PyAny>,
    max_bytes: Bound<'py, PyAny>,
    value_space: Bound<'py, PyAny>,
    mode: Bound<'py, PyAny>,
    chunk_size: Bound<'py, PyAny>,
    max_participants: Bound<'py, PyAny>,
    lock_timeout: Bound<'py, PyAny>,
    trust: Bound<'py, PyAny>,
    codec: Bound<'py, PyAny>,
    pub(crate) allow_pickle: Bound<'py, PyAny>,
}

/// An option of one type.
pub(crate) fn of_type<'a, 'py, T>(
    option: &str,
    takes: &str,
    given: &'a Bound<'py, PyAny>,
) -> PyResult<Option<T>>
where
    T: FromPyObject<'a, 'py, Error = PyErr>,
{
    if given.is_none() {
        return Ok(None);
    }
    let refused = |_| wrong_type(option, takes, given);
    given.extract().map(Some).map_err(refused)
}

/// A whole number as an option. An integer that does not fit its type is out of range, not
/// of the wrong type.
fn whole<'a, 'py, T>(option: &str, given: &'a Bound<'py, PyAny>) -> PyResult<Option<T>>
where
    T: FromPyObject<'a, 'py, Error = PyErr>,
{
    if given.is_none() {
        return Ok(None);
    }
    given.extract().map(Some).map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(given.py()) {
            let allowed = allowed(option);
            let message = format!("the option {option} is {given}, allowed is {allowed}");
            errors::bad_option(given.py(), message)
        } else {
            wrong_type(option, "a whole number", given)
        }
    })
}

/// The range of an option, as the crate's messages have it, for numbers beyond its types.
fn allowed(option: &str) -> &'static str {
    match option {
        "capacity" | "max_capacity" => "1 to 2^40 entries",
        "max_bytes" => "a number of bytes up to 2^45",
        "value_space" => "1 to 2^43 bytes",
        "chunk_size" => "a power of two from 4096 to 2^30 bytes",
        "max_participants" => "1 to 4096",
        "mode" => "0o600 with any of 0o040, 0o020, 0o004 and 0o002 added, such as 0o660",
        _ => "a list of user ids, from 0 to 2^32 - 1",
    }
}

fn wrong_type(option: &str, takes: &str, given: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!(
        "the option {option} is {given:?}, and takes {takes}"
    ))
}

/// The users whose tables may be opened, besides this one.
pub(crate) fn trusted(given: &Bound<'_, PyAny>) -> PyResult<Trust> {
    if given.is_none() {
        return Ok(Trust::SameUser);
    }
    if let Ok(word) = given.cast::<PyString>() {
        if word.to_str()? == "anyone" {
            return Ok(Trust::Anyone);
        }
        let message =
            format!("the option trust is {word:?}, allowed is \"anyone\" or a list of user ids");
        return Err(errors::bad_option(given.py(), message));
    }
    let Ok(users) = given.try_iter() else {
        return Err(wrong_type(
            "trust",
            "\"anyone\" or a list of user ids",
            given,
        ));
    };
    let users = users.map(|user| whole("trust", &user?));
    let users: Option<Vec<u32>> = users.collect::<PyResult<_>>()?;
    Ok(Trust::Users(users.unwrap_or_default()))
}

impl<'py> FromPyObject<'_, 'py> for Settings<'py> {
    type Error = PyErr;

    fn extract(settings: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let settings = settings.extract()?;
        let (
            capacity,
            max_capacity,
            max_bytes,
            value_space,
            mode,
            chunk_size,
            max_participants,
            lock_timeout,
            trust,
            codec,
            allow_pickle,
        ) = settings;
        Ok(Self {
            capacity,
            max_capacity,
            max_bytes,
            value_space,
            mode,
            chunk_size,
            max_participants,
            lock_timeout,
            trust,
            codec,
            allow_pickle,
        })
    }
}

impl Settings<'_> {
    pub(crate) fn options(&self, py: Python<'_>) -> PyResult<Options> {
        let mut options = Options::new()
            .around_sleep(around_sleep)
            .trust(trusted(&self.trust)?);
        if let Some(capacity) = whole("capacity", &self.capacity)? {
            options = options.capacity(capacity);
        }
        if let Some(most) = whole("max_capacity", &self.max_capacity)? {
            options = options.max_capacity(most);
        }
        if let Some(bytes) = whole("max_bytes", &self.max_bytes)? {
            options = options.max_bytes(bytes);
        }
        if let Some(bytes) = whole("value_space", &self.value_space)? {
            options = options.value_space(bytes);
        }
        if let Some(mode) = whole("mode", &self.mode)? {
            options = options.mode(mode);
        }
        if let Some(bytes) = whole("chunk_size", &self.chunk_size)? {
            options = options.chunk_size(bytes);
        }
        if let Some(participants) = whole("max_participants", &self.max_participants)? {
            options = options.max_participants(participants);
        }
        let seconds = of_type("lock_timeout", "a number of seconds", &self.lock_timeout)?;
        if let Some(seconds) = seconds {
            options = options.lock_timeout(seconds_of(py, "lock_timeout", seconds)?);
        }
        Ok(options)
    }

    pub(crate) fn codec(&self, py: Python<'_>) -> PyResult<Option<Codec>> {
        let takes = "the name of a codec";
        let Some(name) = of_type::<String>("codec", takes, &self.codec)? else {
            return Ok(None);
        };
        match Codec::of_name(&name) {
            Some(codec) => Ok(Some(codec)),
            None => Err(errors::bad_option(
                py,
                format!(
                    "the option codec is {name:?}, allowed is one of {}",
                    Codec::ALL.map(Codec::name).join(", ")
                ),
            )),
        }
    }
}

/// A number of seconds as a duration: not negative, and no NaN.
pub(crate) fn seconds_of(py: Python<'_>, option: &str, seconds: f64) -> PyResult<Duration> {
    if seconds >= 0.0 {
        // What is too long for a duration is as good as endless.
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    } else {
        let message = format!("{option} is {seconds}, allowed is a number of seconds from 0 on");
        Err(errors::bad_option(py, message))
    }
}
