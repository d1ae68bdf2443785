//! Does a /dev/shm that is read-only, inaccessible or absent give typed errors, and do the
//! operations that need nothing of it go on working?
//!
//! Each test has a child in a mount namespace of its own. The machine's /dev/shm stays as it
//! is.

// The portable back end has its files in the folder for temporary files.
#![cfg(all(target_os = "linux", not(shmtable_portable)))]

mod common;

use common::{LIMIT, Name, Named, contents, files_named};
use rustix::thread::{Uid, set_thread_res_uid};
use shmtable::{Error, Options, Result, Table, Trust};

const READ_ONLY_SYSTEM: i32 = 30;
const NO_ENTRY: i32 = 2;
const NO_DIRECTORY: i32 = 20;
const NO_ACCESS: i32 = 13;

#[track_caller]
fn denied<T>(result: Result<T>, doing: &str, number: i32) {
    let Err(error) = result else {
        panic!("it succeeded");
    };
    let message = error.to_string();
    assert!(
        matches!(&error, Error::PermissionDenied { action, source, .. }
            if *action == doing && source.raw_os_error() == Some(number)),
        "{error:?}"
    );
    for part in [doing, "Options::mode", "/dev/shm", "open_read_only"] {
        assert!(message.contains(part), "{message}");
    }
}

/// A `System` error with the kernel's number.
#[track_caller]
fn system<T>(result: Result<T>, number: i32) -> String {
    let Err(error) = result else {
        panic!("it succeeded");
    };
    assert!(
        matches!(&error, Error::System { source, .. } if source.raw_os_error() == Some(number)),
        "{error:?}"
    );
    error.to_string()
}

#[track_caller]
fn not_found<T>(result: &Result<T>) {
    assert!(matches!(result, Err(Error::NotFound { .. })));
}

fn small() -> Options {
    Options::new().capacity(10)
}

#[test]
fn a_read_only_mount_is_read_and_not_written() {
    if let Some(role) = common::role() {
        let (there, new) = (role.argument(0), role.argument(1));
        denied(small().create(new), "create", READ_ONLY_SYSTEM);
        denied(small().create_anonymous(), "create", READ_ONLY_SYSTEM);
        denied(small().open_or_create(new), "create", READ_ONLY_SYSTEM);
        denied(Table::open(there), "open", READ_ONLY_SYSTEM);
        denied(small().open_or_create(there), "open", READ_ONLY_SYSTEM);
        denied(Table::unlink(there), "unlink", READ_ONLY_SYSTEM);
        not_found(&Table::open_read_only(new));
        assert!(Table::list().unwrap().iter().any(|name| name == there));
        // What only reads needs no right to write, nor a slot.
        let reader = Table::open_read_only(there).unwrap();
        assert_eq!(reader.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(contents(&reader).len(), 1);
        assert!(matches!(reader.insert(b"k", b"x"), Err(Error::ReadOnly)));
        assert_eq!(reader.stats().unwrap().participants, 1);
        role.tell("about to wait");
        let published = reader.wait(b"published", LIMIT).unwrap();
        assert_eq!(published.as_deref(), Some(&b"later"[..]));
        return;
    }
    if !common::may_make_namespaces() {
        return;
    }
    let named = Named::create(&small().max_participants(1));
    named.insert(b"k", b"v").unwrap();
    let new = Name::new();
    // Where users are not root, the flags of the mount must stay: these are the
    // strictest.
    let script = "mount --bind /dev/shm /dev/shm \
                  && mount -o remount,bind,ro,nosuid,nodev,noexec /dev/shm";
    let child = common::mounted(common::this_test!(), "reader", &[&named.name, &new], script)
        .once_it_says("about to wait");
    named.insert(b"published", b"later").unwrap();
    child.finish();
    assert!(files_named(&new).is_empty());
    assert_eq!(named.len(), 2);
}

#[test]
fn without_a_shared_memory_file_system_an_error_says_so() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        if role.name == "absent" {
            for refused in [
                small().create("t"),
                small().create_anonymous(),
                small().open_or_create("t"),
            ] {
                let message = system(refused, NO_ENTRY);
                assert!(message.contains("mount a tmpfs at /dev/shm"), "{message}");
            }
            not_found(&Table::open("t"));
            not_found(&Table::open_read_only("t"));
            not_found(&Table::unlink("t"));
            assert!(Table::list().unwrap().is_empty());
        } else {
            system(small().create("t"), NO_DIRECTORY);
            system(small().create_anonymous(), NO_DIRECTORY);
            system(small().open_or_create("t"), NO_DIRECTORY);
            system(Table::open("t"), NO_DIRECTORY);
            system(Table::open_read_only("t"), NO_DIRECTORY);
            system(Table::unlink("t"), NO_DIRECTORY);
            system(Table::list(), NO_DIRECTORY);
        }
        return;
    }
    if !common::may_make_namespaces() {
        return;
    }
    common::mounted(test, "absent", &[], "mount -t tmpfs tmpfs /dev").finish();
    let script = "mount -t tmpfs tmpfs /dev && : > /dev/shm";
    common::mounted(test, "a file", &[], script).finish();
}

#[test]
fn a_directory_closed_to_others_is_closed_and_one_they_may_search_is_not() {
    if let Some(role) = common::role() {
        let open = small().mode(0o666).create("open to all").unwrap();
        open.insert(b"k", b"v").unwrap();
        // This thread alone, for good.
        let stranger = Uid::from_raw(54_321);
        set_thread_res_uid(stranger, stranger, stranger).unwrap();
        let options = small().trust(Trust::Anyone);
        denied(options.create("new"), "create", NO_ACCESS);
        denied(options.create_anonymous(), "create", NO_ACCESS);
        denied(Table::unlink("open to all"), "unlink", NO_ACCESS);
        if role.name == "closed" {
            denied(options.open("open to all"), "open", NO_ACCESS);
            denied(options.open_read_only("open to all"), "open", NO_ACCESS);
            denied(options.open_or_create("open to all"), "open", NO_ACCESS);
            assert!(system(Table::list(), NO_ACCESS).contains("cannot list"));
        } else {
            denied(options.open_or_create("new"), "create", NO_ACCESS);
            let other = options.open("open to all").unwrap();
            assert!(!other.insert(b"k", b"w").unwrap());
            assert_eq!(Table::list().unwrap(), ["open to all"]);
        }
        // A handle that was opened before is not asked again.
        open.insert(b"l", b"x").unwrap();
        assert_eq!((open.len(), open.stats().unwrap().entries), (2, 2));
        return;
    }
    if !common::may_act_as_others() || !common::may_make_namespaces() {
        return;
    }
    for (role, mode) in [("closed", "0700"), ("searched", "0755")] {
        let script = format!("mount -t tmpfs -o mode={mode} tmpfs /dev/shm");
        common::mounted(common::this_test!(), role, &[], &script).finish();
    }
}
