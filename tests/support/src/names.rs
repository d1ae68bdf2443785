//! Names of tables that go away with the test.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use shmtable::{Options, Table};

use crate::place::{access_path_of, path_of};

/// A name for a table that no other test uses. It is unlinked when it is dropped.
#[derive(Debug)]
pub struct Name(String);

impl Name {
    /// A new one.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // With as many digits as any other, so that no name is a part of another one.
        Self(format!("test-{}-{count:06}", std::process::id()))
    }

    /// The segment's file.
    pub fn path(&self) -> String {
        path_of(&self.0)
    }

    /// The file whose owner and mode say who may use it.
    pub fn access_path(&self) -> String {
        access_path_of(&self.0)
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Table::unlink(&self.0);
    }
}

/// A table and its name, which is unlinked when this is dropped.
#[derive(Debug)]
pub struct Named {
    /// A handle.
    pub table: Table,
    /// The table's name.
    pub name: Name,
}

impl Named {
    /// Creates a table with these options.
    pub fn create(options: &Options) -> Self {
        let name = Name::new();
        let table = options.create(&name).expect("a table is created");
        Self { table, name }
    }

    /// Another handle.
    pub fn open(&self) -> Table {
        Table::open(&self.name).expect("the table is opened")
    }
}

impl Deref for Named {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.table
    }
}
