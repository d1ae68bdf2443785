//! Is a full /dev/shm an error for a table that grows, too, in the middle of a doubling?

use std::collections::HashMap;

use shmtable::{Error, Options, Table};

use crate::common::{self, Named, Role, assert_sound, contents, finish_all, key, race_as, whole};
use crate::{
    Filler, assert_there, fill, fill_from, fill_with, free_bytes, in_small_memory, no_part,
};

/// Inserts small entries from `first` on until there is no memory for more; the number of the
/// first that was refused.
fn fill_index(table: &Table, first: usize) -> usize {
    fill_with(table, first, |_| b"1".to_vec())
}

#[track_caller]
fn assert_small_there(table: &Table, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let found = table.get(key(number)).unwrap();
        assert_eq!(found.as_deref(), Some(&b"1"[..]), "{number}");
    }
}

/// All entries are there, by each way to ask for them.
#[track_caller]
fn assert_whole(table: &Table, count: usize) {
    assert_eq!(table.len(), count);
    assert_small_there(table, 0..count);
    assert_eq!(contents(table).len(), count);
    for number in count..count + 1000 {
        assert!(!table.contains_key(key(number)).unwrap());
    }
    if !table.is_read_only() {
        assert_sound(table);
    }
}

#[test]
fn a_doubling_at_the_end_of_memory_is_refused_and_is_done_later() {
    let body = || {
        let named = Named::create(&Options::new());
        let reader = Table::open_read_only(&named.name).unwrap();
        let mut count = 0;
        // Another amount of memory each time: the end comes at other places of a doubling.
        for leave in [0, 3, 1, 100, 17, 1000] {
            let filler = Filler::new(leave * 4096);
            count = fill_index(&named, count);
            println!("{count} entries, {} bytes free", free_bytes());
            assert_whole(&named, count);
            assert_whole(&reader, count);
            // Refused again, in each way; and nothing changes.
            for number in count..count + 200 {
                let key = key(number);
                let refusals = [
                    named.insert(key, b"1").err(),
                    named.try_insert(key, b"12345678").err(),
                    named.fetch_add(key, 1).err(),
                    named.update(key, |_| Some(b"1".to_vec())).err(),
                ];
                // Another stripe may have room.
                if refusals[0].is_none() {
                    named.remove(key).unwrap();
                    continue;
                }
                for error in refusals.into_iter().flatten() {
                    assert!(matches!(error, Error::SharedMemoryFull { .. }), "{error:?}");
                }
                assert!(!named.contains_key(key).unwrap());
            }
            assert_whole(&named, count);
            // What needs no memory goes on: replacements, removals, and their room again.
            for number in (0..count).step_by(7) {
                assert!(!named.insert(key(number), b"2").unwrap());
                assert!(named.remove(key(number)).unwrap());
                assert!(named.insert(key(number), b"1").unwrap());
            }
            assert_whole(&named, count);
            drop(filler);
            // With memory again, so do insertions.
            for _ in 0..2000 {
                assert!(named.insert(key(count), b"1").unwrap(), "{count}");
                count += 1;
            }
            assert_whole(&named, count);
            assert_whole(&named.open(), count);
        }
        named.clear().unwrap();
        assert_eq!(named.len(), 0);
        assert_sound(&named);
    };
    in_small_memory(common::this_test!(), body, no_part);
}

#[test]
fn the_whole_of_a_small_memory_is_used_by_an_index() {
    let body = || {
        let free = free_bytes() as usize;
        let named = Named::create(&Options::new());
        let count = fill_index(&named, 0);
        println!("{count} entries in {free} bytes, {} left", free_bytes());
        // 64 bytes for three entries, in stripes that are at least two fifths full.
        assert!(count > free / 64, "{count} entries in {free} bytes");
        assert_whole(&named, count);
    };
    in_small_memory(common::this_test!(), body, no_part);
}

/// Records need an index, chunks, and words for what is in the chunks: each may be what the
/// memory ends with.
#[test]
fn records_of_a_table_that_grows_fill_the_memory_and_go_on() {
    let body = || {
        let named = Named::create(&Options::new());
        let mut count = 0;
        for leave in [0, 2, 64, 130, 65] {
            let filler = Filler::new(leave * 4096);
            count = fill_from(&named, count);
            assert_there(&named, 0..count);
            assert_eq!(named.len(), count);
            assert_sound(&named);
            let large = named.insert(b"large", vec![1; 600_000]);
            assert!(
                matches!(large, Err(Error::SharedMemoryFull { .. })),
                "{large:?}"
            );
            assert!(!named.contains_key(b"large").unwrap());
            drop(filler);
            assert!(named.insert(b"large", vec![1; 600_000]).unwrap());
            assert_eq!(
                named.get(b"large").unwrap().map(|value| value.len()),
                Some(600_000)
            );
            assert!(named.remove(b"large").unwrap());
            for _ in 0..300 {
                let value = whole(count as u64, 0, 900 + count % 100);
                assert!(named.insert(key(count), &value).unwrap());
                count += 1;
            }
            assert_there(&named, 0..count);
        }
        // Until the memory is all its own; then with a fifth removed.
        count = fill_from(&named, count);
        assert!(count > 10_000, "{count} entries of a kilobyte in 16 MiB");
        assert_there(&named, 0..count);
        for number in (0..count).step_by(5) {
            assert!(named.remove(key(number)).unwrap());
        }
        for step in 0..5000 {
            let number = (step * 7919 % count) / 5 * 5 + 1;
            if number < count {
                let value = whole(number as u64, step as u64, 900 + step % 100);
                let replaced = named.insert(key(number), &value);
                assert!(!replaced.unwrap_or_else(|error| panic!("step {step}: {error}")));
            }
        }
        assert_sound(&named);
        named.clear().unwrap();
        assert!(fill(&named) > 10_000, "all of the memory is there again");
    };
    in_small_memory(common::this_test!(), body, no_part);
}

/// What is promised has its memory, whatever others take.
#[test]
fn a_capacity_is_kept_where_no_memory_is_left() {
    const PROMISED: usize = 20_000;
    let body = || {
        let options = Options::new()
            .capacity(PROMISED)
            .max_capacity(100 * PROMISED);
        let named = Named::create(&options);
        let filler = Filler::new(0);
        assert!(free_bytes() < 4096);
        for number in 0..PROMISED {
            let inserted = named.insert(key(number), b"1");
            assert!(inserted.unwrap_or_else(|error| panic!("entry {number}: {error}")));
        }
        let count = fill_index(&named, PROMISED);
        println!("{count} entries of {PROMISED}");
        assert_whole(&named, count);
        drop(filler);
        let more = fill_index(&named, count);
        assert!(more > 5 * PROMISED, "{more}");
        assert_whole(&named, more);
    };
    in_small_memory(common::this_test!(), body, no_part);
}

#[test]
fn processes_that_grow_a_table_to_the_end_of_memory_lose_nothing() {
    const PROCESSES: usize = 4;
    const EACH: usize = 1_000_000;
    let test = common::this_test!();
    let part = |role: &Role| {
        let (table, me) = (role.open(), role.number(1));
        role.wait_for_start();
        let (mut count, mut refused) = (0, 0);
        while refused < 20 {
            let number = me * EACH + count;
            // Every other one has small entries only.
            let value = whole(number as u64, 0, 500 + count % 900);
            let value = if me % 2 == 0 { &b"1"[..] } else { &value };
            match table.insert(key(number), value) {
                Ok(_) => count += 1,
                Err(Error::SharedMemoryFull { .. }) => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        role.tell(&count.to_string());
    };
    let body = || {
        for round in 0..common::scaled(6) {
            let named = Named::create(&Options::new());
            let filler = Filler::new((3 << 20) + round as u64 * 20 * 4096);
            let said = finish_all(race_as("grower", test, &named.name, PROCESSES));
            let mut all = 0;
            for (me, lines) in said.iter().enumerate() {
                let count: usize = lines[0].parse().unwrap();
                let entries = me * EACH..me * EACH + count;
                if me % 2 == 0 {
                    assert_small_there(&named, entries);
                } else {
                    assert_there(&named, entries);
                }
                all += count;
            }
            assert_eq!((named.len(), contents(&named).len()), (all, all));
            println!("round {round}: {all} entries");
            assert!(all > 4000);
            assert_sound(&named);
            drop(filler);
            for number in 0..5000 {
                assert!(named.insert(key(PROCESSES * EACH + number), b"1").unwrap());
            }
            assert_eq!(named.len(), all + 5000);
            assert_sound(&named);
        }
    };
    in_small_memory(test, body, part);
}

/// As containers have it by default.
#[test]
fn sixty_four_tables_of_no_given_size_share_64_megabytes() {
    if common::role().is_none() {
        if common::may_make_namespaces() {
            common::small_shm(common::this_test!(), "many tables", &[], "64m").finish();
        }
        return;
    }
    let all = free_bytes();
    assert!(all <= 64 << 20, "/dev/shm is not small");
    let tables: Vec<Named> = (0..64).map(|_| Named::create(&Options::new())).collect();
    println!("empty: {} bytes each", (all - free_bytes()) / 64);
    let mut expected = Vec::new();
    for table in &tables {
        let mut entries = HashMap::new();
        for number in 0..100 {
            let value = if number % 2 == 0 {
                vec![1; 7]
            } else {
                vec![2; 100]
            };
            assert!(table.insert(key(number), &value).unwrap());
            entries.insert(key(number).to_vec(), value);
        }
        expected.push(entries);
    }
    println!("100 entries: {} bytes each", (all - free_bytes()) / 64);
    for (table, expected) in tables.iter().zip(expected) {
        assert!(contents(table) == expected);
        assert!(contents(&table.open()) == expected);
        assert_sound(table);
    }
    // One of them takes what is left, and gives an error then.
    let count = fill_index(&tables[0], 100);
    println!("{count} entries in what is left");
    assert_eq!(tables[0].len(), count);
    assert_sound(&tables[0]);
    assert_eq!(tables[1].len(), 100);
    assert!(tables[1].insert(key(0), [3; 100]).is_ok());
}
