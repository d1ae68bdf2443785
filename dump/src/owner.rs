//! Who may have written a file.

use std::fs::File;
use std::io;

/// Returns whether no other user may write to a file.
///
/// That is so if the file belongs to this process's effective user and its mode lets no other user
/// write. (A system's administrator may do anything.) It is the question that
/// `Table::is_private` answers for a table. Where files have no owners and modes, it is `false`.
///
/// # Errors
/// The system's answer.
pub fn is_private(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        let data = file.metadata()?;
        Ok(data.uid() == rustix::process::geteuid().as_raw() && data.mode() & 0o022 == 0)
    }
    #[cfg(not(unix))]
    {
        file.metadata().map(|_| false)
    }
}
