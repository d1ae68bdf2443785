//! Does a reader beside a removal see the old value or nothing, and never miss a
//! key that is there all the time?
//!
//! # Planted, and seen to fail
//! - the version not bumped in `Bucket::remove`, for a tag in word 1 and for one in
//!   word 0: a torn value;
//! - the check after a key that does not match left out: a key that is there all the
//!   time is missed.
#![cfg(loom)]

use loom::thread;
use loom_tests::{clean, get, insert};
use shmtable::model::{self, Segment};

/// The first key's tag has a word without the version, the third key's one with it.
#[test]
fn a_removed_key_is_whole_or_gone() {
    for before in [0, 2] {
        loom::model(move || {
            let segment = Segment::new(1, 1, 5, 4);
            let writer = segment.attach().unwrap();
            let reader = segment.attach_read_only();
            for key in &["a", "b"][..before] {
                insert(&writer, key, 0);
            }
            insert(&writer, "k", 1);
            let writes = thread::spawn({
                let writer = writer.clone();
                move || {
                    model::seal(&writer);
                    assert!(writer.remove(b"k").unwrap());
                    clean(&writer, before);
                    insert(&writer, "x", 3);
                }
            });
            let seen = get(&reader, "k");
            assert!(matches!(seen, None | Some(1)), "{seen:?}");
            writes.join().unwrap();
            assert_eq!(get(&reader, "k"), None);
            assert!(!segment.is_free(before), "the memory was not used again");
        });
    }
}

/// The stores of a removal write words anew that hold what was published before:
/// who sees them must see that too.
#[test]
fn a_removal_hides_no_insertion() {
    loom::model(|| {
        let segment = Segment::new(1, 1, 5, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, "a", 1);
        let writes = thread::spawn({
            let writer = writer.clone();
            move || {
                insert(&writer, "k", 2);
                assert!(writer.remove(b"a").unwrap());
            }
        });
        let seen = get(&reader, "k");
        assert!(matches!(seen, None | Some(2)), "{seen:?}");
        writes.join().unwrap();
    });
}

/// The same for a version: who sees the later one sees what the earlier one told.
#[test]
fn a_removal_hides_no_replacement() {
    loom::model(|| {
        let segment = Segment::new(1, 1, 6, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        for key in ["k", "b", "c"] {
            insert(&writer, key, 1);
        }
        let writes = thread::spawn({
            let writer = writer.clone();
            move || {
                insert(&writer, "k", 2);
                assert!(writer.remove(b"c").unwrap());
                clean(&writer, 0);
                insert(&writer, "x", 3);
            }
        });
        let seen = get(&reader, "k");
        assert!(matches!(seen, Some(1 | 2)), "{seen:?}");
        writes.join().unwrap();
        assert!(!segment.is_free(0), "the memory was not used again");
    });
}

/// Three keys fill a bucket; those that passed over it come and go.
#[test]
fn a_key_beyond_its_bucket_is_never_missed() {
    loom::model(|| {
        let segment = Segment::new(2, 1, 3, 16);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        let keys = model::keys_of_bucket(&writer, 0, 5);
        for key in &keys {
            writer.insert(key, b"1").unwrap();
        }
        let (stays, goes, first) = (keys[3], keys[4], keys[0]);
        let writes = thread::spawn({
            let writer = writer.clone();
            move || {
                assert!(writer.remove(&goes).unwrap());
                assert!(writer.remove(&first).unwrap());
                assert!(writer.insert(&goes, b"2").unwrap());
            }
        });
        assert_eq!(reader.get(&stays).unwrap().unwrap(), b"1");
        writes.join().unwrap();
        assert_eq!(reader.get(&goes).unwrap().unwrap(), b"2");
    });
}
