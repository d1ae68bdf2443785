//! Does a handle that was inherited by a fork just work, in parent and child?

#![cfg(target_os = "linux")]

mod common;
#[path = "common/forked.rs"]
mod forked;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{
    Child, LIMIT, Named, assert_sound, bytes, contents, eventually, scaled, version_of, whole,
};
use forked::{Forked, Side, fork, forked, happens, leave};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use shmtable::{Claimed, Error, Options, Table};

fn key(number: usize) -> [u8; 8] {
    (number as u64).to_le_bytes()
}

/// Ends the threads of a test, also when it fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

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
    println!("{forks} forks, {steps} steps meanwhile");
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
fn a_killed_parents_lock_is_taken_over_though_its_child_lives() {
    let test = "a_killed_parents_lock_is_taken_over_though_its_child_lives";
    if let Some(role) = common::role() {
        let table = role.open();
        table.insert(b"before the fork", b"1").unwrap();
        let inside = role.argument(1) == "inside";
        let mut first = true;
        let mut child = None;
        let mut fork_a_witness = || {
            child = Some(forked(|| {
                // It lives, with the mapping and without the parent's liveness,
                // until it is told to end.
                role.tell(&format!("witness {}", std::process::id()));
                let reader = Table::open_read_only(role.argument(0)).unwrap();
                happens(|| reader.contains_key(b"stop").unwrap())
            }));
        };
        if !inside {
            fork_a_witness();
        }
        table
            .update(b"held", |_| {
                if first {
                    first = false;
                    if inside {
                        fork_a_witness();
                    }
                    role.tell("inside");
                    role.hear();
                }
                None
            })
            .unwrap();
        unreachable!("it is killed inside");
    }
    for way in ["inside", "before"] {
        let options = Options::new().capacity(100).stripes(1);
        let named = Named::create(&options.lock_timeout(Duration::from_mins(5)));
        let mut parent = Child::start(test, "parent", &[&named.name, way]);
        let mut witness = None;
        let mut inside = false;
        while witness.is_none() || !inside {
            let line = parent.hear();
            if let Some(pid) = line.strip_prefix("witness ") {
                witness = Some(pid.to_owned());
            } else {
                assert_eq!(line, "inside");
                inside = true;
            }
        }
        parent.kill_and_reap();
        let alive = std::path::Path::new("/proc").join(witness.unwrap());
        let begin = Instant::now();
        assert!(named.insert(b"held", b"new").unwrap());
        let elapsed = begin.elapsed();
        assert!(alive.exists(), "the child was to outlive this");
        assert!(elapsed < Duration::from_secs(30), "{way}: {elapsed:?}");
        let stats = named.stats().unwrap();
        assert_eq!((stats.take_overs >= 1, stats.participants), (true, 1));
        assert_sound(&named);
        named.insert(b"stop", b"").unwrap();
        eventually("the witness ends", || !alive.exists());
    }
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
fn a_child_forked_inside_a_closure_is_refused_and_the_parents_change_stands() {
    for way in [
        "update",
        "update of a present key",
        "update in place",
        "retain",
        "remove_if",
    ] {
        let named = Named::create(&Options::new().capacity(100).stripes(1));
        let table = &named.table;
        if way != "update" {
            table.insert(b"k", b"old").unwrap();
        }
        let mut children = Vec::new();
        let mut in_child = false;
        let mut fork_once = || {
            if children.is_empty() && !in_child {
                match fork() {
                    Side::Child => in_child = true,
                    Side::Parent(child) => children.push(child),
                }
            }
        };
        let outcome = if way == "retain" {
            table
                .retain(|key, _| {
                    fork_once();
                    // The child's, once it may insert, may be asked about too.
                    key != b"k"
                })
                .map(drop)
        } else if way == "remove_if" {
            table
                .remove_if(b"k", |_| {
                    fork_once();
                    true
                })
                .map(drop)
        } else {
            let new: &[u8] = if way == "update in place" {
                b"new"
            } else {
                b"a new value"
            };
            table
                .update(b"k", |_| {
                    fork_once();
                    Some(new.to_vec())
                })
                .map(drop)
        };
        if in_child {
            let refused = matches!(outcome, Err(Error::Reentrant));
            // From here on it is a process like any other.
            let goes_on = table.insert(b"child", b"1").is_ok() && table.fetch_add(b"n", 1).is_ok();
            leave(refused && goes_on);
        }
        outcome.unwrap();
        for child in children {
            child.succeeds();
        }
        let expected: Option<&[u8]> = match way {
            "retain" | "remove_if" => None,
            "update in place" => Some(b"new"),
            _ => Some(b"a new value"),
        };
        assert_eq!(table.get(b"k").unwrap().as_deref(), expected, "{way}");
        assert_eq!(table.len(), 2 + usize::from(expected.is_some()));
        assert_eq!(
            table.stats().unwrap().take_overs,
            0,
            "the parent was not robbed"
        );
        assert_sound(table);
    }
}

#[test]
fn a_child_waits_for_a_lock_that_a_sibling_thread_held_at_the_fork() {
    let named = Named::create(&Options::new().capacity(100).stripes(1));
    let table = &named.table;
    // A first record's room would be made, and the lock let go of, after the closure.
    table.insert(b"first", b"1").unwrap();
    let (held, go_on) = (AtomicBool::new(false), AtomicBool::new(false));
    common::scope(|scope| {
        scope.spawn(|| {
            table
                .update(b"k", |_| {
                    held.store(true, Ordering::Relaxed);
                    let _ = happens(|| go_on.load(Ordering::Relaxed));
                    Some(b"thread".to_vec())
                })
                .unwrap();
        });
        eventually("the thread is inside", || held.load(Ordering::Relaxed));
        let child = forked(|| {
            // It finds what the thread stores, which had the lock first.
            let old = table.replace(b"k", b"child");
            matches!(old, Ok(Some(old)) if old == b"thread")
        });
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(table.get(b"k").unwrap(), None);
        go_on.store(true, Ordering::Relaxed);
        child.succeeds();
    });
    assert_eq!(table.get(b"k").unwrap().as_deref(), Some(&b"child"[..]));
    assert_eq!(table.stats().unwrap().take_overs, 0);
    assert_sound(table);
}

#[test]
fn eight_threads_hold_locks_at_a_fork_and_both_sides_go_on() {
    const THREADS: usize = 8;
    // One lock each, so that all are held at the fork.
    let options = Options::new()
        .capacity(100)
        .stripes(1)
        .lock_timeout(Duration::from_mins(5));
    let tables: Vec<Named> = (0..THREADS).map(|_| Named::create(&options)).collect();
    for named in &tables {
        // A first record's room would be made, and the lock let go of, after the closure.
        named.insert(b"first", b"1").unwrap();
    }
    let told = Named::create(&options);
    let (held, go_on) = (AtomicUsize::new(0), AtomicBool::new(false));
    common::scope(|scope| {
        for named in &tables {
            let (held, go_on) = (&held, &go_on);
            scope.spawn(move || {
                let stay = |_: Option<&[u8]>| {
                    held.fetch_add(1, Ordering::Relaxed);
                    let _ = happens(|| go_on.load(Ordering::Relaxed));
                    Some(b"thread".to_vec())
                };
                named.update(b"k", stay).unwrap();
                assert!(named.insert(b"by the thread", b"1").unwrap());
            });
        }
        let stop = Stop(&go_on);
        eventually("all are inside", || held.load(Ordering::Relaxed) == THREADS);
        let child = forked(|| {
            let before = tables
                .iter()
                .all(|named| named.get(b"k").unwrap().is_none());
            told.insert(b"looked", b"").unwrap();
            before
                && tables.iter().all(|named| {
                    let old = named.replace(b"k", b"child").unwrap();
                    named.insert(b"by the child", b"1").unwrap();
                    old.as_deref() == Some(b"thread")
                })
        });
        // It reads under the locks, and robs nobody.
        assert!(told.wait(b"looked", LIMIT).unwrap().is_some());
        for named in &tables {
            assert_eq!(named.get(b"k").unwrap(), None);
        }
        drop(stop);
        child.succeeds();
    });
    for named in &tables {
        assert_eq!(named.get(b"k").unwrap().as_deref(), Some(&b"child"[..]));
        assert!(named.contains_key(b"by the thread").unwrap());
        assert!(named.contains_key(b"by the child").unwrap());
        let stats = named.stats().unwrap();
        assert_eq!((stats.take_overs, stats.participants), (0, 1));
        assert_sound(named);
    }
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

#[test]
fn a_forked_child_does_not_keep_its_parents_claim() {
    let named = Named::create(&Options::new().capacity(10));
    let Claimed::Mine(claim) = named.get_or_claim(b"k").unwrap() else {
        panic!("nobody else claims");
    };
    let table = &named.table;
    let mut child = match fork() {
        Side::Parent(child) => child,
        Side::Child => {
            let well = catch_unwind(AssertUnwindSafe(|| {
                // It is the parent's, and this drop does nothing.
                drop(claim);
                assert!(matches!(
                    table.get_or_claim(b"k").unwrap(),
                    Claimed::Others(_)
                ));
                table.insert(b"tried", b"").unwrap();
                // Until it is killed.
                std::thread::sleep(LIMIT);
            }));
            leave(well.is_ok());
        }
    };
    eventually("the child tried", || named.contains_key(b"tried").unwrap());
    assert!(matches!(
        named.get_or_claim(b"k").unwrap(),
        Claimed::Others(_)
    ));
    drop(claim);
    // While the child lives.
    assert!(matches!(
        named.get_or_claim(b"k").unwrap(),
        Claimed::Mine(_)
    ));
    assert!(
        waitpid(Some(child.pid), WaitOptions::NOHANG)
            .unwrap()
            .is_none()
    );
    kill_process(child.pid, Signal::KILL).unwrap();
    child.status();
}

#[test]
fn a_forked_child_claims_for_itself() {
    let named = Named::create(&Options::new().capacity(10));
    let table = &named.table;
    forked(|| {
        let found = table.get_or_insert_with(b"k", || b"by the child");
        let Claimed::Mine(claim) = table.get_or_claim(b"left behind").unwrap() else {
            return false;
        };
        // It ends with the process, which drops nothing.
        std::mem::forget(claim);
        found.unwrap() == b"by the child"
    })
    .succeeds();
    let found = table.get_or_insert_with(b"k", || -> &str { unreachable!("it is there") });
    assert_eq!(found.unwrap(), b"by the child");
    assert!(matches!(
        table.get_or_claim(b"left behind").unwrap(),
        Claimed::Mine(_)
    ));
    assert_sound(&named);
}

/// The claim is not the child's, so it does not wait for itself.
#[test]
fn a_child_forked_inside_a_computation_waits_for_its_parent() {
    let named = Named::create(&Options::new().capacity(10));
    let table = &named.table;
    let mut child = None;
    let found = table.get_or_insert_with(b"k", || {
        child = Some(forked(|| {
            let compute = || -> shmtable::Result<&str> { unreachable!("its parent computes") };
            let waited = table.get_or_try_insert_with(b"k", Duration::from_millis(120), compute);
            let timed_out = matches!(waited, Err(Error::ClaimTimeout { .. }));
            table.insert(b"timed out", b"").unwrap();
            let found = table.get_or_try_insert_with(b"k", LIMIT, compute);
            timed_out && found.unwrap() == b"by the parent"
        }));
        table.wait(b"timed out", LIMIT).unwrap();
        "by the parent"
    });
    assert_eq!(found.unwrap(), b"by the parent");
    child.unwrap().succeeds();
    assert_sound(&named);
}

/// A child that only reads by what it inherited holds no lock that shows it.
#[test]
fn a_forked_reader_keeps_an_orphan_from_being_removed() {
    let test = "a_forked_reader_keeps_an_orphan_from_being_removed";
    if let Some(role) = common::role() {
        let table = Options::new().capacity(100).create_anonymous().unwrap();
        table.insert(b"key", b"value").unwrap();
        forked::leave_a_reader(&role, &table);
    }
    let parent = Child::start(test, "parent", &[]);
    let name = parent.hear();
    let child: i32 = parent.hear().parse().unwrap();
    parent.kill();
    let looker = Options::new().observe(&name).unwrap();
    // The child lets go of its parent's locks when it first runs.
    eventually("no lock is left", || {
        looker.attached().unwrap().iter().all(|one| !one.alive)
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
        // Or somebody else collects it first.
        looker.unlink_orphan().unwrap() || !Table::list().unwrap().contains(&name)
    });
}
