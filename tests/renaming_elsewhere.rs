//! Does renaming return its own error where the system cannot rename in one step?

#![cfg(any(not(target_os = "linux"), shmtable_portable))]

mod common;

use std::io::ErrorKind;

use common::Name;
use shmtable::{Error, Options, Table};

#[test]
fn a_table_keeps_its_name() {
    let (name, new) = (Name::new(), Name::new());
    let _table = Options::new().capacity(10).create(&name).unwrap();
    for result in [
        Table::rename(&name, &new),
        Table::rename_or_replace(&name, &new),
    ] {
        assert!(
            matches!(&result, Err(Error::System { source, .. }) if source.kind() == ErrorKind::Unsupported),
            "{result:?}"
        );
    }
    Table::open(&name).unwrap();
    assert!(matches!(Table::open(&new), Err(Error::NotFound { .. })));
}
