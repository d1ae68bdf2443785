//! Does a table have each size that was asked for, or refuse it, and do the defaults work
//! for most tables?

mod common;

use common::{Name, Named, bytes};
use shmtable::{Error, Options, Table, TypedTable};

#[test]
fn sizes_that_a_table_has_are_had() {
    let named = Named::create(
        &Options::new()
            .capacity(100)
            .value_space(5000)
            .max_participants(4),
    );
    for options in [
        Options::new(),
        Options::new()
            .capacity(100)
            .value_space(5000)
            .max_participants(4),
        Options::new()
            .capacity(1)
            .value_space(1)
            .max_participants(1),
        // What is no size is without effect.
        Options::new()
            .stripes(1 << 16)
            .chunk_size(1 << 30)
            .mode(0o666),
    ] {
        assert_eq!(options.open_or_create(&named.name).unwrap().capacity(), 100);
    }
}

#[test]
fn a_size_that_a_table_has_not_is_refused_and_remedies_work() {
    let named = Named::create(&Options::new().capacity(100));
    let large = Options::new().capacity(5000);
    let refused = large.open_or_create(&named.name);
    assert!(matches!(
        refused,
        Err(Error::TooSmall {
            option: "capacity",
            asked: 5000,
            found: 100,
            ..
        })
    ));
    let typed = TypedTable::<[u8], [u8]>::open_or_create(large.clone(), &named.name);
    assert!(matches!(typed, Err(Error::TooSmall { .. })));
    assert_eq!(named.stats().unwrap().participants, 1, "no slot is lost");
    assert_eq!(
        Options::new()
            .open_or_create(&named.name)
            .unwrap()
            .capacity(),
        100
    );
    // A table is opened as it is.
    assert_eq!(large.open(&named.name).unwrap().capacity(), 100);
    assert_eq!(large.open_read_only(&named.name).unwrap().capacity(), 100);
    let fresh = large.create_or_replace(&named.name).unwrap();
    assert_eq!(fresh.capacity(), 5000);
    assert_eq!(large.open_or_create(&named.name).unwrap().capacity(), 5000);
}

#[test]
fn a_table_that_may_grow_to_a_capacity_has_it() {
    let named = Named::create(&Options::new().max_capacity(5000));
    for options in [
        Options::new().capacity(5000),
        Options::new().max_capacity(5000),
        Options::new().capacity(10).max_capacity(400),
        Options::new(),
    ] {
        let opened = options.open_or_create(&named.name).unwrap();
        assert_eq!(opened.capacity(), 5000);
    }
    for (asked, larger) in [
        ("capacity", Options::new().capacity(5001)),
        ("max_capacity", Options::new().max_capacity(5001)),
        (
            "max_capacity",
            Options::new().capacity(10).max_capacity(5001),
        ),
    ] {
        let refused = larger.open_or_create(&named.name);
        assert!(
            matches!(refused, Err(Error::TooSmall { option, found: 5000, .. }) if option == asked),
            "{refused:?}"
        );
    }
}

#[test]
fn a_greatest_capacity_below_the_capacity_is_refused() {
    let options = Options::new().capacity(100);
    refused(&options.max_capacity(99), "max_capacity", &["99", "100"]);
    let too_many = Options::new().max_capacity(1 << 41);
    refused(&too_many, "max_capacity", &["2^40"]);
    let too_large = Options::new().max_capacity(1 << 40);
    refused(&too_large, "max_capacity", &["less", "2^45"]);
}

#[test]
fn a_table_of_a_hundred_entries_takes_a_page_and_an_image() {
    let table = Options::new().capacity(100).create_anonymous().unwrap();
    for number in 0..100_u8 {
        table
            .insert(&[number], &bytes(number.into(), 8192))
            .unwrap();
    }
    table.insert(b"image", &bytes(1, 20 << 20)).unwrap();
    assert_eq!(table.get(b"image").unwrap(), Some(bytes(1, 20 << 20)));
    assert_eq!(table.stats().unwrap().value_space, 64 << 20);
}

#[test]
fn value_space_grows_with_a_large_capacity() {
    let table = Options::new().capacity(2 << 20).create_anonymous().unwrap();
    assert_eq!(table.stats().unwrap().value_space, 128 << 20);
}

#[test]
fn more_than_a_hundred_and_twenty_eight_handles_write_at_once() {
    let named = Named::create(&Options::new().capacity(100));
    let handles: Vec<Table> = (0..200).map(|_| named.open()).collect();
    assert_eq!(
        handles
            .iter()
            .map(|table| table.fetch_add(b"n", 1).unwrap())
            .max(),
        Some(199)
    );
    assert_eq!(named.stats().unwrap().max_participants, 1024);
}

#[test]
fn stripes_grow_with_the_capacity() {
    for (capacity, stripes) in [
        (1, 16),
        (8192, 16),
        (10_000, 32),
        (300_000, 1024),
        (1 << 20, 2048),
        (2 << 20, 4096),
        (4 << 20, 4096),
    ] {
        let table = Options::new()
            .capacity(capacity)
            .create_anonymous()
            .unwrap();
        assert_eq!(table.stats().unwrap().stripes, stripes, "of {capacity}");
    }
}

/// Windows gives a segment all of its room on the disk.
#[cfg(not(windows))]
#[test]
fn a_large_value_space_needs_no_chunk_size() {
    for (value_space, capacity) in [(1 << 40, 1000), (1 << 43, 1000), (1 << 36, 1 << 20)] {
        let options = Options::new().capacity(capacity).value_space(value_space);
        let table = options.create_anonymous().unwrap();
        let stats = table.stats().unwrap();
        assert_eq!(stats.value_space, value_space);
        // Each chunk has its place in the index.
        assert!(stats.index_bytes < (16 << 20) + 40 * capacity, "{stats:?}");
        table.insert(b"k", &bytes(1, 100_000)).unwrap();
        assert_eq!(table.get(b"k").unwrap(), Some(bytes(1, 100_000)));
    }
}

#[track_caller]
fn refused(options: &Options, option: &str, words: &[&str]) {
    let name = Name::new();
    let error = options.create(&name).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidOption { option: told, .. } if *told == option),
        "{error:?}"
    );
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}

#[test]
fn errors_blame_what_was_given_and_tell_defaults() {
    let large = Options::new().capacity(1 << 40);
    refused(
        &large,
        "capacity",
        &["1099511627776", "default", "value_space"],
    );
    refused(
        &large.value_space(1000),
        "capacity",
        &["1099511627776", "1000"],
    );
    let wide = Options::new()
        .capacity(10)
        .value_space(1 << 43)
        .chunk_size(1 << 30);
    refused(
        &wide.clone().max_participants(4096).chunk_size(1 << 20),
        "chunk_size",
        &["1048576", "33554432 or more", "8796093022208"],
    );
    // Windows gives a segment all of its room on the disk.
    let sparse = cfg!(not(windows));
    assert!(!sparse || wide.create_anonymous().is_ok());
    let narrow = Options::new().value_space(1 << 40).chunk_size(4096);
    refused(
        &narrow,
        "chunk_size",
        &["4096", "4194304 or more, or nothing"],
    );
    let wide_enough = narrow.chunk_size(4_194_304).capacity(1000);
    assert!(!sparse || wide_enough.create_anonymous().is_ok());
}

#[test]
fn modes_that_nobody_means_are_refused() {
    for mode in [0o600, 0o644, 0o640, 0o660, 0o666, 0o620, 0o602] {
        assert!(
            Options::new()
                .capacity(1)
                .mode(mode)
                .create_anonymous()
                .is_ok(),
            "{mode:o}"
        );
    }
    let with = |mode| Options::new().capacity(1).mode(mode);
    refused(
        &with(600),
        "mode",
        &["is 600", "600 is 0o1130", "did you mean 0o600?"],
    );
    refused(&with(666), "mode", &["did you mean 0o666?"]);
    refused(&with(644), "mode", &["did you mean 0o644?"]);
    for mode in [
        0,
        0o400,
        0o200,
        0o440,
        0o700,
        0o755,
        0o777,
        0o1600,
        0o4600,
        0o10600,
        u32::MAX,
    ] {
        refused(
            &with(mode),
            "mode",
            &[&format!("{mode} is {mode:#o}"), "0o600"],
        );
    }
    let named = Named::create(&with(0o600));
    let replacing = with(600).create_or_replace(&named.name);
    assert!(matches!(replacing, Err(Error::InvalidOption { .. })));
}
