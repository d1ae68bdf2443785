//! How much memory does a table take, and how much of it does a process map?

use std::fs;
use std::os::unix::fs::MetadataExt;

use shmtable::{Options, Table};

use crate::common::{self, Child, Named, assert_sound, key, this_test};

/// The bytes of memory that a table takes: those of the blocks of its file.
fn taken(named: &Named) -> u64 {
    fs::metadata(named.name.path()).unwrap().blocks() * 512
}

fn insert_small(table: &Table, numbers: std::ops::Range<usize>) {
    for number in numbers {
        table.insert(key(number), b"1").unwrap();
    }
}

#[test]
fn an_empty_table_takes_little_and_a_full_one_by_its_entries() {
    let named = Named::create(&Options::new());
    let empty = taken(&named);
    println!("empty: {empty} bytes");
    assert!(empty <= 3 << 19, "{empty} bytes");
    let mut done = 0;
    for (entries, most) in [
        (1, 3 << 19),
        (1000, 3 << 19),
        (100_000, 100_000 * 60),
        (1_000_000, 1_000_000 * 60),
    ] {
        insert_small(&named, done..entries);
        done = entries;
        let small = taken(&named);
        println!(
            "{entries} small entries: {small} bytes, {} each",
            small / entries as u64
        );
        assert!(small <= most, "{entries}: {small} bytes");
    }
}

#[test]
fn records_take_chunks_as_they_come() {
    let named = Named::create(&Options::new());
    let empty = taken(&named);
    for (entries, most) in [(1, 1 << 20), (1000, 1 << 20), (100_000, 40 << 20)] {
        for number in 0..entries {
            named.insert(key(number), [7; 100]).unwrap();
        }
        let more = taken(&named) - empty;
        println!("{entries} values of 100 bytes: {more} bytes more than empty");
        assert!(more <= most, "{entries}: {more} bytes");
    }
}

#[test]
fn what_is_promised_has_its_memory_from_the_beginning() {
    const PROMISED: usize = 50_000;
    let fixed = Named::create(&Options::new().capacity(PROMISED));
    let grows = Named::create(
        &Options::new()
            .capacity(PROMISED)
            .max_capacity(100 * PROMISED),
    );
    let begins = taken(&grows);
    println!("fixed: {}, grows: {begins}", taken(&fixed));
    assert!(begins >= taken(&fixed) * 9 / 10);
    assert!(begins <= 3 * taken(&fixed), "not the memory of the maximum");
    insert_small(&grows, 0..PROMISED);
    assert_eq!(taken(&grows), begins, "it was there");
    insert_small(&grows, PROMISED..5 * PROMISED);
    assert!(taken(&grows) > begins);
    assert_eq!(grows.len(), 5 * PROMISED);
}

/// A word of a page that has no memory would get some from being read.
#[test]
fn reading_takes_no_memory() {
    let named = Named::create(&Options::new());
    insert_small(&named, 0..20_000);
    for number in 20_000..22_000 {
        named.insert(key(number), [1; 200]).unwrap();
    }
    let before = taken(&named);
    let unchanged = |what: &str| assert_eq!(taken(&named), before, "{what}");
    let reader = Table::open_read_only(&named.name).unwrap();
    let observer = Options::new().open_observer(&named.name).unwrap();
    unchanged("opening");
    for table in [&*named, &reader, &observer] {
        assert_eq!(table.iter().count(), 22_000);
        unchanged("iteration");
        for number in 0..60_000 {
            assert_eq!(table.contains_key(key(number)).unwrap(), number < 22_000);
        }
        unchanged("gets and misses");
        table.stats().unwrap();
        table.quick_stats().unwrap();
        unchanged("figures");
        drop(table.stripe_stats());
        unchanged("figures of stripes");
        table.participants().unwrap();
        table.has_readers().unwrap();
        unchanged("participants");
    }
    assert_eq!(named.snapshot().unwrap().len(), 22_000);
    unchanged("a snapshot");
    assert_sound(&named);
    unchanged("a check");
    named.check_stripes().unwrap();
    unchanged("a check of the stripes");
    // A participant has a page in which its threads tell that they read.
    drop(named.open());
    assert_eq!(taken(&named), before + 4096);
    drop(named.open());
    assert_eq!(taken(&named), before + 4096, "the same slot");
    assert_eq!(
        named.quick_stats().unwrap().memory_bytes as u64,
        taken(&named)
    );
}

/// The kilobytes of a mapping of this file that are in this process's page tables.
fn mapped(path: &str) -> usize {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let of_file = maps.split_once(path).expect("the file is mapped").1;
    let line = of_file.lines().find_map(|line| line.strip_prefix("Rss:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.unwrap().trim().parse().unwrap()
}

#[test]
fn opening_maps_a_few_pages_whatever_the_size() {
    if let Some(role) = common::role() {
        let table = role.open();
        let path = role.argument(1);
        role.tell(&mapped(path).to_string());
        assert_eq!(table.get(key(1)).unwrap().as_deref(), Some(&b"1"[..]));
        role.tell(&mapped(path).to_string());
        return;
    }
    for (options, entries) in [
        (Options::new(), 10),
        (Options::new(), 200_000),
        (Options::new().max_capacity(1 << 36), 10),
        (Options::new().capacity(200_000), 10),
    ] {
        let named = Named::create(&options);
        insert_small(&named, 0..entries);
        let arguments = [&*named.name, &named.name.path()];
        let said = Child::start(this_test!(), "opener", &arguments).finish();
        println!("{entries} entries: {said:?} kB");
        for kilobytes in said {
            let kilobytes: usize = kilobytes.parse().unwrap();
            // The system maps up to 64 kB around a page that is touched.
            assert!(kilobytes <= 512, "{kilobytes} kB");
        }
    }
}
