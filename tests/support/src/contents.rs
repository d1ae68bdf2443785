//! What a table holds, and whether it is sound.

use std::collections::HashMap;

use shmtable::Table;

/// Fails if `Table::check` finds a fault.
#[track_caller]
pub fn assert_sound(table: &Table) {
    assert_eq!(
        table.check().expect("check runs"),
        Vec::<shmtable::Fault>::new()
    );
}

/// All entries, by iteration, which sees each key once.
#[track_caller]
pub fn contents(table: &Table) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut contents = HashMap::new();
    for entry in table {
        let (key, value) = entry.expect("iteration goes on");
        let twice = contents.insert(key, value);
        assert_eq!(twice, None, "a key is seen once");
    }
    contents
}
