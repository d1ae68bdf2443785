//! What a writer was about to do and has done, in a file that outlives it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

/// Words that outlive the process that writes them: what it was about to do and
/// what it has done, for each key.
pub struct Diary {
    pub file: File,
    pub path: std::path::PathBuf,
}

impl Diary {
    pub fn create(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}.diary"));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        file.set_len(1 << 16).unwrap();
        Self { file, path }
    }

    pub fn open(path: &str) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    pub fn get(mut file: &File, at: usize) -> u64 {
        let mut word = [0; 8];
        file.seek(SeekFrom::Start(8 * at as u64)).unwrap();
        file.read_exact(&mut word).unwrap();
        u64::from_le_bytes(word)
    }

    pub fn put(mut file: &File, at: usize, word: u64) {
        file.seek(SeekFrom::Start(8 * at as u64)).unwrap();
        file.write_all(&word.to_le_bytes()).unwrap();
    }
}

impl Drop for Diary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
