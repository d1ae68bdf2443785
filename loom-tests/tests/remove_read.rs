//! Does a reader beside a removal see the old value or nothing, and never miss a
//! key that is there all the time?
//!
//! # Planted, and seen to fail
//! - the version not bumped in `Bucket::remove`, or before the tag is cleared: a torn value;
//! - the tag cleared without release: a removal hides an insertion;
//! - the version bumped without release, or looked at without acquire: it hides a
//!   replacement;
//! - the overflow count set to 0 when it is lowered: a key beyond its bucket is missed;
//! - the check after a key that does not match left out: a key that is there all the
//!   time is missed.
#![cfg(loom)]

use loom::thread;
use loom_tests::{clean, get, insert, value};
use shmtable::loom_model::{self, ModelSegment};

/// Its record's memory is used again.
#[test]
fn a_removed_key_is_whole_or_gone() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 1, 5, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, "k", 1);
        let writes = thread::spawn({
            let writer = writer.clone();
            move || {
                loom_model::seal(&writer);
                assert!(writer.remove(b"k").unwrap());
                clean(&writer, 0);
                insert(&writer, "x", 3);
            }
        });
        let seen = get(&reader, "k");
        assert!(matches!(seen, None | Some(1)), "{seen:?}");
        writes.join().unwrap();
        assert_eq!(get(&reader, "k"), None);
        assert!(!segment.is_free(0), "the memory was not used again");
    });
}

/// The stores of a removal write words anew that hold what was published before:
/// who sees them must see that too, and not what its slot led to last.
#[test]
fn a_removal_hides_no_insertion() {
    loom::model(|| {
        let segment = ModelSegment::new(1, 1, 5, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, "a", 1);
        insert(&writer, "k", 1);
        assert!(writer.remove(b"k").unwrap());
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
        let segment = ModelSegment::new(1, 1, 6, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        for key in ["k", "a"] {
            insert(&writer, key, 1);
        }
        let writes = thread::spawn({
            let writer = writer.clone();
            move || {
                insert(&writer, "k", 2);
                assert!(writer.remove(b"a").unwrap());
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

/// Three keys fill a bucket; those that passed over it come and go. All are small entries,
/// or records.
#[test]
fn a_key_beyond_its_bucket_is_never_missed() {
    for values in [[b"1".as_slice(), b"2"], [&value(1), &value(2)]] {
        let values = values.map(<[u8]>::to_vec);
        loom::model(move || {
            let [before, after] = values.clone();
            let segment = ModelSegment::new(2, 1, 3, 16);
            let writer = segment.attach().unwrap();
            let reader = segment.attach_read_only();
            let keys = loom_model::keys_of_bucket(&writer, 0, 5);
            for key in &keys {
                writer.insert(key, &before).unwrap();
            }
            let (stays, goes, first) = (keys[3], keys[4], keys[0]);
            let writes = thread::spawn({
                let (writer, after) = (writer.clone(), after.clone());
                move || {
                    assert!(writer.remove(&goes).unwrap());
                    assert!(writer.remove(&first).unwrap());
                    assert!(writer.insert(&goes, &after).unwrap());
                }
            });
            assert_eq!(reader.get(&stays).unwrap().unwrap(), before);
            writes.join().unwrap();
            assert_eq!(reader.get(&goes).unwrap().unwrap(), after);
        });
    }
}
