//! Has every chunk memory before anybody stores to it?
//!
//! # Planted, and seen to fail
//! - the count of chunks with memory raised without release, or looked at without acquire;
//! - raised before the memory is there.
#![cfg(loom)]

use loom::thread;
use loom_tests::{check, get, insert_large};
use shmtable::loom_model::ModelSegment;

/// Both want the same two chunks: the one gets memory for them, the other may get them.
#[test]
fn who_takes_a_chunk_knows_of_its_memory() {
    loom::model(|| {
        let segment = ModelSegment::without_memory(1, 2, 7, 4);
        let one = segment.attach().unwrap();
        let other = segment.attach().unwrap();
        let inserts = thread::spawn(move || {
            insert_large(&other, "b", 2);
            other
        });
        insert_large(&one, "a", 1);
        inserts.join().unwrap();
        assert_eq!((get(&one, "a"), get(&one, "b")), (Some(1), Some(2)));
        check(&one);
    });
}
