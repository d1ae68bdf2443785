//! Claims that are held at the moment of a fork.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rustix::process::{Signal, WaitOptions, kill_process, waitpid};
use shmtable::{Claimed, Error, Options};

use crate::common::{LIMIT, Named, assert_sound, eventually};
use crate::forked::{Side, fork, forked, leave};

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
