//! Companion files: a segment's name, the id of its memory, and locks of its users.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::os::{self, Liveness, LockFile};
use super::{memory, random};
use crate::sys::Access;
use crate::sys::process_crash_point;

const MAGIC: &str = "shmtable companion 1";
const TABLE: &str = "table-";
const NEW: &str = ".new-";
const GONE: &str = ".gone-";

/// The length below which every companion file is: it has a few numbers and a name.
pub(super) const MAX_BYTES: usize = 1024;

/// The byte whose shared lock says that the segment is mapped. It is between the bytes of
/// the segment and those of claims.
const IN_USE: u64 = 1 << 61;

/// The id of a segment's shared-memory object; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentId(u64);

impl SegmentId {
    pub(super) fn random() -> io::Result<Self> {
        Ok(Self(random()?))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && !text.starts_with('+');
        digits
            .then(|| u64::from_str_radix(text, 16).ok().map(Self))
            .flatten()
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The content of a companion file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Companion {
    pub(super) id: SegmentId,
    /// The segment's length; its memory may be longer.
    pub(super) bytes: usize,
    pub(super) mode: u32,
    pub(super) name: String,
}

impl Companion {
    fn to_text(&self) -> String {
        let Self {
            id,
            bytes,
            mode,
            name,
        } = self;
        format!("{MAGIC}\n{id}\n{bytes}\n{mode:o}\n{name}")
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let mut parts = text.splitn(5, '\n');
        let mut next = || parts.next();
        if next()? != MAGIC {
            return None;
        }
        Some(Self {
            id: SegmentId::parse(next()?)?,
            bytes: next()?.parse().ok()?,
            mode: u32::from_str_radix(next()?, 8).ok()?,
            name: next()?.to_owned(),
        })
    }

    /// Reads an open companion.
    fn read(file: &LockFile, path: &Path) -> io::Result<Self> {
        Self::parse(&file.read()?).ok_or_else(|| {
            let what = format!(
                "the file {} is no companion of a table; remove it",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }

    /// Reads the companion at this path.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Self::read(&LockFile::open(path, Access::ReadOnly)?, path)
    }
}

/// The user's folder of companion files.
#[derive(Debug, Clone)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Returns the folder, and makes it if there is none.
    pub(super) fn open() -> io::Result<Self> {
        let path = os::directory();
        os::make_directory(&path).map_err(|error| {
            // Not of the kinds that stand for a table's state.
            let what = format!("no folder {} for tables: {error}", path.display());
            io::Error::other(what)
        })?;
        Ok(Self(path))
    }

    /// The path of the companion of the table `name`. The file's name begins with the
    /// characters of the table's that every file system accepts, for people to read.
    pub(super) fn table(&self, name: &str) -> PathBuf {
        let readable: String = name
            .chars()
            .take(40)
            .map(|c| match c {
                'a'..='z' | '0'..='9' | '-' => c,
                _ => '_',
            })
            .collect();
        let digest = xxhash_rust::xxh3::xxh3_128(name.as_bytes());
        self.0.join(format!("{TABLE}{readable}-{digest:032x}"))
    }

    fn new_one(&self, id: SegmentId) -> PathBuf {
        self.0.join(format!("{NEW}{id}"))
    }

    fn gone(&self, id: SegmentId) -> PathBuf {
        self.0.join(format!("{GONE}{id}"))
    }

    /// The paths at which the companion of a segment may be.
    pub(super) fn places(&self, companion: &Companion) -> [PathBuf; 3] {
        [
            self.table(&companion.name),
            self.new_one(companion.id),
            self.gone(companion.id),
        ]
    }

    /// The companion of the table `name`.
    pub(super) fn find(&self, name: &str) -> io::Result<Companion> {
        let companion = Companion::at(&self.table(name))?;
        // Another name with the same digest is another table.
        if companion.name == name {
            Ok(companion)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Makes the companion of a new segment, and marks the segment as used.
    pub(super) fn begin(&self, companion: &Companion) -> io::Result<LockFile> {
        let path = self.new_one(companion.id);
        let mut file = os::create_new(&path)?;
        file.write_all(companion.to_text().as_bytes())?;
        drop(file);
        // A sweep may have found the file before it was in use.
        let enter = || -> io::Result<Option<LockFile>> {
            let file = LockFile::open(&path, Access::ReadWrite)?;
            let shared = file.share(IN_USE)?;
            Companion::at(&path)?;
            Ok(shared.then_some(file))
        };
        match enter() {
            Ok(Some(file)) => Ok(file),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    /// Gives the companion its name; `AlreadyExists` if that name is taken.
    pub(super) fn publish(&self, companion: &Companion) -> io::Result<()> {
        let (from, to) = (self.new_one(companion.id), self.table(&companion.name));
        os::rename_new(&from, &to)
    }

    /// Gives the companion its name. If another table has the name, that one loses it.
    pub(super) fn replace(&self, companion: &Companion) -> io::Result<()> {
        let (from, to) = (self.new_one(companion.id), self.table(&companion.name));
        loop {
            match os::rename_new(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done,
            }
            match os::exchange(&from, &to) {
                Ok(()) => {
                    process_crash_point!("replace: half done");
                    self.put_away(companion.id);
                    return Ok(());
                }
                // The other table was unlinked in between.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    let taken = self
                        .find(&companion.name)
                        .and_then(|old| self.take_away(&companion.name, &old));
                    match taken {
                        Ok(()) => {
                            process_crash_point!("replace: half done");
                        }
                        // Another process took it away, to replace or unlink it.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts away the companion of a table that was replaced, which is under the first name
    /// of its successor: moves it to its own name among those of tables without a name, and
    /// removes the table if no process uses it. Other processes may do the same.
    fn put_away(&self, successor: SegmentId) {
        let path = self.new_one(successor);
        if let Ok(old) = Companion::at(&path)
            && old.id != successor
            && fs::rename(&path, self.gone(old.id)).is_ok()
        {
            // As when a table is unlinked.
            let _ = memory::remove(old.id);
            self.collect(old.id);
        }
    }

    /// Opens the companion of the table `name`, and marks the segment as used.
    pub(super) fn enter(&self, name: &str, access: Access) -> io::Result<(LockFile, Companion)> {
        let path = self.table(name);
        for _ in 0..1000 {
            let file = match (LockFile::open(&path, Access::ReadWrite), access) {
                // Permission to write is wanted for `while_alone`, but not needed.
                (Err(_), Access::ReadOnly) => LockFile::open(&path, access)?,
                (file, _) => file?,
            };
            if file.share(IN_USE)? {
                let companion = Companion::read(&file, &path)?;
                // The file may have been taken away before it was in use.
                if self.find(name)? == companion {
                    return Ok((file, companion));
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Calls `act` while no other mapping uses the segment; `None` if one does.
    pub(super) fn while_alone<R>(
        file: &LockFile,
        act: impl FnOnce() -> R,
    ) -> io::Result<Option<R>> {
        file.while_alone(IN_USE, act)
    }

    /// Takes its name from a segment, and removes the segment if no process uses it.
    ///
    /// If another table replaced this one after its companion was read, that table loses its
    /// name instead.
    pub(super) fn take_away(&self, name: &str, companion: &Companion) -> io::Result<()> {
        let gone = self.gone(companion.id);
        fs::rename(self.table(name), &gone)?;
        let taken = Companion::at(&gone)?;
        if taken.id != companion.id {
            fs::rename(&gone, self.gone(taken.id))?;
        }
        // The name is gone, whatever happens to the memory: what is left of it is removed
        // by its last user, or by a sweep.
        let _ = memory::remove(taken.id);
        self.collect(taken.id);
        Ok(())
    }

    /// Whether a name is taken. A name whose memory is gone, because the machine was
    /// restarted, is freed.
    pub(super) fn is_taken(&self, name: &str) -> io::Result<bool> {
        match Companion::at(&self.table(name)) {
            Ok(companion) if memory::exists(companion.id)? => Ok(true),
            Ok(companion) => {
                match self.find(name) {
                    // The table was just replaced.
                    Ok(now) if now != companion => return Ok(true),
                    Ok(_) => self.take_away(name, &companion)?,
                    // The table was just unlinked.
                    Err(_) => {}
                }
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            // Something that can't be read has the name.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::PermissionDenied
                ) =>
            {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether any process has the segment of this name mapped.
    pub(super) fn is_used(&self, name: &str) -> io::Result<bool> {
        Ok(Liveness::at(&self.table(name))?.is_held_by_others(IN_USE))
    }

    pub(super) fn list(&self, beginning: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for path in self.files(TABLE)? {
            // An entry that has vanished since is no longer a table.
            if let Ok(companion) = Companion::at(&path)
                && companion.name.starts_with(beginning)
                && self.table(&companion.name) == path
            {
                names.push(companion.name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes what killed processes left behind, as far as that is possible now.
    pub(super) fn sweep(&self) {
        for prefix in [NEW, GONE] {
            for path in self.files(prefix).unwrap_or_default() {
                let file = path.file_name().and_then(|file| file.to_str());
                if let Some(id) = file.and_then(|file| SegmentId::parse(&file[prefix.len()..])) {
                    self.collect(id);
                }
            }
        }
    }

    /// Removes a segment without a name if no process uses it.
    pub(super) fn collect(&self, id: SegmentId) {
        self.put_away(id);
        for path in [self.new_one(id), self.gone(id)] {
            // The byte is held alone during the removal: a process that comes to use the
            // segment finds it gone. If anything fails, the next sweep tries again.
            if let Ok(file) = LockFile::open(&path, Access::ReadWrite)
                && file.hold(IN_USE).is_ok_and(|held| held)
                && path.exists()
                // The file may just have been exchanged for another segment's.
                && Companion::read(&file, &path).map_or(true, |companion| companion.id == id)
                && memory::remove(id).is_ok()
            {
                let _ = fs::remove_file(&path);
            }
        }
    }

    fn files(&self, prefix: &str) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(prefix))
            {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    }
}
