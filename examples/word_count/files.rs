//! Files, their words, and what a single process counts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::Result;

/// Larger files are data, not text.
const LARGEST_FILE: u64 = 16 << 20;
/// Longer runs of letters and digits are data, not words.
const LONGEST_WORD: usize = 100;

/// The words of a text: runs of letters and digits, in lower case.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| (1..=LONGEST_WORD).contains(&word.len()))
        .map(str::to_lowercase)
}

/// The truth to compare with, and how large a table the workers need.
pub(crate) struct Alone {
    pub(crate) paths: Vec<String>,
    /// The words of each of these files.
    pub(crate) words: Vec<u64>,
    pub(crate) counts: HashMap<String, u64>,
    /// Keys: three for each file, one for each different word of it, and the
    /// words of the richest file again for the attempt that is cut short.
    pub(crate) entries: usize,
    /// The bytes of these keys and their values.
    pub(crate) bytes: usize,
}

pub(crate) fn count_alone(folder: &Path) -> Result<Alone> {
    // Room for what is there once: the number of files, the workers' readiness.
    let (mut entries, mut bytes) = (100, 10_000);
    let (mut most_entries, mut most_bytes) = (0, 0);
    let (mut paths, mut words_in_files) = (Vec::new(), Vec::new());
    let mut counts: HashMap<String, u64> = HashMap::new();
    for path in candidates(folder)? {
        let Some(name) = path.to_str() else { continue };
        let content = match fs::read_to_string(&path) {
            Ok(content) if !content.contains('\0') => content,
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
            Err(error) => return Err(format!("{name}: {error}").into()),
        };
        let mut in_file: HashMap<String, u64> = HashMap::new();
        for word in words(&content) {
            *in_file.entry(word).or_default() += 1;
        }
        let word_bytes = in_file.keys().map(|word| word.len() + 40).sum::<usize>();
        entries += in_file.len() + 3;
        bytes += word_bytes + name.len() + 200;
        words_in_files.push(in_file.values().sum());
        most_entries = most_entries.max(in_file.len());
        most_bytes = most_bytes.max(word_bytes);
        for (word, count) in in_file {
            *counts.entry(word).or_default() += count;
        }
        paths.push(name.to_owned());
    }
    Ok(Alone {
        paths,
        words: words_in_files,
        counts,
        entries: entries + most_entries,
        bytes: bytes + most_bytes,
    })
}

/// The files under a folder that may be text, in order.
fn candidates(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.canonicalize()?];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if entry.file_name() != "target" && entry.file_name() != ".git" {
                    folders.push(entry.path());
                }
            } else if kind.is_file() && entry.metadata()?.len() <= LARGEST_FILE {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
