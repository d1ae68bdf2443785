//! Errors of tables that this process may not open, or not write to.

use std::collections::HashMap;
#[cfg(target_os = "linux")]
use std::os::unix::fs::{MetadataExt, chown};

#[cfg(target_os = "linux")]
use rustix::{fs::Mode, process::umask};
#[cfg(target_os = "linux")]
use shmtable::Trust;
use shmtable::{Error, Options, Table};

#[cfg(target_os = "linux")]
use crate::common::{self, Child};
use crate::common::{Name, Named};
use crate::{all, refused};

#[cfg(target_os = "linux")]
const STRANGER: u32 = 54_321;

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
            // /dev/shm is sticky: only its owner removes a file.
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
    Child::start(
        "access::permission_denied",
        role,
        &[&closed.name, &readable.name],
    )
    .finish();
    assert!(common::files_named(&closed.name).len() == 1);
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
    Child::start(
        "access::the_umask_does_not_change_the_mode",
        "creator",
        &arguments,
    )
    .finish();
}

/// Segments are files under their names on Linux alone; elsewhere companion files
/// are, and the back end's own tests plant some.
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
#[test]
fn anything_but_a_plain_file_is_refused() {
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
    assert!(common::files_named("nowhere-at-all").is_empty());
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

#[test]
fn read_only() {
    let named = Named::create(&Options::new().capacity(10));
    named.insert(b"k", b"v").unwrap();
    let reader = Table::open_read_only(&named.name).unwrap();
    let refusals = [
        reader.insert(b"k", b"x").err(),
        reader.insert_slices(b"k", &[b"x", &[b'x'; 300]]).err(),
        reader.try_insert(b"l", b"x").err(),
        reader.replace(b"k", b"x").err(),
        reader.remove(b"k").err(),
        reader.take(b"k").err(),
        reader.remove_if(b"k", |_| unreachable!("not called")).err(),
        reader.update(b"k", |_| unreachable!("not called")).err(),
        reader.compare_exchange(b"k", None, None).err(),
        reader.fetch_add(b"n", 1).err(),
        reader
            .update_in_place(b"k", |_| -> Option<()> { unreachable!("not called") })
            .err(),
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
