//! Is a full /dev/shm an error, and never a signal, a lost entry or a dead end?
//!
//! The tests need a small /dev/shm. `cargo xtask full-tmpfs` mounts one and sets
//! `SHMTABLE_TEST_SMALL_TMPFS=1`. Without it, each test mounts one in a mount namespace of
//! a child. Where that is not allowed (it takes root or user namespaces), only the refusal
//! of a creation is tested.

#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
/// Elsewhere no table grows.
#[cfg(not(shmtable_portable))]
mod growing;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use common::{
    Child, Dice, Name, Named, Role, assert_sound, bytes, contents, files_named, finish_all, key,
    race_as, scaled, version_of, whole,
};
use rustix::fs::statvfs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shmtable::{Error, Options, Table};

const SMALL: &str = "small";

/// Runs `body` where /dev/shm has 16 MiB, and `part` in the children that it
/// starts.
fn in_small_memory(test: &str, body: impl FnOnce(), part: impl FnOnce(&Role)) {
    static ALONE: Mutex<()> = Mutex::new(());
    if let Some(role) = common::role() {
        match role.name.as_str() {
            SMALL => body(),
            "limited" => creation_past_a_limit(&role),
            _ => part(&role),
        }
    } else if std::env::var_os("SHMTABLE_TEST_SMALL_TMPFS").is_some() {
        // All threads have the same 16 MiB.
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(free_bytes() < 64 << 20, "/dev/shm is not small");
        body();
    } else if common::may_make_namespaces() {
        common::small_shm(test, SMALL, &[], "16m").finish();
    } else {
        let name = Name::new();
        Child::start(test, "limited", &[&name]).finish();
    }
}

/// A creation that the system refuses for its size, without a small /dev/shm.
fn creation_past_a_limit(role: &Role) {
    let before = getrlimit(Resource::Fsize);
    let limit = Rlimit {
        current: Some(1 << 20),
        ..before
    };
    setrlimit(Resource::Fsize, limit).unwrap();
    let refused = Options::new().create(role.argument(0));
    assert!(
        matches!(refused, Err(Error::FileTooLarge { .. })),
        "{refused:?}"
    );
    assert!(files_named(role.argument(0)).is_empty());
}

fn no_part(_: &Role) {
    unreachable!("this test starts no children of its own");
}

fn free_bytes() -> u64 {
    let system = statvfs("/dev/shm").unwrap();
    system.f_bavail * system.f_frsize
}

/// More value space than there is memory.
fn roomy() -> Options {
    Options::new()
        .capacity(100_000)
        .value_space(64 << 20)
        .chunk_size(1 << 16)
        .max_participants(16)
}

/// Inserts entries of about a kilobyte until there is no memory; how many.
fn fill(table: &Table) -> usize {
    fill_from(table, 0)
}

/// As [`fill`], from this entry on; the number of the first that was refused.
fn fill_from(table: &Table, first: usize) -> usize {
    fill_with(table, first, |number| {
        whole(number as u64, 0, 900 + number % 100)
    })
}

/// As [`fill_from`], with these values.
fn fill_with(table: &Table, first: usize, value: impl Fn(usize) -> Vec<u8>) -> usize {
    for number in first.. {
        match table.insert(key(number), value(number)) {
            Ok(new) => assert!(new),
            Err(Error::SharedMemoryFull { asked, .. }) => {
                assert!(asked > 0);
                return number;
            }
            Err(error) => panic!("entry {number}: {error:?}"),
        }
    }
    unreachable!("memory is finite")
}

/// Entries `from..to` are there and whole.
fn assert_there(table: &Table, entries: std::ops::Range<usize>) {
    for number in entries {
        let value = table
            .get(&key(number))
            .unwrap()
            .expect("it was acknowledged");
        version_of(number as u64, &value);
    }
}

/// A plain file that takes what memory there is, or leaves so much of it.
struct Filler(String);

impl Filler {
    fn new(leave: u64) -> Self {
        let filler = Self(format!("/dev/shm/filler-{}", std::process::id()));
        let mut file = File::create(&filler.0).unwrap();
        let block = vec![1; 4096];
        while free_bytes() > leave && file.write_all(&block).is_ok() {}
        filler
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_creation_too_large_is_an_error_and_leaves_nothing() {
    let body = || {
        let before = free_bytes();
        let files = files_named("");
        for _ in 0..3 {
            let name = Name::new();
            // The index of 4 million entries has 31 MB.
            let refused = Options::new().capacity(4_000_000).create(&name);
            let Err(error) = refused else {
                panic!("it was created");
            };
            let message = error.to_string();
            assert!(
                matches!(error, Error::SharedMemoryFull { asked, .. } if asked > 30_000_000),
                "{error:?}"
            );
            assert!(message.contains("bytes were refused") && message.contains("/dev/shm"));
            let refused = Options::new().capacity(4_000_000).create_anonymous();
            assert!(matches!(refused, Err(Error::SharedMemoryFull { .. })));
            let refused = Options::new().capacity(4_000_000).open_or_create(&name);
            assert!(matches!(refused, Err(Error::SharedMemoryFull { .. })));
            assert_eq!(files_named(""), files, "nothing is left");
            assert_eq!(free_bytes(), before, "nor memory taken");
        }
        // What fits is created, with more value space than there is memory.
        let named = Named::create(&roomy());
        named.insert(b"k", b"v").unwrap();
        assert_sound(&named);
    };
    in_small_memory(
        "a_creation_too_large_is_an_error_and_leaves_nothing",
        body,
        no_part,
    );
}

#[test]
fn a_table_filled_to_the_end_of_memory_keeps_everything_and_goes_on() {
    let body = || {
        let named = Named::create(&roomy());
        let count = fill(&named);
        println!("{count} entries, {} bytes free", free_bytes());
        assert!(count > 11_000, "{count} entries of a kilobyte in 16 MiB");
        assert_there(&named, 0..count);
        assert_eq!(named.len(), count);
        assert_sound(&named);
        // Refused again, whatever the size and the way; and nothing changes.
        for length in [9, 1000, 60_000, 300_000] {
            let value = bytes(1, length);
            let refusals = [
                named.insert(&key(count), &value).err(),
                named.try_insert(&key(count), &value).err(),
                named.update(&key(count), |_| Some(value.clone())).err(),
                named.insert(&key(7), &bytes(1, length + 70_000)).err(),
            ];
            for error in refusals.into_iter().flatten() {
                assert!(matches!(error, Error::SharedMemoryFull { .. }), "{error:?}");
            }
            named.remove(&key(count)).unwrap();
        }
        assert_there(&named, 0..count);
        assert_sound(&named);
        // Other processes open it and read all the same.
        let reader = Table::open_read_only(&named.name).unwrap();
        assert_there(&reader, 0..count);
        let second = named.open();

        // With a fifth removed, cleaning makes room at the end of memory, forever.
        for number in (0..count).step_by(5) {
            assert!(named.remove(&key(number)).unwrap());
        }
        let mut dice = Dice::new(5);
        let left: Vec<usize> = (0..count).filter(|number| number % 5 != 0).collect();
        for step in 0..scaled(15_000) {
            let number = left[dice.below(left.len())];
            let value = whole(number as u64, step as u64, 900 + dice.below(100));
            let table = if step % 2 == 0 { &named.table } else { &second };
            let replaced = table.insert(&key(number), &value);
            assert!(!replaced.unwrap_or_else(|error| panic!("step {step}: {error}")));
        }
        assert!(named.stats().unwrap().cleanings > 100);
        let contents = contents(&named);
        assert_eq!(contents.len(), left.len());
        for (key, value) in contents {
            version_of(u64::from_le_bytes(key.try_into().unwrap()), &value);
        }
        assert_sound(&named);
    };
    in_small_memory(
        "a_table_filled_to_the_end_of_memory_keeps_everything_and_goes_on",
        body,
        no_part,
    );
}

#[test]
fn memory_that_others_take_and_give_back() {
    let body = || {
        let named = Named::create(&roomy());
        for number in 0..2000 {
            named
                .insert(&key(number), &whole(number as u64, 0, 950))
                .unwrap();
        }
        named.fetch_add(b"counter", 5).unwrap();
        let filler = Filler::new(0);
        assert!(free_bytes() < 4096);
        // What has pages is used up, then it is an error.
        let mut count = 2000;
        let error = loop {
            match named.insert(&key(count), &whole(count as u64, 0, 950)) {
                Ok(_) => count += 1,
                Err(error) => break error,
            }
            assert!(count < 4000, "more entries than there is memory");
        };
        assert!(matches!(error, Error::SharedMemoryFull { .. }), "{error:?}");
        assert_there(&named, 0..count);
        // What is replaced in place needs no memory.
        assert_eq!(named.fetch_add(b"counter", 1).unwrap(), 5);
        named.remove(&key(0)).unwrap();
        named.remove(&key(1)).unwrap();
        // No new table, but a clear answer.
        let name = Name::new();
        let refused = Options::new().capacity(1000).create(&name);
        assert!(
            matches!(refused, Err(Error::SharedMemoryFull { .. })),
            "{refused:?}"
        );
        assert!(files_named(&name).is_empty());
        // With a third removed, replacing goes on in the memory there is.
        for number in (2..count).step_by(3) {
            named.remove(&key(number)).unwrap();
        }
        let left: Vec<usize> = (2..count).filter(|number| number % 3 != 2).collect();
        for step in 0..scaled(8000) {
            let number = left[step * 7919 % left.len()];
            let value = whole(number as u64, step as u64, 950);
            let replaced = named.insert(&key(number), &value);
            assert!(!replaced.unwrap_or_else(|error| panic!("step {step}: {error}")));
        }
        assert_sound(&named);
        drop(filler);
        for number in count..count + 3000 {
            assert!(
                named
                    .insert(&key(number), &whole(number as u64, 0, 950))
                    .unwrap()
            );
        }
        assert_there(&named, count..count + 3000);
        for number in left {
            assert_there(&named, number..number + 1);
        }
        assert_sound(&named);
    };
    in_small_memory("memory_that_others_take_and_give_back", body, no_part);
}

#[test]
fn values_of_many_chunks_at_the_end_of_memory() {
    let body = || {
        let named = Named::create(&roomy());
        let mut model = HashMap::new();
        let mut dice = Dice::new(8);
        let mut refused = 0;
        for step in 0..scaled(400) as u64 {
            let number = dice.below(40) as u64;
            let length = dice.below(900_000);
            let value = whole(number, step, length);
            match named.insert(&number.to_le_bytes(), &value) {
                Ok(_) => drop(model.insert(number, step)),
                Err(Error::SharedMemoryFull { .. }) => {
                    refused += 1;
                    let gone = dice.below(40) as u64;
                    let removed = named.remove(&gone.to_le_bytes()).unwrap();
                    assert_eq!(removed, model.remove(&gone).is_some());
                }
                Err(error) => panic!("step {step}: {error:?}"),
            }
            let looked_at = dice.below(40) as u64;
            let found = named.get(&looked_at.to_le_bytes()).unwrap();
            assert_eq!(
                found.map(|value| version_of(looked_at, &value)),
                model.get(&looked_at).copied()
            );
        }
        println!("{refused} refused, {} there", model.len());
        assert!(refused > 10);
        assert_eq!(named.len(), model.len());
        assert_sound(&named);
        named.clear().unwrap();
        assert!(fill(&named) > 11_000, "all of the memory is there again");
    };
    in_small_memory("values_of_many_chunks_at_the_end_of_memory", body, no_part);
}

#[test]
fn processes_that_run_out_of_memory_together_lose_nothing() {
    const PROCESSES: usize = 4;
    let test = common::this_test!();
    let part = |role: &Role| {
        let (table, me) = (role.open(), role.number(1));
        role.wait_for_start();
        let mut count = 0;
        let mut refused = 0;
        // Goes on for a while after the first refusal: others may be cleaning.
        while refused < 20 {
            let number = me * 100_000 + count;
            match table.insert(&key(number), &whole(number as u64, 0, 500 + count % 900)) {
                Ok(_) => count += 1,
                Err(Error::SharedMemoryFull { .. }) => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        role.tell(&count.to_string());
    };
    let body = || {
        for round in 0..scaled(6) {
            let named = Named::create(&roomy());
            // Another amount of memory each time.
            let filler = Filler::new((3 << 20) + round as u64 * 20 * 4096);
            let said = finish_all(race_as("writer", test, &named.name, PROCESSES));
            let mut all = 0;
            for (me, lines) in said.iter().enumerate() {
                let count: usize = lines[0].parse().unwrap();
                assert_there(&named, me * 100_000..me * 100_000 + count);
                all += count;
            }
            assert_eq!(named.len(), all);
            println!("round {round}: {all} entries");
            assert!(all > 2000);
            assert_sound(&named);
            drop(filler);
            assert!(named.insert(b"new", &bytes(1, 1000)).unwrap());
        }
    };
    in_small_memory(test, body, part);
}
