//! A death while a table is created: it is there and whole, or nothing is.

use shmtable::{Error, Table};

use crate::children::{Order, create, passed};
use crate::common::{Name, assert_sound, files_named};
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
                assert!(end.killed, "nobody died");
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
