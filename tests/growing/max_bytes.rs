//! Does a table take no more memory than it may?

use std::os::unix::fs::MetadataExt;

use shmtable::{Error, Options};

use crate::common::{assert_sound, bytes, key, path_of};

#[test]
fn within_max_bytes_it_grows_and_beyond_it_refuses_and_keeps_everything() {
    for most in [1 << 20, 5 << 20] {
        for length in [4, 100, 60_000, 500_000] {
            let table = Options::new().max_bytes(most).create_anonymous().unwrap();
            let value = |number: usize| bytes(number as u64, length);
            let mut count = 0;
            let refused = loop {
                match table.insert(key(count), value(count)) {
                    Ok(new) => assert!(new),
                    Err(error) => break error,
                }
                count += 1;
            };
            let stats = table.stats().unwrap();
            assert!(stats.memory_bytes <= most, "{stats:?}");
            let Error::MaxBytesReached {
                limit, used, asked, ..
            } = refused
            else {
                panic!("{refused:?}");
            };
            assert_eq!((limit, used), (most, stats.memory_bytes));
            assert!(used + asked > most, "{used} {asked}");
            // The file itself takes no more, but for the pages of a chunk's details.
            let blocks = std::fs::metadata(path_of(table.name())).unwrap().blocks();
            assert!(blocks * 512 <= most as u64 + 8192, "{blocks}");
            let share = count * (8 + length);
            assert!(count > 0 || length > most / 4, "{most} {length}");
            println!("{most}: {count} of {length} bytes, {share} in all");
            for number in 0..count {
                assert_eq!(table.get(key(number)).unwrap(), Some(value(number)));
            }
            // With room for what is replaced, it is cleaned away, for ever.
            for number in (0..count).step_by(2) {
                assert!(table.remove(key(number)).unwrap());
            }
            if length < 1000 {
                for round in 0..5 {
                    for number in (1..count).step_by(2) {
                        let other = bytes((number + round) as u64, length);
                        assert!(!table.insert(key(number), other).unwrap());
                    }
                }
            }
            assert_eq!(table.len(), count / 2);
            assert_sound(&table);
        }
    }
}

#[test]
fn a_bound_that_not_even_one_record_fits_is_refused() {
    let refused = Options::new()
        .max_bytes(100_000)
        .create_anonymous()
        .unwrap_err();
    let Error::InvalidOption {
        option,
        given,
        allowed,
        ..
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((option, given), ("max_bytes", 100_000));
    let least = allowed.split(' ').next().unwrap().parse().unwrap();
    let table = Options::new().max_bytes(least).create_anonymous().unwrap();
    table.insert(b"k", [7; 1000]).unwrap();
    assert!(table.stats().unwrap().memory_bytes <= least);
}
