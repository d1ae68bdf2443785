//! Is a table replaced in one step, and is anything that is no table left alone?

mod common;

use common::{Child, Name, Named, assert_sound, files_named};
use shmtable::{Error, Options, Table, TypedTable};

fn small() -> Options {
    Options::new()
        .capacity(100)
        .value_space(10_000)
        .max_participants(8)
}

#[test]
fn a_fresh_table_has_the_name_and_who_has_the_old_one_open_goes_on() {
    let old = Named::create(&small());
    old.insert(b"k", b"old").unwrap();
    let reader = Table::open_read_only(&old.name).unwrap();
    let new = small().capacity(5000).create_or_replace(&old.name).unwrap();
    assert_eq!((new.capacity(), new.len()), (5000, 0));
    new.insert(b"k", b"new").unwrap();
    old.insert(b"l", b"old").unwrap();
    assert_eq!(reader.get(b"k").unwrap().as_deref(), Some(&b"old"[..]));
    assert_eq!(reader.len(), 2);
    let opened = Table::open(&old.name).unwrap();
    assert_eq!(opened.get(b"k").unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(opened.capacity(), 5000);
    assert_sound(&old);
    assert_sound(&opened);
    drop((old.table, reader));
    assert_eq!(files_named(&old.name).len(), 1, "the new one alone");
}

#[test]
fn where_there_is_none_one_is_created() {
    let name = Name::new();
    let table = small().create_or_replace(&name).unwrap();
    table.insert(b"k", b"v").unwrap();
    assert_eq!(Table::open(&name).unwrap().len(), 1);
    assert_eq!(files_named(&name).len(), 1);
}

#[test]
fn a_child_that_has_the_old_table_open_goes_on_with_it() {
    if let Some(role) = common::role() {
        let table = role.open();
        role.tell("open");
        while role.hear().is_some() {
            let n = table.fetch_add(b"n", 1).unwrap();
            role.tell(&n.to_string());
        }
        return;
    }
    let old = Named::create(&small());
    let mut child = Child::start(common::this_test!(), "user", &[&old.name]).once_it_says("open");
    let new = small().create_or_replace(&old.name).unwrap();
    for expected in ["0", "1"] {
        child.say("add");
        assert_eq!(child.hear(), expected);
    }
    assert_eq!(old.fetch_add(b"n", 0).unwrap(), 2);
    assert!(new.is_empty());
    assert!(child.finish().is_empty());
}

/// On Windows there is a moment without a table.
#[cfg(not(windows))]
#[test]
fn at_no_moment_is_there_no_table() {
    let first = Named::create(&small());
    first.insert(b"k", b"v").unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let opener = scope.spawn(|| {
            let mut opened = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let table = Table::open_read_only(&first.name).unwrap();
                assert_eq!(table.capacity(), 100);
                opened += 1;
            }
            opened
        });
        for _ in 0..common::scaled(100) {
            let table = small().create_or_replace(&first.name).unwrap();
            table.insert(b"k", b"v").unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(opener.join().unwrap() > 0);
    });
    drop(first.table);
    assert_eq!(files_named(&first.name).len(), 1);
}

#[test]
fn of_several_who_replace_one_table_each_has_its_own_and_one_has_the_name() {
    let first = Named::create(&small());
    let tables: Vec<Table> = std::thread::scope(|scope| {
        let replace = || small().create_or_replace(&first.name).unwrap();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(replace)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for (number, table) in tables.iter().enumerate() {
        assert!(table.is_empty());
        table.insert(b"number", &[number as u8]).unwrap();
    }
    let winner = Table::open(&first.name)
        .unwrap()
        .get(b"number")
        .unwrap()
        .unwrap();
    assert!(usize::from(winner[0]) < tables.len());
    assert!(first.is_empty());
    drop((tables, first.table));
    assert_eq!(files_named(&first.name).len(), 1);
}

#[test]
fn a_typed_table_replaces_one_of_another_codec() {
    let old = Named::create(&small());
    let new = TypedTable::<str, u64>::create_or_replace(small(), &old.name).unwrap();
    new.insert("k", &5).unwrap();
    let opened = TypedTable::<str, u64>::open(Options::new(), &old.name).unwrap();
    assert_eq!(opened.get("k").unwrap(), Some(5));
}

#[test]
fn options_that_are_refused_leave_the_old_table() {
    let old = Named::create(&small());
    old.insert(b"k", b"v").unwrap();
    assert!(matches!(
        small().stripes(3).create_or_replace(&old.name),
        Err(Error::InvalidOption { .. })
    ));
    assert_eq!(old.open().len(), 1);
}

#[test]
fn the_creator_of_an_anonymous_table_that_was_replaced_leaves_the_new_one() {
    let old = small().create_anonymous().unwrap();
    let name = old.name().to_owned();
    let new = small().create_or_replace(&name).unwrap();
    drop(old);
    new.insert(b"k", b"v").unwrap();
    assert_eq!(Table::open(&name).unwrap().len(), 1);
    Table::unlink(&name).unwrap();
}

#[test]
fn a_damaged_table_is_replaced_and_a_file_that_is_no_table_is_not() {
    let name = Name::new();
    let table = small().create(&name).unwrap();
    table.insert(b"k", b"v").unwrap();
    let good = common::read_segment(&name);
    drop(table);
    for (bytes, what) in [
        (
            b"a file of somebody's, of another kind\n".repeat(500),
            "magic number",
        ),
        (b"short".to_vec(), "length"),
    ] {
        common::plant(&name, &bytes);
        let error = small().create_or_replace(&name).unwrap_err();
        assert!(
            matches!(&error, Error::IncompatibleFormat { what: told, .. } if told.contains(what)),
            "{error:?}"
        );
        assert_eq!(std::fs::read(name.path()).unwrap(), bytes);
    }
    let mut damaged = good;
    damaged[40] ^= 1;
    common::plant(&name, &damaged);
    assert!(matches!(Table::open(&name), Err(Error::Corrupted { .. })));
    assert!(small().create_or_replace(&name).unwrap().is_empty());
    assert!(Table::open(&name).unwrap().is_empty());
}

/// Segments are files under their names on Linux alone.
#[cfg(all(target_os = "linux", not(shmtable_portable)))]
mod on_linux {
    use std::os::unix::fs::symlink;

    use shmtable::Trust;

    use super::*;

    #[test]
    fn a_link_and_a_folder_are_not_replaced() {
        let target = Named::create(&small());
        let (link, folder) = (Name::new(), Name::new());
        symlink(target.name.path(), link.path()).unwrap();
        std::fs::create_dir(folder.path()).unwrap();
        let refused = [&link, &folder].map(|name| small().create_or_replace(name).unwrap_err());
        std::fs::remove_dir(folder.path()).unwrap();
        for (error, expected) in refused.iter().zip(["a symbolic link", "a folder"]) {
            assert!(
                matches!(error, Error::NotATable { what, .. } if *what == expected),
                "{error:?}"
            );
        }
        assert!(std::fs::symlink_metadata(link.path()).unwrap().is_symlink());
        assert!(target.open().is_empty());
    }

    #[test]
    fn a_table_of_another_user_is_replaced_only_if_that_user_is_trusted() {
        if !common::may_act_as_others() {
            return;
        }
        let old = Named::create(&small());
        std::os::unix::fs::chown(old.name.path(), Some(54_321), None).unwrap();
        old.insert(b"k", b"v").unwrap();
        assert!(matches!(
            small().create_or_replace(&old.name),
            Err(Error::WrongOwner { owner: 54_321, .. })
        ));
        let trusting = small().trust(Trust::Users(vec![54_321]));
        assert_eq!(trusting.open(&old.name).unwrap().len(), 1);
        assert!(trusting.create_or_replace(&old.name).unwrap().is_empty());
        assert!(Table::open(&old.name).unwrap().is_empty());
    }

    #[test]
    fn what_a_maker_left_that_died_goes_and_what_one_is_at_stays() {
        let hidden = |number: u64| format!("/dev/shm/.shmtable.{number:016x}");
        let base = u64::from(std::process::id()) << 32;
        let (left, being_made) = (hidden(base), hidden(base + 1));
        std::fs::write(&left, b"half a table").unwrap();
        let maker = std::fs::File::create(&being_made).unwrap();
        let name = Name::new();
        small().create_or_replace(&name).unwrap();
        // A file that another sweep is looking at, or a program that is just being started
        // holds, stays for the next one.
        common::eventually("a replacement removes what a dead creator left", || {
            small().create_or_replace(&name).unwrap();
            !std::fs::exists(&left).unwrap()
        });
        assert!(std::fs::exists(&being_made).unwrap());
        drop(maker);
        common::eventually("a list removes what its creator has let go", || {
            Table::list().unwrap();
            !std::fs::exists(&being_made).unwrap()
        });
    }
}
