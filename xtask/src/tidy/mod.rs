//! Tests of the sources' order: what may import what, and how files are laid out.

mod files;
mod imports;
mod layers;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process::root;

/// The files of a folder of the workspace and of those below it, by their path in the
/// workspace, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// The names of files and folders at the top of a folder of the workspace.
fn top(folder: &str) -> BTreeSet<String> {
    let found = files(folder);
    let below = found.iter().map(|file| file.strip_prefix(folder).unwrap());
    below
        .filter_map(|file| file.iter().next())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}
