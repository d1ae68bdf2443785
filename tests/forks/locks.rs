//! Locks that are held at the moment of a fork.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use shmtable::{Error, Options, Table};

use crate::common::{self, Child, LIMIT, Named, Stop, assert_sound, eventually};
use crate::forked::{Side, fork, forked, happens, leave};

#[test]
fn a_killed_parents_lock_is_taken_over_though_its_child_lives() {
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
        let mut parent = Child::start(common::this_test!(), "parent", &[&named.name, way]);
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
fn a_child_forked_inside_a_closure_is_refused_and_the_parents_change_stands() {
    for way in [
        "update",
        "update of a present key",
        "update in place",
        "update_in_place",
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
        } else if way == "update_in_place" {
            table
                .update_in_place(b"k", |value| {
                    fork_once();
                    value.copy_from_slice(b"new");
                    Some(())
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
            "update in place" | "update_in_place" => Some(b"new"),
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
        // It reads under the locks, and takes none over.
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
