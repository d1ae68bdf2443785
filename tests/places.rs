//! On the portable back end, do processes with the same folder for temporary files find each
//! other's tables, and only those?

#![cfg(any(windows, all(target_os = "linux", shmtable_portable)))]

mod common;

use std::path::PathBuf;

use common::{Child, FOLDER_VARIABLES, Name, Named, assert_sound, files_named, files_now};
use shmtable::{Error, Options, Table};

/// A folder for temporary files of one user alone, removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn new(user: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{}-{user}", &*Name::new()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn start(&self, test: &str, role: &str, arguments: &[&str]) -> Child {
        Child::start_with(test, role, arguments, |command| {
            command.envs(FOLDER_VARIABLES.map(|variable| (variable, &self.0)));
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn two_users_folders_have_tables_of_their_own() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        let options = Options::new().capacity(100);
        let table = match role.name.as_str() {
            "creator" => options.create(role.argument(0)).unwrap(),
            _ => Table::open(role.argument(0)).unwrap(),
        };
        if role.name == "creator" {
            table.insert(b"user", role.argument(1).as_bytes()).unwrap();
        }
        let user = table.get(b"user").unwrap().unwrap();
        role.tell(&String::from_utf8(user).unwrap());
        assert_eq!(Table::list().unwrap(), [role.argument(0)]);
        role.hear();
        if role.name == "creator" {
            Table::unlink(role.argument(0)).unwrap();
            assert_eq!(Table::list().unwrap(), Vec::<String>::new());
        }
        return;
    }
    let name = Name::new();
    let folders = [Folder::new("one"), Folder::new("two")];
    let creators = [
        folders[0].start(test, "creator", &[&name, "one"]),
        folders[1].start(test, "creator", &[&name, "two"]),
    ];
    assert_eq!(creators[0].hear(), "one");
    assert_eq!(creators[1].hear(), "two");
    for (folder, user) in folders.iter().zip(["one", "two"]) {
        let opener = folder.start(test, "opener", &[&name]);
        assert_eq!(opener.finish(), [user]);
    }
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));
    for creator in creators {
        assert!(creator.finish().is_empty());
    }
}

#[test]
fn odd_names_reach_another_process() {
    if let Some(role) = common::role() {
        let table = role.open();
        let number = table.get(b"number").unwrap().unwrap();
        role.tell(&String::from_utf8(number).unwrap());
        return;
    }
    let prefix = Name::new();
    let endings = [
        "", "A", "a", "a.", "a:b", "a\\b", "?*<>|", "CON", "雪 é", ".",
    ];
    let tables: Vec<(Table, String)> = endings
        .iter()
        .enumerate()
        .map(|(number, ending)| {
            let name = format!("{}{ending}", &*prefix);
            let table = Options::new().capacity(10).create(&name).unwrap();
            let number = number.to_string();
            table.insert(b"number", number.as_bytes()).unwrap();
            (table, name)
        })
        .collect();
    let listed = Table::list().unwrap();
    for (number, (table, name)) in tables.into_iter().enumerate() {
        assert!(listed.contains(&name));
        let said = Child::start(common::this_test!(), "opener", &[&name]).finish();
        assert_eq!(said, [number.to_string()]);
        drop(table);
        Table::unlink(&name).unwrap();
    }
}

#[test]
fn a_table_outlives_its_processes_and_is_unlinked_under_its_users() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        if role.name == "creator" {
            let options = Options::new().capacity(100);
            let table = options.create(role.argument(0)).unwrap();
            table.insert(b"made by", b"the creator").unwrap();
            return;
        }
        let table = Table::open_read_only(role.argument(0)).unwrap();
        let read = |key: &[u8]| {
            let value = table.get(key).unwrap().unwrap();
            role.tell(&String::from_utf8(value).unwrap());
        };
        read(b"made by");
        assert!(matches!(table.insert(b"k", b"v"), Err(Error::ReadOnly)));
        while role.hear().is_some() {
            read(b"said");
        }
        return;
    }
    let name = Name::new();
    Child::start(test, "creator", &[&name]).finish();
    let mut reader = Child::start(test, "reader", &[&name]).once_it_says("the creator");
    let old = Table::open(&name).unwrap();
    Table::unlink(&name).unwrap();
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));
    let new = Options::new().capacity(100).create(&name).unwrap();
    assert!(new.is_empty());
    for round in ["first", "second"] {
        old.insert(b"said", round.as_bytes()).unwrap();
        reader.say("read");
        assert_eq!(reader.hear(), round);
    }
    assert!(reader.finish().is_empty());
    assert_sound(&old);
    drop((old, new));
    assert_eq!(files_named(&name).len(), 1, "the new one alone");
}

#[test]
fn the_files_that_a_killed_process_leaves_are_collected() {
    if let Some(role) = common::role() {
        // A table that lost its name, and whose last user dies.
        let table = role.open();
        Table::unlink(role.argument(0)).unwrap();
        table.insert(b"k", b"v").unwrap();
        role.tell("unlinked");
        loop {
            role.hear();
        }
    }
    let named = Named::create(&Options::new().capacity(10));
    let child =
        Child::start(common::this_test!(), "last user", &[&named.name]).once_it_says("unlinked");
    let Named { table, name } = named;
    drop(table);
    assert_eq!(files_now(&name).len(), 1, "in use without a name");
    child.kill();
    common::eventually("it is swept away", || files_named(&name).is_empty());
}
