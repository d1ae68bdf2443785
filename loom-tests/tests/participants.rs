//! Is a participant slot one process's at a time, and is a name for good?
#![cfg(loom)]

use std::rc::Rc;
use std::sync::atomic::Ordering;

use loom::thread;
use loom_tests::{at_each_crash_point, check, get, insert};
use shmtable::Error;
use shmtable::model::{self, Segment, run_until_death};

#[test]
fn two_claim_two_slots() {
    loom::model(|| {
        let segment = Rc::new(Segment::new(1, 2, 5, 4));
        let attaches = thread::spawn({
            let segment = segment.clone();
            move || segment.attach().unwrap()
        });
        let one = segment.attach().unwrap();
        let other = attaches.join().unwrap();
        assert_ne!(model::slot(&one), model::slot(&other));
        insert(&one, "a", 1);
        insert(&other, "b", 2);
        check(&one);
    });
}

#[test]
fn one_of_two_claims_the_last_slot() {
    loom::model(|| {
        let segment = Rc::new(Segment::new(1, 1, 5, 4));
        let attaches = thread::spawn({
            let segment = segment.clone();
            move || segment.attach()
        });
        let ours = segment.attach();
        let theirs = attaches.join().unwrap();
        let (won, lost) = if ours.is_ok() {
            (ours, theirs)
        } else {
            (theirs, ours)
        };
        assert!(matches!(lost, Err(Error::TooManyParticipants { .. })));
        assert_eq!(model::slot(&won.unwrap()), (0, 1));
    });
}

#[test]
fn a_slot_that_is_used_again_has_a_new_generation() {
    loom::model(|| {
        let segment = Rc::new(Segment::new(1, 2, 5, 4));
        let leaves = segment.attach().unwrap();
        assert_eq!(model::slot(&leaves), (0, 1));
        let detaches = thread::spawn(move || drop(leaves));
        let comes = segment.attach().unwrap();
        assert!(matches!(model::slot(&comes), (0, 2) | (1, 1)));
        detaches.join().unwrap();
    });
}

/// A process dies with the lock held, and a newcomer gets its slot, while another
/// one wants the lock. That one must see what the dead one published, although
/// the slot's generation alone tells it of the death.
#[test]
fn a_lock_is_not_held_by_who_has_the_slot_now() {
    at_each_crash_point(|point, died| {
        let segment = Rc::new(Segment::new(1, 2, 6, 4));
        let dies = segment.attach().unwrap();
        let waits = segment.attach().unwrap();
        insert(&dies, "a", 1);
        let inserted = thread::spawn({
            let segment = segment.clone();
            move || {
                let outcome = run_until_death(point, &dies, || insert(&dies, "b", 2));
                if outcome.is_none() {
                    let comes = segment.attach().unwrap();
                    assert_eq!(model::slot(&comes), (0, 2));
                }
                (dies, outcome)
            }
        });
        insert(&waits, "c", 3);
        let (_dead, outcome) = inserted.join().unwrap();
        died.fetch_or(outcome.is_none(), Ordering::Relaxed);
        assert_eq!((get(&waits, "a"), get(&waits, "c")), (Some(1), Some(3)));
        let unknown = get(&waits, "b");
        assert!(unknown == Some(2) || (unknown.is_none() && outcome.is_none()));
        check(&waits);
    });
}

/// A newcomer takes the lock in the slot of one who left. Who waits for the lock
/// must not take the generation of the one who left, still seen in the slot, for a
/// sign that the newcomer is dead.
#[test]
fn a_newcomer_in_an_old_slot_is_not_robbed() {
    loom::model(|| {
        let segment = Rc::new(Segment::new(1, 2, 5, 4));
        let leaves = segment.attach().unwrap();
        let waits = segment.attach().unwrap();
        waits.fetch_add(b"n", 0).unwrap();
        drop(leaves);
        segment.let_time_pass();
        let comes = thread::spawn({
            let segment = segment.clone();
            move || {
                let comes = segment.attach().unwrap();
                assert_eq!(model::slot(&comes), (0, 2));
                comes.fetch_add(b"n", 1).unwrap();
                comes
            }
        });
        waits.fetch_add(b"n", 1).unwrap();
        let comes = comes.join().unwrap();
        assert_eq!(comes.fetch_add(b"n", 0).unwrap(), 2);
        assert_eq!(comes.stats().unwrap().take_overs, 0);
    });
}
