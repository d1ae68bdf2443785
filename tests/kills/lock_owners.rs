//! A process that owns a lock, or waits for one, is killed or stopped.

use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use rustix::process::Signal;
#[cfg(target_os = "linux")]
use shmtable::Error;
use shmtable::{Options, Table};

use crate::common::{self, Child, LIMIT, Named, Role, assert_sound, key, scaled};
use crate::{PATIENT, SOON, one_stripe};

/// The child's part: tells that it is inside a closure, stays there until the
/// parent says more, and changes `key` then.
fn hold(role: &Role) {
    let table = role.open();
    // A closure may run again, when room was made for what it returned.
    let mut stayed = false;
    let mut stay = || {
        if !stayed {
            stayed = true;
            role.tell("inside");
            role.hear();
        }
    };
    match role.argument(1) {
        "update" => drop(table.update(b"held", |_| {
            stay();
            Some(b"changed by the holder".to_vec())
        })),
        "retain" => drop(table.retain(|_, _| {
            stay();
            true
        })),
        other => unreachable!("{other}"),
    }
}

#[test]
fn a_holder_killed_inside_the_critical_section_harms_nobody() {
    if let Some(role) = common::role() {
        return hold(&role);
    }
    let mut fastest = Duration::MAX;
    for way in ["update", "retain", "update", "retain", "update", "update"] {
        let named = Named::create(&one_stripe());
        let second = Options::new()
            .lock_timeout(PATIENT)
            .open(&named.name)
            .unwrap();
        named.insert(b"held", b"old").unwrap();
        let child =
            Child::start(common::this_test!(), way, &[&named.name, way]).once_it_says("inside");
        // Readers notice nothing, neither before nor after.
        let reader = Table::open_read_only(&named.name).unwrap();
        assert_eq!(reader.get(b"held").unwrap().as_deref(), Some(&b"old"[..]));
        child.kill();
        assert_eq!(reader.get(b"held").unwrap().as_deref(), Some(&b"old"[..]));
        let begin = Instant::now();
        common::scope(|scope| {
            scope.spawn(|| second.insert(b"other", b"1").unwrap());
            scope.spawn(|| named.fetch_add(b"count", 1).unwrap());
        });
        let elapsed = begin.elapsed();
        assert!(elapsed < SOON, "{way}: {elapsed:?}");
        fastest = fastest.min(elapsed);
        assert_eq!(named.get(b"held").unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(named.len(), 3);
        assert_eq!(named.stats().unwrap().take_overs, 1);
        assert_sound(&named);
    }
    println!("the fastest take-over took {fastest:?}");
    assert!(fastest < Duration::from_secs(1));
}

/// Windows has no zombies.
#[cfg(target_os = "linux")]
#[test]
fn a_zombie_is_dead() {
    if let Some(role) = common::role() {
        return hold(&role);
    }
    let named = Named::create(&one_stripe());
    named.insert(b"held", b"old").unwrap();
    let mut child = Child::start(common::this_test!(), "holder", &[&named.name, "update"])
        .once_it_says("inside");
    assert_eq!(named.stats().unwrap().participants, 2);
    child.kill_to_zombie();
    let begin = Instant::now();
    assert_eq!(
        named.replace(b"held", b"new").unwrap().as_deref(),
        Some(&b"old"[..])
    );
    assert!(begin.elapsed() < SOON);
    assert_eq!(named.stats().unwrap().participants, 1);
    assert_sound(&named);
}

/// Windows has no signal that stops a process.
#[cfg(target_os = "linux")]
#[test]
fn a_stopped_holder_is_never_robbed() {
    if let Some(role) = common::role() {
        return hold(&role);
    }
    let timeout = Duration::from_millis(100);
    let named = Named::create(&one_stripe().lock_timeout(timeout));
    named.insert(b"held", b"old").unwrap();
    let mut child = Child::start(common::this_test!(), "holder", &[&named.name, "update"])
        .once_it_says("inside");
    child.signal(Signal::STOP);
    let reader = Table::open_read_only(&named.name).unwrap();
    for _ in 0..5 {
        let begin = Instant::now();
        for result in [
            named.insert(b"held", b"stolen").err(),
            named.remove(b"other").err(),
            named.snapshot().err(),
        ] {
            assert!(
                matches!(result, Some(Error::LockTimeout { timeout: told, participant: 1, .. })
                    if told == timeout),
                "{result:?}"
            );
        }
        assert!(begin.elapsed() >= 3 * timeout);
        assert_eq!(reader.get(b"held").unwrap().as_deref(), Some(&b"old"[..]));
    }
    // It wakes up, changes what it held, and others go on.
    child.signal(Signal::CONT);
    child.say("go on");
    child.finish();
    assert_eq!(
        named.get(b"held").unwrap().as_deref(),
        Some(&b"changed by the holder"[..])
    );
    assert!(!named.insert(b"held", b"new").unwrap());
    assert_eq!(named.stats().unwrap().take_overs, 0);
    assert_sound(&named);
}

#[test]
fn a_killed_waiter_takes_nobodys_turn_away() {
    if let Some(role) = common::role() {
        let table = Options::new()
            .lock_timeout(PATIENT)
            .open(role.argument(0))
            .unwrap();
        role.tell("about to wait");
        if role.name == "waits for the lock" {
            table.insert(&key(role.number(1)), b"1").unwrap();
        } else {
            table.wait(b"never", LIMIT).unwrap();
        }
        return;
    }
    let named = Named::create(&one_stripe());
    let start = |role, number: usize| {
        Child::start(
            common::this_test!(),
            role,
            &[&named.name, &number.to_string()],
        )
        .once_it_says("about to wait")
    };
    for round in 0..scaled(5) {
        let mut survivors = Vec::new();
        let mut sleeper = None;
        named
            .update(b"held", |_| {
                let mut doomed = Vec::new();
                for number in 0..6 {
                    let child = start("waits for the lock", 10 * round + number);
                    if number % 2 == 0 {
                        doomed.push(child);
                    } else {
                        survivors.push(child);
                    }
                }
                sleeper = Some(start("waits for a key", 0));
                // They sleep by now, or nearly all.
                std::thread::sleep(Duration::from_millis(50));
                doomed.into_iter().for_each(Child::kill);
                None
            })
            .unwrap();
        let begin = Instant::now();
        sleeper.take().unwrap().kill();
        common::finish_all(survivors);
        named.insert(b"after", b"1").unwrap();
        assert!(begin.elapsed() < SOON);
    }
    assert_eq!(named.len(), 1 + 3 * scaled(5));
    assert_sound(&named);
}

/// Linux alone has namespaces.
#[cfg(target_os = "linux")]
#[test]
fn equal_process_ids_of_two_namespaces_are_not_confused() {
    let test = common::this_test!();
    if let Some(role) = common::role() {
        assert_eq!(std::process::id(), 1);
        if role.name == "holder" {
            return hold(&role);
        }
        let options = Options::new().lock_timeout(Duration::from_millis(200));
        let table = options.open(role.argument(0)).unwrap();
        role.tell("attached");
        while role.hear().is_some() {
            let answer = match table.insert(b"other", b"1") {
                Ok(_) => "inserted",
                Err(Error::LockTimeout { .. }) => "refused",
                Err(error) => panic!("{error:?}"),
            };
            role.tell(answer);
        }
        return;
    }
    if !common::may_make_namespaces() {
        return;
    }
    let named = Named::create(&one_stripe());
    named.insert(b"held", b"old").unwrap();
    let mut other =
        common::first_of_a_namespace(test, "other", &[&named.name]).once_it_says("attached");
    let holder = common::first_of_a_namespace(test, "holder", &[&named.name, "update"])
        .once_it_says("inside");
    // Both are process 1 where they live, and neither sees the other.
    for _ in 0..3 {
        other.say("insert");
        assert_eq!(other.hear(), "refused", "a living holder was robbed");
    }
    holder.kill();
    common::eventually("the holder is gone", || {
        named.stats().unwrap().participants == 2
    });
    other.say("insert");
    assert_eq!(other.hear(), "inserted");
    other.finish();
    assert_eq!(named.get(b"held").unwrap().as_deref(), Some(&b"old"[..]));
    assert_eq!(named.stats().unwrap().take_overs, 1);
    assert_sound(&named);
}
