//! Is a table whose name is not UTF-8 found and removed, and no other table with it?
//!
//! File names are bytes on Linux only.

#![cfg(all(target_os = "linux", not(shmtable_portable)))]

mod common;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use common::Named;
use shmtable::{Error, Options, Table};

#[test]
fn a_name_that_is_no_text_is_listed_as_it_is_and_removed() {
    let named = Named::create(&Options::new().capacity(10));
    let odd = |ending: &[u8]| OsString::from_vec([named.name.as_bytes(), ending].concat());
    let name = odd(b"\xff\xe9");
    let mut path = OsString::from("/dev/shm/shmtable.");
    path.push(&name);
    std::fs::copy(named.name.path(), &path).unwrap();
    assert!(Table::list_os().unwrap().contains(&name));
    assert!(
        Table::list_os()
            .unwrap()
            .contains(&OsString::from(&*named.name))
    );
    let shown = Table::list().unwrap();
    assert_eq!(
        shown
            .iter()
            .filter(|shown| shown.contains(&*named.name))
            .count(),
        1
    );
    Table::unlink_os(&name).unwrap();
    assert!(!Table::list_os().unwrap().contains(&name));
    assert!(matches!(
        Table::unlink_os(&name),
        Err(Error::NotFound { .. })
    ));
    assert!(named.open().is_empty());
    // A name that is text is removed in the same way; a path is none.
    assert!(matches!(
        Table::unlink_os("a/b"),
        Err(Error::InvalidName { .. })
    ));
    Table::unlink_os(&*named.name).unwrap();
    assert!(matches!(
        Table::open(&named.name),
        Err(Error::NotFound { .. })
    ));
}
