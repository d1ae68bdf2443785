//! Deaths while a table is created. The table is there and whole, or nothing is there.

use shmtable::{Error, Table};

use crate::children::{Order, create, creators_options, passed, replace};
use crate::common::{Name, Named, assert_sound, files_named};
use crate::report::{Row, Victim};
use crate::steps::key_of;

pub fn row() -> Row {
    let mut row = Row::new("creation");
    let points = row.case("no death", |row| {
        row.note(passed(|order| create(&Name::new(), order).0))
    });
    for (point, seen) in points.unwrap_or_default() {
        for pass in 1..=seen {
            let case = format!("{point}, pass {pass}");
            row.case(&case, |row| {
                let name = Name::new();
                let (end, said) = create(&name, &Order::Die(&point, pass));
                assert!(end.killed, "the worker did not die");
                row.died(Victim::Worker, &point);
                whole_or_nothing(&name, &said);
            });
        }
    }
    row
}

fn whole_or_nothing(name: &Name, said: &[String]) {
    match Table::open(name) {
        Err(Error::NotFound { .. }) => {
            assert!(said.is_empty(), "created, and gone");
            assert!(files_named(name).is_empty());
        }
        Ok(table) => {
            assert_eq!(table.capacity(), 50);
            assert_sound(&table);
            let found = table.get(&key_of(1)).unwrap();
            assert!(found.is_some() || said.len() < 2, "acknowledged, and gone");
            table.insert(&key_of(2), b"more").unwrap();
            assert_eq!(table.stats().unwrap().participants, 1);
        }
        Err(error) => panic!("a half-made table: {error:?}"),
    }
}

/// A death while a table is replaced: the name is the old one's or the new one's, and
/// what is left besides goes.
pub fn replacement_row() -> Row {
    let mut row = Row::new("replacement");
    let points = row.case("no death", |row| {
        row.note(passed(|order| replace(&old().name, order).0))
    });
    for (point, seen) in points.unwrap_or_default() {
        for pass in 1..=seen {
            let case = format!("{point}, pass {pass}");
            row.case(&case, |row| {
                let old = old();
                let (end, said) = replace(&old.name, &Order::Die(&point, pass));
                assert!(end.killed, "the worker did not die");
                row.died(Victim::Worker, &point);
                old_or_new(&old, &said);
            });
        }
    }
    row
}

fn old() -> Named {
    let old = Named::create(&creators_options().max_capacity(60));
    old.insert(&key_of(7), b"old").unwrap();
    old
}

fn old_or_new(old: &Named, said: &[String]) {
    match Table::open(&old.name) {
        // Windows cannot exchange names: for a moment no table has it.
        Err(Error::NotFound { .. }) if cfg!(windows) => {
            assert!(said.is_empty(), "replaced, and gone");
        }
        opened => {
            let table = opened.unwrap();
            assert_sound(&table);
            if table.capacity() == 60 {
                assert!(said.is_empty(), "replaced, and the old one again");
                assert_eq!(table.get(&key_of(7)).unwrap().as_deref(), Some(&b"old"[..]));
            } else {
                drop(table);
                whole_or_nothing(&old.name, said);
            }
        }
    }
    // The old one goes on in any case.
    old.insert(&key_of(8), b"on").unwrap();
    assert_sound(old);
    let unfinished = crate::common::unfinished;
    crate::common::eventually("what was left is removed", || {
        creators_options().create_or_replace(&old.name).unwrap();
        unfinished() == 0
    });
    assert!(Table::open(&old.name).unwrap().is_empty());
    assert_eq!(old.len(), 2);
}
