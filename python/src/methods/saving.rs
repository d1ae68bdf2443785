//! Saving a table to a file, and making a table of a file.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, IntoInnerError, Seek};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use shmtable::{Options, SnapshotIntoIter};
use shmtable_dump::{
    Entry, Error, Fault, Header, Reader, Replacement, Writer, is_private as is_private_file,
};

use crate::codec::{Codec, Role};
use crate::encoding::scan;
use crate::errors::{self, OrRaise};
use crate::handle::SharedDictBase;
use crate::handle::settings::Settings;
use crate::turns::{TURN, TURN_BYTES};

/// What the system answers about a pipe that is to be read from its beginning.
const ESPIPE: i32 = 29;

#[pymethods]
impl SharedDictBase {
    /// Saves all entries of one moment to a file, and returns how many there are.
    ///
    /// `SharedDict.load` makes a table of the file again, and so does the command `shmtable load`.
    ///
    /// The entries are those of a `snapshot`: writers wait while they are copied to the memory of
    /// this process, and not while the file is written. The file gets its name when it is
    /// complete. If the call raises, the process is killed or the machine loses power before
    /// that, an older file of that name is still there, whole. A new file can be read by its owner
    /// alone; one that replaces another gets its permissions.
    ///
    /// `progress` is called now and then with the number of entries that are written and of all.
    /// If it raises an exception, nothing is saved. The handle must be open for writing, because a
    /// snapshot takes the locks of the table.
    ///
    /// >>> import pathlib, tempfile
    /// >>> with tempfile.TemporaryDirectory() as folder:
    /// ...     path = pathlib.Path(folder, 'results.dump')
    /// ...     SharedDict({'a': 1, 'b': [2]}).save(path)
    /// ...     sorted(SharedDict.load(path).items())
    /// 2
    /// [('a', 1), ('b', [2])]
    #[pyo3(signature = (path, progress=None))]
    #[allow(clippy::needless_pass_by_value)]
    fn save(
        &self,
        py: Python<'_>,
        path: PathBuf,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let open = self.open_long(py)?;
        if open.table.is_read_only() {
            let message = "saving takes the locks of the table, and this handle is read-only: open \
                           the table without read_only=True, or use the command `shmtable dump`";
            let arguments = (errors::EACCES, message);
            return Err(errors::exception(py, "ReadOnlyError", arguments));
        }
        let stats = py.detach(|| open.table.quick_stats()).or_raise(py)?;
        let entries = py.detach(|| open.table.snapshot()).or_raise(py)?;
        let total = entries.len();
        let header = Header {
            codec: open.table.codec_id(),
            capacity: stats.capacity as u64,
            value_space: stats.value_space as u64,
            entries: total as u64,
            grows: stats.grows,
        };
        let in_file = |error| of_file(py, &path, &error);
        let writer = py.detach(|| {
            // Opening or writing a pipe waits for its reader, and no signal ends that.
            if fs::metadata(&path).is_ok_and(|data| data.file_type().is_fifo()) {
                return Err(io::Error::from_raw_os_error(ESPIPE));
            }
            let file = BufWriter::new(Replacement::begin(&path)?);
            Writer::begin(file, &header)
        });
        let mut writer = writer.map_err(in_file)?;
        let mut left = entries.into_iter();
        loop {
            py.detach(|| write_turn(&mut writer, &mut left))
                .map_err(in_file)?;
            py.check_signals()?;
            tell(progress.as_ref(), total - left.len(), total)?;
            if left.len() == 0 {
                break;
            }
        }
        let published = py.detach(|| {
            let (file, _) = writer.end()?;
            let file = file.into_inner().map_err(IntoInnerError::into_error)?;
            file.publish()
        });
        published.map_err(in_file)?;
        Ok(total)
    }

    /// Stores the entries of a dump, `total` of them, as far as they hold no pickle or pickles are
    /// allowed.
    #[pyo3(name = "_fill")]
    #[allow(clippy::needless_pass_by_value)]
    fn fill(
        &self,
        py: Python<'_>,
        dump: &Bound<'_, Dump>,
        pickles: bool,
        total: usize,
        progress: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let open = self.open_long(py)?;
        let mut done = 0;
        dump.get().read(py, pickles, |turn| {
            let entries = turn.iter().map(|(key, value)| (key, value));
            py.detach(|| open.table.insert_many(entries)).or_raise(py)?;
            done += turn.len();
            tell(progress.as_ref(), done, total)
        })?;
        if done == 0 {
            tell(progress.as_ref(), done, total)?;
        }
        Ok(())
    }
}

/// A file with a dump, of which a table is made. It is read twice: before there is a table, to
/// find out whether it is whole, and to fill the table.
#[pyclass(frozen, module = "shmtable._native")]
pub(crate) struct Dump {
    path: PathBuf,
    file: File,
    header: Header,
    private: bool,
}

#[pymethods]
impl Dump {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let opened = py.detach(|| {
            // Opening a pipe waits for its writer.
            let data = fs::metadata(&path)?;
            if !data.is_file() && !data.is_dir() {
                return Err(io::Error::from_raw_os_error(ESPIPE).into());
            }
            let file = File::open(&path)?;
            let private = is_private_file(&file)?;
            let (_, header) = Reader::begin(BufReader::new(&file))?;
            Ok((file, private, header))
        });
        let (file, private, header) = opened.map_err(|error| unreadable(py, &path, error))?;
        Ok(Self {
            path,
            file,
            header,
            private,
        })
    }

    /// The number of entries that the dumped table was created for.
    #[getter]
    fn capacity(&self) -> u64 {
        self.header.capacity
    }

    /// Whether the dumped table was given no size.
    #[getter]
    fn by_default(&self) -> bool {
        let sizes = (
            self.header.capacity as usize,
            self.header.value_space as usize,
        );
        self.header.grows && sizes == Options::DEFAULT_SIZES
    }

    /// Whether the dumped table grows.
    #[getter]
    fn grows(&self) -> bool {
        self.header.grows
    }

    /// The bytes of keys and values that the dumped table was created for.
    #[getter]
    fn value_space(&self) -> u64 {
        self.header.value_space
    }

    /// Whether no other user may write to the file.
    #[getter]
    fn private(&self) -> bool {
        self.private
    }

    /// The codec of the table that is made with these settings.
    #[allow(clippy::needless_pass_by_value)]
    fn codec(&self, py: Python<'_>, settings: Settings<'_>) -> PyResult<&'static str> {
        let asked = settings.codec(py)?;
        match (asked, Codec::of_id(self.header.codec)) {
            (Some(Codec::Raw), _) => Ok(Codec::Raw.name()),
            (None, Some(found)) => Ok(found.name()),
            (Some(asked), Some(found)) if asked == found => Ok(found.name()),
            (asked, found) => Err(self.other_codec(py, asked, found)),
        }
    }

    /// Reads all entries; returns their number, and the bytes of their keys and values.
    fn verify(&self, py: Python<'_>, pickles: bool) -> PyResult<(usize, usize)> {
        let (mut entries, mut bytes) = (0, 0);
        self.read(py, pickles, |turn| {
            entries += turn.len();
            bytes += turn.iter().map(length_of).sum::<usize>();
            Ok(())
        })?;
        Ok((entries, bytes))
    }
}

impl Dump {
    /// Reads the file from its beginning, in turns; an entry that holds a pickle is an error
    /// unless pickles are allowed.
    fn read(
        &self,
        py: Python<'_>,
        pickles: bool,
        mut each: impl FnMut(&[Entry]) -> PyResult<()>,
    ) -> PyResult<()> {
        let unreadable = |error| unreadable(py, &self.path, error);
        let reader = py.detach(|| {
            (&self.file).rewind()?;
            Reader::begin(BufReader::new(&self.file))
        });
        let (mut reader, _) = reader.map_err(unreadable)?;
        loop {
            let read = py.detach(|| {
                let turn = read_turn(&mut reader)?;
                let is_refused = !pickles && turn.iter().any(runs_code);
                Ok((turn, is_refused))
            });
            let (turn, is_refused) = read.map_err(unreadable)?;
            py.check_signals()?;
            if is_refused {
                return Err(self.pickle_refused(py));
            }
            if turn.is_empty() {
                return Ok(());
            }
            each(&turn)?;
        }
    }

    #[cold]
    fn pickle_refused(&self, py: Python<'_>) -> PyErr {
        let message = format!(
            "refused to load the pickles in {}: other users may write to the file or to the new \
             table, or allow_pickle=False asks for it, and loading a pickle runs any code that its \
             writer chose; pass allow_pickle=True if you trust all who may write there",
            shown(&self.path)
        );
        errors::exception(py, "PickleRefusedError", (message,))
    }

    #[cold]
    fn other_codec(&self, py: Python<'_>, asked: Option<Codec>, found: Option<Codec>) -> PyErr {
        let asked = asked.map_or_else(String::new, |codec| {
            format!(", and codec={:?} was asked for", codec.name())
        });
        let message = match found {
            Some(codec) => format!(
                "the dump in {} has codec={:?}{asked}; load it without a codec to get the dump's",
                shown(&self.path),
                codec.name()
            ),
            None => format!(
                "the dump in {} has a codec that Python does not know (id {:#x}){asked}; \
                 codec=\"raw\" loads it as plain bytes, and `shmtable load` keeps its codec",
                shown(&self.path),
                self.header.codec
            ),
        };
        errors::exception(py, "CodecMismatchError", (message,))
    }
}

/// Whether reading an entry would load a pickle, or import what a key names.
fn runs_code((key, value): &Entry) -> bool {
    scan::runs_code(Role::Key, key) || scan::runs_code(Role::Value, value)
}

fn length_of((key, value): &Entry) -> usize {
    key.len() + value.len()
}

/// Writes the entries of one turn.
fn write_turn(
    writer: &mut Writer<BufWriter<Replacement>>,
    left: &mut SnapshotIntoIter,
) -> io::Result<()> {
    let mut bytes = 0;
    for entry in left.take(TURN) {
        writer.entry(&entry.0, &entry.1)?;
        bytes += length_of(&entry);
        if bytes >= TURN_BYTES {
            break;
        }
    }
    Ok(())
}

/// Reads the entries of one turn; none at the end.
fn read_turn(reader: &mut Reader<BufReader<&File>>) -> Result<Vec<Entry>, Error> {
    let mut turn = Vec::with_capacity(TURN);
    let mut bytes = 0;
    while turn.len() < TURN
        && bytes < TURN_BYTES
        && let Some(entry) = reader.entry()?
    {
        bytes += length_of(&entry);
        turn.push(entry);
    }
    Ok(turn)
}

/// Tells the caller's function how far the work is.
fn tell(progress: Option<&Bound<'_, PyAny>>, done: usize, total: usize) -> PyResult<()> {
    match progress {
        Some(progress) => progress.call1((done, total)).map(drop),
        None => Ok(()),
    }
}

/// A path as messages show it.
fn shown(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}

/// The system's answer about a file, as Python's own functions raise it.
#[cold]
fn of_file(py: Python<'_>, path: &Path, error: &io::Error) -> PyErr {
    let Some(number) = error.raw_os_error() else {
        return PyOSError::new_err(format!("{}: {error}", shown(path)));
    };
    let text = py
        .import("os")
        .and_then(|os| os.call_method1("strerror", (number,)))
        .and_then(|text| text.extract::<String>());
    match text {
        Ok(text) => PyOSError::new_err((number, text, path.as_os_str().to_owned())),
        Err(error) => error,
    }
}

/// A file of which no table can be made.
#[cold]
fn unreadable(py: Python<'_>, path: &Path, error: Error) -> PyErr {
    let damage = match error {
        Error::Io(error) => return of_file(py, path, &error),
        Error::Damaged(damage) => damage,
    };
    let remedy = match damage.fault {
        Fault::Magic => {
            "save() and `shmtable dump --format binary` write dumps, and `shmtable load` loads JSON \
             Lines too"
        }
        Fault::Version { .. } => "load it with the version that wrote it",
        _ => "load another copy",
    };
    let message = format!(
        "cannot load {}: it is not a dump or is damaged, {damage}; {remedy}",
        shown(path)
    );
    errors::exception(py, "DamagedDumpError", (message,))
}
