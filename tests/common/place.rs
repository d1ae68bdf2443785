//! What differs between systems: where the files of a table are, and how processes
//! start and end.

use std::process::{Child, Command, ExitStatus};

#[cfg(all(target_os = "linux", not(shmtable_portable)))]
mod here {
    /// The file of a segment of this name.
    pub fn path_of(name: &str) -> String {
        format!("/dev/shm/shmtable.{name}")
    }

    /// The file whose owner and mode say who may use the segment.
    pub fn access_path_of(name: &str) -> String {
        path_of(name)
    }

    /// The names of all files in /dev/shm that contain `part`, hidden ones too.
    pub fn files_named(part: &str) -> Vec<String> {
        super::files_of("/dev/shm".as_ref())
            .into_iter()
            .filter(|name| name.contains(part))
            .collect()
    }

    /// How many segments there are that never got a name.
    pub fn unfinished() -> usize {
        files_named(".shmtable.").len()
    }

    /// Makes these bytes the segment of this name.
    pub fn plant(name: &str, bytes: &[u8]) {
        std::fs::write(path_of(name), bytes).expect("a segment is planted");
    }
}

#[cfg(any(not(target_os = "linux"), shmtable_portable))]
mod here {
    use std::path::{Path, PathBuf};

    /// The folder of companion files, which name the segments.
    fn folder() -> PathBuf {
        #[cfg(unix)]
        let folder = format!("shmtable-{}", rustix::process::geteuid().as_raw());
        #[cfg(windows)]
        let folder = "shmtable";
        std::env::temp_dir().join(folder)
    }

    /// The id and the name that a companion file tells.
    fn told(path: &Path) -> Option<(String, String)> {
        let text = std::fs::read_to_string(path).ok()?;
        let parts: Vec<&str> = text.splitn(5, '\n').collect();
        let [_, id, _, _, name] = parts[..] else {
            return None;
        };
        Some((id.to_owned(), name.to_owned()))
    }

    fn companion(name: &str) -> Option<(PathBuf, String)> {
        super::files_of(&folder())
            .into_iter()
            .filter(|file| file.starts_with("table-"))
            .find_map(|file| {
                let path = folder().join(file);
                let (id, found) = told(&path)?;
                (found == name).then_some((path, id))
            })
    }

    /// The file of a segment of this name.
    pub fn path_of(name: &str) -> String {
        let id = companion(name).map_or_else(|| format!("no-{name}"), |(_, id)| id);
        format!("/dev/shm/shmtable-{id}")
    }

    /// The file whose owner and mode say who may use the segment.
    pub fn access_path_of(name: &str) -> String {
        let (path, _) = companion(name).expect("there is such a table");
        path.to_str().expect("a plain path").to_owned()
    }

    /// The companion files of tables whose names contain `part`, after a sweep; or
    /// all segments.
    pub fn files_named(part: &str) -> Vec<String> {
        if part.is_empty() {
            let mut files = super::files_of("/dev/shm".as_ref());
            files.retain(|file| file.starts_with("shmtable-"));
            return files;
        }
        let mut files = Vec::new();
        for _ in 0..1000 {
            shmtable::Table::list().expect("listing sweeps");
            files = files_now(part);
            if files.iter().all(|file| file.starts_with("table-")) {
                break;
            }
            // Another sweep, of another test, may have it in hand.
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        files
    }

    /// The same as it is at this moment.
    pub fn files_now(part: &str) -> Vec<String> {
        super::files_of(&folder())
            .into_iter()
            .filter(|file| told(&folder().join(file)).is_some_and(|(_, name)| name.contains(part)))
            .collect()
    }

    /// What never got a name is swept away, or in the making.
    pub fn unfinished() -> usize {
        0
    }

    /// Makes these bytes the segment of this name.
    #[cfg(unix)]
    pub fn plant(name: &str, bytes: &[u8]) {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if companion(name).is_none() {
            let id = NEXT.fetch_add(1, Ordering::Relaxed);
            let id = format!("{:08x}{id:08x}", std::process::id());
            let path = folder().join(format!(
                "table-{}-{:032x}",
                name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_"),
                xxhash_rust::xxh3::xxh3_128(name.as_bytes())
            ));
            // As long as the segment is, whatever its length.
            let text = format!("shmtable companion 1\n{id}\n{}\n600\n{name}", 1_u64 << 44);
            std::fs::write(path, text).expect("a companion is planted");
        }
        std::fs::write(path_of(name), bytes).expect("a segment is planted");
    }
}

pub use here::*;

fn files_of(folder: &std::path::Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .map(|entries| {
            entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default()
}

/// Whether a process was killed, and did not end by itself. A crash point kills with
/// this exit code where there are no signals.
pub fn was_killed(status: ExitStatus) -> bool {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
    #[cfg(windows)]
    return status.code() == Some(9);
}

/// wine fails to start one process in some thousands.
pub(super) fn start_process(command: &mut Command) -> Child {
    match command.spawn() {
        Err(_) if cfg!(windows) => command.spawn(),
        started => started,
    }
    .expect("a child is started")
}
