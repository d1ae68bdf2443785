//! Does a table give the memory of what is gone back, and only that?

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use shmtable::{Error, Options, Table};

use crate::common::{
    self, Child, Named, SegmentBytes, assert_sound, bounded, bytes, key, scaled, this_test,
};

/// The values are so many bytes long.
const LENGTH: usize = 1000;
/// Those that take a while to copy, so many.
const LARGE: usize = 100_000;
/// More than a small table keeps for what comes next.
const KEPT: u64 = 3 << 20;

/// The bytes of memory that a table takes: those of the blocks of its file.
fn taken(named: &Named) -> u64 {
    fs::metadata(named.name.path()).unwrap().blocks() * 512
}

/// The memory that the values of a table take.
fn of_values(named: &Named) -> u64 {
    taken(named) - named.quick_stats().unwrap().index_bytes as u64
}

fn fill(table: &Table, count: usize) {
    fill_with(table, count, |number| bytes(number as u64, LENGTH));
}

fn fill_with(table: &Table, count: usize, value: impl Fn(usize) -> Vec<u8>) {
    for number in 0..count {
        table.insert(key(number), value(number)).unwrap();
    }
}

/// A value that takes a while to copy.
fn large(number: usize) -> Vec<u8> {
    bytes(number as u64, LARGE)
}

#[track_caller]
fn assert_there(table: &Table, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let found = table.get(key(number)).unwrap();
        assert_eq!(found, Some(bytes(number as u64, LENGTH)), "{number}");
    }
}

/// A table with values of so many bytes together, and how many there are.
fn filled() -> (Named, usize) {
    let named = Named::create(&Options::new());
    let count = scaled(20_000);
    fill(&named, count);
    assert!(of_values(&named) >= (count * LENGTH) as u64);
    (named, count)
}

#[test]
fn a_cleared_table_takes_no_memory_for_values() {
    let (named, count) = filled();
    for _ in 0..3 {
        named.clear().unwrap();
        let stats = named.quick_stats().unwrap();
        println!("{} bytes of values, {stats:?}", of_values(&named));
        assert!(of_values(&named) <= KEPT, "{}", of_values(&named));
        assert_eq!(stats.memory_bytes as u64, taken(&named));
        assert_sound(&named);
        fill(&named, count);
        assert_there(&named, 0..count);
        assert_sound(&named);
    }
}

#[test]
fn when_most_entries_are_removed_most_memory_is_given_back() {
    type Removal = fn(&Table, &dyn Fn(usize) -> bool, usize);
    let ways: [(&str, Removal); 3] = [
        ("one by one", |table, stays, count| {
            for number in (0..count).filter(|number| !stays(*number)) {
                assert!(table.remove(key(number)).unwrap());
            }
        }),
        ("by retain", |table, stays, count| {
            let stay: HashSet<[u8; 8]> = (0..count).filter(|n| stays(*n)).map(key).collect();
            table.retain(|key, _| stay.contains(key)).unwrap();
        }),
        ("by another process", |table, stays, count| {
            let other = Options::new().open(table.name()).unwrap();
            for number in (0..count).filter(|number| !stays(*number)) {
                assert!(other.take(key(number)).unwrap().is_some());
            }
        }),
    ];
    for (way, remove) in ways {
        let (named, count) = filled();
        let before = of_values(&named);
        let stays = |number: usize| number.is_multiple_of(10);
        remove(&named, &stays, count);
        let after = of_values(&named);
        println!("{way}: {before} bytes, then {after}");
        assert!(after <= before / 10 * 2 + KEPT, "{way}: {before}, {after}");
        assert_there(&named, (0..count).filter(|number| stays(*number)));
        assert_eq!(named.len(), count.div_ceil(10));
        assert_sound(&named);
    }
}

#[test]
fn to_shrink_gives_back_what_replaced_values_took() {
    let (named, count) = filled();
    for number in 0..count {
        named
            .insert(key(number), bytes(number as u64, 100))
            .unwrap();
    }
    let before = named.quick_stats().unwrap().memory_bytes;
    let given = named.shrink_to_fit().unwrap();
    let after = named.quick_stats().unwrap().memory_bytes;
    assert_eq!(before - after, given);
    assert_eq!(after as u64, taken(&named));
    // With their keys and headers the values take 124 bytes each.
    assert!(of_values(&named) <= count as u64 * 124 * 11 / 10 + KEPT);
    assert_sound(&named);
    for number in 0..count {
        let found = named.get(key(number)).unwrap();
        assert_eq!(found, Some(bytes(number as u64, 100)));
    }
}

#[test]
fn nothing_is_given_back_while_a_reader_cannot_tell_that_it_reads() {
    let (named, count) = filled();
    let remove = |numbers: std::ops::Range<usize>| {
        for number in numbers {
            named.remove(key(number)).unwrap();
        }
    };
    let reader = Options::new().open_read_only(&named.name).unwrap();
    remove(0..count / 2);
    assert_eq!(named.shrink_to_fit().unwrap(), 0);
    drop(reader);
    assert!(named.shrink_to_fit().unwrap() > 0);
    // An observer that has read nothing is in nobody's way; and it doesn't keep the table.
    let observer = Options::new().open_observer(&named.name).unwrap();
    remove(count / 2..count * 3 / 4);
    assert!(named.shrink_to_fit().unwrap() > 0);
    assert_there(&observer, [count - 1]);
    assert!(!named.has_readers().unwrap());
    remove(count * 3 / 4..count);
    assert_eq!(named.shrink_to_fit().unwrap(), 0);
    drop(observer);
    assert!(named.shrink_to_fit().unwrap() > 0);
}

#[test]
fn a_read_only_handle_of_a_writing_one_is_in_nobodys_way() {
    let (named, count) = filled();
    let view = named.as_read_only();
    assert_there(&view, [0, count - 1]);
    named.clear().unwrap();
    assert!(of_values(&named) <= KEPT);
    assert_eq!(view.get(key(0)).unwrap(), None);
    // It keeps the slot in which its threads tell that they read.
    let other = named.open();
    let slots = || other.participants().unwrap().len();
    let own = named.open();
    let before = slots();
    let view = own.as_read_only();
    drop(own);
    assert_eq!(slots(), before);
    fill(&other, 10);
    assert_there(&view, 0..10);
    drop(view);
    assert_eq!(slots(), before - 1);
}

#[test]
fn a_table_of_fixed_capacity_keeps_its_memory() {
    let named = Named::create(&Options::new().capacity(1000).value_space(4_000_000));
    fill(&named, 1000);
    let before = taken(&named);
    named.clear().unwrap();
    assert_eq!(named.shrink_to_fit().unwrap(), 0);
    assert_eq!(taken(&named), before);
    fill(&named, 1000);
    assert_there(&named, 0..1000);
    assert_sound(&named);
}

#[test]
fn memory_that_was_given_back_counts_no_more_against_max_bytes() {
    let named = Named::create(&Options::new().max_bytes(12 << 20));
    let fill = || {
        for number in 0.. {
            match named.insert(key(number), bytes(1, LENGTH)) {
                Ok(_) => {}
                Err(Error::MaxBytesReached { .. }) => return number,
                Err(error) => panic!("{error}"),
            }
        }
        unreachable!()
    };
    let first = fill();
    for _ in 0..3 {
        named.clear().unwrap();
        assert!(of_values(&named) <= KEPT);
        let again = fill();
        assert!(again * 100 >= first * 95, "{first} entries, then {again}");
        assert!(taken(&named) <= 13 << 20);
        assert_sound(&named);
    }
}

#[test]
fn a_large_value_finds_room_among_chunks_without_memory() {
    let (named, count) = filled();
    named.clear().unwrap();
    let value = bytes(7, count * LENGTH * 3 / 4);
    for round in 0..3 {
        named.insert(b"large", &value).unwrap();
        assert_eq!(
            named.get(b"large").unwrap().as_ref(),
            Some(&value),
            "{round}"
        );
        assert_sound(&named);
        named.remove(b"large").unwrap();
        named.shrink_to_fit().unwrap();
        assert!(of_values(&named) <= KEPT);
    }
}

/// An access to memory that is gone would take some again, and more than the figures say.
#[test]
fn readers_touch_no_memory_that_was_given_back() {
    const PROCESSES: usize = 2;
    const THREADS: usize = 2;
    let count = 40;
    if let Some(racer) = common::racer() {
        let table = &racer.table;
        let mut seen = 0;
        while !table.contains_key(b"stop").unwrap() {
            for number in 0..count {
                if let Some(found) = table.get(key(number)).unwrap() {
                    assert_eq!(found, large(number));
                    seen += 1;
                }
            }
            for entry in table {
                let (key, value) = entry.unwrap();
                assert!(key == b"stop" || value.len() == LARGE);
            }
        }
        assert!(seen > 0);
        return;
    }
    let named = Named::create(&Options::new());
    fill_with(&named, count, large);
    let readers = common::race(this_test!(), &named.name, PROCESSES);
    let stop = AtomicBool::new(false);
    common::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let keys: Vec<[u8; 8]> = (0..count).map(key).collect();
                while !stop.load(Ordering::Relaxed) {
                    for (number, found) in named.get_many(&keys).unwrap().into_iter().enumerate() {
                        assert!(found.is_none_or(|found| found == large(number)));
                    }
                }
            });
        }
        for round in 0..scaled(60) {
            if round % 2 == 0 {
                named.clear().unwrap();
            } else {
                for number in 0..count {
                    named.remove(key(number)).unwrap();
                }
                named.shrink_to_fit().unwrap();
            }
            let stats = named.quick_stats().unwrap();
            assert_eq!(stats.memory_bytes as u64, taken(&named), "round {round}");
            fill_with(&named, count, large);
        }
        stop.store(true, Ordering::Relaxed);
    });
    named.insert(b"stop", b"").unwrap();
    common::finish_all(readers);
    assert_sound(&named);
}

#[test]
fn a_reader_that_is_stopped_or_killed_keeps_nobody_waiting() {
    let count = scaled(3000);
    if let Some(racer) = common::racer() {
        racer.tell("reading");
        loop {
            for number in 0..count {
                racer.table.get(key(number)).unwrap();
            }
        }
    }
    let named = Named::create(&Options::new());
    let table = named.table.clone();
    for round in 0..scaled(20) {
        fill(&named, count);
        let reader = common::race(this_test!(), &named.name, 1).remove(0);
        let reader = reader.once_it_says("reading");
        reader.signal(Signal::STOP);
        let table = table.clone();
        bounded("clear beside a stopped reader", move || {
            table.clear().unwrap();
        });
        assert_sound(&named);
        reader.kill();
        // Of the dead nobody is waited for.
        named.shrink_to_fit().unwrap();
        assert!(
            of_values(&named) <= KEPT,
            "round {round}: {}",
            of_values(&named)
        );
    }
}

/// Cleaning takes the lock of each record's stripe; a removal needs only its own.
#[test]
fn a_removal_waits_for_no_other_stripe() {
    let key_of_holder = b"the holder's";
    if let Some(role) = common::role() {
        let change = |value: Option<&[u8]>| {
            role.tell("held");
            role.hear();
            value.map(<[u8]>::to_vec)
        };
        role.open().update(key_of_holder, change).unwrap();
        return;
    }
    let count = scaled(20_000);
    // So small that its file can be read as a whole.
    let options = Options::new()
        .max_capacity(4 * count)
        .value_space(2 * count * LENGTH)
        .max_participants(4);
    let named = Named::create(&options.lock_timeout(100 * test_support::LIMIT));
    fill(&named, count);
    let mut holder = Child::start(this_test!(), "holder", &[&named.name]).once_it_says("held");
    let segment = SegmentBytes::read(&named.name);
    let held = segment.stripe_of_key(key_of_holder);
    let stripe_of = move |number: usize| segment.stripe_of_key(&key(number));
    let table = named.table.clone();
    let stayed = bounded("removals beside a lock that is held", move || {
        let (stay, go): (Vec<_>, Vec<_>) = (0..count).partition(|n| stripe_of(*n) == held);
        for number in go {
            assert!(table.remove(key(number)).unwrap());
        }
        stay
    });
    holder.say("go");
    holder.finish();
    assert_eq!(named.len(), stayed.len());
    assert_there(&named, stayed);
    named.shrink_to_fit().unwrap();
    assert!(of_values(&named) <= KEPT);
    assert_sound(&named);
}
