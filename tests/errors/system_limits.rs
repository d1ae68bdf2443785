//! Errors of a machine or a process that has too little of something.

#[cfg(target_os = "linux")]
use std::fs::File;

#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
#[cfg(target_os = "linux")]
use shmtable::Claimed;
use shmtable::{Error, Options, Table};

#[cfg(target_os = "linux")]
use crate::all;
#[cfg(target_os = "linux")]
use crate::common::bytes;
use crate::common::{self, Child, Name, Named, files_named};
use crate::refused;

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
    common::small_shm(common::this_test!(), "creator", &[&name], "1m").finish();
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
                &[
                    "address space",
                    "ulimit -v",
                    "smaller max_capacity and value_space",
                ],
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
    Child::start(
        "system_limits::address_space_full",
        "limited",
        &[&named.name, &other],
    )
    .finish();
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

/// `tests/closed_descriptors.rs` has the rest.
#[cfg(target_os = "linux")]
#[test]
fn descriptor_closed() {
    if let Some(role) = common::role() {
        let (table, before) = (role.open(), all(&role.open()));
        crate::closing::close_descriptors();
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
    Child::start(common::this_test!(), "daemon", &[&named.name]).finish();
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
    Child::start(common::this_test!(), "limited", &[&name]).finish();
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
    Child::start(common::this_test!(), "limited", &[&name]).finish();
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
    Child::start_with(
        "system_limits::system",
        "limited",
        &[&named.name],
        |command| {
            command.env("MALLOC_ARENA_MAX", "1");
        },
    )
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
    Child::start_with(
        common::this_test!(),
        "lost",
        &[&named.name, &new],
        |command| {
            command.envs(common::FOLDER_VARIABLES.map(|variable| (variable, &file)));
        },
    )
    .finish();
    assert!(files_named(&new).is_empty());
    assert!(named.open().is_empty());
}
