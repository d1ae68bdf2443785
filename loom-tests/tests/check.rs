//! Does a check of a table at work find nothing that is not wrong?
//!
//! # Planted, and seen to fail
//! - the lock word looked at without acquire: a newcomer is nobody;
//! - no acquire fence between a cursor and the second look at its chunk's state, or no
//!   second look: a chunk that is filled again holds no record where one should be.
#![cfg(loom)]

use std::rc::Rc;

use loom::thread;
use loom_tests::{check, insert};
use shmtable::loom_model::{self, ModelSegment};

/// A newcomer takes the lock that is looked at: its generation is known by then.
#[test]
fn a_newcomer_is_somebody() {
    loom::model(|| {
        let segment = Rc::new(ModelSegment::new(1, 2, 5, 4));
        let checks = segment.attach().unwrap();
        let comes = thread::spawn({
            let segment = segment.clone();
            move || {
                let comes = segment.attach().unwrap();
                comes.fetch_add(b"n", 1).unwrap();
                comes
            }
        });
        check(&checks);
        comes.join().unwrap();
    });
}

/// A sealed chunk gets another record while it is walked.
#[test]
fn a_chunk_that_is_filled_again_is_sound() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 3, 5, 8);
        let wrote = segment.attach().unwrap();
        let writes = segment.attach().unwrap();
        let checks = segment.attach().unwrap();
        insert(&wrote, "a", 1);
        loom_model::seal(&wrote);
        let inserts = thread::spawn(move || {
            insert(&writes, "k", 2);
            writes
        });
        check(&checks);
        inserts.join().unwrap();
    });
}
