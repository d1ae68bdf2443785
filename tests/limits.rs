//! Do the limits of a process give typed errors, and does an open table go on working?
//!
//! A limit holds for a whole process, so each test limits a child. Only Linux has such
//! limits; `tests/errors/` has what corresponds to them on Windows.

#![cfg(target_os = "linux")]

mod common;

use std::fs::File;
use std::ops::Range;
use std::time::Duration;

use common::{Child, LIMIT, Name, Named, Role, assert_sound, bytes, contents, files_named, key};
use rustix::process::Resource;
use shmtable::{Claimed, Error, Options, Result, Table};

/// What a limited process needs for itself.
const SLACK: u64 = 64 << 20;
/// A table whose segment has many times that.
fn vast() -> Options {
    Options::new().capacity(1000).value_space(1 << 30)
}

/// Descriptors and mappings of segments that this process has.
fn held() -> (usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    (descriptors, maps.matches("/dev/shm/").count())
}

/// A child whose allocator takes no address space in advance: glibc's takes 64 MiB for
/// each thread, at the moment it likes.
fn with_little_space(test: &str, arguments: &[&str]) -> Child {
    Child::start_with(test, "limited", arguments, |command| {
        command.env("MALLOC_ARENA_MAX", "1");
    })
}

#[track_caller]
fn no_address_space(result: Result<Table>, segment: u64, limit: u64) {
    let Err(error) = result else {
        panic!("it was mapped");
    };
    assert!(
        matches!(error, Error::AddressSpaceFull { asked, limit: Some(told), .. }
            if asked as u64 == segment && told == limit),
        "{error:?}, and not {segment} and {limit}"
    );
}

#[test]
fn a_table_larger_than_the_address_space_is_refused_and_leaves_nothing() {
    if let Some(role) = common::role() {
        let (there, new) = (role.argument(0), role.argument(1));
        let segment = std::fs::metadata(common::path_of(there)).unwrap().len();
        let before = held();
        let limit = common::limit_address_space(SLACK);
        for _ in 0..3 {
            no_address_space(vast().create(new), segment, limit);
            no_address_space(vast().create_anonymous(), segment, limit);
            no_address_space(vast().open_or_create(new), segment, limit);
            no_address_space(Table::open(there), segment, limit);
            no_address_space(Table::open_read_only(there), segment, limit);
            no_address_space(vast().open_or_create(there), segment, limit);
            assert!(files_named(new).is_empty());
            assert_eq!(held(), before, "descriptors, mappings");
        }
        // A small one fits.
        let small = Options::new().capacity(10).value_space(1000);
        drop(small.max_participants(16).create_anonymous().unwrap());
        role.wait_for_start();
        common::unlimit(Resource::As);
        assert_eq!(Table::open(there).unwrap().len(), 1);
        vast().create(new).unwrap();
        return;
    }
    let named = Named::create(&vast());
    named.insert(b"k", b"v").unwrap();
    let new = Name::new();
    let mut child = with_little_space(common::this_test!(), &[&named.name, &new]);
    assert_eq!(child.hear(), "ready");
    assert_eq!(named.stats().unwrap().participants, 1);
    child.say("go on");
    child.finish();
    assert_eq!(files_named(&new).len(), 1);
}

#[test]
fn an_open_table_needs_no_more_address_space() {
    if let Some(role) = common::role() {
        let table = role.open();
        let reader = Table::open_read_only(role.argument(0)).unwrap();
        let limit = common::limit_address_space(SLACK);
        let segment = table.stats().unwrap().segment_bytes as u64;
        no_address_space(Table::open(role.argument(0)), segment, limit);
        // More bytes than the process may map anew.
        for step in 0..2 * SLACK as usize / 60_000 {
            let (number, value) = (step % 100, vec![step as u8; 60_000]);
            table.insert(&key(number), &value).unwrap();
            let found = reader.get(&key(number)).unwrap();
            assert!(found == Some(value), "step {step}");
        }
        assert!(table.stats().unwrap().cleanings > 0);
        assert!(table.remove(&key(0)).unwrap());
        assert_eq!(table.fetch_add(b"n", 1).unwrap(), 0);
        assert_eq!(table.len(), 100);
        assert_eq!(contents(&reader).len(), 100);
        assert_sound(&table);
        // Whatever the test itself did: a mapping of the segment is too large still.
        no_address_space(Table::open(role.argument(0)), segment, limit);
        // Who wants to know of LeakSanitizer has it start threads.
        common::unlimit(Resource::As);
        return;
    }
    let named = Named::create(&vast());
    with_little_space(common::this_test!(), &[&named.name]).finish();
    assert_eq!(named.len(), 100);
    assert_sound(&named);
}

/// Takes all descriptors that the process may have, except for a few.
fn take_descriptors(spare: usize) -> Vec<File> {
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    files.truncate(files.len() - spare);
    files
}

#[track_caller]
fn no_descriptor<T>(what: &str, result: Result<T>) {
    let Err(error) = result else {
        panic!("{what} succeeded");
    };
    assert!(
        matches!(
            &error,
            Error::TooManyFiles {
                limit: Some(64),
                ..
            }
        ),
        "{what}: {error:?}"
    );
}

/// More than three handles need. On the portable back end each has one for the
/// companion file, too, and looking into a second one takes another for a moment.
const MOST_DESCRIPTORS: usize = if cfg!(shmtable_portable) { 14 } else { 8 };

#[test]
fn without_descriptors_nothing_is_opened_and_nothing_left() {
    if let Some(role) = common::role() {
        let (there, new) = (role.argument(0), role.argument(1));
        common::limit(Resource::Nofile, 64);
        // With none to spare, with one, and so on, until all of it works.
        let mut needed = [None; 3];
        for spare in 0..MOST_DESCRIPTORS {
            let files = take_descriptors(spare);
            let found = [
                Options::new().capacity(10).create(new),
                Table::open(there),
                Table::open_read_only(there),
            ];
            let mut opened = 0;
            for (result, needed) in found.into_iter().zip(&mut needed) {
                match result {
                    Ok(_) => {
                        opened += 1;
                        needed.get_or_insert(spare);
                    }
                    refused => no_descriptor("it", refused),
                }
            }
            drop(files);
            assert_eq!(files_named(new).len(), usize::from(needed[0].is_some()));
            let _ = Table::unlink(new);
            let spared = take_descriptors(0).len();
            role.tell(&format!("{spare} spare, {opened} opened"));
            assert!(spared > 40, "descriptors are lost");
            role.hear();
        }
        for needed in needed {
            assert!(matches!(needed, Some(1..MOST_DESCRIPTORS)), "{needed:?}");
        }
        return;
    }
    let named = Named::create(&Options::new().capacity(10));
    let new = Name::new();
    let mut child = Child::start(common::this_test!(), "limited", &[&named.name, &new]);
    for _ in 0..MOST_DESCRIPTORS {
        child.hear();
        assert_eq!(named.stats().unwrap().participants, 1, "a slot is lost");
        child.say("go on");
    }
    child.finish();
}

/// Everything that an open handle does, with keys of these numbers.
fn use_without_descriptors(table: &Table, reader: &Table, steps: Range<usize>) {
    for number in steps.clone() {
        let value = bytes(number as u64, 3000);
        assert!(table.insert(&key(number), b"first").unwrap());
        assert_eq!(
            table.replace(&key(number), &value).unwrap().as_deref(),
            Some(&b"first"[..])
        );
        assert_eq!(
            reader.get(&key(number)).unwrap().as_deref(),
            Some(&value[..])
        );
        for _ in 0..6 {
            table.update(b"list", |_| Some(value.clone())).unwrap();
        }
        table.fetch_add(b"n", 1).unwrap();
    }
    let (first, last) = (key(steps.start), key(steps.end - 1));
    let value = table.get(&last).unwrap();
    let exchanged = table.compare_exchange(&last, value.as_deref(), Some(b"x"));
    assert_eq!(exchanged.unwrap(), Ok(()));
    assert!(!table.try_insert(&last, b"y").unwrap());
    assert!(table.take(&first).unwrap().is_some());
    assert!(!table.remove(&first).unwrap());
    assert_eq!(
        table.wait(&last, LIMIT).unwrap().as_deref(),
        Some(&b"x"[..])
    );
    assert_eq!(table.wait(b"never", Duration::ZERO).unwrap(), None);
    assert_eq!(table.snapshot().unwrap().len(), table.len());
    assert_eq!(contents(reader).len(), table.len());
    table.retain(|key, _| key != last).unwrap();
    assert!(table.is_private().unwrap());
    assert_sound(table);
    assert_eq!(table.repair().unwrap(), Vec::<shmtable::Repaired>::new());
}

fn without_descriptors(role: &Role) {
    let options = Options::new().lock_timeout(Duration::from_mins(5));
    let table = options.open(role.argument(0)).unwrap();
    let reader = Table::open_read_only(role.argument(0)).unwrap();
    let spoiled = Options::new().capacity(10).create(role.argument(1));
    let spoiled = spoiled.unwrap();
    common::limit(Resource::Nofile, 64);
    let mut files = take_descriptors(0);
    no_descriptor("open", Table::open(role.argument(0)));
    no_descriptor("list", Table::list());
    assert!(matches!(
        table.get_or_claim(b"new").unwrap(),
        Claimed::Mine(_)
    ));
    use_without_descriptors(&table, &reader, 0..100);
    assert!(table.stats().unwrap().cleanings > 0);
    assert_eq!(table.stats().unwrap().participants, 3);
    // One of the three is killed while it holds the lock.
    role.tell("all are taken");
    role.hear().unwrap();
    assert!(table.insert(b"held", b"mine").unwrap());
    let stats = table.stats().unwrap();
    assert_eq!((stats.participants, stats.take_overs), (2, 1));
    // Another process publishes what this one waits for.
    role.tell("about to wait");
    let published = table.wait(b"published", LIMIT).unwrap();
    assert_eq!(published, Some(bytes(1, 20_000)));
    // Names go, too; the portable back end reads the companion file for that.
    if cfg!(shmtable_portable) {
        no_descriptor("unlink", Table::unlink(role.argument(1)));
        drop(files.pop());
        drop(files.pop());
    }
    Table::unlink(role.argument(1)).unwrap();
    assert!(matches!(
        Table::unlink(role.argument(1)),
        Err(Error::NotFound { .. })
    ));
    assert!(spoiled.insert(b"still", b"usable").unwrap());
    drop(spoiled);
    drop(files);
    assert!(!Table::list().unwrap().is_empty());
    assert_eq!(
        Table::open(role.argument(0)).unwrap().len(),
        table.len(),
        "it opens again"
    );
    assert!(matches!(
        table.get_or_claim(b"new").unwrap(),
        Claimed::Mine(_)
    ));
    use_without_descriptors(&table, &reader, 100..110);
}

#[test]
fn an_open_table_needs_no_more_descriptors() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        if role.name == "limited" {
            return without_descriptors(&role);
        }
        let table = role.open();
        table
            .update(b"held", |_| {
                role.tell("inside");
                role.hear();
                None
            })
            .unwrap();
        return;
    }
    let options = Options::new()
        .capacity(1000)
        .value_space(1 << 20)
        .stripes(1)
        .chunk_size(1 << 14);
    let named = Named::create(&options);
    let other = Name::new();
    // Attached by the time that the limited one counts, and holding later.
    let guest = named.open();
    let mut limited =
        Child::start(test, "limited", &[&named.name, &other]).once_it_says("all are taken");
    drop(guest);
    let holder = Child::start(test, "holder", &[&named.name]).once_it_says("inside");
    holder.kill();
    limited.say("go on");
    assert_eq!(limited.hear(), "about to wait");
    named.insert(b"published", &bytes(1, 20_000)).unwrap();
    limited.finish();
    assert_sound(&named);
}

/// Elsewhere a segment has memory for all its length.
#[cfg(not(shmtable_portable))]
mod sparse {
    use std::os::unix::fs::MetadataExt;

    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{getrlimit, getuid};

    use super::*;

    #[test]
    fn a_table_without_bounds_reserves_what_there_is() {
        if let Some(role) = common::role() {
            let whole = Options::new().create_anonymous().unwrap();
            let (most, reserved) = (whole.capacity(), whole.stats().unwrap().segment_bytes);
            drop(whole);
            let mut before = (most, reserved);
            for space in [100 << 30, 4 << 30, 1 << 30, 400 << 20] {
                common::limit_address_space(space);
                let table = Options::new().create_anonymous().unwrap();
                let now = (table.capacity(), table.stats().unwrap().segment_bytes);
                assert!(
                    now.0 <= before.0 && now.1 <= before.1,
                    "{now:?}, {before:?}"
                );
                assert!(now.0 < most && now.0 >= 1 << 20, "{now:?}");
                assert!(now.1 as u64 <= space && now.1 < reserved, "{now:?}");
                for number in 0..20_000 {
                    table.insert(key(number), bytes(number as u64, 20)).unwrap();
                }
                for number in 0..20_000 {
                    assert_eq!(
                        table.get(key(number)).unwrap(),
                        Some(bytes(number as u64, 20))
                    );
                }
                assert_sound(&table);
                drop(table);
                common::unlimit(Resource::As);
                before = now;
            }
            // Less than the most modest one takes.
            let limit = common::limit_address_space(SLACK);
            let refused = Options::new().create_anonymous();
            let Err(Error::AddressSpaceFull { asked, .. }) = refused else {
                panic!("{refused:?}");
            };
            assert!(asked as u64 > SLACK && asked <= before.1, "{asked}");
            no_address_space(refused, asked as u64, limit);
            role.wait_for_start();
            return;
        }
        let mut child = with_little_space(common::this_test!(), &[]);
        assert_eq!(child.hear(), "ready");
        child.say("go on");
        child.finish();
    }

    #[test]
    fn a_process_that_locks_its_memory_takes_no_more_of_it() {
        if let Some(role) = common::role() {
            let blocks = |table: &Table| {
                let file = std::fs::metadata(common::path_of(table.name())).unwrap();
                file.blocks()
            };
            let free = Options::new().create_anonymous().unwrap();
            let expected = blocks(&free);
            // A user with a limit can map nothing large in such a process.
            let is_free = getuid().is_root() || getrlimit(Resource::Memlock).current.is_none();
            let locks = is_free && mlockall(MlockAllFlags::FUTURE).is_ok();
            for options in [Options::new(), vast()] {
                let table = options.create_anonymous().unwrap();
                assert!(blocks(&table) <= 2 * expected, "{locks}");
                let again = Table::open(table.name()).unwrap();
                again.insert(b"k", b"v").unwrap();
                assert_eq!(table.get(b"k").unwrap(), Some(b"v".to_vec()));
            }
            role.wait_for_start();
            return;
        }
        let mut child = Child::start(common::this_test!(), "locks", &[]);
        assert_eq!(child.hear(), "ready");
        child.say("go on");
        child.finish();
    }
}
