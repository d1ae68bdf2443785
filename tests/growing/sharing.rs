//! Do all handles see a table grow, whenever they were opened and in whichever process?

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use shmtable::{Error, Options, Table};

use crate::common::{self, Child, Named, assert_sound, contents, finish_all, scaled, this_test};
use crate::{assert_absent, assert_there, entry, insert};

/// The most entries that one process or thread inserts.
const EACH: usize = 1_000_000;

#[test]
fn threads_that_insert_at_once_lose_nothing() {
    const THREADS: usize = 6;
    let count = scaled(20_000);
    let named = Named::create(&Options::new());
    common::scope(|scope| {
        for thread in 0..THREADS {
            // Half of them are clones, half are participants of their own.
            let table = match thread % 2 {
                0 => named.table.clone(),
                _ => named.open(),
            };
            scope.spawn(move || {
                let first = thread * EACH;
                insert(&table, first..first + count);
                assert_there(&table, first..first + count);
            });
        }
    });
    assert_eq!(named.len(), THREADS * count);
    for thread in 0..THREADS {
        assert_there(&named, thread * EACH..thread * EACH + count);
        assert_absent(&named, thread * EACH + count..thread * EACH + 2 * count);
    }
    assert_sound(&named);
}

#[test]
fn processes_that_insert_at_once_lose_nothing() {
    const PROCESSES: usize = 4;
    let count = scaled(30_000);
    if let Some(racer) = common::racer() {
        let first = racer.number * EACH;
        for number in first..first + count {
            insert(&racer.table, [number]);
            // One that a process like this one has inserted, if it has come so far.
            let (key, value) = entry((racer.number + 1) % PROCESSES * EACH + number - first);
            let found = racer.table.get(&key).unwrap();
            assert!(found.is_none_or(|found| found == value));
        }
        assert_there(&racer.table, first..first + count);
        // All of them insert the same keys; each is new to one.
        let common = (0..count).map(|number| PROCESSES * EACH + number);
        let is_new = |number| {
            let (key, value) = entry(number);
            racer.table.insert(&key, &value).unwrap()
        };
        let new = common.filter(|number| is_new(*number)).count();
        racer.tell(&new.to_string());
        return;
    }
    let named = Named::create(&Options::new());
    let said = finish_all(common::race(this_test!(), &named.name, PROCESSES));
    let new: usize = said
        .iter()
        .map(|lines| lines[0].parse::<usize>().unwrap())
        .sum();
    assert_eq!(new, count, "each key is new to one process");
    assert_eq!(named.len(), (PROCESSES + 1) * count);
    let numbers = (0..=PROCESSES).flat_map(|part| part * EACH..part * EACH + count);
    let expected: HashMap<_, _> = numbers.map(entry).collect();
    assert!(contents(&named) == expected);
    assert_sound(&named);
}

#[test]
fn handles_opened_at_any_time_see_all_entries() {
    let steps = [10, 1000, 10_000, scaled(60_000).max(20_000)];
    let named = Named::create(&Options::new());
    let mut handles = vec![
        Table::open_read_only(&named.name).unwrap(),
        Options::new().open_observer(&named.name).unwrap(),
        named.open(),
        named.as_read_only(),
    ];
    let mut done = 0;
    for step in steps {
        insert(&named, done..step);
        done = step;
        for handle in &handles {
            assert_eq!(handle.len(), done);
            assert_there(handle, (0..done).step_by(1 + done / 2000));
            assert_absent(handle, done..done + 100);
        }
        handles.push(Table::open_read_only(&named.name).unwrap());
        handles.push(named.open());
    }
    let expected = contents(&named);
    assert_eq!(expected.len(), done);
    for handle in &handles {
        assert_there(handle, 0..done);
        assert!(contents(handle) == expected);
        if !handle.is_read_only() {
            assert!(handle.snapshot().unwrap().into_map() == expected);
        }
    }
    let refused = handles[0].insert(b"k", b"v");
    assert!(matches!(refused, Err(Error::ReadOnly)));
    // Each writes to a table that others made larger.
    for (number, handle) in handles.iter().filter(|one| !one.is_read_only()).enumerate() {
        let first = EACH * (number + 1);
        insert(handle, first..first + 5000);
        assert_there(&handles[0], first..first + 5000);
    }
    assert_sound(&named);
}

/// Entries that were acknowledged are found at once, by processes that can't write and whose
/// mapping is older than the buckets.
#[test]
fn a_reader_finds_what_was_acknowledged_before() {
    let count = scaled(60_000);
    if let Some(role) = common::role() {
        let table = Table::open_read_only(role.argument(0)).unwrap();
        role.tell("opened");
        while let Some(done) = role.hear() {
            let done: usize = done.parse().unwrap();
            assert_there(&table, (0..done).step_by(1 + done / 3000));
            assert_absent(&table, count..count + 100);
            role.tell("found");
        }
        return;
    }
    let named = Named::create(&Options::new());
    let mut child = Child::start(this_test!(), "reader", &[&named.name]).once_it_says("opened");
    let acknowledged = AtomicUsize::new(0);
    common::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..count {
                insert(&named, [number]);
                acknowledged.store(number + 1, Ordering::Release);
            }
        });
        loop {
            let ends = writer.is_finished();
            let done = acknowledged.load(Ordering::Acquire);
            child.say(&done.to_string());
            assert_eq!(child.hear(), "found");
            // Threads of this process read meanwhile, too.
            assert_there(&named, (0..done).step_by(1 + done / 1000));
            if ends {
                break;
            }
        }
    });
    child.finish();
    assert_eq!(named.len(), count);
    assert_sound(&named);
}
