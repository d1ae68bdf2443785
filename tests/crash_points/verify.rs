//! Checks that a table is in a state that the dead may have left, and works as a new one.

use std::collections::BTreeMap;

use crate::common::{Named, SegmentBytes, assert_sound, bounded, bytes, contents};
use crate::scenarios::{CHUNK, Scenario};
use crate::steps::{KEYS_EACH, Model, Part, key_of, number_of};

/// `parts` are those of the processes whose keys begin with 0, 1000, 2000...
pub fn verify(case: &str, named: &Named, scenario: &Scenario, parts: Vec<Part>) {
    let table = named.table.clone();
    let (capacity, space, damaged) = (scenario.capacity, scenario.space, scenario.damaged);
    let name = named.name.to_string();
    bounded(case, move || {
        let matches = |when: &str| {
            let mut found: BTreeMap<u64, Model> = BTreeMap::new();
            for (key, value) in contents(&table) {
                let whose = number_of(&key) / KEYS_EACH;
                found.entry(whose).or_default().insert(key, value);
            }
            for (whose, part) in parts.iter().enumerate() {
                let found = found.remove(&(whose as u64)).unwrap_or_default();
                let lengths: BTreeMap<u64, usize> = found
                    .iter()
                    .map(|(key, value)| (number_of(key), value.len()))
                    .collect();
                assert!(
                    part.may_be(&found),
                    "{when}, process {whose}: not a state after {:?}: {lengths:?}",
                    part.end
                );
            }
            assert!(found.is_empty(), "keys that no process wrote: {found:?}");
        };
        matches("before any repair");
        let before = SegmentBytes::read(&name);
        if damaged {
            table.repair().unwrap();
        }
        assert_sound(&table);
        matches("after repair");
        // What the dead one unlinked may still be read: those readers must know.
        let after = SegmentBytes::read(&name);
        let locked = before.locked_stripes();
        for bucket in locked.flat_map(|stripe| before.buckets_of(stripe)) {
            assert!(
                after.version(bucket) > before.version(bucket),
                "the repair has not raised the version of bucket {bucket}"
            );
        }
        let stats = table.stats().unwrap();
        assert_eq!(
            (stats.entries, stats.participants),
            (contents(&table).len(), 1)
        );
        // All that the table was created for still fits, twice.
        for round in 0..2 {
            table.clear().unwrap();
            let length = (space / capacity - 8).min(CHUNK - 32);
            for number in 0..capacity as u64 {
                let value = bytes(number, length);
                let inserted = table.insert(&key_of(5000 * round + number), &value);
                assert!(inserted.unwrap(), "entry {number} of round {round}");
            }
            assert_eq!(table.len(), capacity);
            assert_sound(&table);
        }
        // In one piece, too.
        table.clear().unwrap();
        table.insert(b"", &bytes(1, space)).unwrap();
        assert_eq!(table.get(b"").unwrap(), Some(bytes(1, space)));
        assert_sound(&table);
    });
}
