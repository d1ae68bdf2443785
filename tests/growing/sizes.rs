//! Does a table take any number of entries of any size, if no size was given?

use std::collections::HashMap;

use shmtable::Error;

use crate::common::{Dice, assert_sound, bytes, contents, scaled};
use crate::{assert_absent, assert_there, entry, insert, of_no_size};

#[test]
fn entries_of_all_sizes_are_there_although_no_size_was_given() {
    let count = scaled(300_000);
    let table = of_no_size();
    let mut expected = HashMap::new();
    for number in 0..count {
        let (key, value) = entry(number);
        assert!(table.insert(&key, &value).unwrap(), "{number} is new");
        expected.insert(key, value);
        // The newest, an old one, and one that is still to come.
        if number % 50 == 0 {
            assert_there(&table, [number, number / 2, number / 7]);
            assert_absent(&table, [number + 1, number + count]);
        }
    }
    assert_eq!(table.len(), count);
    assert_there(&table, 0..count);
    assert_absent(&table, count..2 * count);
    assert!(
        contents(&table) == expected,
        "iteration gives other entries"
    );
    assert_sound(&table);
}

/// Keys that are often removed and come back, with values that change their kind.
#[test]
fn entries_are_removed_replaced_and_inserted_again_while_the_table_grows() {
    let table = of_no_size();
    let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut dice = Dice::new(3);
    let most = scaled(60_000);
    for step in 0..3 * most {
        // The keys in use become more with time.
        let number = dice.below(1 + step / 3);
        let (key, mut value) = entry(number);
        match dice.below(10) {
            0 | 1 => {
                let was_there = model.remove(&key).is_some();
                assert_eq!(table.remove(&key).unwrap(), was_there, "step {step}");
            }
            2 => assert_eq!(table.get(&key).unwrap().as_ref(), model.get(&key)),
            kind => {
                if kind == 3 {
                    value = bytes(step as u64, dice.below(300));
                }
                let is_new = model.insert(key.clone(), value.clone()).is_none();
                assert_eq!(table.insert(&key, &value).unwrap(), is_new, "step {step}");
            }
        }
    }
    assert_eq!(table.len(), model.len());
    assert!(contents(&table) == model);
    assert_sound(&table);
    // All go and come back, in a table that has its buckets.
    for key in model.keys() {
        assert!(table.remove(key).unwrap());
        assert!(!table.contains_key(key).unwrap());
    }
    assert!(table.is_empty());
    for (key, value) in &model {
        assert!(table.insert(key, value).unwrap());
    }
    assert!(contents(&table) == model);
    assert_sound(&table);
}

/// An insertion that fails before it comes to the index, among many that don't.
#[test]
fn what_is_refused_changes_nothing_in_a_table_that_grows() {
    let table = of_no_size();
    insert(&table, 0..scaled(20_000));
    let too_long = vec![0; 1 << 20];
    let refused = table.insert(&too_long, b"");
    assert!(matches!(refused, Err(Error::KeyTooLarge { .. })));
    assert_eq!(table.len(), scaled(20_000));
    assert_there(&table, 0..scaled(20_000));
    assert_sound(&table);
}
