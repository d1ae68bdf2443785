//! `cargo xtask instructions`: how many instructions an operation on a small table takes,
//! counted by valgrind's callgrind, which no other load on the machine disturbs.
//!
//! A run of few passes is subtracted from one of many, which leaves the passes alone.
//! Inlined code counts for the file in which it is written.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::parallel;
use crate::process::{cargo, output, root, run as run_command, target_dir};
use crate::result::Result;

/// The name, what it is, and the instructions that it took when this was last measured.
const OPERATIONS: [(&str, &str, u64); 11] = [
    ("get", "get_into, decimal key, 1 byte", 105),
    ("get100", "get_into, 16-byte key, 100 bytes", 239),
    ("miss", "get_into, decimal key, absent", 88),
    ("fetch-add", "fetch_add, decimal key", 142),
    ("insert", "insert, decimal key, 1 byte, new", 188),
    (
        "replace",
        "insert, decimal key, a value of another length",
        545,
    ),
    ("get-grown", "get_into, 1 byte, in a table that grows", 112),
    (
        "get100-grown",
        "get_into, 100 bytes, in a table that grows",
        295,
    ),
    (
        "miss-grown",
        "get_into, absent key, in a table that grows",
        103,
    ),
    ("fetch-add-grown", "fetch_add, in a table that grows", 214),
    (
        "insert-grown",
        "insert, new key, with the doublings that it causes",
        615,
    ),
];

/// How much more than that an operation may take, in percent.
const MARGIN: u64 = 3;

/// Tables that are measured. The least count is taken: a table's random hash seed decides how
/// many keys look beyond a full bucket, which takes hundreds of instructions.
const TABLES: u32 = 7;

/// Keys of a pass.
const KEYS: u64 = 5000;
const FEW: u64 = 2;
/// An even number more: the passes of a replacement alternate between two values.
const MANY: u64 = 12;

/// Counts by source file.
type Counts = BTreeMap<String, u64>;

/// An error if valgrind is missing.
pub(crate) fn require_valgrind() -> Result {
    let version = output(Command::new("valgrind").arg("--version")).map(drop);
    version.map_err(|error| {
        format!("instructions needs valgrind (Debian: apt-get install valgrind); {error}").into()
    })
}

/// Prints the counts of each operation; to check, fails where one is above its ceiling.
pub(crate) fn run(check: bool) -> Result {
    require_valgrind()?;
    let mut slower = Vec::new();
    run_command(&mut cargo(
        "build --quiet --profile bench --package shmtable-bench",
    ))?;
    for (operation, what, measured) in OPERATIONS {
        let ceiling = measured + measured * MARGIN / 100;
        let tables = parallel::map((0..TABLES).collect(), |table| measure(operation, table))?;
        let (sum, files) = tables.into_iter().min().expect("there are tables");
        println!("{what}: {sum} instructions of {ceiling}");
        if sum > ceiling {
            slower.push(format!(
                "{what}: {sum} instructions, the ceiling is {ceiling}"
            ));
        }
        if !check || sum > ceiling {
            for (count, file) in files {
                println!("{count:6}  {file}");
            }
        }
    }
    if check && !slower.is_empty() {
        return Err(format!(
            "operations became slower:\n{}\nmake them as fast again, or write the new counts to \
             xtask/src/lanes/instructions.rs, with the reason in the commit",
            slower.join("\n")
        )
        .into());
    }
    Ok(())
}

/// Instructions of one operation in one table, and how many of them are from each source file.
fn measure(operation: &str, table: u32) -> Result<(u64, Vec<(u64, String)>)> {
    let count = |passes| count(operation, table, passes);
    let (few, many) = (count(FEW)?, count(MANY)?);
    let each = |file: &String, count: u64| {
        let more = count.saturating_sub(few.get(file).copied().unwrap_or(0));
        (more + KEYS * (MANY - FEW) / 2) / (KEYS * (MANY - FEW))
    };
    let mut files: Vec<_> = many
        .into_iter()
        .map(|(file, count)| (each(&file, count), file))
        .filter(|(count, _)| *count > 0)
        .collect();
    files.sort_unstable_by(|one, other| other.cmp(one));
    Ok((files.iter().map(|(count, _)| count).sum(), files))
}

/// The counts of a run with this number of passes, its start included.
fn count(operation: &str, table: u32, passes: u64) -> Result<Counts> {
    let folder = target_dir("instructions");
    fs::create_dir_all(&folder)?;
    // Other tables are measured beside this one.
    let counted = folder.join(format!("callgrind.out.{table}"));
    output(
        Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", counted.display()))
            .arg(target_dir("release").join("shmtable-bench"))
            .args(["repeat", operation, &KEYS.to_string(), &passes.to_string()]),
    )?;
    let annotated = output(
        Command::new("callgrind_annotate")
            .args(["--auto=no", "--threshold=100"])
            .arg(&counted),
    )?;
    let mut counts = Counts::new();
    for line in annotated.lines() {
        if let Some((count, file)) = parse(line) {
            *counts.entry(layer(file)).or_default() += count;
        }
    }
    Ok(counts)
}

/// Count and file in a line like `1,234 (5.67%)  /a/b.rs:function [program]`.
fn parse(line: &str) -> Option<(u64, &str)> {
    let (count, rest) = line.trim_start().split_once(' ')?;
    let count = count.replace(',', "").parse().ok()?;
    let (_, place) = rest.split_once(")  ")?;
    let (file, _) = place.split_once(':')?;
    Some((count, file))
}

/// The group that a file's count is shown under; a file of the workspace is its own group.
fn layer(file: &str) -> String {
    if let Some((_, library)) = file.split_once("/rustc/") {
        let library = library
            .split('/')
            .find(|part| ["core", "alloc", "std"].contains(part));
        return format!("{}, mostly inlined", library.unwrap_or("std"));
    }
    if let Some((_, package)) = file.split_once("/registry/src/") {
        return package.split('/').nth(1).unwrap_or(package).to_owned();
    }
    // The compiler ran in the workspace's folder.
    let own = file.trim_start_matches(&*root().to_string_lossy());
    let own = own.trim_start_matches('/');
    if root().join(own).exists() {
        own.to_owned()
    } else {
        "the C library".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_counts_are_read_and_others_left_out() {
        let line = "3,900,000 ( 8.71%)  /a/src/write/mod.rs:shmtable::write::put [/a/program]";
        assert_eq!(parse(line), Some((3_900_000, "/a/src/write/mod.rs")));
        let short = "    12 ( 0.00%)  ./elf/dl.c:start [/lib/ld.so]";
        assert_eq!(parse(short), Some((12, "./elf/dl.c")));
        assert_eq!(parse("44,780,291 (100.0%)  PROGRAM TOTALS"), None);
        assert_eq!(parse("Ir                  file:function"), None);
    }

    /// The last cells of the rows that begin with code.
    fn last_cells(table: &str) -> Vec<u64> {
        let rows = table.lines().filter(|row| row.starts_with("| `"));
        rows.map(|row| {
            let cell = row.trim_end_matches(" |").rsplit("| ").next();
            cell.and_then(|cell| cell.parse().ok()).expect(row)
        })
        .collect()
    }

    #[test]
    fn the_documents_have_the_counts() {
        let measured = OPERATIONS.map(|(_, _, measured)| measured);
        let read = |page: &str| fs::read_to_string(root().join(page)).expect(page);
        let template = read("benches/src/report/pages/benchmarks/instructions.md");
        assert_eq!(last_cells(&template), measured, "change the template");
        let page = read("docs/tuning.md");
        let (_, table) = page.split_once("## All in all").expect("a section");
        let (table, _) = table.split_once("##").expect("another section");
        let compared = last_cells(table);
        let missing = compared.iter().find(|count| !measured.contains(count));
        assert_eq!(missing, None, "docs/tuning.md has another count");
    }

    #[test]
    fn files_belong_to_layers() {
        let own = root().join("src/index/lookup.rs");
        assert_eq!(layer(&own.to_string_lossy()), "src/index/lookup.rs");
        assert_eq!(layer("src/index/lookup.rs"), "src/index/lookup.rs");
        let hash = "/home/.cargo/registry/src/index-1/xxhash-rust-0.8.19/src/xxh3.rs";
        assert_eq!(layer(hash), "xxhash-rust-0.8.19");
        let slice = "/rustc/59807/library/core/src/slice/index.rs";
        assert_eq!(layer(slice), "core, mostly inlined");
        assert_eq!(layer("./malloc/./malloc/malloc.c"), "the C library");
    }
}
