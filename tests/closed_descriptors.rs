//! Does a handle whose descriptor was closed return an error, and damage nothing?
//!
//! Daemons close all descriptors when they start. The kernel then lets go of the lock that
//! shows that the handle is in use, and others take it for dead while it writes.

#![cfg(target_os = "linux")]

#[path = "common/closing.rs"]
mod closing;
mod common;
#[path = "common/forked.rs"]
mod forked;

use std::time::Duration;

use closing::close_descriptors;
use common::{Child, Named, Role, assert_sound, contents, eventually, finish_all, scaled};
use shmtable::{Claimed, Error, Options, Table};

fn options() -> Options {
    Options::new().capacity(2000).value_space(200_000)
}

/// The child opens the table, writes, and loses its descriptors when it is told.
fn lose_descriptors(role: &Role) -> Table {
    let table = role.open();
    // It fills a chunk.
    table.insert(b"before", [1; 100]).unwrap();
    role.tell("attached");
    role.hear();
    close_descriptors();
    role.tell("closed");
    role.hear();
    table
}

/// A child that was told to lose its descriptors.
fn closed(test: &str, role: &str, name: &str) -> Child {
    let mut child = Child::start(test, role, &[name]).once_it_says("attached");
    child.say("close");
    assert_eq!(child.hear(), "closed");
    child
}

/// Takes the chunks that dead processes fill, as a writer does that looks for room.
fn recover(table: &Named) {
    let take_overs = table.quick_stats().unwrap().take_overs;
    eventually("what a handle filled that looks dead is recovered", || {
        for length in 0..100 {
            table.insert(b"newcomer", vec![2; 900 + length]).unwrap();
        }
        table.quick_stats().unwrap().take_overs > take_overs
    });
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is asked of what a call returns"
)]
fn is_closed<T>(result: shmtable::Result<T>) -> bool {
    matches!(result, Err(Error::DescriptorClosed { .. }))
}

#[test]
fn the_next_write_is_an_error_if_others_recovered_what_the_handle_had() {
    if let Some(role) = common::role() {
        let table = lose_descriptors(&role);
        let error = match role.name.as_str() {
            "insert" => table.insert(b"before", [3; 100]).err(),
            "small insert" => table.insert(b"small", b"1").err(),
            "large insert" => table.insert(b"large", vec![3; 3000]).err(),
            "add" => table.fetch_add(b"count", 1).err(),
            "remove" => table.remove(b"before").err(),
            "update" => table.update(b"before", |_| None).err(),
            "retain" => table.retain(|_, _| false).err(),
            "clear" => table.clear().err(),
            "claim" => table.get_or_claim(b"claimed").err(),
            other => unreachable!("{other}"),
        };
        let error = error.expect("it is refused");
        assert!(matches!(error, Error::DescriptorClosed { .. }), "{error:?}");
        assert!(error.to_string().contains("open the table again"));
        // For good, and whatever it is; reads go on.
        assert!(is_closed(table.insert(b"later", b"1")));
        assert!(is_closed(table.clear()));
        assert!(is_closed(table.claim(b"key")));
        let before = table.get(b"before").unwrap();
        assert_eq!(before.as_deref(), Some(&[1; 100][..]));
        assert!(table.iter().all(|entry| entry.is_ok()));
        // This writes nothing either.
        drop(table);
        let again = role.open();
        again.insert(b"again", b"1").unwrap();
        return;
    }
    for write in [
        "insert",
        "small insert",
        "large insert",
        "add",
        "remove",
        "update",
        "retain",
        "clear",
        "claim",
    ] {
        let named = Named::create(&options());
        named.fetch_add(b"count", 5).unwrap();
        let mut child = closed(common::this_test!(), write, &named.name);
        recover(&named);
        let before = contents(&named);
        child.say("write");
        child.finish();
        let mut after = contents(&named);
        assert_eq!(after.remove(&b"again"[..]), Some(b"1".to_vec()));
        assert_eq!(after, before, "{write}");
        assert_sound(&named);
    }
}

#[test]
fn the_next_write_is_an_error_when_another_handle_was_opened() {
    if let Some(role) = common::role() {
        let table = lose_descriptors(&role);
        // No operation has noticed yet.
        for number in 0..1000 {
            assert_eq!(table.fetch_add(b"count", 1).unwrap(), number);
        }
        role.tell("written");
        role.hear();
        assert!(is_closed(table.fetch_add(b"count", 1)));
        return;
    }
    let named = Named::create(&options());
    let mut child = closed(common::this_test!(), "writer", &named.name);
    child.say("write");
    assert_eq!(child.hear(), "written");
    let newcomer = named.open();
    child.say("write on");
    child.finish();
    assert_eq!(newcomer.fetch_add(b"count", 0).unwrap(), 1000);
    assert_sound(&named);
}

/// The case of which this is all about: each writes on without a pause.
#[test]
fn beside_handles_that_lost_their_descriptors_no_write_is_lost_and_none_is_there_twice() {
    const WRITES: usize = 60_000;
    const KEYS: usize = 300;
    let test =
        "beside_handles_that_lost_their_descriptors_no_write_is_lost_and_none_is_there_twice";
    let value = |number: usize| -> Vec<u8> {
        let length = 8 + number % 90;
        number
            .to_le_bytes()
            .into_iter()
            .cycle()
            .take(length)
            .collect()
    };
    if let Some(role) = common::role() {
        let (table, me) = (role.open(), role.number(1));
        let key = |number: usize| format!("{me} {}", number % KEYS);
        table.insert(key(0), value(0)).unwrap();
        role.wait_for_start();
        if role.name == "closed" {
            close_descriptors();
        }
        let mut last = 0;
        for number in 1..=WRITES {
            match table.insert(key(number), value(number)) {
                Ok(_) => last = number,
                Err(Error::DescriptorClosed { .. }) if role.name == "closed" => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        role.tell(&last.to_string());
        return;
    }
    for _ in 0..scaled(5) {
        let named = Named::create(&options());
        let mut children: Vec<Child> = (0..4)
            .map(|me| {
                let role = if me == 0 { "healthy" } else { "closed" };
                Child::start(test, role, &[&named.name, &me.to_string()])
            })
            .collect();
        for child in &mut children {
            assert_eq!(child.hear(), "ready");
            child.say("go");
        }
        let last: Vec<usize> = finish_all(children)
            .iter()
            .map(|said| said[0].parse().unwrap())
            .collect();
        println!("the last writes: {last:?}");
        assert_eq!(last[0], WRITES);
        // Each key is seen once, by `contents`.
        let mut contents = contents(&named);
        for (me, last) in last.into_iter().enumerate() {
            for number in last.saturating_sub(KEYS - 1)..=last {
                let key = format!("{me} {}", number % KEYS).into_bytes();
                assert_eq!(contents.remove(&key), Some(value(number)), "{me} {number}");
            }
        }
        assert!(contents.is_empty(), "{contents:?}");
        assert_eq!(named.check().unwrap(), Vec::<shmtable::Fault>::new());
    }
}

#[test]
fn a_handle_that_is_opened_again_writes() {
    if let Some(role) = common::role() {
        let table = lose_descriptors(&role);
        let again = role.open();
        for number in 0..3000_u32 {
            again.insert((number % 100).to_le_bytes(), [4; 50]).unwrap();
        }
        // The old one is dropped last.
        drop(again);
        drop(table);
        return;
    }
    let named = Named::create(&options());
    let mut child = closed(common::this_test!(), "writer", &named.name);
    child.say("write");
    child.finish();
    assert_eq!(named.len(), 101);
    recover(&named);
    assert_sound(&named);
    assert_eq!(named.len(), 102);
}

#[test]
fn a_forked_child_of_a_process_that_lost_its_descriptors_writes() {
    if let Some(role) = common::role() {
        let table = lose_descriptors(&role);
        // It opens a handle, in which the parent's looks dead.
        forked::forked(|| table.fetch_add(b"forked", 1).is_ok()).succeeds();
        assert!(is_closed(table.fetch_add(b"parent", 1)));
        forked::forked(|| table.fetch_add(b"forked", 1).is_ok()).succeeds();
        return;
    }
    let named = Named::create(&options());
    let mut child = closed(common::this_test!(), "parent", &named.name);
    child.say("fork");
    child.finish();
    assert_eq!(named.fetch_add(b"forked", 0).unwrap(), 2);
    assert_sound(&named);
}

/// It has a moment to let go of it.
#[test]
fn a_lock_that_is_held_while_its_descriptor_is_closed_is_not_robbed() {
    if let Some(role) = common::role() {
        let table = role.open();
        role.wait_for_start();
        let updated = table.update(b"key", |_| {
            close_descriptors();
            role.tell("inside");
            std::thread::sleep(Duration::from_millis(20));
            Some(b"theirs".to_vec())
        });
        assert!(updated.is_ok() || is_closed(updated));
        return;
    }
    let named = Named::create(&options().stripes(1));
    for _ in 0..scaled(5) {
        named.insert(b"key", b"old").unwrap();
        let mut child =
            Child::start(common::this_test!(), "holder", &[&named.name]).once_it_says("ready");
        child.say("go");
        assert_eq!(child.hear(), "inside");
        let before = named.replace(b"key", b"ours").unwrap();
        assert!([&b"old"[..], b"theirs"].contains(&&*before.unwrap()));
        assert_eq!(named.get(b"key").unwrap().as_deref(), Some(&b"ours"[..]));
        child.finish();
        assert_eq!(named.get(b"key").unwrap().as_deref(), Some(&b"ours"[..]));
        assert_sound(&named);
    }
}

/// It finds out before it stores.
#[test]
fn a_process_that_holds_a_lock_for_longer_stores_nothing() {
    if let Some(role) = common::role() {
        let table = role.open();
        role.wait_for_start();
        let updated = table.update(b"key", |_| {
            close_descriptors();
            role.tell("inside");
            role.hear();
            Some(b"theirs".to_vec())
        });
        assert!(is_closed(updated));
        return;
    }
    let named = Named::create(&options().stripes(1));
    named.insert(b"key", b"old").unwrap();
    let mut child =
        Child::start(common::this_test!(), "holder", &[&named.name]).once_it_says("ready");
    child.say("go");
    assert_eq!(child.hear(), "inside");
    let before = named.replace(b"key", b"ours").unwrap();
    assert_eq!(before.as_deref(), Some(&b"old"[..]));
    child.say("go on");
    child.finish();
    assert_eq!(named.get(b"key").unwrap().as_deref(), Some(&b"ours"[..]));
    assert_eq!(named.stats().unwrap().take_overs, 1);
    assert_sound(&named);
}

#[test]
fn a_claim_whose_descriptor_was_closed_stores_nothing() {
    if let Some(role) = common::role() {
        let table = role.open();
        let Claimed::Mine(claim) = table.get_or_claim(b"key").unwrap() else {
            panic!("nobody else claims it");
        };
        role.tell("claimed");
        role.hear();
        close_descriptors();
        // In this process too, where a thread would wait for it.
        assert!(is_closed(table.get_or_claim(b"key")));
        assert!(is_closed(claim.insert(b"theirs")));
        return;
    }
    let named = Named::create(&options());
    let mut child =
        Child::start(common::this_test!(), "claimant", &[&named.name]).once_it_says("claimed");
    assert!(named.claim(b"key").unwrap().is_none());
    child.say("close");
    child.finish();
    let claim = named.claim(b"key").unwrap().expect("it is free");
    assert_eq!(claim.insert(b"ours").unwrap(), None);
    assert_sound(&named);
}

#[test]
fn a_handle_whose_descriptors_were_closed_would_not_be_opened_again() {
    if let Some(role) = common::role() {
        let table = role.open();
        assert!(Options::new().would_open(&table).unwrap());
        close_descriptors();
        assert!(!Options::new().would_open(&table).unwrap());
        let again = role.open();
        assert!(Options::new().would_open(&again).unwrap());
        return;
    }
    let named = Named::create(&options());
    Child::start(common::this_test!(), "closer", &[&named.name]).finish();
}
