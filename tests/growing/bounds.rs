//! Does a table grow to what it was allowed, and no further?

use std::collections::HashMap;

use shmtable::{Error, Options};

use crate::common::{Name, Named, assert_sound, contents, key, scaled};
use crate::{assert_there, entry, insert};

/// Inserts small entries until the table is full, and says how many.
fn fill(table: &shmtable::Table, most: usize) -> usize {
    for number in 0..=20 * most {
        match table.insert(key(number), b"1") {
            Ok(new) => assert!(new),
            Err(Error::TableFull {
                capacity, entries, ..
            }) => {
                assert_eq!((capacity, entries), (most, number));
                return number;
            }
            Err(error) => panic!("entry {number}: {error}"),
        }
    }
    panic!("more than twenty times {most} entries fit");
}

#[test]
fn a_table_begins_with_its_capacity_and_grows_beyond() {
    let (first, most) = (scaled(10_000), scaled(10_000) * 8);
    let named = Named::create(&Options::new().capacity(first).max_capacity(most));
    assert_eq!(named.capacity(), most);
    insert(&named, 0..first);
    assert_there(&named, 0..first);
    insert(&named, first..most);
    assert_eq!(named.len(), most);
    assert_there(&named, 0..most);
    assert!(contents(&named) == (0..most).map(entry).collect::<HashMap<_, _>>());
    assert_sound(&named);
}

#[test]
fn at_its_maximum_a_table_is_full_and_keeps_everything() {
    for (first, most) in [
        (None, 50),
        (None, 3000),
        (Some(100), 3000),
        (Some(10), 20_000),
    ] {
        let options = Options::new().max_capacity(most);
        let options = match first {
            Some(first) => options.capacity(first),
            None => options,
        };
        let table = options.create_anonymous().unwrap();
        assert_eq!(table.capacity(), most);
        let count = fill(&table, most);
        println!("{first:?} to {most}: {count} entries");
        assert!(count >= most, "{count} of {most}");
        let before = contents(&table);
        // Refused again and again, in each way; and nothing changes.
        let mut refused = 0;
        for number in count..count + 100 {
            let key = key(number);
            let slots = table.stats().unwrap().slots;
            let refusals = [
                table.insert(key, b"1").map(drop),
                table
                    .try_insert(key, b"a record of more than a slot")
                    .map(drop),
                table.update(key, |_| Some(b"1".to_vec())).map(drop),
                table.fetch_add(key, 1).map(drop),
            ];
            // Another stripe may still have room for this key.
            if refusals[0].is_ok() {
                table.remove(key).unwrap();
            } else {
                for result in refusals {
                    assert!(matches!(result, Err(Error::TableFull { .. })), "{result:?}");
                    refused += 1;
                }
                assert_eq!(table.stats().unwrap().slots, slots);
            }
            assert!(!table.contains_key(key).unwrap());
        }
        assert!(refused > 0);
        assert!(contents(&table) == before);
        // What is there can be replaced and removed, and its room is used again.
        for number in 0..count {
            assert!(!table.insert(key(number), b"2").unwrap());
        }
        for number in (0..count).step_by(2) {
            assert!(table.remove(key(number)).unwrap());
        }
        for number in (0..count).step_by(2) {
            assert!(table.insert(key(number), b"3").unwrap());
        }
        assert_eq!(table.len(), count);
        for number in 0..count {
            let value = if number % 2 == 0 { b"3" } else { b"2" };
            assert_eq!(table.get(key(number)).unwrap().as_deref(), Some(&value[..]));
        }
        assert_sound(&table);
    }
}

#[test]
fn a_capacity_alone_is_the_most_that_is_promised() {
    let table = Options::new().capacity(5000).create_anonymous().unwrap();
    assert_eq!(table.capacity(), 5000);
    assert!(fill(&table, 5000) >= 5000);
    let same = Options::new().capacity(5000).max_capacity(5000);
    let same = same.create_anonymous().unwrap();
    assert_eq!(
        same.stats().unwrap().index_bytes,
        table.stats().unwrap().index_bytes
    );
}

#[test]
fn a_maximum_below_the_capacity_is_refused() {
    let name = Name::new();
    let refused = Options::new().capacity(100).max_capacity(99).create(&name);
    let error = refused.unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidOption {
                option: "max_capacity",
                given: 99,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("100"), "{error}");
    for most in [0, (1 << 40) + 1] {
        let refused = Options::new().max_capacity(most).create(&name);
        assert!(matches!(refused, Err(Error::InvalidOption { .. })));
    }
}
