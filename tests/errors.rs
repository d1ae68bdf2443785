//! Is every error provoked by what it is for, does it name limit, size and
//! remedy, and is the table as it was?
//!
//! Some parts need root: a segment of another user is planted with `chown`, and a
//! child gives its rights away. Without root those tests do what a user can do,
//! and say so.

#![cfg(any(target_os = "linux", windows))]

#[cfg(target_os = "linux")]
#[path = "common/closing.rs"]
mod closing;
mod common;

use std::collections::HashMap;
use std::error::Error as _;
use std::fs::File;
use std::ops::ControlFlow;
#[cfg(target_os = "linux")]
use std::os::unix::fs::{MetadataExt, chown};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{
    Child, LIMIT, Name, Named, assert_sound, bytes, contents, files_named, open_file, read_at,
    read_segment, write_at,
};
#[cfg(target_os = "linux")]
use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};
#[cfg(target_os = "linux")]
use shmtable::{Claimed, Trust};
use shmtable::{Error, Options, Result, Table, TypedTable};

#[cfg(target_os = "linux")]
const STRANGER: u32 = 54_321;

/// The error, which must be, and whose message must contain these parts.
#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) -> Error {
    let Err(error) = result else {
        panic!("it succeeded");
    };
    let message = error.to_string();
    println!("{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    // Whoever prints the chain of causes reads each of them once.
    if let Some(cause) = error.source().map(ToString::to_string) {
        assert!(!message.contains(&cause), "{message:?} repeats {cause:?}");
    }
    error
}

fn all(table: &Table) -> HashMap<Vec<u8>, Vec<u8>> {
    assert_sound(table);
    let contents = contents(table);
    assert_eq!(table.len(), contents.len());
    contents
}

/// Every operation that could store this entry.
fn stores(table: &Table, key: &[u8], value: &[u8]) -> Vec<(&'static str, Option<Error>)> {
    let found = table.get(key).expect("get works");
    vec![
        ("insert", table.insert(key, value).err()),
        ("replace", table.replace(key, value).err()),
        ("update", table.update(key, |_| Some(value.to_vec())).err()),
        (
            "compare_exchange",
            table
                .compare_exchange(key, found.as_deref(), Some(value))
                .err(),
        ),
        ("insert_many", table.insert_many([(key, value)]).err()),
    ]
}

#[test]
fn every_variant_is_in_this_file() {
    let source = include_str!("../src/error.rs");
    let here = include_str!("errors.rs");
    let body = source.split_once("pub enum Error {").expect("the enum").1;
    let mut count = 0;
    for line in body.lines() {
        // Variants are the lines that are indented once and begin with a capital.
        let Some(rest) = line.strip_prefix("    ") else {
            continue;
        };
        if !rest.starts_with(|c: char| c.is_ascii_uppercase()) {
            continue;
        }
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let variant = &rest[..end];
        count += 1;
        assert!(
            here.contains(&format!("Error::{variant} {{"))
                || here.contains(&format!("Error::{variant})")),
            "no test provokes {variant}"
        );
    }
    assert!(count >= 20, "only {count} variants were found");
}

#[test]
fn table_full() {
    let table = Options::new()
        .capacity(50)
        .value_space(1 << 20)
        .stripes(4)
        .create_anonymous()
        .unwrap();
    let key = |number: u32| number.to_le_bytes();
    let mut number = 0;
    let error = loop {
        match table.insert(&key(number), b"value") {
            Ok(new) => assert!(new),
            Err(error) => break error,
        }
        number += 1;
        assert!(number < 10_000, "a table of capacity 50 took {number} keys");
    };
    assert!(number >= 50);
    let before = all(&table);
    let entries_now = number as usize;
    assert!(
        matches!(error, Error::TableFull { capacity: 50, entries, .. } if entries == entries_now),
        "{error:?}"
    );
    refused::<()>(
        Err(error),
        &["50", &entries_now.to_string(), "remove", "larger capacity"],
    );
    // The same key by any other way: one stripe is full, and it is this key's.
    for (method, error) in stores(&table, &key(number), b"another") {
        assert!(
            matches!(error, Some(Error::TableFull { .. })),
            "{method}: {error:?}"
        );
    }
    assert!(matches!(
        table.try_insert(&key(number), b"x"),
        Err(Error::TableFull { .. })
    ));
    assert!(matches!(
        table.fetch_add(&key(number), 1),
        Err(Error::TableFull { .. })
    ));
    assert_eq!(all(&table), before);
    // What is there can be changed, and the remedy helps.
    assert!(!table.insert(&key(0), &[1; 500]).unwrap());
    table.retain(|_, _| false).unwrap();
    assert!(table.insert(&key(number), b"value").unwrap());
}

#[test]
fn value_space_full() {
    let table = Options::new()
        .capacity(1000)
        .value_space(100_000)
        .chunk_size(4096)
        .max_participants(2)
        .create_anonymous()
        .unwrap();
    let key = |number: u32| number.to_le_bytes();
    let mut number = 0;
    let error = loop {
        match table.insert(&key(number), &bytes(1, 2000)) {
            Ok(new) => assert!(new),
            Err(error) => break error,
        }
        number += 1;
        assert!(number < 1000);
    };
    assert!(
        number >= 49,
        "only {number} entries of 2004 bytes in 100 000"
    );
    let stats = table.stats().unwrap();
    assert!(
        matches!(error, Error::ValueSpaceFull { asked: 2016, limit: 100_000, live, room, .. }
            if live == number as usize * 2016 && live == stats.value_bytes_live
                && room == stats.segment_bytes - stats.index_bytes && live <= room),
        "{error:?}"
    );
    refused::<()>(
        Err(error),
        &[
            "2016",
            "100000",
            "live",
            "remove entries",
            "larger value_space",
        ],
    );
    let before = all(&table);
    for key in [key(number), key(0)] {
        for (method, error) in stores(&table, &key, &bytes(2, 3000)) {
            assert!(
                matches!(error, Some(Error::ValueSpaceFull { .. })),
                "{method}: {error:?}"
            );
        }
    }
    assert!(matches!(
        table.try_insert(&key(number), &bytes(2, 2500)),
        Err(Error::ValueSpaceFull { .. })
    ));
    // A run of chunks finds no room either.
    let error = refused(
        table.insert(&key(0), &bytes(2, 50_000)),
        &["takes 13 neighbouring chunks", "no such row"],
    );
    assert!(
        matches!(
            error,
            Error::ValueSpaceFull {
                limit: 100_000,
                neighbours: 13,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(all(&table), before);
    for number in 0..4 {
        assert!(table.remove(&key(number)).unwrap());
    }
    assert!(table.insert(&key(number), &bytes(2, 3000)).unwrap());
    assert_sound(&table);
}

#[test]
fn value_or_key_too_large() {
    let table = Options::new()
        .capacity(10)
        .value_space(5000)
        .create_anonymous()
        .unwrap();
    table.insert(b"key", b"value").unwrap();
    let before = all(&table);
    for (method, error) in stores(&table, b"key", &bytes(1, 4998)) {
        assert!(
            matches!(
                error,
                Some(Error::ValueTooLarge {
                    limit: 4997,
                    size: 4998,
                    ..
                })
            ),
            "{method}: {error:?}"
        );
    }
    refused(
        table.insert(b"key", &bytes(1, 4998)),
        &["4998", "4997", "split", "larger value_space"],
    );
    assert!(matches!(
        table.try_insert(b"new", &bytes(1, 4998)),
        Err(Error::ValueTooLarge {
            limit: 4997,
            size: 4998,
            ..
        })
    ));
    for (method, error) in stores(&table, &bytes(1, 5001), b"") {
        assert!(
            matches!(
                error,
                Some(Error::KeyTooLarge {
                    limit: 5000,
                    size: 5001,
                    ..
                })
            ),
            "{method}: {error:?}"
        );
    }
    assert_eq!(all(&table), before);

    // The format's own limit, in a table that is large enough.
    let table = Options::new()
        .capacity(10)
        .value_space(4 << 20)
        .create_anonymous()
        .unwrap();
    let error = refused(
        table.insert(&vec![0; 1_048_576], b""),
        &["1048576", "1048575", "digest"],
    );
    assert!(matches!(
        error,
        Error::KeyTooLarge {
            limit: 1_048_575,
            size: 1_048_576,
            ..
        }
    ));
    assert!(matches!(
        table.fetch_add(&vec![0; 1_048_576], 1),
        Err(Error::KeyTooLarge { .. })
    ));
    assert!(table.is_empty());
    // To look for such a key is no error: it is absent.
    assert_eq!(table.get(&vec![0; 1_048_576]).unwrap(), None);
    assert!(!table.contains_key(&vec![0; 1_048_576]).unwrap());
    assert!(!table.remove(&vec![0; 1_048_576]).unwrap());
    assert_eq!(table.take(&vec![0; 1_048_576]).unwrap(), None);
}

#[cfg(target_os = "linux")]
#[test]
fn shared_memory_full() {
    // In a file system of 1 MiB of its own: the machine's is not filled for a test.
    if let Some(role) = common::role() {
        let error = refused(
            Options::new().capacity(1 << 20).create(role.argument(0)),
            &["shared memory", "/dev/shm"],
        );
        assert!(
            matches!(error, Error::SharedMemoryFull { asked, .. } if asked > 1 << 20),
            "{error:?}"
        );
        assert_eq!(files_named(""), Vec::<String>::new(), "nothing is left");
        return;
    }
    if !common::may_make_namespaces() {
        return;
    }
    let name = Name::new();
    let test = "shared_memory_full";
    common::small_shm(test, "creator", &[&name], "1m").finish();
}

#[cfg(target_os = "linux")]
#[test]
fn address_space_full() {
    if let Some(role) = common::role() {
        let limit = common::limit_address_space(512 << 20);
        let named = Options::new().capacity(10).value_space(1 << 30);
        for error in [
            named.create(role.argument(1)).err(),
            Table::open(role.argument(0)).err(),
        ] {
            let error = refused::<()>(
                Err(error.expect("it is refused")),
                &["address space", "ulimit -v", "smaller value_space"],
            );
            let Error::AddressSpaceFull {
                asked, limit: told, ..
            } = error
            else {
                panic!("{error:?}");
            };
            assert!(asked > 1 << 30);
            assert_eq!(told, Some(limit));
            refused::<()>(Err(error), &[&asked.to_string(), &limit.to_string()]);
        }
        return;
    }
    let named = Named::create(&Options::new().capacity(10).value_space(1 << 30));
    let other = Name::new();
    Child::start("address_space_full", "limited", &[&named.name, &other]).finish();
    assert!(files_named(&other).is_empty());
}

/// What limits of a process and small file systems do on Linux: no machine has room for
/// this table on its disk, nor in its memory. Which of them Windows misses first it says.
#[cfg(windows)]
#[test]
fn shared_memory_or_address_space_full() {
    let name = Name::new();
    let vast = Options::new().value_space(1 << 42).chunk_size(1 << 24);
    let error = refused(vast.create(&name), &["bytes"]);
    let (Error::SharedMemoryFull { asked, .. }
    | Error::AddressSpaceFull {
        asked, limit: None, ..
    }) = error
    else {
        panic!("{error:?}");
    };
    assert!(asked > 1 << 42);
    refused::<()>(Err(error), &[&asked.to_string()]);
    assert!(files_named(&name).is_empty(), "nothing is left");
    Options::new().capacity(10).create(&name).unwrap();
}

#[test]
fn invalid_name() {
    let longest = "n".repeat(255 - "shmtable.".len());
    let too_long = format!("{longest}n");
    for (name, reason) in [
        ("", "empty"),
        ("a/b", "'/'"),
        ("/a", "'/'"),
        ("a\0b", "NUL"),
        (".hidden", "'.'"),
        ("..", "'.'"),
        (too_long.as_str(), "too long"),
    ] {
        let options = Options::new().capacity(10);
        let limit = longest.len();
        for result in [
            options.create(name).err(),
            options.open(name).err(),
            options.open_read_only(name).err(),
            options.open_or_create(name).err(),
            Table::unlink(name).err(),
        ] {
            let error = refused::<()>(
                Err(result.unwrap()),
                &[reason, &limit.to_string(), "use 1 to"],
            );
            assert!(
                matches!(&error, Error::InvalidName { name: told, limit: most, .. }
                    if told == name && *most == limit),
                "{error:?}"
            );
        }
    }
    // The longest name and odd ones are fine.
    for name in [longest.as_str(), "ä ö\n\u{1}", "a..", "-rf"] {
        let name = format!("{}{name}", std::process::id());
        let name: String = name.chars().take(longest.len()).collect();
        let table = Options::new().capacity(10).create(&name);
        let listed = Table::list().unwrap().contains(&name);
        Table::unlink(&name).unwrap();
        assert!(table.is_ok() && listed, "{name:?}");
    }
}

#[test]
fn an_anonymous_table_that_is_gone_is_not_to_be_created_by_its_name() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    let name = table.name().to_owned();
    drop(table);
    let remedy =
        ": its creator closed it or ended; keep it open until all who need it have opened it";
    let error = Table::open(&name).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("there is no table named {name:?}{remedy}")
    );
    // A name that somebody chose is not taken for one of them.
    let error = Table::open("anon-a-name").unwrap_err().to_string();
    assert!(
        error.ends_with("; create it, or use open_or_create"),
        "{error}"
    );
}

#[test]
fn not_found_and_already_exists() {
    let name = Name::new();
    for error in [
        Table::open(&name).err(),
        Table::open_read_only(&name).err(),
        Table::unlink(&name).err(),
    ] {
        let error = refused::<()>(Err(error.unwrap()), &[&name, "create it", "open_or_create"]);
        assert!(matches!(&error, Error::NotFound { name: told, .. } if **told == *name));
    }
    let table = Options::new().capacity(10).create(&name).unwrap();
    table.insert(b"k", b"v").unwrap();
    let error = refused(
        Options::new().capacity(99).create(&name),
        &[&name, "unlink it", "open_or_create"],
    );
    assert!(matches!(&error, Error::AlreadyExists { name: told, .. } if **told == *name));
    assert_eq!(all(&table).len(), 1);
    assert_eq!(files_named(&name).len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn wrong_owner() {
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"k", b"v").unwrap();
    if !common::may_act_as_others() {
        // Only root gives files away. What is left to show: our own pass.
        assert!(
            Options::new()
                .trust(Trust::Users(vec![STRANGER]))
                .open(&named.name)
                .is_ok()
        );
        return;
    }
    chown(named.name.access_path(), Some(STRANGER), None).unwrap();
    let untrusting = [
        Trust::SameUser,
        Trust::Users(vec![]),
        Trust::Users(vec![STRANGER + 1]),
    ];
    for trust in untrusting {
        let options = Options::new().trust(trust);
        for error in [
            options.open(&named.name).err(),
            options.open_read_only(&named.name).err(),
            options.open_or_create(&named.name).err(),
        ] {
            let error = refused::<()>(
                Err(error.unwrap()),
                &[&named.name, "54321", "user 0", "Options::trust"],
            );
            assert!(matches!(
                error,
                Error::WrongOwner {
                    owner: STRANGER,
                    user: 0,
                    ..
                }
            ));
        }
    }
    for trust in [Trust::Users(vec![1, STRANGER]), Trust::Anyone] {
        let table = Options::new().trust(trust).open(&named.name).unwrap();
        assert_eq!(table.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    }
    assert_eq!(all(&named).len(), 1);
}

/// The portable back end gives each user tables of their own: see its own tests.
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn permission_denied() {
    if let Some(role) = common::role() {
        if role.name == "stranger" {
            use rustix::thread::{Uid, set_thread_res_uid};
            // This thread alone, for good.
            let stranger = Uid::from_raw(STRANGER);
            set_thread_res_uid(stranger, stranger, stranger).unwrap();
        }
        let options = Options::new().capacity(10).trust(Trust::Anyone);
        for error in [
            options.open(role.argument(0)).err(),
            options.open_read_only(role.argument(0)).err(),
            options.open_or_create(role.argument(0)).err(),
        ] {
            let error = refused::<()>(
                Err(error.expect("it is refused")),
                &["no permission to open", role.argument(0), "Options::mode"],
            );
            assert!(
                matches!(&error, Error::PermissionDenied { action: "open", source, .. }
                    if source.raw_os_error() == Some(13)),
                "{error:?}"
            );
        }
        if role.name == "stranger" {
            // /dev/shm is sticky: nobody removes what is another's.
            let error = refused(
                Table::unlink(role.argument(0)),
                &["no permission to unlink"],
            );
            assert!(matches!(
                error,
                Error::PermissionDenied {
                    action: "unlink",
                    ..
                }
            ));
            // One that may read may not write.
            let readable = role.argument(1);
            assert!(matches!(
                options.open(readable),
                Err(Error::PermissionDenied { .. })
            ));
            let reader = options.open_read_only(readable).unwrap();
            assert_eq!(reader.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
            assert!(matches!(
                Options::new().open_read_only(readable),
                Err(Error::WrongOwner { user: STRANGER, .. })
            ));
        }
        return;
    }
    let closed = Named::create(&Options::new().capacity(10));
    let readable = Named::create(&Options::new().capacity(10).mode(0o644));
    readable.insert(b"k", b"v").unwrap();
    let role = if common::may_act_as_others() {
        "stranger"
    } else {
        // Instead of another user, a mode that shuts the owner out.
        let file = std::fs::metadata(closed.name.access_path()).unwrap();
        let mut permissions = file.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0);
        std::fs::set_permissions(closed.name.access_path(), permissions).unwrap();
        "owner"
    };
    Child::start("permission_denied", role, &[&closed.name, &readable.name]).finish();
    assert!(files_named(&closed.name).len() == 1);
}

/// The system opens no folder where a companion file should be.
#[cfg(any(windows, shmtable_portable))]
#[test]
fn permission_denied() {
    let options = Options::new().capacity(10);
    let name = Name::new();
    options.create(&name).unwrap();
    let path = name.access_path();
    Table::unlink(&name).unwrap();
    std::fs::create_dir(&path).unwrap();
    let errors = [
        options.open(&name).err(),
        options.open_read_only(&name).err(),
        Table::unlink(&name).err(),
    ];
    let created = options.create(&name);
    std::fs::remove_dir(path).unwrap();
    for (error, tried) in errors.into_iter().zip(["open", "open", "unlink"]) {
        let error = Err(error.expect("it is refused"));
        // Windows opens no folder; elsewhere it is seen what it is.
        if cfg!(windows) {
            let told = ["no permission to", tried, &name, "Options::mode"];
            let error = refused::<()>(error, &told);
            assert!(
                matches!(error, Error::PermissionDenied { action, .. } if action == tried),
                "{error:?}"
            );
        } else {
            let error = refused::<()>(error, &[&name, "a folder", "remove it"]);
            assert!(
                matches!(
                    error,
                    Error::NotATable {
                        what: "a folder",
                        ..
                    }
                ),
                "{error:?}"
            );
        }
    }
    assert!(matches!(created, Err(Error::AlreadyExists { .. })));
    options.create(&name).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn the_umask_does_not_change_the_mode() {
    if let Some(role) = common::role() {
        umask(Mode::from_raw_mode(0o777));
        for (at, mode) in [(0, 0o600), (1, 0o666), (2, 0o640)] {
            Options::new()
                .capacity(10)
                .mode(mode)
                .create(role.argument(at))
                .unwrap();
            let found = std::fs::metadata(common::access_path_of(role.argument(at)))
                .unwrap()
                .mode();
            assert_eq!(found & 0o7777, mode);
        }
        return;
    }
    let names = [Name::new(), Name::new(), Name::new()];
    let arguments: Vec<&str> = names.iter().map(|name| &**name).collect();
    Child::start("the_umask_does_not_change_the_mode", "creator", &arguments).finish();
}

/// Segments are files under their names on Linux alone; elsewhere companion files
/// are, and the back end's own tests plant some.
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn what_is_no_plain_file_is_refused() {
    use std::os::unix::fs::symlink;
    let target = Named::create(&Options::new().capacity(10));
    let link = Name::new();
    symlink(target.name.path(), link.path()).unwrap();
    let folder = Name::new();
    std::fs::create_dir(folder.path()).unwrap();
    let dangling = Name::new();
    symlink("/dev/shm/shmtable.nowhere-at-all", dangling.path()).unwrap();
    let options = Options::new().capacity(10).trust(Trust::Anyone);
    let mut outcomes = Vec::new();
    for name in [&link, &folder, &dangling] {
        outcomes.push((
            name.to_string(),
            options.open(name).err(),
            options.open_read_only(name).err(),
        ));
        // Nor is it followed to make something at its end.
        outcomes.push((name.to_string(), options.create(name).err(), None));
    }
    std::fs::remove_dir(folder.path()).unwrap();
    assert!(files_named("nowhere-at-all").is_empty());
    for (name, first, second) in outcomes {
        for error in [first.as_ref(), second.as_ref()].into_iter().flatten() {
            assert!(
                matches!(error, Error::NotATable { what, .. }
                    if *what == if name == *folder { "a folder" } else { "a symbolic link" }),
                "{name}: {error:?}"
            );
        }
        assert!(first.is_some(), "{name} was opened or created");
    }
}

/// A closed table with one entry, whose file can be written to.
fn closed_file() -> (Name, File) {
    let name = Name::new();
    let table = Options::new()
        .capacity(10)
        .value_space(2000)
        .create(&name)
        .unwrap();
    table.insert(b"k", b"v").unwrap();
    drop(table);
    let file = open_file(&name.path());
    (name, file)
}

fn flip(file: &File, byte: u64, bits: u8) {
    let mut old = [0];
    read_at(file, &mut old, byte);
    write_at(file, &[old[0] ^ bits], byte);
}

#[test]
fn incompatible_format() {
    let (name, file) = closed_file();
    for (byte, what) in [(0, "magic"), (8, "version"), (16, "fingerprint")] {
        flip(&file, byte, 4);
        for error in [Table::open(&name).err(), Table::open_read_only(&name).err()] {
            let error = refused::<()>(
                Err(error.unwrap()),
                &[
                    &name,
                    what,
                    "expected",
                    "the version that made it",
                    "unlink it",
                ],
            );
            assert!(
                matches!(error, Error::IncompatibleFormat { found, expected, .. }
                    if found == expected ^ 4),
                "{error:?}"
            );
        }
        flip(&file, byte, 4);
        assert!(Table::open(&name).is_ok());
    }
    // Files that are no segment: too short for a header, or all zero.
    for length in [100, 0, 4095] {
        file.set_len(length).unwrap();
        let error = refused(
            Table::open(&name),
            &[&name, "the length in bytes is", "at least 4096 are needed"],
        );
        assert!(
            matches!(error, Error::IncompatibleFormat { .. }),
            "{error:?}"
        );
    }
    file.set_len(4096).unwrap();
    flip(&file, 0, 0xff);
    let error = refused(Table::open(&name), &[&name, "magic"]);
    assert!(
        matches!(error, Error::IncompatibleFormat { .. }),
        "{error:?}"
    );
    // Nor are they made anew over somebody's file.
    assert!(matches!(
        Options::new().capacity(10).open_or_create(&name),
        Err(Error::IncompatibleFormat { .. })
    ));
    assert_eq!(file.metadata().unwrap().len(), 4096);
}

#[test]
fn a_changed_header_is_corrupted() {
    let (name, file) = closed_file();
    let length = read_segment(&name).len() as u64;
    // Every byte from the segment's length to the checksum.
    for byte in 24..136 {
        for bits in [1, 0x80] {
            flip(&file, byte, bits);
            let error = refused(
                Table::open(&name),
                &[
                    "damaged",
                    "at byte",
                    "Table::repair",
                    "save what can be read",
                    "create it again",
                ],
            );
            assert!(
                matches!(error, Error::Corrupted { offset, .. } if offset <= 136),
                "{error:?}"
            );
            flip(&file, byte, bits);
        }
    }
    assert_eq!(
        Table::open(&name).unwrap().get(b"k").unwrap().as_deref(),
        Some(&b"v"[..])
    );
    file.set_len(length - 4096).unwrap();
    let error = refused(Table::open(&name), &["shorter"]);
    assert!(matches!(error, Error::Corrupted { .. }), "{error:?}");
}

/// Where the arena begins in a file.
fn arena_of(table: &Table) -> u64 {
    table.stats().unwrap().index_bytes as u64
}

#[test]
fn records_that_are_none_are_corrupted_and_never_a_panic() {
    let named = Named::create(
        &Options::new()
            .capacity(200)
            .value_space(1 << 16)
            .chunk_size(4096),
    );
    let reader = Table::open_read_only(&named.name).unwrap();
    let file = open_file(&named.name.path());
    let key = |number: u32| number.to_le_bytes();
    // Too large for a slot.
    let value = |number: u32| bytes(1, 12 + number as usize);
    let insert_all = || {
        for number in 0..200 {
            named.insert(&key(number), &value(number)).unwrap();
        }
    };
    insert_all();
    let arena = arena_of(&named);
    let length = named.stats().unwrap().value_bytes_reserved;
    let mut good = vec![0; length];
    read_at(&file, &mut good, arena);

    // No record has a header of zero.
    write_at(&file, &vec![0; length], arena);
    for number in 0..200 {
        for table in [&named.table, &reader] {
            let error = refused(
                table.get(&key(number)),
                &["damaged", "no record", "create it again"],
            );
            assert!(
                matches!(error, Error::Corrupted { offset, .. } if offset as u64 >= arena),
                "{error:?}"
            );
        }
        assert!(matches!(
            named.insert(&key(number), b"x"),
            Err(Error::Corrupted { .. })
        ));
        assert!(matches!(
            named.remove(&key(number)),
            Err(Error::Corrupted { .. })
        ));
    }
    assert!(matches!(named.snapshot(), Err(Error::Corrupted { .. })));
    assert!(
        named
            .iter()
            .any(|entry| matches!(entry, Err(Error::Corrupted { .. })))
    );
    assert!(
        !named.check().unwrap().is_empty(),
        "check says what is wrong"
    );
    write_at(&file, &good, arena);
    assert_eq!(all(&named).len(), 200);

    // Garbage of every kind: whatever the answer, it is one.
    for seed in 0..20 {
        let mut garbage = bytes(seed, length);
        if seed % 2 == 0 {
            // Headers that look like headers, with any lengths.
            for word in garbage.chunks_exact_mut(8) {
                word[0] = word[0] & 0xf0 | 1;
                word[(seed as usize / 2) % 8..].fill(u8::from(seed % 4 == 0));
                word[0] |= 1;
            }
        }
        write_at(&file, &garbage, arena);
        for number in 0..200 {
            for result in [
                named.get(&key(number)).err(),
                reader.get(&key(number)).err(),
            ] {
                assert!(
                    matches!(result, None | Some(Error::Corrupted { .. })),
                    "{result:?}"
                );
            }
        }
        let _ = named.iter().count();
        let _ = named.get_many(&[key(1), key(2)]);
        let _ = named.snapshot();
        let _ = named.check();
        let _ = named.stats();
        write_at(&file, &good, arena);
        assert_eq!(named.get(&key(77)).unwrap(), Some(value(77)));
    }
}

#[test]
fn any_flipped_bit_of_the_index_gives_an_answer() {
    let named = Named::create(
        &Options::new()
            .capacity(12)
            .value_space(8000)
            .stripes(1)
            .chunk_size(4096)
            .max_participants(2)
            .lock_timeout(Duration::from_millis(20)),
    );
    for number in 0..12_u8 {
        named
            .insert(&[number], &bytes(1, 30 * number as usize))
            .unwrap();
    }
    let file = open_file(&named.name.path());
    let length = arena_of(&named) as usize;
    let mut good = vec![0; length];
    read_at(&file, &mut good, 0);
    let last = good.iter().rposition(|byte| *byte != 0).unwrap() + 64;
    let begin = Instant::now();
    let (mut flips, mut errors) = (0, 0);
    // The header, its counters, and all that follows its page: slots, the stripe,
    // buckets, chunks. The rest of the header's page means nothing.
    let step = (1 + last / 1000).div_ceil(common::scaled(1));
    for at in (0..280).chain(4096..last.min(length)) {
        for bit in (0..8).filter(|bit| (at * 8 + bit).is_multiple_of(step)) {
            flip(&file, at as u64, 1 << bit);
            flips += 1;
            // Through the open handle, and through a new one.
            let mut outcomes = vec![
                named.get(&[3]).map(drop),
                named.get(&[200]).map(drop),
                named.iter().try_for_each(|entry| entry.map(drop)),
                named.insert(&[3], &bytes(2, 90)).map(drop),
                named.remove(&[5]).map(drop),
                named.check().map(drop),
            ];
            let reader = Table::open_read_only(&named.name);
            outcomes.push(reader.and_then(|reader| reader.get(&[4])).map(drop));
            for outcome in outcomes {
                if let Err(error) = outcome {
                    errors += 1;
                    assert!(
                        matches!(
                            error,
                            Error::Corrupted { .. }
                                | Error::IncompatibleFormat { .. }
                                | Error::LockTimeout { .. }
                                | Error::TableFull { .. }
                                | Error::ValueSpaceFull { .. }
                        ),
                        "byte {at} bit {bit}: {error:?}"
                    );
                }
            }
            write_at(&file, &good, 0);
        }
    }
    println!("{flips} flips, {errors} errors, {:?}", begin.elapsed());
    assert!(flips > 500 && errors > 0);
}

#[test]
fn lock_timeout() {
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"k", b"v").unwrap();
    let timeout = Duration::from_millis(150);
    let impatient = Options::new()
        .lock_timeout(timeout)
        .open(&named.name)
        .unwrap();
    let before = all(&named);
    named
        .update(b"k", |old| {
            common::scope(|scope| {
                scope.spawn(|| {
                    for (method, error) in stores(&impatient, b"k", b"other") {
                        assert!(
                            matches!(error, Some(Error::LockTimeout { timeout: told, participant: 0, .. })
                                if told == timeout),
                            "{method}: {error:?}"
                        );
                    }
                    let begin = Instant::now();
                    refused(
                        impatient.remove(b"k"),
                        &["150ms", "participant 0", "alive", "try again", "Options::lock_timeout"],
                    );
                    assert!(begin.elapsed() >= timeout);
                    assert!(matches!(impatient.snapshot(), Err(Error::LockTimeout { .. })));
                    // Readers do not wait.
                    assert_eq!(impatient.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
                });
            });
            old.map(<[u8]>::to_vec)
        })
        .unwrap();
    assert_eq!(all(&named), before);
    assert!(!impatient.insert(b"k", b"other").unwrap());
}

/// `tests/closed_descriptors.rs` has the rest.
#[cfg(target_os = "linux")]
#[test]
fn descriptor_closed() {
    if let Some(role) = common::role() {
        let (table, before) = (role.open(), all(&role.open()));
        closing::close_descriptors();
        let again = role.open();
        let error = refused(
            table.insert(b"k", b"v"),
            &["closed this handle's descriptor", "open the table again"],
        );
        assert!(matches!(error, Error::DescriptorClosed { .. }), "{error:?}");
        assert_eq!(all(&again), before);
        return;
    }
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"k", b"before").unwrap();
    Child::start("descriptor_closed", "daemon", &[&named.name]).finish();
}

#[test]
fn claim_timeout_and_deadlock() {
    let named = Named::create(&Options::new().capacity(10));
    let timeout = Duration::from_millis(20);
    let claimed = named.get_or_claim(b"k").unwrap();
    let waited = named
        .open()
        .get_or_try_insert_with(b"k", timeout, || -> Result<&str> {
            unreachable!("not called")
        });
    let error = refused(
        waited,
        &["20ms", "somebody else computes", "try again", "insert"],
    );
    assert!(
        matches!(error, Error::ClaimTimeout { timeout: told, .. } if told == timeout),
        "{error:?}"
    );
    drop(claimed);
    let asked = named.get_or_try_insert_with(b"k", timeout, || {
        named.get_or_insert_with(b"k", || -> &str { unreachable!("not called") })
    });
    let error = refused(
        asked,
        &["deadlock", "can never end", "one order everywhere"],
    );
    assert!(matches!(error, Error::Deadlock { .. }), "{error:?}");
    assert!(all(&named).is_empty());
    assert_eq!(named.get_or_insert_with(b"k", || "1").unwrap(), b"1");
}

/// Options for a handle whose waits end at their first sleep, or go on, and the
/// number of sleeps so far.
fn waiting(then: ControlFlow<()>) -> (Options, Arc<AtomicUsize>) {
    let sleeps = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sleeps);
    // So long that no wait of a test ends by itself.
    let options = Options::new().lock_timeout(LIMIT).waiting(move |sleep| {
        counted.fetch_add(1, Ordering::Relaxed);
        sleep();
        then
    });
    (options, sleeps)
}

#[track_caller]
fn interrupted<T>(method: &str, result: Result<T>) {
    println!("{method}");
    let error = refused(result, &["interrupted", "nothing has changed", "try again"]);
    assert!(matches!(error, Error::Interrupted), "{method}: {error:?}");
}

#[test]
fn a_wait_for_a_lock_is_interrupted_and_nothing_has_changed() {
    let named = Named::create(&Options::new().capacity(20).stripes(1));
    named.insert(b"k", b"v").unwrap();
    named.insert(b"n", &7_i64.to_le_bytes()).unwrap();
    let (options, sleeps) = waiting(ControlFlow::Break(()));
    let table = options.open(&named.name).unwrap();
    let before = all(&named);
    let attempts = || {
        let mut attempts = Vec::new();
        // What is written under the lock, and what is written before.
        for value in [&b"other"[..], &bytes(1, 1000)] {
            for key in [&b"k"[..], b"new"] {
                attempts.extend(stores(&table, key, value));
            }
            attempts.push(("try_insert", table.try_insert(b"new", value).err()));
        }
        let removal = table.compare_exchange(b"k", Some(b"v"), None);
        attempts.extend([
            ("remove", table.remove(b"k").err()),
            ("take", table.take(b"k").err()),
            ("removing update", table.update(b"k", |_| None).err()),
            ("removing compare_exchange", removal.err()),
            ("fetch_add", table.fetch_add(b"n", 1).err()),
            ("fetch_add to a new key", table.fetch_add(b"m", 1).err()),
            ("retain", table.retain(|_, _| false).err()),
            ("remove_prefix", table.remove_prefix(b"k").err()),
            ("remove_many", table.remove_many([b"k"]).err()),
            ("clear", table.clear().err()),
            ("snapshot", table.snapshot().err()),
            ("check", table.check().err()),
        ]);
        attempts
    };
    named
        .update(b"k", |old| {
            common::scope(|scope| {
                scope.spawn(|| {
                    let attempts = attempts();
                    assert_eq!(sleeps.load(Ordering::Relaxed), attempts.len());
                    for (method, error) in attempts {
                        interrupted::<()>(method, Err(error.expect("it waits for the lock")));
                    }
                    // Readers do not wait.
                    assert_eq!(table.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
                });
            });
            old.map(<[u8]>::to_vec)
        })
        .unwrap();
    assert_eq!(all(&named), before);
    // What need not wait is not interrupted.
    assert!(!table.insert(b"k", b"other").unwrap());
}

#[test]
fn a_wait_for_a_key_is_interrupted() {
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"k", b"v").unwrap();
    let before = all(&named);
    let (options, sleeps) = waiting(ControlFlow::Break(()));
    let handles = [
        options.open(&named.name).unwrap(),
        options.open_read_only(&named.name).unwrap(),
    ];
    for table in handles {
        let begin = sleeps.load(Ordering::Relaxed);
        interrupted("wait", table.wait(b"never", LIMIT));
        interrupted("wait_change", table.wait_change(b"k", Some(b"v"), LIMIT));
        interrupted("wait_change", table.wait_change(b"never", None, LIMIT));
        assert_eq!(sleeps.load(Ordering::Relaxed), begin + 3);
        // What is there already, and what may not sleep, is not.
        assert!(table.wait(b"k", LIMIT).unwrap().is_some());
        assert!(table.wait_change(b"k", None, LIMIT).unwrap().is_some());
        assert_eq!(table.wait(b"never", Duration::ZERO).unwrap(), None);
    }
    assert_eq!(all(&named), before);
}

#[test]
fn a_wait_for_room_is_interrupted_and_nothing_has_changed() {
    let options = Options::new()
        .capacity(100)
        .value_space(50_000)
        .chunk_size(4096)
        .max_participants(2);
    let named = Named::create(&options);
    let mut key = 0_u32;
    while named.insert(&key.to_le_bytes(), &bytes(1, 2000)).is_ok() {
        key += 1;
    }
    let before = all(&named);
    // Who finds no room waits a moment for others who clean, before it says so.
    let (options, _) = waiting(ControlFlow::Break(()));
    let table = options.open(&named.name).unwrap();
    for key in [key, 0] {
        for (method, error) in stores(&table, &key.to_le_bytes(), &bytes(2, 3000)) {
            interrupted::<()>(method, Err(error.expect("there is no room")));
        }
    }
    assert_eq!(all(&named), before);
    drop(table);
    let (options, sleeps) = waiting(ControlFlow::Continue(()));
    let table = options.open(&named.name).unwrap();
    let error = table.insert(&key.to_le_bytes(), &bytes(2, 3000));
    assert!(matches!(error, Err(Error::ValueSpaceFull { .. })));
    assert!(sleeps.load(Ordering::Relaxed) > 0);
    assert_eq!(all(&named), before);
}

#[test]
fn reentrant() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    table.insert(b"k", b"v").unwrap();
    table
        .update(b"k", |old| {
            let error = refused(
                table.insert(b"k", b"other"),
                &["inside a closure", "before or after the call"],
            );
            assert!(matches!(error, Error::Reentrant));
            old.map(<[u8]>::to_vec)
        })
        .unwrap();
    assert_eq!(table.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert_sound(&table);
}

#[test]
fn too_many_participants() {
    if let Some(role) = common::role() {
        let error = refused(
            Table::open(role.argument(0)),
            &["all 3", "close some", "read-only", "max_participants"],
        );
        assert!(matches!(error, Error::TooManyParticipants { limit: 3, .. }));
        assert!(matches!(
            Options::new().open_or_create(role.argument(0)),
            Err(Error::TooManyParticipants { limit: 3, .. })
        ));
        assert_eq!(Table::open_read_only(role.argument(0)).unwrap().len(), 1);
        return;
    }
    let named = Named::create(&Options::new().capacity(10).max_participants(3));
    named.insert(b"k", b"v").unwrap();
    let _others = [named.open(), named.open()];
    Child::start("too_many_participants", "fourth", &[&named.name]).finish();
    assert_eq!(all(&named).len(), 1);
    assert_eq!(named.stats().unwrap().participants, 3);
}

#[test]
fn read_only() {
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"k", b"v").unwrap();
    let reader = Table::open_read_only(&named.name).unwrap();
    let refusals = [
        reader.insert(b"k", b"x").err(),
        reader.try_insert(b"l", b"x").err(),
        reader.replace(b"k", b"x").err(),
        reader.remove(b"k").err(),
        reader.take(b"k").err(),
        reader.remove_if(b"k", |_| unreachable!("not called")).err(),
        reader.update(b"k", |_| unreachable!("not called")).err(),
        reader.compare_exchange(b"k", None, None).err(),
        reader.fetch_add(b"n", 1).err(),
        reader.insert_many([(b"a", b"b")]).err(),
        reader.retain(|_, _| unreachable!("not called")).err(),
        reader.clear().err(),
        reader.snapshot().err(),
        reader.check().err(),
        reader.get_or_claim(b"new").err(),
        reader
            .get_or_insert_with(b"new", || -> &str { unreachable!("not called") })
            .err(),
    ];
    for error in refusals {
        let error = refused::<()>(Err(error.expect("refused")), &["read-only", "Table::open"]);
        assert!(matches!(error, Error::ReadOnly));
    }
    assert_eq!(all(&named), HashMap::from([(b"k".to_vec(), b"v".to_vec())]));
}

#[test]
fn codec_mismatch() {
    let name = Name::new();
    let counts = TypedTable::<str, u64>::create(Options::new().capacity(10), &name).unwrap();
    counts.insert("k", &1).unwrap();
    let expected_id = TypedTable::<str, i64>::create_anonymous(Options::new().capacity(10))
        .unwrap()
        .as_table()
        .codec_id();
    let error = refused(
        TypedTable::<str, i64>::open(Options::new(), &name).map(drop),
        &[
            "holds (str, u64)",
            "is (str, i64)",
            "types it was created with",
        ],
    );
    assert!(
        matches!(error, Error::CodecMismatch { found, expected, .. }
            if found == counts.as_table().codec_id() && expected == expected_id),
        "{error:?}"
    );
    assert_ne!(expected_id, counts.as_table().codec_id());
    // A table of plain bytes is none of strings.
    let plain = Named::create(&Options::new().capacity(10));
    let error = TypedTable::<str, u64>::open(Options::new(), &plain.name)
        .map(drop)
        .unwrap_err();
    assert!(
        matches!(error, Error::CodecMismatch { found: 0, .. }),
        "{error:?}"
    );
    // A refused handle takes no participant slot.
    assert_eq!(counts.as_table().stats().unwrap().participants, 1);
    assert_eq!(counts.get("k").unwrap(), Some(1));
}

#[test]
fn codec() {
    let table = TypedTable::<str, u64>::create_anonymous(Options::new().capacity(10)).unwrap();
    table.as_table().insert(b"k", b"short").unwrap();
    let error = refused(table.get("k"), &["decode", "u64", "the key \"k\""]);
    assert!(
        matches!(&error, Error::Codec { action: "decode", codec: "u64", key: Some(key), source, .. }
            if **key == *b"k" && source.to_string().contains('5')),
        "{error:?}"
    );
    assert_eq!(
        table.as_table().get(b"k").unwrap().as_deref(),
        Some(&b"short"[..])
    );
}

#[test]
fn not_a_counter_and_overflow() {
    let table = Options::new().capacity(10).create_anonymous().unwrap();
    table.insert(b"text", b"hello").unwrap();
    table.insert(b"n", &i64::MAX.to_le_bytes()).unwrap();
    let before = all(&table);
    let error = refused(
        table.fetch_add(b"text", 1),
        &["5 bytes", "has 8", "remove it"],
    );
    assert!(matches!(error, Error::NotACounter { length: 5, .. }));
    let error = refused(
        table.fetch_add(b"n", 7),
        &[&i64::MAX.to_string(), "7", "unchanged"],
    );
    assert!(matches!(
        error,
        Error::CounterOverflow { value, add: 7, number: "i64", .. } if value == i64::MAX.into()
    ));
    assert_eq!(all(&table), before);
}

#[test]
fn invalid_option() {
    let plain = || Options::new().capacity(10);
    let most = usize::MAX;
    let cases: [(&str, u128, Options); 13] = [
        ("capacity", 0, plain().capacity(0)),
        ("capacity", 1 << 41, plain().capacity(1 << 41)),
        ("capacity", most as u128, plain().capacity(most)),
        ("value_space", 0, plain().value_space(0)),
        ("value_space", most as u128, plain().value_space(most)),
        ("stripes", 0, plain().stripes(0)),
        ("stripes", 3, plain().stripes(3)),
        ("stripes", 1 << 17, plain().stripes(1 << 17)),
        ("chunk_size", 100, plain().chunk_size(100)),
        ("chunk_size", 1 << 31, plain().chunk_size(1 << 31)),
        (
            "chunk_size",
            4096,
            plain().value_space(1 << 40).chunk_size(4096),
        ),
        ("max_participants", 0, plain().max_participants(0)),
        ("max_participants", 4097, plain().max_participants(4097)),
    ];
    for (expected, number, options) in cases {
        let name = Name::new();
        let error = refused(
            options.create(&name),
            &[expected, &number.to_string(), "allowed"],
        );
        assert!(
            matches!(error, Error::InvalidOption { option, given, .. }
                if option == expected && given == number),
            "{error:?}"
        );
        assert!(files_named(&name).is_empty(), "nothing is left");
    }
    assert!(
        plain()
            .stripes(1 << 16)
            .max_participants(1)
            .create_anonymous()
            .is_ok()
    );
    assert!(plain().max_participants(4096).create_anonymous().is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn file_too_large() {
    if let Some(role) = common::role() {
        let (limited, options) = (role.argument(0), Options::new().capacity(1000));
        let before = getrlimit(Resource::Fsize);
        let current = Some(8192);
        setrlimit(Resource::Fsize, Rlimit { current, ..before }).unwrap();
        for refusal in [
            options.create(limited).err(),
            options.open_or_create(limited).err(),
            options.create_or_replace(limited).err(),
            options.create_anonymous().err(),
        ] {
            let error = refused::<()>(
                Err(refusal.expect("it is refused")),
                &["8192 bytes", "ulimit -f", "smaller capacity"],
            );
            assert!(
                matches!(error, Error::FileTooLarge { asked, limit: Some(8192), .. } if asked > 8192),
                "{error:?}"
            );
        }
        assert!(files_named(limited).is_empty(), "nothing is left");
        setrlimit(Resource::Fsize, before).unwrap();
        options.create(limited).unwrap();
        return;
    }
    let name = Name::new();
    Child::start("file_too_large", "limited", &[&name]).finish();
}

#[cfg(target_os = "linux")]
#[test]
fn too_many_files() {
    if let Some(role) = common::role() {
        let (limited, options) = (role.argument(0), Options::new().capacity(1000));
        let table = options.create(limited).unwrap();
        table.insert(b"k", b"v").unwrap();
        common::limit(Resource::Nofile, 64);
        let mut files = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        let told = [
            "as many files open as it may (64)",
            "a handle needs two",
            "ulimit -n",
        ];
        for spare in 0..2 {
            // Whatever step runs out of them: an error, and nothing left over.
            let error = refused(Table::open(limited), &told);
            assert!(
                matches!(
                    error,
                    Error::TooManyFiles {
                        limit: Some(64),
                        ..
                    }
                ),
                "{spare} spare: {error:?}"
            );
            let other = format!("{limited}-other");
            let error = refused(options.create(&other), &told);
            assert!(
                matches!(
                    error,
                    Error::TooManyFiles {
                        limit: Some(64),
                        ..
                    }
                ),
                "{spare} spare: {error:?}"
            );
            assert!(std::fs::metadata(common::path_of(&other)).is_err());
            files.pop();
        }
        // The open handle goes on.
        table.insert(b"l", &bytes(1, 1000)).unwrap();
        while let Ok(file) = File::open("/dev/null") {
            files.push(file);
        }
        let claim = table.get_or_claim(b"new").unwrap();
        assert!(matches!(claim, Claimed::Mine(_)), "{claim:?}");
        drop(files);
        assert_eq!(all(&table).len(), 2);
        assert_eq!(Table::open(limited).unwrap().len(), 2);
        return;
    }
    let name = Name::new();
    Child::start("too_many_files", "limited", &[&name]).finish();
}

#[test]
fn too_small() {
    let there = Options::new()
        .capacity(100)
        .value_space(10_000)
        .max_participants(4);
    let named = Named::create(&there);
    for (option, asked, found, options) in [
        ("capacity", 101, 100, Options::new().capacity(101)),
        (
            "value_space",
            10_001,
            10_000,
            Options::new().value_space(10_001),
        ),
        ("max_participants", 5, 4, Options::new().max_participants(5)),
    ] {
        let (asked_for, is) = (asked.to_string(), found.to_string());
        let error = refused(
            options.open_or_create(&named.name),
            &[
                option,
                &asked_for,
                &is,
                "create_or_replace",
                "leave",
                "unlink",
            ],
        );
        assert!(
            matches!(error, Error::TooSmall { option: told, asked: a, found: f, .. }
                if told == option && a == asked && f == found),
            "{error:?}"
        );
    }
    assert_eq!(named.stats().unwrap().participants, 1, "no slot is lost");
}

#[cfg(target_os = "linux")]
#[test]
fn system() {
    if let Some(role) = common::role() {
        // A value that this process has no memory to copy.
        let table = role.open();
        common::limit_address_space(16 << 20);
        let error = refused(table.get(b"large"), &["cannot", "memory"]);
        assert!(matches!(error, Error::System { .. }), "{error:?}");
        common::unlimit(Resource::As);
        assert_eq!(table.get(b"large").unwrap().unwrap().len(), 40 << 20);
        return;
    }
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"large", &vec![1; 40 << 20]).unwrap();
    Child::start_with("system", "limited", &[&named.name], |command| {
        command.env("MALLOC_ARENA_MAX", "1");
    })
    .finish();
}

/// Temporary files cannot be made in a file.
#[cfg(any(windows, shmtable_portable))]
#[test]
fn system_without_a_folder() {
    if let Some(role) = common::role() {
        let (there, new) = (role.argument(0), role.argument(1));
        let options = Options::new().capacity(10);
        for (tried, error) in [
            ("create", options.create(new).err()),
            ("open", options.open(there).err()),
            ("open", options.open_read_only(there).err()),
            ("unlink", Table::unlink(there).err()),
            ("list", Table::list().err()),
        ] {
            let error = refused::<()>(Err(error.expect("it is refused")), &["cannot", tried]);
            assert!(
                matches!(&error, Error::System { action, source, .. }
                    if action.starts_with(tried) && source.to_string().contains("no folder")),
                "{error:?}"
            );
        }
        return;
    }
    let named = Named::create(&Options::new().capacity(10));
    let new = Name::new();
    let file = named.name.path();
    let test = "system_without_a_folder";
    Child::start_with(test, "lost", &[&named.name, &new], |command| {
        command.envs(common::FOLDER_VARIABLES.map(|variable| (variable, &file)));
    })
    .finish();
    assert!(files_named(&new).is_empty());
    assert!(named.open().is_empty());
}
