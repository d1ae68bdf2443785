//! Handles that a child inherits: reading, writing, waiting, and dropping them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use shmtable::{Error, Options, Table};

use crate::common::{
    self, Child, LIMIT, Named, Stop, assert_sound, bytes, contents, eventually, key, scaled,
    version_of, whole,
};
use crate::forked::{Forked, Side, fork, forked, happens, leave, leave_a_reader};

#[test]
fn parent_and_children_go_on_while_eight_threads_write() {
    const THREADS: usize = 8;
    let forks = scaled(40);
    let options = Options::new()
        .capacity(2000)
        .value_space(400_000)
        .stripes(8);
    let named = Named::create(&options.chunk_size(1 << 14).max_participants(8));
    let table = &named.table;
    let stop = AtomicBool::new(false);
    let steps = AtomicUsize::new(0);
    common::scope(|scope| {
        for thread in 0..THREADS {
            let (stop, steps) = (&stop, &steps);
            scope.spawn(move || {
                let mut time = 0;
                while !stop.load(Ordering::Relaxed) {
                    time += 1;
                    let number = thread * 100 + time % 100;
                    let value = whole(number as u64, time as u64, time % 150);
                    table.insert(&key(number), &value).unwrap();
                    table.fetch_add(b"parent", 1).unwrap();
                    steps.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stopper = Stop(&stop);
        for round in 0..forks {
            let child = forked(|| {
                for step in 0..30 {
                    let number = 1000 + round % 50 * 10 + step % 10;
                    let value = whole(number as u64, step as u64, step);
                    table.insert(&key(number), &value).unwrap();
                    assert_eq!(table.get(&key(number)).unwrap(), Some(value));
                    table.fetch_add(b"child", 1).unwrap();
                    // What the parent's threads write is whole here too.
                    let other = step * 7 % 800;
                    if let Some(value) = table.get(&key(other)).unwrap() {
                        version_of(other as u64, &value);
                    }
                }
                true
            });
            child.succeeds();
        }
    });
    let steps = steps.load(Ordering::Relaxed);
    println!("{forks} forks, {steps} steps in that time");
    assert_eq!(table.fetch_add(b"parent", 0).unwrap(), steps as i64);
    assert_eq!(table.fetch_add(b"child", 0).unwrap(), 30 * forks as i64);
    for (key, value) in contents(table) {
        if let Ok(number) = key.as_slice().try_into() {
            version_of(u64::from_le_bytes(number), &value);
        }
    }
    assert_eq!(table.stats().unwrap().participants, 1);
    assert_sound(table);
}

#[test]
fn a_child_is_a_participant_of_its_own() {
    let named = Named::create(&Options::new().capacity(100));
    named.insert(b"parent", b"1").unwrap();
    let mut child = forked(|| {
        // Reading takes no slot.
        let before = named.get(b"parent").unwrap() == Some(b"1".to_vec());
        named.insert(b"ready", b"").unwrap();
        let two = named.stats().unwrap().participants == 2;
        let grandchild = forked(|| {
            named.insert(b"grandchild", b"1").unwrap();
            named.stats().unwrap().participants == 3
        });
        grandchild.succeeds();
        let stopped = happens(|| named.contains_key(b"stop").unwrap());
        before && two && stopped
    });
    eventually("the child writes", || named.contains_key(b"ready").unwrap());
    assert!(named.contains_key(b"grandchild").is_ok());
    assert_eq!(
        named.wait(b"grandchild", LIMIT).unwrap().as_deref(),
        Some(&b"1"[..])
    );
    eventually("the grandchild is gone", || {
        named.stats().unwrap().participants == 2
    });
    named.insert(b"stop", b"").unwrap();
    let status = child.status();
    assert_eq!(status.exit_status(), Some(0));
    assert_eq!(
        named.stats().unwrap().participants,
        1,
        "it left with the child"
    );
    assert_sound(&named);
}

#[test]
fn a_child_that_asks_whether_it_would_open_its_handle_gets_its_own_slot() {
    let named = Named::create(&Options::new().capacity(100).max_participants(2));
    let child = forked(|| {
        let would = Options::new().would_open(&named.table).unwrap();
        let mine = named.participants().unwrap().last().map(|last| last.pid);
        let none_left = forked(|| {
            let refused = Options::new().would_open(&named.table);
            matches!(refused, Err(Error::TooManyParticipants { .. }))
        });
        none_left.succeeds();
        would && mine == Some(std::process::id())
    });
    child.succeeds();
    assert!(Options::new().would_open(&named.table).unwrap());
}

#[test]
fn a_child_without_a_slot_reads_and_is_told() {
    let named = Named::create(&Options::new().capacity(100).max_participants(1));
    named.insert(b"k", b"v").unwrap();
    forked(|| {
        matches!(
            named.insert(b"k", b"x"),
            Err(Error::TooManyParticipants { limit: 1, .. })
        ) && named.get(b"k").unwrap() == Some(b"v".to_vec())
            && named.iter().count() == 1
            && matches!(
                named.remove(b"k"),
                Err(Error::TooManyParticipants { limit: 1, .. })
            )
    })
    .succeeds();
    assert!(!named.insert(b"k", b"w").unwrap());
    assert_sound(&named);
}

#[test]
fn a_handle_dropped_in_a_child_does_not_unlink_the_parents_table() {
    let table = Options::new().capacity(100).create_anonymous().unwrap();
    let name = table.name().to_owned();
    table.insert(b"k", b"v").unwrap();
    for use_it_first in [false, true] {
        match fork() {
            Side::Child => {
                let used = !use_it_first || table.insert(b"k", b"child").is_ok();
                drop(table);
                leave(used && Table::open(&name).is_ok());
            }
            Side::Parent(child) => child.succeeds(),
        }
        assert!(Table::open(&name).is_ok(), "its name is there");
    }
    assert!(!table.insert(b"k", b"parent").unwrap());
    assert_eq!(table.stats().unwrap().participants, 1);
    assert_sound(&table);
    drop(table);
    assert!(matches!(Table::open(&name), Err(Error::NotFound { .. })));
}

#[test]
fn an_anonymous_table_of_a_child_goes_with_the_child() {
    let outer = Options::new().capacity(100).create_anonymous().unwrap();
    forked(|| {
        let inner = Options::new().capacity(10).create_anonymous().unwrap();
        let name = inner.name().to_owned();
        outer.insert(b"name", name.as_bytes()).unwrap();
        drop(inner);
        matches!(Table::open(&name), Err(Error::NotFound { .. }))
    })
    .succeeds();
    assert!(outer.contains_key(b"name").unwrap());
}

#[test]
fn read_only_handles_and_waiting_survive_a_fork() {
    let named = Named::create(&Options::new().capacity(100).value_space(1 << 18));
    let reader = Table::open_read_only(&named.name).unwrap();
    let children: Vec<Forked> = (0..4)
        .map(|number: usize| {
            forked(|| {
                let table = if number.is_multiple_of(2) {
                    &reader
                } else {
                    &named.table
                };
                let value = table.wait(b"published", Duration::from_mins(1)).unwrap();
                value == Some(bytes(1, 50_000))
                    && table.is_read_only() == number.is_multiple_of(2)
                    && named.insert(&key(number), b"done").unwrap()
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    named.insert(b"published", &bytes(1, 50_000)).unwrap();
    children.into_iter().for_each(Forked::succeeds);
    assert_eq!(named.len(), 5);
    assert_eq!(reader.len(), 5);
    assert_sound(&named);
}

#[test]
fn many_children_count_together() {
    let named = Named::create(&Options::new().capacity(100).stripes(1));
    // Attached or not at the fork, it is the same.
    let children: Vec<Forked> = (0..6)
        .map(|_| {
            forked(|| {
                for _ in 0..500 {
                    named.fetch_add(b"count", 1).unwrap();
                    named
                        .update(b"list", |old| {
                            let mut list = old.unwrap_or_default().to_vec();
                            list.push(1);
                            list.truncate(300);
                            Some(list)
                        })
                        .unwrap();
                }
                true
            })
        })
        .collect();
    children.into_iter().for_each(Forked::succeeds);
    assert_eq!(named.fetch_add(b"count", 0).unwrap(), 3000);
    assert_eq!(
        named.get(b"list").unwrap().map(|list| list.len()),
        Some(300)
    );
    assert_eq!(named.stats().unwrap().participants, 1);
    assert_sound(&named);
}

/// A child that only reads by what it inherited holds no lock that shows it.
#[test]
fn a_forked_reader_keeps_an_orphan_from_being_removed() {
    if let Some(role) = common::role() {
        let table = Options::new().capacity(100).create_anonymous().unwrap();
        table.insert(b"key", b"value").unwrap();
        leave_a_reader(&role, &table);
    }
    let parent = Child::start(common::this_test!(), "parent", &[]);
    let name = parent.hear();
    let child: i32 = parent.hear().parse().unwrap();
    parent.kill();
    let looker = Options::new().open_observer(&name).unwrap();
    // The child lets go of its parent's locks when it first runs.
    eventually("no lock is left", || {
        looker.participants().unwrap().iter().all(|one| !one.alive)
    });
    let told = || {
        Table::orphans()
            .unwrap()
            .iter()
            .any(|orphan| orphan.name == name)
    };
    assert!(!looker.is_orphan().unwrap() && !told());
    assert!(!looker.unlink_orphan().unwrap());
    assert!(Table::list().unwrap().contains(&name));
    kill_process(Pid::from_raw(child).unwrap(), Signal::KILL).unwrap();
    eventually("the orphan is removed", || {
        // Or another process collects it first.
        looker.unlink_orphan().unwrap() || !Table::list().unwrap().contains(&name)
    });
}
