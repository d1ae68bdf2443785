//! Does a reader that runs beside an insertion see nothing or all of it?
#![cfg(loom)]

use loom::thread;
use loom_tests::{get, insert};
use shmtable::model::Segment;

const KEYS: [&str; 3] = ["a", "b", "c"];

/// The third key has its tag in the word of the version, the second shares its
/// slot's word with the first.
#[test]
fn a_new_key_is_seen_whole_or_not_at_all() {
    for before in 0..KEYS.len() {
        loom::model(move || {
            let segment = Segment::new(1, 1, 6, 4);
            let writer = segment.attach().unwrap();
            let reader = segment.attach_read_only();
            for (i, key) in KEYS[..before].iter().enumerate() {
                insert(&writer, key, i as u8);
            }
            let inserts = thread::spawn({
                let writer = writer.clone();
                move || assert!(insert(&writer, KEYS[before], 9))
            });
            assert!(matches!(get(&reader, KEYS[before]), None | Some(9)));
            for (i, key) in KEYS[..before].iter().enumerate() {
                assert_eq!(get(&reader, key), Some(i as u8));
            }
            inserts.join().unwrap();
            assert_eq!(get(&reader, KEYS[before]), Some(9));
        });
    }
}

/// Its slot still has the offset of the record that was removed.
#[test]
fn a_key_that_comes_back_has_not_its_old_value() {
    loom::model(|| {
        let segment = Segment::new(1, 1, 4, 4);
        let writer = segment.attach().unwrap();
        let reader = segment.attach_read_only();
        insert(&writer, "k", 1);
        writer.remove(b"k").unwrap();
        let inserts = thread::spawn({
            let writer = writer.clone();
            move || assert!(insert(&writer, "k", 2))
        });
        let first = get(&reader, "k");
        assert!(matches!(first, None | Some(2)), "{first:?}");
        let second = get(&reader, "k");
        assert!(second == Some(2) || first.is_none());
        inserts.join().unwrap();
    });
}
