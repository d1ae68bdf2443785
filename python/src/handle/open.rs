//! An open table: what every method goes through.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::{iter, process};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use shmtable::{Keys, Table};

use super::mapping::{self, Mapping, Opened, Opening};
use super::settings::{Settings, of_type};
use crate::codec::Codec;
use crate::encoding::buffers::{self, BuffersHead};
use crate::encoding::messagepack::{Body, Buffer};
use crate::encoding::scratch::{self, ScratchBuffer};
use crate::encoding::{array, key, value};
use crate::errors::{self, OrRaise};
use crate::turns::{LONG, detached_if};
use crate::unfilled::{self, Kind, Parts};

/// An open table.
pub(crate) struct Open {
    /// Other handles of this process have it too.
    mapping: Arc<Mapping>,
    pub(crate) table: Table,
    pub(crate) codec: Codec,
    /// Whether pickles are stored and loaded.
    pub(crate) pickles: bool,
    /// Where calls of `popitem` stopped, and others go on. Locked for moments only.
    pub(crate) draining: Mutex<Vec<Keys>>,
    /// The process that removes the anonymous table when it drops this.
    creator: Option<u32>,
    /// Whether the mapping stays for a moment after this was dropped.
    keeps_mapping: AtomicBool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.creator.is_some_and(|creator| creator == process::id()) {
            // Other handles of this process may keep the mapping. The name may be gone, or lead
            // to another table.
            let _ = self.table.unlink_own_name();
        } else if *self.keeps_mapping.get_mut() {
            mapping::keep_warm(&self.mapping);
        }
    }
}

impl Open {
    /// The handle was closed: the mapping goes with its last handle.
    pub(crate) fn release_mapping(&self) {
        self.keeps_mapping.store(false, Ordering::Relaxed);
    }

    /// The bytes that a key is found by.
    pub(crate) fn key(&self, key: &Bound<'_, PyAny>) -> PyResult<Buffer> {
        let mut short = key::Short::default();
        if let Some(length) = key::encode_short(self.codec, key, &mut short) {
            return Ok(Buffer::from_slice(&short[..length]));
        }
        let mut out = Buffer::new();
        key::encode(self.codec, self.pickles, key, &mut out)?;
        Ok(out)
    }

    #[inline]
    pub(crate) fn value(&self, value: &Bound<'_, PyAny>) -> PyResult<Buffer> {
        value::encode(self.codec, self.pickles, value)
    }

    /// The key that bytes stand for; an error names them.
    pub(crate) fn to_key<'py>(&self, py: Python<'py>, key: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        key::decode(py, self.codec, self.pickles, key).map_err(|error| {
            errors::noted(py, error, || format!("while loading a key: {}", shown(key)))
        })
    }

    /// The value of a key that bytes stand for; an error names the key.
    #[inline]
    pub(crate) fn to_value<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        value: &[u8],
    ) -> PyResult<Bound<'py, PyAny>> {
        value::decode(py, self.codec, self.pickles, value)
            .map_err(|error| self.naming(py, key, error))
    }

    /// What others read once `encoded`, the bytes of `value`, is stored. It is `value`
    /// itself where it comes back as it is.
    pub(crate) fn as_stored<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        value: Bound<'py, PyAny>,
        encoded: &[u8],
    ) -> PyResult<Bound<'py, PyAny>> {
        if value::comes_back(self.codec, &value, encoded) {
            Ok(value)
        } else {
            self.to_value(py, key, encoded)
        }
    }

    /// An error that a key's value raised, with a note that names the key.
    #[cold]
    fn naming(&self, py: Python<'_>, key: &[u8], error: PyErr) -> PyErr {
        errors::noted(py, error, || {
            let named = key::decode(py, self.codec, self.pickles, key)
                .and_then(|key| Ok(key.repr()?.to_string()));
            let named = named.unwrap_or_else(|_| shown(key));
            format!("while loading the value of the key {named}")
        })
    }

    /// The value of a key.
    #[inline]
    pub(crate) fn get<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut short = key::Short::default();
        if let Some(length) = key::encode_short(self.codec, key, &mut short) {
            return self.read(key.py(), &short[..length]);
        }
        self.get_long(key)
    }

    /// The value of a key that is no short string.
    fn get_long<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // Written in place: a moved buffer is a copied one.
        let mut encoded = Buffer::new();
        key::encode(self.codec, self.pickles, key, &mut encoded)?;
        self.read(key.py(), &encoded)
    }

    /// The value of an encoded key.
    #[inline]
    pub(crate) fn read<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        scratch::with(|first| {
            let Some(length) = self.table.get_into_slice(key, first).or_raise(py)? else {
                return Ok(None);
            };
            match first.get(..length) {
                Some(value) => self.to_value(py, key, value).map(Some),
                None => self.read_long(py, key, first, length),
            }
        })
    }

    /// The value of an encoded key that has `length` bytes, of which the first are known. A
    /// long part of it is copied from the table straight to where Python has it.
    #[inline(never)]
    fn read_long<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        first: &ScratchBuffer,
        length: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some((kind, begin)) = value::body(self.codec, first, length) else {
            return self.read_whole(py, key, length);
        };
        let read = match kind {
            Body::Array => self.read_array(py, key, first, begin, length),
            Body::Buffers => self.read_buffers(py, key, first, begin, length),
            Body::Bytes | Body::Pickle => {
                let body = [(Kind::Bytes, length - begin)];
                self.read_parts(py, key, &first[..begin], body)
                    .and_then(|parts| {
                        let Some(body) = parts.and_then(|mut parts| parts.pop()) else {
                            return Ok(None);
                        };
                        value::of_body(self.codec, self.pickles, kind, body.cast_into()?).map(Some)
                    })
            }
        };
        match read.map_err(|error| self.naming(py, key, error))? {
            Some(value) => Ok(Some(value)),
            // It is another one by now.
            None => self.read_whole(py, key, length),
        }
    }

    /// A numpy array whose extension's content begins at `begin`; `None` if the value has changed.
    fn read_array<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        first: &ScratchBuffer,
        begin: usize,
        length: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (head, at) = array::ArrayHead::read(py, &first[begin..], length - begin)?;
        let begin = begin + at;
        let mut found_head = Buffer::from_slice(&first[..begin]);
        let mut found = None;
        let items = array::filled(py, length - begin, |items| {
            let mut slices = [&mut found_head[..], items];
            let read = || self.table.get_into_slices(key, &mut slices);
            found = detached_if(py, length >= LONG, read).or_raise(py)?;
            Ok(())
        })?;
        if found == Some(length) && found_head[..] == first[..begin] {
            head.with(&items).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The value of a pickle with buffers, whose content begins at `begin`; `None` if the value has
    /// changed, or its first bytes don't say what is in it.
    fn read_buffers<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        first: &ScratchBuffer,
        begin: usize,
        length: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.pickles || self.codec != Codec::Pickle {
            return Err(errors::pickle_refused(py, "load"));
        }
        let Some(head) = BuffersHead::read(py, &first[begin..], length - begin) else {
            return Ok(None);
        };
        let begin = begin + head.begin();
        match self.read_parts(py, key, &first[..begin], head.parts())? {
            Some(parts) => buffers::load_parts(py, parts.into_iter()).map(Some),
            None => Ok(None),
        }
    }

    /// Reads what is behind the head of a value, which is known, to new objects; `None` if the
    /// value has another head by now, or another length.
    fn read_parts<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        head: &[u8],
        parts: impl IntoIterator<Item = (Kind, usize)>,
    ) -> PyResult<Option<Parts<'py>>> {
        let all = iter::once((Kind::Bytes, head.len())).chain(parts);
        let Some(mut parts) = unfilled::read(py, &self.table, key, all)? else {
            return Ok(None);
        };
        let found_head = parts.remove(0);
        let found_head = found_head.cast_exact::<PyBytes>();
        let is_same = found_head.is_ok_and(|found| found.as_bytes() == head);
        Ok(is_same.then_some(parts))
    }

    #[cold]
    fn read_whole<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        length: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = detached_if(py, length >= LONG, || self.table.get(key)).or_raise(py)?;
        value
            .map(|value| self.to_value(py, key, &value))
            .transpose()
    }

    /// Stores a value under an encoded key.
    #[inline]
    pub(crate) fn insert(&self, key: &Buffer, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        let mut head = Buffer::new();
        match value::encode_into(self.codec, self.pickles, value, &mut head)? {
            None => self.write(py, head.len(), |table| table.insert(key, &head))?,
            Some(tail) => {
                let mut parts = tail.slices(head.len())?;
                parts.insert(0, &head);
                let insert = |table: &Table| table.insert_slices(key, &parts);
                // Other threads run only if none of them can change it meanwhile.
                let bytes = if tail.is_mutable() { 0 } else { parts[1].len() };
                self.write(py, bytes, insert)?
            }
        };
        Ok(())
    }

    /// Writes to the table, letting other threads run if so many bytes take long.
    #[inline]
    pub(crate) fn write<R: Send>(
        &self,
        py: Python<'_>,
        bytes: usize,
        write: impl FnOnce(&Table) -> shmtable::Result<R> + Send,
    ) -> PyResult<R> {
        detached_if(py, bytes >= LONG, || write(&self.table)).or_raise(py)
    }
}

/// The first bytes of a key that cannot be loaded, for messages.
fn shown(key: &[u8]) -> String {
    const SHOWN: usize = 64;
    let text = key[..key.len().min(SHOWN)].escape_ascii();
    let more = if key.len() > SHOWN { "..." } else { "" };
    format!("codec=\"raw\" finds it as b'{text}'{more}")
}

/// Creates or opens a table; the name of an anonymous one isn't used. If `keeps_mapping`, the mapping
/// stays warm unless the handle is closed.
pub(crate) fn open_table(
    py: Python<'_>,
    opening: Opening,
    name: &str,
    settings: &Settings<'_>,
    keeps_mapping: bool,
) -> PyResult<Open> {
    let asked = settings.codec(py)?;
    // "raw" opens any table; any other codec must be the table's.
    let created = asked.unwrap_or(Codec::Pickle);
    let options = settings.options(py)?;
    let allow_pickle = of_type("allow_pickle", "True or False", &settings.allow_pickle)?;
    let options = match asked {
        None | Some(Codec::Raw) => options.codec_if_created(created.id()),
        Some(codec) => options.codec(codec.id()),
    };
    let opened = py.detach(|| mapping::open(opening, name, &options));
    let Opened {
        mapping,
        table,
        private,
    } = opened.or_raise(py)?;
    let codec = match asked {
        // Another one would not have been opened.
        Some(codec) => codec,
        None => Codec::of_id(table.codec_id())
            .ok_or_else(|| errors::codec_mismatch(py, table.codec_id(), None))?,
    };
    Ok(Open {
        mapping,
        table,
        codec,
        pickles: allow_pickle.unwrap_or(private),
        draining: Mutex::new(Vec::new()),
        creator: (opening == Opening::Anonymous).then(process::id),
        keeps_mapping: AtomicBool::new(keeps_mapping),
    })
}
