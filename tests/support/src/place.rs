//! Where the files of a table are, which differs between systems.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

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

    /// The bytes of a segment.
    pub fn read_segment(name: &str) -> Vec<u8> {
        std::fs::read(path_of(name)).expect("there is such a segment")
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

    /// The folder of the segments themselves.
    fn segments() -> PathBuf {
        #[cfg(unix)]
        return "/dev/shm".into();
        #[cfg(windows)]
        return std::env::temp_dir().join("shared_memory-rs");
    }

    /// What a companion file tells.
    struct Companion {
        path: PathBuf,
        id: String,
        bytes: usize,
        name: String,
    }

    fn told(path: PathBuf) -> Option<Companion> {
        let text = std::fs::read_to_string(&path).ok()?;
        let parts: Vec<&str> = text.splitn(5, '\n').collect();
        let [_, id, bytes, _, name] = parts[..] else {
            return None;
        };
        Some(Companion {
            id: id.to_owned(),
            bytes: bytes.parse().ok()?,
            name: name.to_owned(),
            path,
        })
    }

    fn companion(name: &str) -> Option<Companion> {
        super::files_of(&folder())
            .into_iter()
            .filter(|file| file.starts_with("table-"))
            .filter_map(|file| told(folder().join(file)))
            .find(|companion| companion.name == name)
    }

    fn plain(path: &Path) -> String {
        path.to_str().expect("a plain path").to_owned()
    }

    /// The file of a segment of this name.
    pub fn path_of(name: &str) -> String {
        let id = companion(name).map_or_else(|| format!("no-{name}"), |companion| companion.id);
        plain(&segments().join(format!("shmtable-{id}")))
    }

    /// The file whose owner and mode say who may use the segment.
    pub fn access_path_of(name: &str) -> String {
        plain(&companion(name).expect("there is such a table").path)
    }

    /// The bytes of a segment, without what Windows has behind it for sleepers.
    pub fn read_segment(name: &str) -> Vec<u8> {
        let companion = companion(name).expect("there is such a table");
        let mut bytes = std::fs::read(path_of(name)).expect("there is such a segment");
        bytes.truncate(companion.bytes);
        bytes
    }

    /// The companion files of tables whose names contain `part`, after a sweep; or
    /// all segments.
    pub fn files_named(part: &str) -> Vec<String> {
        if part.is_empty() {
            let mut files = super::files_of(&segments());
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
            .filter(|file| {
                let companion = told(folder().join(file));
                companion.is_some_and(|companion| companion.name.contains(part))
            })
            .collect()
    }

    /// What never got a name is swept away, or in the making.
    pub fn unfinished() -> usize {
        0
    }

    /// Makes these bytes the segment of this name.
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

/// The variables that say where temporary files go.
pub const FOLDER_VARIABLES: [&str; 3] = ["TMPDIR", "TEMP", "TMP"];

/// Reads bytes of a file from this place on.
pub fn read_at(mut file: &File, bytes: &mut [u8], at: u64) {
    file.seek(SeekFrom::Start(at))
        .expect("a file can be sought in");
    file.read_exact(bytes).expect("the file is so long");
}

/// Overwrites bytes of a file. It may be mapped, and Windows does not let a mapped file be
/// truncated, as writing it anew does.
pub fn write_at(mut file: &File, bytes: &[u8], at: u64) {
    file.seek(SeekFrom::Start(at))
        .expect("a file can be sought in");
    file.write_all(bytes).expect("the file can be written to");
}

/// The file at this path, to be read and overwritten.
pub fn open_file(path: &str) -> File {
    let file = File::options().read(true).write(true).open(path);
    file.expect("there is such a file")
}

fn files_of(folder: &std::path::Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .map(|entries| {
            entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default()
}
