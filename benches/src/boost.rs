//! Boost.Interprocess: a program in C++ that takes the same orders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use shmtable_bench::Result;
use shmtable_bench::contender::{About, Sharing};

pub(crate) const ABOUT: About = About {
    name: "Boost",
    setup: "Boost.Interprocess: a `managed_shared_memory` with 64 `unordered_map`s of its \
            strings, each behind an `interprocess_mutex`, chosen by the hash; lookups create no \
            key; `g++ -O3 -march=native`",
    hasher: "`std::hash` of the C++ library",
    sharing: Sharing::Processes,
    slow: false,
};

const SOURCE: &str = include_str!("boost.cpp");

/// Compiles the program; the error says what is not installed.
pub(crate) fn compile(target: &Path) -> Result<PathBuf> {
    fs::create_dir_all(target)?;
    let (source, program) = (target.join("boost.cpp"), target.join("boost"));
    if fs::read_to_string(&source).is_ok_and(|old| old == SOURCE) && program.is_file() {
        return Ok(program);
    }
    fs::write(&source, SOURCE)?;
    let output = Command::new("g++")
        .args(["-std=c++17", "-O3", "-march=native", "-pthread", "-o"])
        .args([&program, &source])
        .arg("-lrt")
        .output();
    match output {
        Err(_) => Err("g++ is not installed".into()),
        Ok(output) if output.status.success() => Ok(program),
        Ok(output) => {
            fs::remove_file(&source)?;
            let said = String::from_utf8_lossy(&output.stderr);
            if said.contains("boost/") && said.contains("No such file") {
                return Err("Boost's headers (Debian's libboost-dev) are not installed".into());
            }
            Err(format!("g++ failed: {said}").into())
        }
    }
}
