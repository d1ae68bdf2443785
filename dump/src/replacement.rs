//! A file that takes the place of another one when it is complete.
//!
//! It is written beside its target under a name of its own, `TARGET.PID-NUMBER.partial`. Its writer
//! keeps it locked. So a file of such a name that no one has locked was left by a writer that was
//! killed, and the next writer of the same target removes it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers the files of this process, of which several threads may write one target.
static NUMBER: AtomicU64 = AtomicU64::new(0);

const SUFFIX: &[u8] = b".partial";

/// A file that takes the place of another one when it is complete.
///
/// Until [`publish`](Self::publish) returns, the target is as it was. If this is dropped before,
/// nothing is left. If the process is killed before, the file `TARGET.PID-NUMBER.partial` is left
/// beside the target, and the next replacement of that target removes it.
///
/// A new file can be read and written by its owner alone, as a table by default. One that replaces
/// another gets the permissions of that one. A symbolic link is replaced, not followed. A pipe or a
/// device is no file to replace: it is written to directly, and gets whatever was written before an
/// error.
#[derive(Debug)]
pub struct Replacement {
    file: File,
    target: PathBuf,
    /// Where the file is until it is published; `None` for a pipe or a device.
    partial: Option<PathBuf>,
}

impl Replacement {
    /// Creates the file, beside its target.
    ///
    /// # Errors
    /// The system's answer.
    pub fn begin(target: impl AsRef<Path>) -> io::Result<Self> {
        let target = target.as_ref();
        let is_special = fs::metadata(target).is_ok_and(|data| !data.is_file());
        let Some(name) = target.file_name().filter(|_| !is_special) else {
            return Ok(Self {
                file: File::options().write(true).open(target)?,
                target: target.to_owned(),
                partial: None,
            });
        };
        remove_leftovers(folder_of(target), name);
        let (file, partial) = loop {
            let partial = target.with_file_name(name_of_partial(name));
            let file = match private().write(true).create_new(true).open(&partial) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created?,
            };
            // Another writer may hold the lock, and is about to remove the file, or has removed it.
            // Where files can't be locked, no one removes any.
            let is_taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
            if !is_taken && is_linked(&file)? {
                break (file, partial);
            }
        };
        Ok(Self {
            file,
            target: target.to_owned(),
            partial: Some(partial),
        })
    }

    /// Gives the file its name, once its bytes are on the disk.
    ///
    /// After a power loss, the target is the old file or this one. When this has returned, it is
    /// this one.
    ///
    /// # Errors
    /// The system's answer. The target is as it was, unless only writing its folder failed.
    pub fn publish(mut self) -> io::Result<()> {
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        if let Ok(old) = fs::symlink_metadata(&self.target)
            && old.is_file()
        {
            self.file.set_permissions(permissions_of(&old))?;
        }
        self.file.sync_all()?;
        fs::rename(partial, &self.target)?;
        self.partial = None;
        sync_folder(folder_of(&self.target))
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            let _ = fs::remove_file(partial);
        }
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn name_of_partial(target: &OsStr) -> OsString {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut name = target.to_owned();
    name.push(format!(".{}-{number}.partial", std::process::id()));
    name
}

fn is_partial_of(target: &OsStr, name: &OsStr) -> bool {
    let rest = name
        .as_encoded_bytes()
        .strip_prefix(target.as_encoded_bytes())
        .and_then(|rest| rest.strip_prefix(b"."))
        .and_then(|rest| rest.strip_suffix(SUFFIX));
    rest.is_some_and(|rest| {
        let mut numbers = rest.split(|&byte| byte == b'-');
        let is_number = |part: Option<&[u8]>| {
            part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
        };
        is_number(numbers.next()) && is_number(numbers.next()) && numbers.next().is_none()
    })
}

/// Removes what writers of this target left that were killed. What can't be removed stays.
fn remove_leftovers(folder: &Path, target: &OsStr) {
    let Ok(files) = fs::read_dir(folder) else {
        return;
    };
    for file in files.flatten() {
        if is_partial_of(target, &file.file_name()) {
            let _ = remove_if_left(&file.path());
        }
    }
}

fn remove_if_left(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    // Some file systems lock only files that are open for writing.
    let file = private().read(true).write(true).open(path)?;
    if file.try_lock().is_ok() {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Options for a file that is its owner's alone, and neither a link nor a pipe.
fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut))]
    let mut options = File::options();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;

        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits() as i32);
    }
    options
}

/// Whether a file still has a name.
fn is_linked(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        Ok(file.metadata()?.nlink() > 0)
    }
    #[cfg(not(unix))]
    {
        // A file that is open keeps its name.
        file.metadata().map(|_| true)
    }
}

/// The permissions of a file, without what runs it as another user.
fn permissions_of(old: &fs::Metadata) -> fs::Permissions {
    #[cfg_attr(not(unix), expect(unused_mut))]
    let mut permissions = old.permissions();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        permissions.set_mode(permissions.mode() & 0o777);
    }
    permissions
}

/// Writes a folder's names to the disk, where the system can.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let is_no_answer = |error: &io::Error| {
        // It may be a folder that this user may write to and not read, or a file system that has
        // no such thing.
        matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::Unsupported
        )
    };
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if is_no_answer(&error) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_partial_files_of_a_target_are_its_own() {
        let is = |name: &str| is_partial_of("a.dump".as_ref(), name.as_ref());
        assert!(is("a.dump.1-0.partial"));
        assert!(is_partial_of("a".as_ref(), &name_of_partial("a".as_ref())));
        for other in [
            "a.dump",
            "a.dump.partial",
            "a.dump.1.partial",
            "a.dump.1-0-2.partial",
            "a.dump.1-.partial",
            "a.dump.b.1-0.partial",
            "a.dump.1-0.partial.old",
            "b.dump.1-0.partial",
        ] {
            assert!(!is(other), "{other}");
        }
    }
}
